"""Implementations from outside: they are found, called as their suite says, checked as ours, and refused in words."""

from __future__ import annotations

import math
import sys
from functools import partial

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, linear

from aaeframe.benchmarking import SUITES
from aaeframe.benchmarking.added import added, importing_later
from aaeframe.benchmarking.case import Added, BenchSettings, IncorrectResult
from aaeframe.benchmarking.limits import Limits
from aaeframe.benchmarking.measure import measure_case
from aaeframe.benchmarking.sizes import Sizes
from aaeframe.benchmarking.step import Steps
from aaeframe.components.registry import Registry
from aaeframe.errors import AaeframeError, ConfigError

LIMITS = Limits(gemm={}, by={}, absent={}, copy=1e6)
SETTINGS = BenchSettings(torch.device("cpu"), quick=True)


def density(x, samples, bandwidth):
    assert (x.shape, samples.shape, x.dtype, samples.dtype) == ((40, 64), (160, 64), torch.float32, torch.float32)
    assert 0 <= x.min() < x.max() <= 1
    exponents = torch.cdist(x, samples).square() / (-2 * bandwidth**2)
    return torch.logsumexp(exponents, 1) - math.log(160) - 32 * math.log(2 * math.pi * bandwidth**2)


def loss(features, weight, bias, target, row_weight):
    logits = linear(features, weight, bias).squeeze(1)
    return (row_weight * binary_cross_entropy_with_logits(logits, target, reduction="none")).sum()


def script(pixels, networks, schedule, phases=("autoencoder", "discriminator")):
    """A step of both schedules: the generator's turn is left out, so that the networks change and no more."""
    assert (pixels.shape, pixels.dtype, schedule) == ((10, 1, 8, 8), torch.uint8, schedule)
    x = pixels.flatten(1) / 255
    encoder, decoder, discriminator = (networks[it] for it in ("encoder", "decoder", "discriminator"))
    autoencoder = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    adversary = torch.optim.Adam(discriminator.parameters(), lr=1e-3)

    def step():
        z = encoder(x)
        error = 0.5 * (decoder(z) - x).square().sum(1).mean()
        autoencoder.zero_grad()
        error.backward()
        autoencoder.step()
        if "discriminator" in phases:
            adversary.zero_grad()
            discriminator(z.detach()).square().mean().backward()
            adversary.step()
        return error.detach()

    return step


RIGHT = {"parzen": density, "loss": loss, "step": script}


def measured(suite, function, *, with_costs=False):
    """The reports of the suite's cases with its own alternatives left out, but for the baseline."""
    settings = BenchSettings(torch.device("cpu"), quick=True, added=(Added("mine", function, "yours"),))
    for case in SUITES[suite].load()(settings):
        assert case.alternatives[-1].name == "mine"
        assert not case.alternatives[-1].ours
        yield measure_case(
            type(case)(case.name, case.what, case.unit, case.amount, (case.alternatives[0], case.alternatives[-1])),
            SETTINGS,
            LIMITS,
            with_costs=with_costs,
        )


@pytest.mark.slow
@pytest.mark.parametrize("suite", SUITES)
def test_a_right_implementation_joins_each_case_and_is_marked(suite):
    reports = list(measured(suite, RIGHT[suite], with_costs=True))
    assert len(reports) == len(SUITES[suite].load()(SETTINGS))
    for report in reports:
        assert report.failed == {}
        baseline, mine = report.rows
        assert (baseline.origin, mine.origin) == (None, "yours")
        assert mine.ratio == mine.seconds / baseline.seconds
        assert mine.counts["operations"] > 0


def in_secret(x, *given):
    """Zeros its tensors past the counter of versions."""
    for it in (x, *given):
        if isinstance(it, torch.Tensor):
            it.data.zero_()
    return x.float().sum()


