"""Parse files that may come from anyone: JSON, TOML and tensors, each with a ValueError that says what is wrong."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any, Final


def loads_json(text: str | bytes) -> Any:
    """The value that a JSON text holds; ValueError if it is none, or nested deeper than can be read."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


LONGEST: Final = 2**20
"""Characters of a text that is read."""


MOST_PARTS: Final = 64
"""Parts of a dotted key: tomllib takes time quadratic in them."""


# What is not closed reaches to the end of its line: so every character is looked at once.
_PART: Final = r"""(?:[\w-]++|"(?:\\.|[^"\\\n])*+"?|'[^'\n]*+'?)"""


_PARTS: Final = re.compile(_PART)


_KEY: Final = re.compile(rf"{_PART}(?:[ \t]*+\.[ \t]*+{_PART})*+")


def loads_toml(text: str) -> dict[str, Any]:
    """The table that a TOML text holds; ValueError if it is none, or longer than any configuration is."""
    if len(text) > LONGEST:
        raise ValueError(f"it is longer than the {LONGEST} characters that are read")
    if any(len(_PARTS.findall(key[0])) > MOST_PARTS for key in _KEY.finditer(text)):
        raise ValueError(f"a key has more than {MOST_PARTS} parts")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
