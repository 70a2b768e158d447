"""Run checks and collect their outcomes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

from aaeframe.components.registry import InstalledComponent, Plugin, location
from aaeframe.testing.hook_module import check_hook_module
from aaeframe.testing.plan import Check
from aaeframe.testing.plugin import check_active, offer_checks

NEED_SAMPLES: Final = ("sample-", "log-prob-", "inputs-kept", "many-calls", "instances", "surroundings")
"""The beginnings of the checks that a prior cannot pass without samples of the right shape."""


class Outcome(NamedTuple):
    """The outcome of one check."""

    id: str
    verdict: Literal["passed", "failed", "inapplicable"]
    message: str = ""


def check_component(offer: InstalledComponent, options: Mapping[str, Any] = MappingProxyType({})) -> Iterator[Outcome]:
    """Import a component and run all checks of its kind, with these options instead of the defaults.

    A component is not checked if required options are missing. OptionError if the options do not fit.
    """
    misshapen = False
    for check in offer_checks(offer, options):
        if misshapen and check.inapplicable is None and check.id.startswith(NEED_SAMPLES):
            check = check._replace(inapplicable="samples do not have the shape they must have")
        outcome = _outcome(check)
        misshapen = misshapen or (check.id == "sample-shape" and outcome.verdict == "failed")
        yield outcome


def check_plugin(plugin: Plugin) -> Iterator[Outcome]:
    """Check that a plugin is active and cheap to import."""
    try:
        check_active(plugin)
    except AssertionError as error:
        yield Outcome("active", "failed", str(error))
        return
    yield Outcome("active", "passed", "; ".join((*plugin.warnings, *plugin.notes)))
    try:
        cost = check_hook_module(plugin.module)
    except AssertionError as error:
        yield Outcome("hook-module", "failed", str(error))
    else:
        yield Outcome("hook-module", "passed", f"imported in {cost.seconds:.3f} s of processor time")


def _outcome(check: Check) -> Outcome:
    if check.inapplicable is not None:
        return Outcome(check.id, "inapplicable", check.inapplicable)
    try:
        reason = check.run()
    except AssertionError as error:
        return Outcome(check.id, "failed", str(error))
    except Exception as error:
        where = location(error)
        return Outcome(check.id, "failed", f"{type(error).__name__}: {error}" + (f" (at {where})" if where else ""))
    return Outcome(check.id, "passed") if reason is None else Outcome(check.id, "inapplicable", reason)
