"""Changes in a run's config.toml since a checkpoint was written, by hand or by accident."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aaeframe.configuration.schema import Config


def as_saved(config: Config) -> dict[str, Any]:
    """The configuration as a checkpoint keeps it: JSON values by their dotted keys.

    It is without observers, which change nothing of a training.
    """
    return dict(_flat(config.model_dump(mode="json", exclude={"observers"}), ""))


def changes(saved: object, config: Config) -> list[str]:
    """The differences from the configuration that `as_saved` gave, one part of a sentence each.

    A value may have become a table, as a weight becomes a ramp, and a table a value. Other keys that only one of the
    two has are of another version of aaeframe, and are ignored. A checkpoint of an earlier version may have no
    configuration; then there are no differences.
    """
    if not isinstance(saved, Mapping):
        return []
    now = as_saved(config)
    others = [f"{key} was {saved[key]!r}, is {it!r}" for key, it in now.items() if key in saved and saved[key] != it]
    tables = [f"{key} was {it!r}, is a table" for key, it in saved.items() if _is_table(key, now)]
    return [*others, *tables, *(f"{key} was a table, is {it!r}" for key, it in now.items() if _is_table(key, saved))]


def _is_table(key: str, flat: Mapping[str, Any]) -> bool:
    return any(it.startswith(f"{key}.") for it in flat)


def _flat(table: Mapping[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value
