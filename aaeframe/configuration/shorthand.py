"""The short way to write components: `universal(noise_size=5)`, `y=categorical(classes=30)+style=gaussian(size=5)`.

Options are written as in a TOML inline table. A product of priors names its factors, or each takes its component's
short name, with _2, _3 ... for repeats.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterable, Mapping
from typing import Any, Final

from aaeframe.errors import ConfigError
from aaeframe.storage.formats import loads_toml

_BLOCK_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_FACTOR: Final = re.compile(r"(?:(?P<block>[^=()\s]+)\s*=\s*)?(?P<name>[\w.:-]+)\s*(?:\((?P<options>.*)\))?", re.DOTALL)
_TOKEN: Final = re.compile(r""" "(?:\\.|[^"\\])*" | '[^']*' | . """, re.DOTALL | re.VERBOSE)
_LONGEST: Final = 10_000
_DEEPEST: Final = 64
_SHOWN: Final = 400


def parse_component(text: str) -> dict[str, Any]:
    """`name(option=value, ...)` -> {"component": name, "options": {...}}; ConfigError if it is not of that form."""
    block, parsed = _parse_factor(text, text)
    if block is not None:
        raise ConfigError(
            f"{shown(text)} names a block, {block!r}; only a product of priors does: leave out '{block}='"
        )
    return parsed


def parse_product(text: str) -> dict[str, dict[str, Any]]:
    """`block=name(...)+...` -> the components by block, in order; ConfigError if it is not of that form."""
    blocks: dict[str, dict[str, Any]] = {}
    for factor in _split(text):
        block, parsed = _parse_factor(factor, text)
        if block is None:
            block = _free_name(parsed["component"], blocks, "prior", "block name; name the block: block=")
        elif block in blocks:
            raise ConfigError(f"the prior {shown(text)} names the block {block!r} twice; give each factor its own name")
        blocks[block] = parsed
    return blocks


def write_component(name: str, options: Mapping[str, Any]) -> str:
    """The text that `parse_component` reads as this component with these options, which are JSON-like."""
    return f"{name}({', '.join(_entries(options))})" if options else name


def _entries(table: Mapping[str, Any]) -> Iterable[str]:
    return (f"{key if re.fullmatch(r'[A-Za-z0-9_-]+', key) else _toml(key)}={_toml(it)}" for key, it in table.items())


def _toml(value: Any) -> str:
    """A value on one line. JSON writes texts, numbers and truth values as TOML does."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(_entries(value))}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def check_block_name(name: str, of: str = "a block") -> str:
    """The name of a latent block, or of something else, as it came; ConfigError if it is none."""
    if not _BLOCK_NAME.fullmatch(name):
        raise ConfigError(
            f"{shown(name)} is no name of {of}: lower-case letters, digits and _, beginning with a letter, make one"
        )
    return name


def check_observer_name(name: str) -> str:
    """The name of an observer as it came; ConfigError if it is none."""
    return check_block_name(name, "an observer")


def cut(text: str) -> str:
    """The text, without its middle where it is too long to be shown."""
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]} ... {text[-_SHOWN // 2 :]}"


def shown(text: str) -> str:
    """The text in quotes, as it stands in messages."""
    return repr(cut(text))


def expand(table: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration's table with every short form written out, so that a layer above can reach inside.

    ConfigError if a short form is not of its form, or a value is nested deeper than can be walked.
    """
    forms = {
        "prior": _product,
        "encoder": _component,
        "network": _component,
        "discriminator": _component,
        "recipe": _component,
        "optimizers": _optimizers,
        "observers": _observers,
    }
    expanded = {key: forms[key](value) if key in forms else value for key, value in table.items()}
    _check_depth(expanded)
    return expanded


def _check_depth(table: Mapping[str, Any]) -> None:
    level: list[Any] = [table]
    for _ in range(_DEEPEST):
        level = [inner for value in level for inner in _inside(value)]
    if level:
        raise ConfigError(f"the configuration is nested more than {_DEEPEST} tables and lists deep; make it flat")


