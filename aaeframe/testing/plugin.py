"""All checks of an installed plugin: that it is active and cheap to import, and those of every component it offers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from aaeframe.errors import BrokenComponent, PluginError
from aaeframe.options import bound
from aaeframe.registry import Offer, Plugin, Registry
from aaeframe.testing.catalogue import Check, plan
from aaeframe.testing.factories import needed_options
from aaeframe.testing.hook_module import check_hook_module
from aaeframe.testing.requirement import require


def plugin_checks(name: str) -> list[Check]:
    """The checks that apply to the plugins of this distribution, entry point or module, with the default options.

    Ids are "active", "hook-module" and such as "prior:torus:sample-shape". Raises PluginError if nothing that is
    installed has the name.
    """
    installed = Registry.load().plugins
    plugins = [it for it in installed if it.answers_to(name)]
    if not plugins:
        known = ", ".join(sorted({it.distribution for it in installed}))
        raise PluginError(
            f"no installed plugin has the distribution, entry point or module {name!r}; there are those of "
            f"{known or 'no distribution'}. Install it: pip install -e ."
        )
    return [check for plugin in plugins for check in _checks(plugin)]


def offer_checks(offer: Offer, options: Mapping[str, Any] = MappingProxyType({})) -> Iterator[Check]:
    """All checks of an offered component with these options, those that do not apply included.

    A failing one, if it cannot be imported; one that does not apply, if it needs options that are not given.
    OptionError if those given do not fit.
    """
    try:
        factory = offer.factory()
    except BrokenComponent as error:
        yield Check("factory", _failure(str(error)))
        return
    if options:
        factory = bound(offer, options)
    if needed := needed_options(factory):
        call = f"{offer.name}({', '.join(it.partition(':')[0] + '=...' for it in needed)})"
        why = f"needs {', '.join(needed)}; check it by itself: aaeframe plugins check '{call}'"
        yield Check("builds", _failure(why), inapplicable=why)
        return
    yield from plan(offer.kind, factory)


def check_active(plugin: Plugin) -> None:
    """The plugin was loaded, and its hooks were called."""
    where = f" (at {plugin.location})" if plugin.location else ""
    require(plugin.status == "active", f"{plugin.status}: {plugin.error or 'not loaded, as asked'}{where}")


def _checks(plugin: Plugin) -> Iterator[Check]:
    yield Check("active", partial(check_active, plugin))
    if plugin.status != "active":
        return
    yield Check("hook-module", partial(_check_light, plugin))
    for offer in plugin.offers:
        for check in offer_checks(offer):
            if check.inapplicable is None:
                yield check._replace(id=f"{offer.kind}:{offer.name}:{check.id}")


def _check_light(plugin: Plugin) -> None:
    check_hook_module(plugin.module)


def _failure(message: str) -> Callable[[], None]:
    def fail() -> None:
        raise AssertionError(message)

    return fail
