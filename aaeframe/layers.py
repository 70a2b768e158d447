"""The layers of a configuration: defaults, preset, file, what was given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aaeframe import config as configuration
from aaeframe.config import Config, Table
from aaeframe.presets import read_preset


def compose(preset: str | None, config: Path | Mapping[str, Any] | None, *above: Mapping[str, Any]) -> Config:
    """Lay the tables over each other and validate the whole; each overrides those before it."""
    layers: list[Mapping[str, Any]] = [Config().model_dump(exclude_none=True)]
    if preset is not None:
        layers.append(read_preset(preset))
    if config is not None:
        layers.append(configuration.read(config) if isinstance(config, Path) else config)
    return configuration.parse(configuration.layer(*layers, *above))


def given(table: Mapping[str, Any]) -> Table:
    """The table without its None values and the tables that are empty then."""
    inner = {key: given(value) if isinstance(value, Mapping) else value for key, value in table.items()}
    return {key: value for key, value in inner.items() if value is not None and value != {}}
