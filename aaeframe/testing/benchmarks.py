"""Checks of a benchmark: it names a suite, and its result is right at small sizes."""

from __future__ import annotations

import torch

from aaeframe.benchmarking import SUITES, Benchmark
from aaeframe.benchmarking.added import check_arguments
from aaeframe.benchmarking.case import Added, BenchSettings, IncorrectResult
from aaeframe.errors import ConfigError
from aaeframe.testing.case import ComponentCase, require, seeded

CALLS = 4
"""The number of calls before the result is checked: a training step shows what it does only after some."""


class BenchmarkCase(ComponentCase):
    """A factory of a benchmark."""


@seeded
def check_suite(case: BenchmarkCase) -> None:
    """The factory returns a Benchmark of a known suite, whose function takes the suite's arguments."""
    _added(case)


@seeded
def check_result(case: BenchmarkCase) -> str | None:
    """The function passes the check of each case of its suite, at small sizes, on a GPU if there is one.

    Not tested if it refuses the device with NotImplementedError.
    """
    suite, added = _added(case)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for work in SUITES[suite].load()(BenchSettings(device, quick=True, added=(added,))):
        alternative = work.alternatives[-1]
        try:
            call = alternative.prepare()
            for _ in range(CALLS):
                result = call()
            alternative.check(result)
        except NotImplementedError as error:
            return f"refused: {error}"
        except IncorrectResult as error:
            require(False, f"in the case {work.name!r}: {error}")
    return None


def _added(case: BenchmarkCase) -> tuple[str, Added]:
    """The name of the suite, and the function as `aaeframe bench` adds it to those of the suite."""
    made = case.build()
    wanted = f"return aaeframe.benchmarking.Benchmark(suite, function) with one of the suites {', '.join(SUITES)}"
    require(isinstance(made, Benchmark), f"the factory returns {type(made).__name__}: {wanted}")
    require(made.suite in SUITES, f"there is no suite {made.suite!r}: {wanted}")
    require(callable(made.function), f"the function is of type {type(made.function).__name__}: {wanted}")
    added = Added("it", made.function, "plugin")
    try:
        check_arguments(added, made.suite)
    except ConfigError as error:
        require(False, str(error))
    return made.suite, added
