"""Objects from Python, by their places in a configuration: "encoder", "prior.z.discriminator". Torch-free."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from aaeframe.components.objects import PYTHON, is_factory, name_of
from aaeframe.configuration.schema import Config
from aaeframe.errors import ConfigError

Objects: TypeAlias = Mapping[str, Any]
"""Objects from Python by the place in the configuration where they stand."""
NONE: Final[Objects] = {}


def places(config: Config) -> dict[str, str]:
    """The place of each part that is an object from Python, with the object's name."""
    parts = {kind: getattr(config, kind) for kind in ("encoder", "network", "discriminator", "recipe")}
    for block, part in config.prior.items():
        parts[f"prior.{block}"] = part
        if part.discriminator is not None:
            parts[f"prior.{block}.discriminator"] = part.discriminator
    named = {place: part.component for place, part in parts.items()}
    return {place: name.removeprefix(PYTHON) for place, name in named.items() if name.startswith(PYTHON)}


def role(place: str) -> str:
    """The part at a place, in words."""
    kind, block = _parts(place)
    return f"the {kind} of block {block!r}" if block else f"the {kind}"


def arguments(given: Mapping[str, Any]) -> str:
    """The keyword arguments of `aaeframe.load` that pass objects for these places."""
    single = [kind for kind, block in map(_parts, given) if not block]
    texts = [f"{kind}=..." for kind in single]
    for kind in ("prior", "discriminator"):
        blocks = [block for it, block in map(_parts, given) if block and it == kind]
        texts += [f"{kind}={{{', '.join(f'{block!r}: ...' for block in blocks)}}}"] if blocks else []
    return ", ".join(texts)


def check_objects(config: Config, objects: Objects) -> None:
    """ConfigError for an object that is missing, not used or of another name, and for an instance of several blocks."""
    wanted = places(config)
    missing = {place: name for place, name in wanted.items() if place not in objects}
    if missing:
        were = ", ".join(f"{role(place)} was an object from Python ({name})" for place, name in missing.items())
        raise ConfigError(
            f"{were}, which no file can hold: pass it again, to aaeframe.load or aaeframe.resume: {arguments(missing)}"
        )
    unused = [place for place in objects if place not in wanted]
    if unused:
        raise ConfigError(
            f"{arguments(dict.fromkeys(unused))} is not used: {', '.join(map(role, unused))} was no object from "
            f"Python; leave it out. Objects are: {', '.join(map(role, wanted)) or 'none'}"
        )
    for place, name in wanted.items():
        found = name_of(objects[place])
        if found != name:
            raise ConfigError(
                f"{role(place)} was {name} in training, found {found}; pass the same, or if it has a new name, set "
                f'{place}.component to "{PYTHON}{found}" in config.toml'
            )
    _check_shared(config, objects)


def _check_shared(config: Config, objects: Objects) -> None:
    """ConfigError if a module is the discriminator, or the prior, of several blocks: each trains its own."""
    for kind, suffix in (("discriminator", ".discriminator"), ("prior", "")):
        users: dict[int, list[str]] = {}
        for block, part in config.prior.items():
            shared = kind == "discriminator" and part.discriminator is None
            value = objects.get(kind if shared else f"prior.{block}{suffix}")
            if is_instance(value):
                users.setdefault(id(value), []).append(block)
        for blocks in users.values():
            if len(blocks) > 1:
                pairs = ", ".join(f"{block!r}: ..." for block in blocks)
                raise ConfigError(
                    f"one instance is the {kind} of the blocks {', '.join(blocks)}, which train one each; pass one for "
                    f"each block, {kind}={{{pairs}}}" + (", or a class" if kind == "discriminator" else "")
                )


def is_instance(value: Any) -> bool:
    """Whether an object has weights of its own: a module, or a network made of modules."""
    return not is_factory(value) and (hasattr(value, "state_dict") or hasattr(value, "decoder"))


def copied(objects: Objects) -> dict[str, Any]:
    """The objects with a copy of each instance, so that a run leaves the caller's weights as they are.

    Weights that instances share are shared by the copies. ConfigError if an instance cannot be copied.
    """
    known: dict[int, Any] = {}
    return {place: _copied(place, value, known) if is_instance(value) else value for place, value in objects.items()}


def _copied(place: str, value: Any, known: dict[int, Any]) -> Any:
    try:
        return copy.deepcopy(value, known)
    except Exception as error:  # it is someone else's code
        raise ConfigError(
            f"{role(place)}, of type {type(value).__name__}, cannot be copied: {type(error).__name__}: {error}. A run "
            "trains a copy of an instance; make it one that copy.deepcopy takes, or pass a class or a function"
        ) from error


def _parts(place: str) -> tuple[str, str]:
    """The kind of a component, and its block if it belongs to one."""
    kind, _, rest = place.partition(".")
    block, _, of_block = rest.partition(".")
    return of_block or kind, block
