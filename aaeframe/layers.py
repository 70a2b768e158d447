"""The layers of a configuration: defaults, preset, file, what was given, and single settings on top."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aaeframe import config as configuration
from aaeframe.config import Config, Table
from aaeframe.errors import ConfigError
from aaeframe.expression import expand
from aaeframe.presets import read_preset


def compose(
    preset: str | None,
    config: Path | Mapping[str, Any] | None,
    arguments: Mapping[str, Any],
    settings: Sequence[str] = (),
) -> Config:
    """Lay defaults, preset, `config`, `arguments` and `settings` over each other and validate the whole.

    Each overrides those before it. A component or an optimizer that is named anew brings its own options, and a prior
    that is named anew replaces the product. `settings` are texts `key.path=value`, which set one key each.
    """
    layers: list[Mapping[str, Any]] = [Config().model_dump(exclude_none=True)]
    if preset is not None:
        layers.append(read_preset(preset))
    if config is not None:
        layers.append(configuration.read(config) if isinstance(config, Path) else config)
    table: Table = {}
    for above in (*layers, arguments):
        table = _over(table, expand(above))
    for setting in settings:
        table = _set(table, setting)
    return configuration.parse(table)


def without_none(table: Mapping[str, Any]) -> Table:
    """The table without what was not given: None, and tables of nothing else."""
    inner = {key: without_none(value) if isinstance(value, Mapping) else value for key, value in table.items()}
    return {key: value for key, value in inner.items() if value is not None and value != {}}


def _over(below: Table, above: Table) -> Table:
    """One layer over another."""
    product = above.get("prior")
    if isinstance(product, Mapping) and any(isinstance(it, Mapping) and "component" in it for it in product.values()):
        below = {**below, "prior": product}
    return _merged(below, above)


def _merged(below: Any, above: Any, key: str = "") -> Any:
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return above
    if key == "options":  # an option is one value, whatever it is called and made of
        return {**below, **above}
    if "component" in above or "name" in above:
        return above
    return {**below, **{key: _merged(below.get(key), value, key) for key, value in above.items()}}


def _set(table: Table, setting: str) -> Table:
    """The table with one key set."""
    path, equals, value = setting.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or not all(keys):
        raise ConfigError(f"--set takes key.path=value, found {setting!r}; for example --set training.epochs=20")
    above: Any = _value(value.strip())
    for key in reversed(keys):
        above = {key: above}
    return (_over if keys == ["prior"] else _merged)(table, expand(above))


def _value(text: str) -> Any:
    """The value as in TOML, or else the text itself."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return parsed["value"] if parsed.keys() == {"value"} else text
