"""The layers of a configuration: defaults, preset, file, what was given, and single settings on top."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from aaeframe.components.registry import Registry
from aaeframe.configuration import schema as configuration
from aaeframe.configuration.presets import read_preset
from aaeframe.configuration.reading import ReadOptions
from aaeframe.configuration.schema import Config, Table
from aaeframe.configuration.shorthand import expand, shown
from aaeframe.errors import ConfigError
from aaeframe.storage.formats import loads_toml

Merge: TypeAlias = Callable[[Any, Any], Any]
"""Merges the value of a later layer into that of an earlier one, at one place of the configuration."""


def compose(
    preset: str | None,
    config: Path | Mapping[str, Any] | None,
    arguments: Mapping[str, Any],
    settings: Sequence[str] = (),
    registry: Registry | None = None,
    initial: Mapping[str, Any] | None = None,
) -> Config:
    """Merge defaults, preset, `config`, `arguments` and `settings`, and validate the result.

    Each overrides those before it. Naming another component or optimizer discards the old options; naming another prior
    replaces the whole product. `settings` are texts `key.path=value`. Each sets one key, and together they are one
    layer: whatever their order, a longer path changes a part of what a shorter one sets. ConfigError if a discriminator
    among arguments or settings is used by no block. The preset is one of ours or, with a registry, of a plugin.

    `initial` is the configuration of a run to start from: its components and its options for reading are defaults.
    """
    for name, value, kinds in (("preset", preset, str), ("config", config, Path | Mapping)):
        if value is not None and not isinstance(value, kinds):
            raise ConfigError(
                f"{name}={value!r:.100} is of type {type(value).__name__}; give the name of a preset, and a file or a "
                "table as config"
            )
    layers: list[Mapping[str, Any]] = [Config().model_dump(exclude_none=True)]
    if initial is not None:
        layers.append(_of_initial(initial))
    if preset is not None:
        layers.append(read_preset(preset, registry))
    if config is not None:
        layers.append(configuration.read(config) if isinstance(config, Path) else config)
    table: Table = {}
    for above in map(expand, (*layers, arguments)):
        table = merged(table, above, replace_prior=_names_a_component(above.get("prior")))
    single, whole_prior = _settings(settings)
    composed = configuration.parse(merged(table, single, replace_prior=whole_prior))
    _check_discriminator(composed, arguments, single)
    _check_length(arguments, single)
    if initial is not None and any("scale" in layer.get("data", ()) for layer in (arguments, single)):
        raise ConfigError("data.scale is that of the initial run; leave it out, or train without --initial")
    return composed


def _of_initial(config: Mapping[str, Any]) -> Table:
    """The part of a run's configuration that one which starts from it shares."""
    table: Table = {kind: config[kind] for kind in _COMPONENTS if kind in config}
    class_block = config.get("training", {}).get("class_block")
    data = config.get("data", {})
    table["data"] = {key: data[key] for key in ReadOptions.model_fields if data.get(key) is not None}
    return table if class_block is None else {**table, "training": {"class_block": class_block}}


_COMPONENTS = ("prior", "encoder", "network", "discriminator", "recipe")


def without_none(table: Mapping[str, Any]) -> Table:
    """The table without None values, and without tables that become empty."""
    inner = {key: without_none(value) if isinstance(value, Mapping) else value for key, value in table.items()}
    return {key: value for key, value in inner.items() if value is not None and value != {}}


def merged(below: Table, above: Table, *, replace_prior: bool) -> Table:
    """One layer over another; `replace_prior` if its blocks are the whole product."""
    if replace_prior:
        below = {key: value for key, value in below.items() if key != "prior"}
    return {**below, **{key: _FORMS.get(key, _keys)(below.get(key), value) for key, value in above.items()}}


def _keys(below: Any, above: Any) -> Any:
    """A table over another, key by key."""
    return {**below, **above} if isinstance(below, Mapping) and isinstance(above, Mapping) else above