def _inside(value: Any) -> Iterable[Any]:
    """The content of a table or a list."""
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list | tuple) else ()


def _component(value: Any) -> Any:
    return parse_component(value) if isinstance(value, str) else value


def _product(value: Any) -> Any:
    if isinstance(value, str):
        return parse_product(value)
    return {name: _block(block) for name, block in value.items()} if isinstance(value, Mapping) else value


def _block(value: Any) -> Any:
    value = _component(value)
    if isinstance(value, Mapping) and "discriminator" in value:
        return {**value, "discriminator": _component(value["discriminator"])}
    return value


def _optimizers(value: Any) -> Any:
    return {phase: _optimizer(part) for phase, part in value.items()} if isinstance(value, Mapping) else value


def _optimizer(value: Any) -> Any:
    """An optimizer, or its scheduler, as a table."""
    if isinstance(value, str):
        parsed = parse_component(value)
        value = {**parsed["options"], "name": parsed["component"]}
    if isinstance(value, Mapping) and "scheduler" in value:
        return {**value, "scheduler": _optimizer(value["scheduler"])}
    return value


def _observers(value: Any) -> Any:
    """Observers by name. Those of a list take their component's short name, with _2, _3 ... for repeats."""
    if isinstance(value, Mapping):
        return {name: _component(part) for name, part in value.items()}
    parts = [_component(it) for it in (value if isinstance(value, list | tuple) else [value])]
    if not all(isinstance(it, Mapping) and isinstance(it.get("component"), str) for it in parts):
        return value
    named: dict[str, Any] = {}
    for part in parts:
        named[
            _free_name(
                part["component"], named, "observer", "name; put it into a table observers.NAME with component = "
            )
        ] = part
    return named


def _parse_factor(factor: str, whole: str) -> tuple[str | None, dict[str, Any]]:
    match = _FACTOR.fullmatch(factor.strip())
    if match is None:
        raise ConfigError(f"{shown(factor.strip())} in {shown(whole)} is not of the form name(option=value, ...)")
    block = None if match["block"] is None else check_block_name(match["block"])
    return block, {"component": match["name"], "options": _parse_options(match["options"] or "", whole)}


def _parse_options(text: str, whole: str) -> dict[str, Any]:
    if not text.strip():
        return {}
    line = text.replace("\r", " ").replace("\n", " ")
    try:
        # The last entry tells whether the text closed the table itself and went on as a comment.
        options: dict[str, Any] = loads_toml(f'options = {{{line}, "" = 0}}')["options"]
        if options.pop("", None) != 0:
            raise ValueError("there is a brace too many")
    except ValueError as error:
        raise ConfigError(
            f"the options ({cut(text)}) in {shown(whole)} cannot be read: {error}. "
            'Write them as name=value, with strings in quotes: (size=5, scale=2.0, kind="x")'
        ) from error
    return options


def _split(text: str) -> list[str]:
    """The factors between the plus signs that stand outside parentheses and quotes."""
    if len(text) > _LONGEST:
        raise ConfigError(f"a prior of {len(text)} characters is longer than the {_LONGEST} that are read")
    factors, depth = [""], 0
    for token in _TOKEN.findall(text):
        depth += (token in "([{") - (token in ")]}")
        if token == "+" and depth == 0:
            factors.append("")
        else:
            factors[-1] += token
    return factors


def _free_name(component: str, taken: Container[str], kind: str, advice: str) -> str:
    """The component's short name in the configuration, with a number if it is taken."""
    short = component.rpartition(":")[2].replace("-", "_").replace(".", "_")
    if not _BLOCK_NAME.fullmatch(short):
        raise ConfigError(f"the {kind} {shown(component)} gives no {advice}{cut(component)}")
    name, number = short, 1
    while name in taken:
        number += 1
        name = f"{short}_{number}"
    return name
