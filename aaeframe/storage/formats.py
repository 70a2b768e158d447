"""Parse untrusted JSON and TOML; a ValueError says what is wrong."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any, Final


def loads_json(text: str | bytes) -> Any:
    """Parse untrusted JSON; ValueError if it is invalid, or nested deeper than can be read."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


LONGEST: Final = 2**20
"""The largest length of a TOML text, in characters."""


MOST_PARTS: Final = 64
"""The largest number of parts of a dotted key: tomllib takes time quadratic in it."""


# An unclosed string extends to the end of its line, so that every character is examined only once.
_PART: Final = r"""(?:[\w-]++|"(?:\\.|[^"\\\n])*+"?|'[^'\n]*+'?)"""


_PARTS: Final = re.compile(_PART)


_KEY: Final = re.compile(rf"{_PART}(?:[ \t]*+\.[ \t]*+{_PART})*+")


def loads_toml(text: str) -> dict[str, Any]:
    """Parse a TOML text; ValueError if it is invalid, or longer than any configuration."""
    if len(text) > LONGEST:
        raise ValueError(f"it is longer than the {LONGEST} characters that are read")
    if any(len(_PARTS.findall(key[0])) > MOST_PARTS for key in _KEY.finditer(text)):
        raise ValueError(f"a key has more than {MOST_PARTS} parts")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