def test_one_that_changes_the_minibatch_of_a_step_has_a_copy():
    steps = Steps(Sizes(side=8, width=16, code=2), 10, "joint", torch.device("cpu"))
    before = steps.pixels.clone()
    with pytest.raises(IncorrectResult):
        steps.added(Added("spoiling", in_secret, "yours")).prepare()
    assert torch.equal(steps.pixels, before)


@pytest.mark.slow
@pytest.mark.parametrize("suite", ["parzen", "loss"])
def test_one_that_changes_its_input_does_not_spoil_others(suite):
    spoiling = Added("spoiling", in_secret, "yours")
    settings = BenchSettings(torch.device("cpu"), quick=True, added=(spoiling, Added("right", RIGHT[suite], "yours")))
    for case in SUITES[suite].load()(settings):
        some = (case.alternatives[-2], case.alternatives[0], case.alternatives[-1])
        report = measure_case(
            type(case)(case.name, case.what, case.unit, case.amount, some), SETTINGS, LIMITS, with_costs=False
        )
        assert set(report.failed) == {"spoiling"}


def mean_of_all(*given):
    """The mean is right, and no row is."""
    found = density(*given)
    return found.mean().expand(len(found))


def off_in_the_last(*given):
    found = density(*given)
    found[-1] += 0.2
    return found


