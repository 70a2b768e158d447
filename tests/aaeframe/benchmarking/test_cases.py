"""Every alternative of every suite at a small size, and that a wrong result is told."""

from __future__ import annotations

import pytest
import torch

from aaeframe.benchmarking import SUITES, memory, parzen
from aaeframe.benchmarking.case import BenchSettings, IncorrectResult
from aaeframe.benchmarking.installed import unsupported_reason
from aaeframe.benchmarking.parzen import ParzenProblem, Size
from aaeframe.errors import ConfigError
from aaeframe.training.loop import Training
from aaeframe_kernels.dispatch import launches

CPU = torch.device("cpu")
SMALL = [case for suite in SUITES.values() for case in suite.load()(BenchSettings(CPU, quick=True))]
FULL = [case for suite in SUITES.values() for case in suite.load()(BenchSettings(CPU))]
GPU = [case for suite in SUITES.values() for case in suite.load()(BenchSettings(torch.device("cuda")))]
RUNNABLE = [
    pytest.param(it, id=f"{case.name}-{it.name}")
    for case in SMALL
    for it in case.alternatives
    if it.unsupported_reason is None
]


def result_of(alternative, calls=4):
    with torch.random.fork_rng(), alternative.within():
        torch.manual_seed(0)
        call = alternative.prepare()
        for _ in range(calls):
            result = call()
    return result


@pytest.mark.parametrize("alternative", RUNNABLE)
def test_an_alternative_computes_what_its_check_wants(alternative):
    result = result_of(alternative)
    facts = alternative.check(result)
    assert all(isinstance(fact, float | int | str) for fact in facts.values())
    if alternative.work is not None:
        work = alternative.work(result)
        assert work.flops > 0
        assert work.traffic > 0


@pytest.mark.parametrize("cases", [FULL, GPU], ids=["cpu", "cuda"])
def test_names_tell_cases_and_alternatives_apart(cases):
    assert len({case.name for case in cases}) == len(cases)
    for case in cases:
        assert len({it.name for it in case.alternatives}) == len(case.alternatives)
        assert any(it.ours for it in case.alternatives)


def test_sizes_on_a_cpu_are_those_of_the_paper():
    names = [case.name for case in FULL]
    assert "parzen N=2000 M=10000 D=784 bandwidths=1" in names
    assert "loss rows=200 width=1000" in names
    assert "step alternating batch=100 pixels=784 width=1000 code=8" in names


def test_sizes_replace_those_of_a_suite():
    def cases(suite, **sizes):
        return SUITES[suite].load()(BenchSettings(CPU, quick=True, sizes=sizes))

    assert [it.name for it in cases("loss", batch=6, width=12)] == ["loss rows=12 width=12"]
    assert [it.name for it in cases("step", batch=6, width=12)] == [
        f"step {schedule} batch=6 pixels=64 width=12 code=2" for schedule in ("alternating", "joint")
    ]
    parzen = cases("parzen", rows=5, samples=30, features=10)
    assert {it.name.partition(" bandwidths")[0] for it in parzen} == {"parzen N=5 M=30 D=10"}
    assert all(it.sizes == {"rows": 5, "samples": 30, "features": 10} for it in parzen)
    for it in parzen[0].alternatives:
        if it.unsupported_reason is None:
            it.check(result_of(it, calls=1))


@pytest.mark.parametrize("cases", [SMALL, FULL, GPU], ids=["small", "cpu", "cuda"])
def test_a_case_has_its_kind_and_every_size_of_its_suite(cases):
    for case in cases:
        suite = case.kind.partition(" ")[0].partition("-")[0]
        assert tuple(case.sizes) == SUITES[suite].sizes
    assert {it.kind for it in cases} >= {it.kind for it in SMALL}


def test_samples_that_do_not_fit_are_refused_and_products_of_which_the_result_does_not_fit_are_left_out(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda device: 8_000_000)
    problem = ParzenProblem(Size(20_000, 200, 10), CPU, compiled=False)
    problem.require_memory()
    assert "it needs 0.0 GiB of memory" in problem.products()[0].unsupported_reason
    with pytest.raises(ConfigError, match="the inputs of parzen N=300 M=200000 D=10 do not fit on cpu"):
        ParzenProblem(Size(300, 200_000, 10), CPU, compiled=False).require_memory()
    with pytest.raises(ConfigError, match="do not fit on cpu"):  # each one from outside has copies
        problem.require_memory(added=10)


