"""What was changed in a run's config.toml since a checkpoint was written, by hand or by an accident."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aaeframe.config import Config


def as_saved(config: Config) -> dict[str, Any]:
    """The configuration as a checkpoint keeps it: JSON values by their dotted keys."""
    return dict(_flat(config.model_dump(mode="json"), ""))


def changes(saved: object, config: Config) -> list[str]:
    """How the configuration differs from what `as_saved` gave, one sentence part each.

    Keys that one of the two does not have are of another version of aaeframe, and pass; so does a checkpoint that
    keeps no configuration, as those of earlier versions.
    """
    if not isinstance(saved, Mapping):
        return []
    now = as_saved(config)
    return [
        f"{key} was {saved[key]!r}, is {value!r}" for key, value in now.items() if key in saved and saved[key] != value
    ]


def _flat(table: Mapping[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value
