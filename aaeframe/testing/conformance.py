"""The checks of a distribution as parameters of a pytest test, with known failures marked."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from aaeframe.components.options import unbound
from aaeframe.errors import PluginError
from aaeframe.testing.plan import Check
from aaeframe.testing.plugin import plugin_checks


def conformance_cases(name: str, *also: str, expected_failures: Mapping[str, str] = MappingProxyType({})) -> list[Any]:
    """The cases of `pytest.mark.parametrize` for everything that a distribution offers.

        @pytest.mark.parametrize("check", conformance_cases("aaeframe-torus", "torus(tube=0.1)"))
        def test_conformance(check):
            check()

    The id of a case is a sentence, such as "prior torus: samples lie in the support". A check that is expected to fail
    must fail (`xfail`, strict), so that a gap that was closed is noticed.

    Args:
        name: The distribution, entry point or module of an installed plugin.
        also: Components with options, which are checked besides the default options.
        expected_failures: The reason for each known gap. The key is a check as `aaeframe plugins check` prints it, such
            as "log-prob-fit", which means all components and cases. "prior:torus:log-prob-fit" means all cases of one
            component; the id of a case means that case.

    Raises:
        PluginError: No installed plugin has the name, or no check has the name of an expected failure.
        OptionError: Options in `also` do not fit.
    """
    import pytest

    checks = plugin_checks(name, *also)
    if not _is_broken(checks):  # a broken plugin has a single check, which says what is wrong
        _check_known(name, expected_failures, checks)
    cases = []
    for check in checks:
        reasons = [reason for known, reason in expected_failures.items() if known in _names(check)]
        marks = [pytest.mark.xfail(reason=reason, strict=True) for reason in reasons[:1]]
        cases.append(pytest.param(check, id=_sentence(check), marks=marks))
    return cases


def _is_broken(checks: Sequence[Check]) -> bool:
    """Whether a plugin of the distribution is not active, so that it has no other check."""
    ids = [check.id for check in checks]
    return ids.count("active") > ids.count("hook-module")


def _names(check: Check) -> tuple[str, ...]:
    """The names by which an expected failure may mean this check."""
    component, colon, name = check.id.rpartition(":")
    of_all_cases = name.partition("[")[0]
    return of_all_cases, name, f"{component}{colon}{of_all_cases}", check.id, _sentence(check)


def _check_known(distribution: str, expected: Mapping[str, str], checks: Sequence[Check]) -> None:
    known = dict.fromkeys(name for check in checks for name in _names(check))
    for name in expected:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.5) or sorted({_names(it)[0] for it in checks})
            raise PluginError(
                f"expected_failures: {name!r} is no check that applies to {distribution}; "
                f"near are: {', '.join(map(repr, near))}"
            )


def _sentence(check: Check) -> str:
    """The check as "prior torus: samples lie in the support [case]"; its name where it has no description."""
    component, _, name = check.id.rpartition(":")
    name, bracket, case = name.partition("[")
    subject = f"{component.replace(':', ' ', 1)}: " if component else ""
    return f"{subject}{_claim(check.run) or name.replace('-', ' ')}{' ' if case else ''}{bracket}{case}"


def _claim(run: Callable[..., object]) -> str:
    """The first clause of the docstring of a check, which says what holds."""
    summary = (unbound(run).__doc__ or "").partition("\n")[0].partition(";")[0].rstrip(".")
    return summary[:1].lower() + summary[1:] if summary[1:2].islower() or summary[1:2] == " " else summary
