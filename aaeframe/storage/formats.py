"""Parse untrusted JSON and TOML; a ValueError says what is wrong."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any, Final


def loads_json(text: str | bytes) -> Any:
    """Parse untrusted JSON; ValueError if it is invalid, or nested deeper than can be read."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


LARGEST: Final = 2**28
"""The largest size of a JSON file that is read, in bytes."""

_LARGEST_HEADER: Final = 100 * 2**20
"""The largest size of a safetensors header, in bytes; that of the library."""


def read_bounded(path: Path, most: int = LARGEST) -> bytes:
    """The content of a file of at most `most` bytes; ValueError if it is larger, before it is read."""
    with path.open("rb") as file:
        content = file.read(most + 1) if _size(path) <= most else None
    if content is None or len(content) > most:
        raise ValueError(f"it has {_size(path)} bytes, where at most {most} are read")
    return content


def read_safetensors(path: Path, before: int = 0) -> bytes:
    """The content of a safetensors file, which `before` other bytes may precede.

    ValueError, before the tensors are read, unless the file's size is the one that its header declares.
    """
    with path.open("rb") as file:
        size, start = _size(path), before + 8
        head = file.read(start)
        length = int.from_bytes(head[before:], "little")
        if len(head) < start or not 0 < length <= min(size - start, _LARGEST_HEADER):
            raise ValueError(f"it has {size} bytes and no header of safetensors")
        header = file.read(length)
        declared = start + length + _declared(header)
        if declared != size:
            raise ValueError(f"it has {size} bytes, where its header declares {declared}")
        return head + header + file.read(size - start - length)


def _declared(header: bytes) -> int:
    """The number of bytes of all tensors by the header of a safetensors file; ValueError if it is invalid."""
    try:
        tensors = {name: it for name, it in loads_json(header).items() if name != "__metadata__"}
        return max((int(it["data_offsets"][1]) for it in tensors.values()), default=0)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise ValueError(f"its header is not one of safetensors ({error})") from error


def _size(path: Path) -> int:
    return path.stat().st_size


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
