"""Checks of any factory and of the hook module; and that no public check goes without a broken case."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import pytest
import torch
from pydantic import Field
from torch.distributions import Independent, Normal

from aaeframe import testing
from aaeframe.components.registry import InstalledComponent, Plugin
from aaeframe.hookspecs import Component
from aaeframe.testing.plan import CHECKS, LABEL_CHECKS, ONCE
from aaeframe.testing.plugin import check_component, check_plugin


def gaussian(*, size: int = 2, scale: float = 1.0, means: list[list[float]] | None = None):
    return Independent(Normal(torch.zeros(size), scale), 1)


def no_default(*, size: int): ...


def no_annotation(*, size=2): ...


def no_star(size: int = 2): ...


def many(**rest: int): ...


def bad_default(*, size: int = 2.5): ...


def no_json(*, size: object = object): ...


def no_type(*, size: Nowhere = None): ...  # noqa: F821


def no_schema(*, size: InstalledComponent | None = None, other: torch.Tensor | None = None): ...


def fielded(*, size: int = Field(2, gt=0)): ...


def once(*, sizes: Iterable[int] = (2,)): ...


def failing(*, size: int = 2):
    raise RuntimeError("no license")


OPTIONS_REJECTED = [
    (no_annotation, "the option 'size' must have an annotation"),
    (no_star, "the parameter size must be keyword-only: put * before the options"),
    (many, "must be keyword-only: put * before the options; no *args, no **kwargs"),
    (
        bad_default,
        "the default of the option size: int = 2.5 does not fit its own type: size: should be a valid integer",
    ),
    (no_json, "cannot be stored as JSON"),
    (no_type, "the annotation of an option does not exist: name 'Nowhere'"),
    (fielded, "the options cannot be read: the default of size is a Field of pydantic: write size: Annotated["),
    (
        once,
        "values of the option sizes: collections.abc.Iterable[int] = (2,) cannot be checked: it can be read only once",
    ),
    (no_schema, "cannot be checked: Unable to generate pydantic-core schema for <class 'torch.Tensor'>"),
]


@pytest.mark.parametrize(("factory", "message"), OPTIONS_REJECTED, ids=lambda it: getattr(it, "__name__", ""))
def test_options_that_cannot_be_used_are_rejected(factory, message):
    with pytest.raises(AssertionError) as raised:
        testing.check_options(testing.PriorCase(factory))
    assert message in str(raised.value)


def test_positional_arguments_of_the_kind_are_no_options():
    def network(data, code_size, *, width: int = 3): ...

    testing.check_options(testing.NetworkCase(network))
    with pytest.raises(AssertionError, match="the parameter extra must be keyword-only"):
        testing.check_options(testing.NetworkCase(lambda data, code_size, extra: None))


def test_good_options_are_accepted():
    testing.check_options(testing.PriorCase(gaussian))
    testing.check_options(testing.PriorCase(partial(gaussian, size=3)))


def test_a_factory_that_fails_is_rejected():
    testing.check_builds(testing.PriorCase(gaussian))
    with pytest.raises(AssertionError, match="the factory fails with default options: RuntimeError: no license"):
        testing.check_builds(testing.PriorCase(failing))


def test_an_option_that_only_the_user_knows_may_have_no_default_but_must_be_given_to_be_checked():
    testing.check_options(testing.PriorCase(no_default))
    with pytest.raises(AssertionError, match="the factory needs size: int: give it, as in functools"):
        testing.check_builds(testing.PriorCase(no_default))
    assert [id for id, _ in testing.checks_for("prior", no_default)] == ["options", "builds"]


def test_a_component_that_cannot_be_built_has_one_failing_check_beside_its_options():
    checks = dict(testing.checks_for("prior", failing))

    assert list(checks) == ["options", "builds"]
    with pytest.raises(AssertionError, match="no license"):
        checks["builds"]()


def test_checks_that_do_not_apply_are_planned_with_the_reason_and_not_given():
    planned = {check.id: check.inapplicable for check in testing.plan("prior", gaussian)}

    assert planned["log-prob-fit"] is None
    assert planned["labels"] == "has no sample_labeled and num_classes"
    assert planned["prior-state"] == "is not an nn.Module"
    assert [id for id, _ in testing.checks_for("prior", gaussian)] == [id for id, why in planned.items() if why is None]


def test_every_public_check_is_held_against_broken_components():
    """The checks of each kind are covered by the tests of that kind, which compare their tables with CHECKS."""
    public = {name for name in testing.__all__ if name.startswith("check_")}
    of_kinds = {check.__name__ for checks in (*CHECKS.values(), *ONCE.values(), LABEL_CHECKS) for check in checks}
    here = {"check_options", "check_builds", "check_serves", "check_hook_module"}

    assert public == of_kinds | here


HOOK_MODULES = {
    "imports torch": ("import torch", "importing aaeframe_toy imports torch: name"),
    "slow": (
        "import time\nend = time.process_time() + 0.6\nwhile time.process_time() < end: ...",
        " s of processor time, more than 0.5 s: name",
    ),
    "fails alone": ("raise RuntimeError('no license')", "importing aaeframe_toy by itself fails:"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("source", "message"), HOOK_MODULES.values(), ids=HOOK_MODULES)
def test_a_heavy_hook_module_is_rejected(tmp_path, monkeypatch, source, message):
    (tmp_path / "aaeframe_toy.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    with pytest.raises(AssertionError) as raised:
        testing.check_hook_module("aaeframe_toy")
    assert message in str(raised.value)


def test_a_light_hook_module_is_accepted_even_if_it_prints(tmp_path, monkeypatch):
    (tmp_path / "aaeframe_toy.py").write_text("print('hello')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    cost = testing.check_hook_module("aaeframe_toy")

    assert not cost.torch


OTHERS_AT_WORK = """
import subprocess, sys
assert "pydantic.fields" in sys.modules, "pydantic would be counted"
busy = "import time\\nwhile time.process_time() < 0.6: ..."
subprocess.run([sys.executable, "-c", busy], check=True)
"""


@pytest.mark.slow
def test_neither_the_work_of_others_nor_pydantic_is_counted(tmp_path, monkeypatch):
    (tmp_path / "aaeframe_toy.py").write_text(OTHERS_AT_WORK)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    testing.check_hook_module("aaeframe_toy")


@pytest.mark.slow
def test_the_outcomes_of_a_component():
    offer = InstalledComponent("prior", Component("toy", f"{__name__}:gaussian", "a toy"), "aaeframe-toy", "1.0", "toy")

    outcomes = {it.id: it for it in check_component(offer)}

    assert outcomes["sample-shape"].verdict == "passed"
    assert outcomes["labels"] == ("labels", "inapplicable", "has no sample_labeled and num_classes")
    assert not [it for it in outcomes.values() if it.verdict == "failed"]


def test_an_unexpected_exception_is_a_failed_check():
    def odd(*, size: int = 2):
        prior = gaussian(size=size)
        prior.sample = lambda shape=torch.Size(): 1 / 0
        return prior

    globals()["odd"] = odd
    offer = InstalledComponent("prior", Component("toy", f"{__name__}:odd", "a toy"), "aaeframe-toy", "1.0", "toy")
    outcomes = {it.id: it for it in check_component(offer)}

    assert outcomes["sample-shape"].verdict == "failed"
    assert outcomes["sample-shape"].message.startswith(f"ZeroDivisionError: division by zero (at {__file__}:")
    assert outcomes["options"].verdict == "passed"
    assert outcomes["batch-shape"].verdict == "passed"
    assert outcomes["sample-seed"] == ("sample-seed", "inapplicable", "samples do not have the shape they must have")
    assert [it.id for it in outcomes.values() if it.verdict == "failed"] == ["sample-shape"]


@pytest.mark.slow
def test_a_component_that_needs_an_option_is_checked_when_it_is_given():
    def needing(*, size: int):
        return gaussian(size=size)

    globals()["needing"] = needing
    offer = InstalledComponent("prior", Component("toy", f"{__name__}:needing", "a toy"), "aaeframe-toy", "1.0", "toy")

    (outcome,) = check_component(offer)
    given = list(check_component(offer, {"size": 3}))

    assert outcome.verdict == "inapplicable"
    assert outcome.message == "needs size: int; check it by itself: aaeframe plugins check 'toy(size=...)'"
    assert ("builds", "passed", "") in given
    assert not [it for it in given if it.verdict == "failed"]


def test_a_missing_factory_is_the_one_outcome():
    offer = InstalledComponent("prior", Component("toy", f"{__name__}:nothing", "a toy"), "aaeframe-toy", "1.0", "toy")

    (outcome,) = check_component(offer)

    assert (outcome.id, outcome.verdict) == ("factory", "failed")
    assert "the prior 'toy' of aaeframe-toy 1.0 cannot be loaded" in outcome.message


def test_the_outcome_of_a_plugin_that_is_not_active_is_its_error_and_where():
    broken = Plugin("toy", "aaeframe_toy", "aaeframe-toy", "1.0", "broken", "RuntimeError: no", "toy.py:3")

    assert list(check_plugin(broken)) == [("active", "failed", "broken: RuntimeError: no (at toy.py:3)")]
