"""The checks of an installed plugin, and their outcomes: it is active and cheap to import, and its components pass."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

from aaeframe.components.options import resolve_component
from aaeframe.components.registry import InstalledComponent, Plugin, Registry, location
from aaeframe.configuration.shorthand import parse_component
from aaeframe.errors import BrokenComponent, PluginError, PluginWarning
from aaeframe.testing.case import require
from aaeframe.testing.factories import needed_options
from aaeframe.testing.hook_module import check_hook_module
from aaeframe.testing.plan import Check, plan

NO_OPTIONS: Final[Mapping[str, Any]] = MappingProxyType({})
NEED_SAMPLES: Final = ("sample-", "log-prob-", "inputs-kept", "many-calls", "instances", "surroundings")
"""The beginnings of the checks that a prior cannot pass without samples of the right shape."""


class Outcome(NamedTuple):
    """The outcome of one check."""

    id: str
    verdict: Literal["passed", "failed", "inapplicable"]
    message: str = ""


def plugin_checks(name: str, *also: str) -> list[Check]:
    """The checks that apply to the plugins with this distribution, entry point or module.

    Components are checked with their default options, and with those of `also`, such as "torus(tube=0.1)". Ids are
    "active", "hook-module", "prior:torus:sample-shape" or "prior:torus(tube=0.1):sample-shape", for example. Raises
    PluginError if no installed plugin has the name, or a component of `also`; OptionError if its options do not fit.
    """
    installed = Registry.load().plugins
    plugins = [it for it in installed if it.answers_to(name)]
    if not plugins:
        known = ", ".join(sorted({it.distribution for it in installed}))
        raise PluginError(
            f"no installed plugin has the distribution, entry point or module {name!r}; there are those of "
            f"{known or 'no distribution'}. Install it: pip install -e ."
        )
    checks = [check for plugin in plugins for check in _checks(plugin)]
    return checks + [check for wanted in also for check in _checks_with_options(wanted, plugins)]


def check_plugin(plugin: Plugin) -> Iterator[Outcome]:
    """Check that a plugin is active and cheap to import."""
    if plugin.status != "active":
        yield Outcome("active", "failed", plugin.state)
        return
    yield Outcome("active", "passed", "; ".join((*plugin.warnings, *plugin.notes)))
    try:
        cost = check_hook_module(plugin.module)
    except AssertionError as error:
        yield Outcome("hook-module", "failed", str(error))
    else:
        yield Outcome("hook-module", "passed", f"imported in {cost.seconds:.3f} s of processor time")


def check_component(offer: InstalledComponent, options: Mapping[str, Any] = NO_OPTIONS) -> Iterator[Outcome]:
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


def offer_checks(offer: InstalledComponent, options: Mapping[str, Any] = NO_OPTIONS) -> Iterator[Check]:
    """All checks of an installed component with these options, including those that do not apply.

    The result is a failing check if the component cannot be imported, and one that does not apply if required options
    are missing. OptionError if the options do not fit.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", PluginWarning)
            factory = offer.factory()
    except (BrokenComponent, PluginWarning) as error:
        yield Check("factory", _failure(str(error)))
        return
    if options:
        factory = resolve_component(offer, options).with_defaults()
    if needed := needed_options(factory):
        call = f"{offer.name}({', '.join(it.partition(':')[0] + '=...' for it in needed)})"
        why = f"needs {', '.join(needed)}; check it by itself: aaeframe plugins check '{call}'"
        yield Check("builds", _failure(why), inapplicable=why)
        return
    yield from plan(offer.kind, factory)


def _checks(plugin: Plugin) -> Iterator[Check]:
    yield Check("active", partial(_check_active, plugin))
    if plugin.status != "active":
        return
    yield Check("hook-module", partial(_check_light, plugin))
    for offer in plugin.offers:
        yield from _checks_of_offer(offer, offer.name)


def _checks_with_options(wanted: str, plugins: Sequence[Plugin]) -> Iterator[Check]:
    parsed = parse_component(wanted)
    active = [plugin for plugin in plugins if plugin.status == "active"]
    offers = [it for plugin in active for it in plugin.offers if parsed["component"] in (it.name, it.full_name)]
    if active and not offers:
        known = ", ".join(it.name for plugin in active for it in plugin.offers)
        raise PluginError(f"the plugin offers no component {parsed['component']!r}; it offers {known}")
    for offer in offers:
        yield from _checks_of_offer(offer, wanted, parsed["options"])


def _checks_of_offer(offer: InstalledComponent, title: str, options: Mapping[str, Any] = NO_OPTIONS) -> Iterator[Check]:
    for check in offer_checks(offer, options):
        if check.inapplicable is None:
            yield check._replace(id=f"{offer.kind}:{title}:{check.id}")


def _check_active(plugin: Plugin) -> None:
    """The plugin is loaded and its hooks were called; AssertionError if not."""
    require(plugin.status == "active", plugin.state)


def _check_light(plugin: Plugin) -> None:
    """Importing the hook module is cheap."""
    check_hook_module(plugin.module)


def _failure(message: str) -> Callable[[], None]:
    def fail() -> None:
        raise AssertionError(message)

    return fail


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