def _component(below: Any, above: Any) -> Any:
    """Override a component. Naming another one discards the old options; other keys of the block are kept."""
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return above
    over = {**below, **above}
    if "component" in above:
        over["options"] = above.get("options", {})
    elif "options" in above:
        over["options"] = _keys(below.get("options"), above["options"])
    if "discriminator" in above:
        over["discriminator"] = _component(below.get("discriminator"), above["discriminator"])
    return over


def _optimizer(below: Any, above: Any) -> Any:
    """An optimizer, or its scheduler, over another: named anew, it brings all its options."""
    if not isinstance(below, Mapping) or not isinstance(above, Mapping) or "name" in above:
        return above
    over = {**below, **above}
    if "scheduler" in above:
        over["scheduler"] = _optimizer(below.get("scheduler"), above["scheduler"])
    return over


def _training(below: Any, above: Any) -> Any:
    """Settings of the training over others: epochs alone replace a number of steps."""
    over = _keys(below, above)
    if isinstance(above, Mapping) and "epochs" in above and "steps" not in above:
        return {key: value for key, value in over.items() if key != "steps"}
    return over


def _each(form: Merge) -> Merge:
    """Apply a merge to each entry of a table, by block or by phase."""

    def over(below: Any, above: Any) -> Any:
        if not isinstance(below, Mapping) or not isinstance(above, Mapping):
            return above
        return {**below, **{name: form(below.get(name), part) for name, part in above.items()}}

    return over


_FORMS: Mapping[str, Merge] = {
    "prior": _each(_component),
    "encoder": _component,
    "network": _component,
    "discriminator": _component,
    "recipe": _component,
    "training": _training,
    "optimizers": _each(_optimizer),
    "observers": _each(_component),
}
"""A way to merge one table of the configuration into another, where that is not key by key."""


def _names_a_component(product: Any) -> bool:
    return isinstance(product, Mapping) and any(
        isinstance(it, Mapping) and "component" in it for it in product.values()
    )


def _settings(settings: Sequence[str]) -> tuple[Table, bool]:
    """All settings as one layer, and whether one of them sets the whole prior."""
    parsed = sorted(map(_setting, settings), key=lambda it: len(it[0]))
    table: Table = {}
    for keys, value in parsed:
        above: Any = value
        for key in reversed(keys):
            above = {key: above}
        table = _deep(table, expand(above))
    return table, any(keys == ["prior"] for keys, _ in parsed)


def _deep(below: Any, above: Any) -> Any:
    """A table over another, at any depth."""
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return above
    return {**below, **{key: _deep(below.get(key), value) for key, value in above.items()}}


def _setting(text: str) -> tuple[list[str], Any]:
    """The keys from the root, and the value."""
    path, equals, value = text.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or not all(keys):
        raise ConfigError(f"--set takes key.path=value, found {shown(text)}; for example --set training.epochs=20")
    return keys, _value(value.strip())


def _value(text: str) -> Any:
    """The value as in TOML, or else a list of names without quotes, which a shell removes, or else the text itself."""
    try:
        parsed = loads_toml(f"value = {text}")
    except ValueError:
        names = re.fullmatch(r"\[([^][{}'\"\n]+)\]", text)
        parts = [part.strip() for part in names[1].split(",")] if names else []
        return [_value(part) for part in parts] if parts and all(parts) else text
    return parsed["value"] if parsed.keys() == {"value"} else text


def _check_length(*layers: Mapping[str, Any]) -> None:
    """Refuse epochs beside steps. A file may have both, because every config.toml of such a run does."""
    given = {key for layer in layers for key in layer.get("training", ())}
    if {"epochs", "steps"} <= given:
        raise ConfigError("training.epochs and training.steps both say how long to train; leave one of them out")


def _check_discriminator(config: Config, *layers: Mapping[str, Any]) -> None:
    """Refuse an unused discriminator from options or --set. A file may have one, because every config.toml does."""
    if any("discriminator" in layer for layer in layers) and all(it.discriminator for it in config.prior.values()):
        raise ConfigError(
            f"the discriminator {config.discriminator.component!r} is not used: every block "
            f"({', '.join(config.prior)}) names its own; leave it out, or set prior.<block>.discriminator"
        )
