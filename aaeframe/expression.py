"""The short way to write components: `universal(noise_size=5)`, `y=categorical(classes=30)+style=gaussian(size=5)`.

Options are written as in a TOML inline table. A product of priors names its factors, or each takes its component's
short name, with _2, _3 ... for repeats.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any

from aaeframe.errors import ConfigError

BLOCK_NAME = re.compile(r"[a-z][a-z0-9_]*")
_FACTOR = re.compile(r"\s*(?:(?P<block>[^=()\s]+)\s*=\s*)?(?P<name>[\w.:-]+)\s*(?:\((?P<options>.*)\))?\s*", re.DOTALL)
_LONGEST = 10_000


def parse_component(text: str) -> dict[str, Any]:
    """`name(option=value, ...)` -> {"component": name, "options": {...}}; ConfigError if it is not of that form."""
    block, parsed = _parse_factor(text, text)
    if block is not None:
        raise ConfigError(f"{text!r} names a block, {block!r}; only priors have block names: leave out '{block}='")
    return parsed


def parse_product(text: str) -> dict[str, dict[str, Any]]:
    """`block=name(...)+...` -> the components by block, in order; ConfigError if it is not of that form."""
    blocks: dict[str, dict[str, Any]] = {}
    for factor in _split(text):
        block, parsed = _parse_factor(factor, text)
        if block is None:
            block = _free_name(parsed["component"], blocks)
        elif block in blocks:
            raise ConfigError(f"the prior {text!r} names the block {block!r} twice; give each factor its own name")
        blocks[block] = parsed
    return blocks


def _parse_factor(factor: str, whole: str) -> tuple[str | None, dict[str, Any]]:
    match = _FACTOR.fullmatch(factor)
    if match is None:
        raise ConfigError(f"{factor.strip()!r} in {whole!r} is not of the form name(option=value, ...)")
    block = match["block"]
    if block is not None and not BLOCK_NAME.fullmatch(block):
        raise ConfigError(
            f"the block name {block!r} in {whole!r} must be lower-case letters, digits and _, beginning with a letter"
        )
    return block, {"component": match["name"], "options": _parse_options(match["options"] or "", whole)}


def _parse_options(text: str, whole: str) -> dict[str, Any]:
    try:
        # Line breaks would let the text close the table and go on with TOML of its own.
        parsed = tomllib.loads(f"options = {{{' '.join(text.split())}}}")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(
            f"the options ({text}) in {whole!r} cannot be read: {error}. "
            'Write them as name=value, with strings in quotes: (size=5, scale=2.0, kind="x")'
        ) from error
    return parsed["options"]


def _split(text: str) -> list[str]:
    """The factors between the plus signs that stand outside parentheses and quotes."""
    if len(text) > _LONGEST:
        raise ConfigError(f"a prior of {len(text)} characters is longer than the {_LONGEST} that are read")
    factors, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in "()[]{}":
            depth += 1 if character in "([{" else -1
        if character == "+" and depth == 0 and not quote:
            factors.append("")
        else:
            factors[-1] += character
    return factors


def _free_name(component: str, taken: dict[str, Any]) -> str:
    """The component's short name as a block name, with a number if it is taken."""
    short = component.rpartition(":")[2].replace("-", "_").replace(".", "_")
    if not BLOCK_NAME.fullmatch(short):
        raise ConfigError(f"the prior {component!r} gives no block name; name the block: block={component}")
    name, number = short, 1
    while name in taken:
        number += 1
        name = f"{short}_{number}"
    return name
