"""An alternative named compiled is compiled, even next to others that share its code, which torch counts together."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch._dynamo import config

from aaeframe.benchmarking import SUITES, compiling
from aaeframe.benchmarking.baselines import PlainCompiled
from aaeframe.benchmarking.case import Added, BenchSettings, Case, IncorrectResult
from aaeframe.benchmarking.compiling import Compiling
from aaeframe.benchmarking.estimators import torch_cdist
from aaeframe.benchmarking.limits import Limits
from aaeframe.benchmarking.measure import measure_case
from aaeframe.benchmarking.sizes import Sizes
from aaeframe.benchmarking.step import Steps, compiled_case

pytestmark = [  # of what torch does when it compiles
    pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"),
]

CPU, SIZES = torch.device("cpu"), Sizes(side=8, width=8, code=2)
SETTINGS = BenchSettings(CPU, quick=True)
LIMITS = Limits(gemm={}, by={}, absent={}, copy=1e6)
EAGER = {"backend": "eager", "fullgraph": False, "dynamic": False}


@pytest.fixture(autouse=True)
def nothing_compiled_before():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def measured_case(case):
    return measure_case(case, SETTINGS, LIMITS, with_costs=False)


def compiled(backend, batch, schedule):
    made = Steps(SIZES, batch, schedule, CPU).compiled("bf16", backend=backend)
    return replace(made, name=f"{schedule} {batch} {backend}")


def measured(*alternatives):
    return measured_case(Case("a case", "a sentence", "steps", 1, alternatives))


@pytest.mark.slow
def test_compiled_alternatives_that_share_their_code_are_all_compiled_to_the_end():
    kinds = [
        ("eager", 6, "alternating"),
        ("eager", 10, "alternating"),
        ("eager", 6, "joint"),
        ("aot_eager", 6, "joint"),
    ]
    report = measured(*(compiled(*kind) for kind in kinds))
    assert report.failed == {}
    assert len(report.rows) == 4
    for row in report.rows:
        assert row.facts["compiled_graphs"] == PlainCompiled.GRAPHS[row.alternative.partition(" ")[0]]


@pytest.mark.slow
def test_one_beyond_the_limit_is_failed_and_not_timed(monkeypatch):
    monkeypatch.setattr(compiling, "LIMIT", 3)  # each has two optimizers, which share the code of a step
    report = measured(compiled("eager", 6, "joint"), compiled("eager", 10, "joint"))
    assert [row.alternative for row in report.rows] == ["joint 6 eager"]
    assert report.failed["joint 10 eager"].startswith("FailOnRecompileLimitHit")


@pytest.mark.slow
def test_a_case_of_compiled_rivals_runs_on_any_backend():
    report = measured_case(compiled_case(Steps(SIZES, 6, "alternating", CPU), backend="eager"))
    assert report.name == "step-compiled alternating batch=6 pixels=64 width=8 code=2"
    assert report.failed == {}
    assert [row.alternative for row in report.rows if "compiled_graphs" in row.facts] == [
        "plain script bf16, torch.compile reduce-overhead eager",
        "plain script tf32, torch.compile reduce-overhead eager",
    ]


@pytest.mark.slow
def test_what_is_compiled_inside_is_counted_over_all_entries_and_alone():
    watch, doubled = Compiling(2), torch.compile(lambda x: 2 * x, **EAGER)
    for size in (1, 2):
        with watch.watched():
            doubled(torch.ones(size))
        doubled(torch.ones(size + 10))
    assert watch.check()["compiled_graphs"] == 2


def test_a_graph_that_breaks_is_told():
    def broken(x):
        torch._dynamo.graph_break()
        return 2 * x

    watch = Compiling(1)
    with watch.watched():
        torch.compile(broken, **EAGER)(torch.ones(1))
    with pytest.raises(IncorrectResult, match="broke its graphs 1 times"):
        watch.check()


def test_a_frame_that_torch_gives_up_is_told():
    watch, doubled = Compiling(1), torch.compile(lambda x: 2 * x, **EAGER)
    with watch.watched(), config.patch(recompile_limit=1, fail_on_recompile_limit_hit=False):
        doubled(torch.ones(1))
        doubled(torch.ones(2))
    with pytest.raises(IncorrectResult, match="1 of 2 frames"):
        watch.check()


@pytest.mark.parametrize(("wanted", "made"), [(1, 0), (2, 1)], ids=["all", "a part"])
def test_what_runs_eager_from_the_beginning_is_told(wanted, made):
    watch = Compiling(wanted)
    with watch.watched():
        for _ in range(made):
            torch.compile(lambda x: 2 * x, **EAGER)(torch.ones(1))
    with pytest.raises(IncorrectResult, match=f"made {made} graphs where {wanted} are wanted"):
        watch.check()


def test_the_limit_is_raised_inside_alone():
    before = config.recompile_limit
    with Compiling(1).watched():
        assert config.recompile_limit == compiling.LIMIT > before
    assert config.recompile_limit == before


@pytest.mark.slow
def test_an_implementation_from_outside_that_torch_gives_up_is_failed(monkeypatch):
    monkeypatch.setattr(compiling, "LIMIT", 3)  # of the 20 bandwidths, each of which is compiled anew
    added = Added("mine", torch.compile(torch_cdist, **EAGER), "yours")
    one, twenty, _ = SUITES["parzen"].load()(replace(SETTINGS, added=(added,)))
    with config.patch(specialize_float=True):
        for case in (one, twenty):
            report = measured_case(replace(case, alternatives=(case.alternatives[-1],)))
            assert [row.alternative for row in report.rows] == (["mine"] if case is one else [])
    assert report.failed["mine"].startswith("FailOnRecompileLimitHit")
