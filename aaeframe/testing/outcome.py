"""Checks run, and what came out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from aaeframe.errors import BrokenComponent
from aaeframe.options import bound
from aaeframe.registry import Offer, Plugin
from aaeframe.testing.catalogue import Check, plan
from aaeframe.testing.factories import needed_options
from aaeframe.testing.hook_module import check_hook_module


class Outcome(NamedTuple):
    """What came out of one check."""

    id: str
    verdict: Literal["passed", "failed", "inapplicable"]
    message: str = ""


def check_component(offer: Offer, options: Mapping[str, Any] = MappingProxyType({})) -> Iterator[Outcome]:
    """Import a component and run all checks of its kind, with these options in place of the defaults.

    One that needs options which are not given is not checked. OptionError if those given do not fit.
    """
    try:
        factory = offer.factory()
    except BrokenComponent as error:
        yield Outcome("factory", "failed", str(error))
        return
    if options:
        factory = bound(offer, options)
    if needed := needed_options(factory):
        call = f"{offer.name}({', '.join(it.partition(':')[0] + '=...' for it in needed)})"
        why = f"needs {', '.join(needed)}; check it by itself: aaeframe plugins check '{call}'"
        yield Outcome("builds", "inapplicable", why)
        return
    for check in plan(offer.kind, factory):
        yield _outcome(check)


def check_plugin(plugin: Plugin) -> Iterator[Outcome]:
    """Check that a plugin is active and cheap to import."""
    if plugin.status != "active":
        where = f" (at {plugin.location})" if plugin.location else ""
        yield Outcome("active", "failed", f"{plugin.status}: {plugin.error or 'not loaded, as asked'}{where}")
        return
    yield Outcome("active", "passed")
    try:
        cost = check_hook_module(plugin.module)
    except AssertionError as error:
        yield Outcome("hook-module", "failed", str(error))
    else:
        yield Outcome("hook-module", "passed", f"imported in {cost.seconds:.3f} s")


def _outcome(check: Check) -> Outcome:
    if check.inapplicable is not None:
        return Outcome(check.id, "inapplicable", check.inapplicable)
    try:
        check.run()
    except AssertionError as error:
        return Outcome(check.id, "failed", str(error))
    except Exception as error:
        return Outcome(check.id, "failed", f"{type(error).__name__}: {error}")
    return Outcome(check.id, "passed")
