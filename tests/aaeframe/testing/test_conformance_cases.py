"""`conformance_cases`, the checks of a distribution as cases of pytest."""

from __future__ import annotations

import pytest

from aaeframe.errors import OptionError, PluginError
from aaeframe.testing import conformance_cases, plugin_checks

pytest_plugins = ["pytester"]

TOY = """
from aaeframe import Component, hookimpl

@hookimpl
def aaeframe_priors():
    return [Component("toy", "aaeframe_toy_prior:toy", "a toy"), Component("box", "aaeframe_toy_prior:box", "a box")]
"""
PRIORS = """
import torch
from torch.distributions import Independent, Normal, Uniform, constraints

class toy:
    event_shape = torch.Size([2])
    support = constraints.independent(constraints.real, 1)

    def __init__(self, *, size: int = 2):
        self.event_shape = torch.Size([size])

    def sample(self, sample_shape=()):
        return torch.randn(*sample_shape, *self.event_shape)

    def log_prob(self, value):
        return -value.square().sum(-1)

def box(*, size: int = 2):
    return Independent(Uniform(torch.zeros(size), torch.ones(size)), 1)
"""


@pytest.fixture
def toy(install):
    """A plugin of two priors, the density of one of which is not normalized."""
    install("aaeframe-toy", {"aaeframe_toy": TOY, "aaeframe_toy_prior": PRIORS})


def by_id(cases):
    return {case.id: case for case in cases}


def test_there_is_a_case_for_each_check_and_its_id_is_a_sentence(toy):
    cases = by_id(conformance_cases("aaeframe-toy", "toy(size=3)"))

    assert len(cases) == len(plugin_checks("aaeframe-toy", "toy(size=3)"))
    assert {
        "the plugin is loaded and its hooks were called",
        "importing the hook module is cheap",
        "prior toy: samples lie in the support",
        "prior box: samples lie in the support",
        "prior toy(size=3): samples lie in the support",
    } <= set(cases)
    (check,) = cases["prior toy(size=3): samples lie in the support"].values
    assert str(check) == "prior:toy(size=3):sample-support"
    check()
    assert not any(case.marks for case in cases.values())


def test_the_case_of_a_component_stands_at_the_end():
    cases = by_id(conformance_cases("discriminators"))

    assert "discriminator mlp: gradients reach the code and every parameter [one-hot]" in cases


@pytest.mark.parametrize(
    ("key", "marked"),
    [
        ("log-prob-fit", ["prior toy", "prior box"]),
        ("prior:toy:log-prob-fit", ["prior toy"]),
        ("prior toy: samples follow the density, or the probabilities, of `log_prob`", ["prior toy"]),
    ],
)
def test_an_expected_failure_is_strict_and_gives_its_reason(toy, key, marked):
    cases = by_id(conformance_cases("aaeframe-toy", expected_failures={key: "not normalized"}))

    found = {case_id.partition(":")[0]: case.marks for case_id, case in cases.items() if case.marks}
    assert list(found) == marked
    for (mark,) in found.values():
        assert (mark.name, mark.kwargs) == ("xfail", {"reason": "not normalized", "strict": True})


def test_one_case_of_many_or_all_of_them_are_expected_to_fail():
    all_cases = conformance_cases("discriminators", expected_failures={"logit-gradient": "no gradient"})
    one_case = conformance_cases("discriminators", expected_failures={"logit-gradient[one-hot]": "no gradient"})

    assert {case.id.rpartition(" ")[2] for case in all_cases if case.marks} == {"[real]", "[one-hot]", "[labels]"}
    assert {case.id.rpartition(" ")[2] for case in one_case if case.marks} == {"[one-hot]"}


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("log-prob-fits", "near are: 'log-prob-fit'"),
        ("prior:toi:sample-support", "'prior:toy:sample-support'"),
        ("labels", "is no check that applies to aaeframe-toy"),  # the priors of this plugin have no labels
    ],
)
def test_an_expected_failure_that_no_check_has_is_an_error(toy, key, near):
    with pytest.raises(PluginError) as raised:
        conformance_cases("aaeframe-toy", expected_failures={key: "a reason"})

    assert f"expected_failures: {key!r} is no check that applies to aaeframe-toy; near are: " in str(raised.value)
    assert near in str(raised.value)


def test_a_broken_plugin_keeps_its_one_check_whatever_was_expected(install):
    install("aaeframe-toy", {"aaeframe_toy": "raise RuntimeError('no license')"})

    (case,) = conformance_cases("aaeframe-toy", expected_failures={"log-prob-fit": "not normalized"})

    assert (case.id, list(case.marks)) == ("the plugin is loaded and its hooks were called", [])
    with pytest.raises(AssertionError, match="no license"):
        case.values[0]()


def test_names_and_options_are_held_to_what_is_installed(toy):
    with pytest.raises(PluginError, match="no installed plugin has the distribution"):
        conformance_cases("aaeframe-nothing")
    with pytest.raises(OptionError, match="has no option 'sizes'"):
        conformance_cases("aaeframe-toy", "toy(sizes=3)")


@pytest.mark.slow
def test_pytest_reports_gaps_as_expected_and_closed_gaps_as_failures(toy, pytester, monkeypatch):
    pytester.makepyfile(
        """
        import pytest
        from aaeframe.testing import conformance_cases

        GAPS = {"prior:toy:log-prob-fit": "not normalized", "prior:box:sample-shape": "was wrong once"}

        @pytest.mark.parametrize("check", conformance_cases("aaeframe-toy", expected_failures=GAPS))
        def test_conformance(check):
            if check.id != "hook-module":
                check()
        """
    )

    outcome = pytester.inline_run("-p", "no:cacheprovider", "-n", "0").listoutcomes()

    passed, skipped, failed = outcome
    assert len(passed) > 10
    assert [it.wasxfail for it in skipped] == ["not normalized"] * 2  # with another option, too
    assert ["[XPASS(strict)] was wrong once" in str(it.longrepr) for it in failed] == [True] * 2