def test_the_exact_likelihood_is_the_same_in_parts(monkeypatch):
    whole, parts = (ParzenProblem(Size(7, 25, 10), CPU, compiled=False) for _ in range(2))
    expected = whole.exact
    monkeypatch.setattr(parzen, "PART", 10)
    torch.testing.assert_close(parts.exact, expected, rtol=1e-12, atol=1e-12)


def test_the_checked_rows_are_spread_over_all():
    rows = ParzenProblem(Size(2000, 1, 1), CPU, compiled=False).checked
    assert (len(rows.unique()), rows[0], rows[-1]) == (500, 0, 1999)


def names_of(cases, begin):
    (case,) = [it for it in cases if it.name.startswith(begin)]
    return [it.name for it in case.alternatives]


def test_a_step_is_compared_in_each_precision_also_with_the_training_loop():
    wanted = ["plain script {}", "aaeframe {}", "aaeframe {}, with the training loop"]
    for cases, precisions in ((FULL, ("fp32", "bf16")), (GPU, ("fp32", "tf32", "bf16"))):
        names = names_of(cases, "step alternating batch=100 pixels=784 width=1000 code=8")
        assert names[: 3 * len(precisions)] == [it.format(precision) for it in wanted for precision in precisions]


@pytest.mark.parametrize("batch", [100, 1024, 8192])
def test_a_gpu_step_is_compared_graphed_and_fused_and_apart_from_that_compiled(batch):
    names = names_of(GPU, f"step alternating batch={batch} ")
    assert {"aaeframe bf16, no graph, reference loss", "aaeframe bf16, graph, reference loss"} <= set(names)
    assert not any("torch.compile" in it for it in names)
    assert names_of(GPU, f"step-compiled alternating batch={batch} pixels=784 ") == [
        "plain script bf16",
        "plain script tf32",
        "plain script bf16, torch.compile reduce-overhead",
        "plain script tf32, torch.compile reduce-overhead",
        "aaeframe bf16",
        "aaeframe tf32",
    ]


def alternative(suite, begin):
    return next(it for case in SMALL if case.name.startswith(suite) for it in case.alternatives if it.name == begin)


def test_a_wrong_likelihood_is_told():
    ours = alternative("parzen", "aaeframe")
    right = result_of(ours)
    with pytest.raises(IncorrectResult, match=r"off by 0\.02 nats"):
        ours.check(right._replace(log_likelihood=right.log_likelihood + 0.02))
    with pytest.raises(IncorrectResult, match="nan"):
        ours.check(right._replace(log_likelihood=right.log_likelihood * float("nan")))


def test_the_path_that_served_the_samples_is_told_and_sets_the_work():
    ours = alternative("parzen", "aaeframe fp32")
    result = result_of(ours)
    assert ours.check(result)["samples_by_fp32"] == 160
    digits = ours.work(result._replace(paths={"int8x2": 160}))
    assert (digits.arithmetic, digits.flops) == ("int8", 2 * ours.work(result).flops)


def test_a_wrong_gradient_is_told():
    ours = alternative("loss", "aaeframe, few torch operations")
    loss, *gradients = result_of(ours)
    with pytest.raises(IncorrectResult, match="relative errors"):
        ours.check((loss, gradients[0] * 1.001, *gradients[1:]))


def test_a_path_of_the_loss_is_forced_and_runs():
    before = launches["cpu/discriminator_loss"]
    result_of(alternative("loss", "aaeframe, few torch operations"), calls=3)
    assert launches["cpu/discriminator_loss"] == before + 3


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_step_with_the_training_loop_is_the_step_of_the_training_loop(monkeypatch, tmp_path, precision):
    monkeypatch.chdir(tmp_path)
    taken, step = [], Training._step
    monkeypatch.setattr(Training, "_step", lambda training: (step(training), taken.append(training)))

    first, last = result_of(alternative("step", f"aaeframe {precision}, with the training loop"), calls=60)

    assert taken[0].config.training.precision == precision
    assert len(taken) == taken[0].batches.step == taken[0].losses.count == 60
    assert taken[0].losses.last["reconstruction"] == last
    assert last < first
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("last", [5.0, float("nan")])
def test_steps_that_do_not_train_are_told(last):
    ours = alternative("step", "aaeframe fp32")
    with pytest.raises(IncorrectResult, match=r"went from 5\.0 to"):
        ours.check((torch.tensor(5.0), torch.tensor(last)))


def test_what_is_not_installed_is_told_with_the_way_to_get_it():
    assert unsupported_reason("json") is None
    assert unsupported_reason("a_package_of_nobody") == (
        'a_package_of_nobody is not installed: pip install "aaeframe[benchmark]"'
    )
