"""The base of all tables of a configuration."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from aaeframe.configuration.shorthand import cut


def _plain(value: Any) -> Any:
    """A number of numpy or torch, such as a drawn seed, as one of Python, in lists as well."""
    if isinstance(value, list | tuple):
        return (list if isinstance(value, list) else tuple)(map(_plain, value))
    return value.item() if getattr(value, "shape", None) == () and hasattr(value, "item") else value


class Strict(BaseModel):
    """A table with known keys only."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _only_known_keys(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            value = {key: _plain(it) for key, it in value.items()}
        unknown = [key for key in value if key not in cls.model_fields] if isinstance(value, Mapping) else []
        if unknown:
            near = difflib.get_close_matches(str(unknown[0]), cls.model_fields, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(cls.model_fields)}"
            raise ValueError(f"unknown key {cut(', '.join(map(repr, unknown)))}; {hint}")
        return value
