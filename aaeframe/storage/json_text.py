"""JSON of files, which may be anyone's."""

from __future__ import annotations

import json
from typing import Any


def loads_json(text: str | bytes) -> Any:
    """The value that a JSON text holds; ValueError if it is none, or nested deeper than can be read."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
