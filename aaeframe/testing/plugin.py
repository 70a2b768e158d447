"""All checks of an installed plugin: it is active and cheap to import, and its components pass their checks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from aaeframe.components.options import resolve_component
from aaeframe.components.registry import InstalledComponent, Plugin, Registry
from aaeframe.configuration.shorthand import parse_component
from aaeframe.errors import BrokenComponent, PluginError, PluginWarning
from aaeframe.testing.case import require
from aaeframe.testing.factories import needed_options
from aaeframe.testing.hook_module import check_hook_module
from aaeframe.testing.plan import Check, plan


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


def offer_checks(offer: InstalledComponent, options: Mapping[str, Any] = MappingProxyType({})) -> Iterator[Check]:
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


def check_active(plugin: Plugin) -> None:
    """The plugin is loaded and its hooks were called; AssertionError if not."""
    require(plugin.status == "active", plugin.state)


def _checks(plugin: Plugin) -> Iterator[Check]:
    yield Check("active", partial(check_active, plugin))
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


def _checks_of_offer(
    offer: InstalledComponent, title: str, options: Mapping[str, Any] = MappingProxyType({})
) -> Iterator[Check]:
    for check in offer_checks(offer, options):
        if check.inapplicable is None:
            yield check._replace(id=f"{offer.kind}:{title}:{check.id}")


def _check_light(plugin: Plugin) -> None:
    """Importing the hook module is cheap."""
    check_hook_module(plugin.module)


def _failure(message: str) -> Callable[[], None]:
    def fail() -> None:
        raise AssertionError(message)

    return fail
