"""The versions of the plugin interface, and the check of the version that a plugin was written for.

A plugin states this number as `aaeframe_api`. The current number is accepted. An older number that is still supported
is accepted with a warning, which says what has changed and what to do. Any other number is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType, ModuleType
from typing import Any, Final

from aaeframe import hookspecs
from aaeframe.errors import PluginError

UNSTATED: Final = 1
"""The interface of a plugin that states no number: the first one."""


class IncompatiblePlugin(PluginError):
    """The plugin was written for a plugin interface that this version does not support."""


@dataclass(frozen=True)
class Interface:
    """A plugin interface: its hooks, and the older numbers that it supports."""

    hooks: ModuleType | type
    """The module, or another namespace, of hook specifications. A specification deprecates an argument by
    `@hookspec(warn_on_impl_args={"argument": DeprecationWarning("what to do")})`."""
    number: int
    oldest: int
    """The oldest number that is supported."""
    changes: Mapping[int, str] = field(default_factory=dict)
    """For each number after the oldest: the change, and what the author of a plugin does about it."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """The arguments of hooks by name."""

    def __post_init__(self) -> None:
        asked = set(range(self.oldest + 1, self.number + 1))
        if set(self.changes) != asked:
            raise ValueError(f"changes must tell of the numbers {sorted(asked)}, found {sorted(self.changes)}")

    def accept(self, stated: object, distribution: str) -> list[str]:
        """The warnings for a plugin whose `aaeframe_api` is `stated`, which is UNSTATED if it has none.

        Raises PluginError if it is not a number of an interface, IncompatiblePlugin if it is not supported.
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
                f"was written for plugin interface {stated}, this aaeframe has {self.number} and supports those "
                f"from {self.oldest}. Upgrade the plugin (pip install --upgrade {distribution}) or install an older "
                "aaeframe"
            )
        if stated == self.number:
            return []
        since = "; ".join(f"{it}: {self.changes[it]}" for it in range(stated + 1, self.number + 1))
        return [
            f"was written for plugin interface {stated}, this aaeframe has {self.number}; a later aaeframe "
            f"will refuse it. Changes since: {since}. When the plugin follows them, state aaeframe_api = {self.number}"
        ]


CURRENT: Final = Interface(hookspecs, hookspecs.API, hookspecs.OLDEST_API, MappingProxyType(hookspecs.CHANGES))
"""The interface of this version."""
