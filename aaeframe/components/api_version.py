"""Which plugin interfaces this version understands, and what it says of a plugin written for another.

A plugin states the number it was written for, `aaeframe_api`. The current number works; so does an older one that is
still understood, with a warning that says what has changed since and what to do; any other is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType, ModuleType
from typing import Any, Final

from aaeframe import hookspecs
from aaeframe.errors import PluginError

UNSTATED: Final = 1
"""The interface of a plugin that states none: the first had no need to."""


class IncompatiblePlugin(PluginError):
    """The plugin was written for a plugin interface that this version does not understand, or not any more."""


@dataclass(frozen=True)
class Interface:
    """A plugin interface: its hooks, and the older numbers that it still serves."""

    hooks: ModuleType | type
    """The module, or another namespace, of hook specifications. One whose argument is to go says so by
    `@hookspec(warn_on_impl_args={"argument": DeprecationWarning("what to do")})`."""
    number: int
    oldest: int
    """The oldest number that is understood."""
    changes: Mapping[int, str] = field(default_factory=dict)
    """For each number after the oldest, what changed with it and what a plugin's author does about it."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """What hooks are called with, by the name of the argument."""

    def __post_init__(self) -> None:
        asked = set(range(self.oldest + 1, self.number + 1))
        if set(self.changes) != asked:
            raise ValueError(f"changes must tell of the numbers {sorted(asked)}, found {sorted(self.changes)}")

    def accept(self, stated: object, distribution: str) -> list[str]:
        """What to warn of in a plugin whose `aaeframe_api` is `stated`; UNSTATED stands for none.

        Raises PluginError if it is no number of an interface, IncompatiblePlugin if it is not understood.
        """
        if type(stated) is not int or stated < 1:
            raise PluginError(f"aaeframe_api must be a whole number from 1 to {self.number}, not {stated!r}")
        if stated > self.number:
            raise IncompatiblePlugin(
                f"needs plugin interface {stated}, this aaeframe has {self.number}: upgrade aaeframe "
                f"(pip install --upgrade aaeframe) or install an older {distribution}"
            )
        if stated < self.oldest:
            raise IncompatiblePlugin(
                f"was written for plugin interface {stated}, this aaeframe has {self.number} and understands those "
                f"from {self.oldest}: upgrade the plugin (pip install --upgrade {distribution}) or install an older "
                "aaeframe"
            )
        if stated == self.number:
            return []
        since = "; ".join(f"{it}: {self.changes[it]}" for it in range(stated + 1, self.number + 1))
        return [
            f"was written for plugin interface {stated}, this aaeframe has {self.number}; it works still, and will not "
            f"for ever. Since then, {since}. Then state aaeframe_api = {self.number}"
        ]


CURRENT: Final = Interface(hookspecs, hookspecs.API, hookspecs.OLDEST_API, MappingProxyType(hookspecs.CHANGES))
"""The interface of this version."""