WRONG = {
    "mean": ("parzen", mean_of_all, "a row is off by"),
    "last row": ("parzen", off_in_the_last, r"a row is off by 0\.2"),
    "off": ("parzen", lambda *given: density(*given) + 0.02, "off by 0.02 nats"),
    "column": ("parzen", lambda *given: density(*given)[:, None], r"shape \(40, 1\); return .* of shape \(40,\)"),
    "array": ("parzen", lambda *given: density(*given).numpy(), "it returned ndarray; return the log density"),
    "integers": ("parzen", lambda *given: density(*given).long(), "it returned torch.int64"),
    "in place": ("parzen", lambda x, *given: x.clamp_(0.2, 0.8).sum(1), "changes its arguments in place"),
    "gradient": ("loss", lambda *given: 2 * loss(*given), "relative errors"),
    "no gradient": ("loss", lambda *given: loss(*given).detach(), "its loss has no gradient"),
    "no step": ("step", lambda *given: None, "it returned NoneType; return a function that does one step"),
    "untrained": ("step", partial(script, phases=("autoencoder",)), "leave the discriminator as it was"),
    "exit": ("loss", lambda *given: exit(3), "SystemExit: 3"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_implementation_is_told_and_has_no_time(name):
    suite, function, words = WRONG[name]
    for report in measured(suite, function):
        assert [row.alternative for row in report.rows] == [report.baseline]
        assert list(report.failed) == ["mine"]
        with pytest.raises(AssertionError, match=words):
            raise AssertionError(report.failed["mine"])


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Writes a module into the current folder."""
    monkeypatch.chdir(tmp_path)

    def write(name, source):
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.delitem(sys.modules, name, raising=False)

    return write


def found(*named, suites=("parzen",), warn=pytest.fail):
    return added(named, suites, Registry.load(), warn)


def test_a_module_of_the_current_folder_is_found_and_the_path_is_left_as_it_was(here):
    here("mine_here", "def f(x, samples, bandwidth): return 1\nclass Of:\n    @staticmethod\n    def g(*a): return 2")
    before = [*sys.path]

    (first, second) = found("mine_here:f", "mine_here:Of.g", "mine_here:f")["parzen"]

    assert (first.name, first.origin, first(1, 2, 3)) == ("mine_here:f", "yours", 1)
    assert (second.name, second(1, 2, 3)) == ("mine_here:Of.g", 2)
    assert sys.path == before


def test_a_module_of_the_current_folder_hides_no_installed_one_while_measuring(here):
    here("sklearn", "raise SystemExit('a stranger runs')")
    here("mine_late", "def f(*given):\n    import mine_other\n    return mine_other.value")
    here("mine_other", "value = 5")
    before = [*sys.path]
    with importing_later({"parzen": []}):
        assert sys.path == before
    joined = found("mine_late:f")
    with importing_later(joined):
        assert sys.path[:-1] == before
        assert joined["parzen"][0](1, 2, 3) == 5
    assert sys.path == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("absent_module:f", r"there is no module 'absent_module', neither in the folder .* nor installed"),
        ("mine_bad:f", r"cannot be imported: ZeroDivisionError: division by zero; see .* python -c 'import mine_bad'"),
        ("mine_needs:f", r"cannot be imported: ModuleNotFoundError: No module named 'absent_too'"),
        ("mine_ok:nothing", r"has no 'nothing'; it has f, two"),
        ("mine_ok:number", r"of type int, which cannot be called"),
        ("mine_ok:two", r"mine_ok:two\(a, b\) does not take .*\(x, samples, bandwidth\): too many positional"),
        ("mine_ok", r"not of the form --with module:function, or the name of an installed benchmark"),
        (":f", r"not of the form"),
        ("nobody(a=1)", r"no active plugin offers a benchmark named 'nobody'"),
    ],
)
def test_what_cannot_be_called_is_refused_in_words(here, text, words):
    here("mine_ok", "number = 1\ndef f(x, samples, bandwidth): pass\ndef two(a, b): pass\n")
    here("mine_bad", "1 / 0")
    here("mine_needs", "import absent_too")
    with pytest.raises(AaeframeError, match=words) as refused:
        found(text)
    assert refused.value.exit_code == 2


def test_a_name_needs_one_suite_as_the_arguments_differ(here):
    here("mine_one", "def f(*a): pass")
    with pytest.raises(ConfigError, match=r"needs one --case.*parzen: \(x, samples, bandwidth\); --case loss: \(feat"):
        found("mine_one:f", suites=("parzen", "loss"))


PLUGIN = """
from aaeframe import Component, hookimpl
from aaeframe.benchmarking import Benchmark

@hookimpl
def aaeframe_benchmarks():
    return [
        Component("right", "aaeframe_fast:right", "right"),
        Component("poor", "aaeframe_fast:poor", "takes other arguments"),
        Component("none", "aaeframe_fast:none", "is no benchmark"),
    ]

def right(*, scale: float = 1.0):
    return Benchmark("parzen", lambda x, samples, bandwidth: scale)

def poor():
    return Benchmark("loss", lambda x: x)

def none():
    return 3
"""


def test_benchmarks_of_plugins_join_their_suite_and_a_broken_one_is_left_out_with_a_note(install):
    install("aaeframe-fast", {"aaeframe_fast": PLUGIN})
    told = []

    (right,) = found(warn=told.append)["parzen"]

    assert (right.name, right.origin, right(0, 0, 0)) == ("aaeframe-fast:right", "plugin aaeframe-fast 1.0", 1.0)
    assert len(told) == 1
    assert "the benchmark 'none' of aaeframe-fast 1.0 is left out" in told[0]
    assert "must be built as an aaeframe.benchmarking.Benchmark" in told[0]
    assert found(suites=("loss",), warn=told.append) == {"loss": []}
    assert (
        "'poor' of aaeframe-fast 1.0 is left out: aaeframe-fast:poor(x) does not take the arguments of the suite loss"
        in told[1]
    )


def test_a_benchmark_of_a_plugin_is_named_with_other_options(install):
    install("aaeframe-fast", {"aaeframe_fast": PLUGIN})
    them = found("right", "right(scale=2.0)", warn=lambda reason: None)["parzen"]
    assert [(it.name, it(0, 0, 0)) for it in them] == [
        ("aaeframe-fast:right", 1.0),
        ("aaeframe-fast:right(scale=2.0)", 2.0),
    ]
    with pytest.raises(ConfigError, match=r"--with right is of the suite parzen, which is not measured; add --case p"):
        found("right", suites=("loss",), warn=lambda reason: None)
    with pytest.raises(AaeframeError, match=r"must be built as an aaeframe\.benchmarking\.Benchmark"):
        found("none", warn=lambda reason: None)
