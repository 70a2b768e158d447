"""Counts of what `torch.compile` does for one alternative: one that runs partly eager must not be named compiled."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aaeframe.benchmarking.case import Facts, IncorrectResult

LIMIT: Final = 64
"""Compilations of one function in a process. torch's own limit is 8, after which a function runs eager in silence. All
alternatives share the functions of the script and of Adam, and need more."""


@contextmanager
def limited() -> Iterator[None]:
    """Inside, one compilation too many is an exception, if anything can have been compiled."""
    if "torch._dynamo" not in sys.modules:
        yield
        return
    from torch._dynamo import config

    with config.patch(recompile_limit=LIMIT, fail_on_recompile_limit_hit=True):
        yield


class Compiling:
    """Counts what is compiled while it is entered, which may be many times; inside, the limit is a high one."""

    def __init__(self, graphs: int) -> None:
        """`graphs`: how many there must be at least."""
        self._graphs = graphs
        self._found: Counter[str] = Counter()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Inside, compilations are counted, and one too many is an exception."""
        before = _counted()
        try:
            with limited():
                yield
        finally:
            self._found.update(_counted())
            self._found.subtract(before)

    def check(self) -> Facts:
        """Counts of what was compiled. IncorrectResult if anything was not."""
        found = self._found
        if found["breaks"]:
            raise IncorrectResult(f"torch.compile broke its graphs {found['breaks']} times: what is between ran eager")
        if found["compiled"] != found["frames"]:
            raise IncorrectResult(
                f"torch.compile compiled {found['compiled']} of {found['frames']} frames: the others ran eager"
            )
        if found["graphs"] < self._graphs:
            raise IncorrectResult(
                f"torch.compile made {found['graphs']} graphs where {self._graphs} are wanted: the others ran eager"
            )
        if found["refused"]:
            raise IncorrectResult(
                f"torch.compile refused {found['refused']} CUDA graphs: they ran as ordinary launches"
            )
        return {"compiled_graphs": found["graphs"]}


def _counted() -> Counter[str]:
    """Dynamo's own counters. A frame of `fullgraph=True` is one graph and is counted as that alone."""
    from torch._dynamo.utils import counters

    return Counter(
        frames=counters["frames"]["total"],
        compiled=counters["frames"]["ok"],
        graphs=counters["stats"]["unique_graphs"],
        breaks=sum(counters["graph_break"].values()),
        refused=counters["inductor"]["cudagraph_skips"],
    )
