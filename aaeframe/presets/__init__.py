"""Configurations by name: one TOML file each, whose first comment says what it is for."""

from __future__ import annotations

import difflib
import tomllib
from importlib.resources import files
from typing import Any

from aaeframe.errors import ConfigError


def preset_names() -> list[str]:
    """The names of all presets."""
    return sorted(it.name.removesuffix(".toml") for it in files(__name__).iterdir() if it.name.endswith(".toml"))


def read_preset(name: str) -> dict[str, Any]:
    """The table of a preset; ConfigError, with the nearest name and all names, if there is none."""
    names = preset_names()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"no preset is named {name!r}{hint}; there are: {', '.join(names) or 'none'}")
    return tomllib.loads((files(__name__) / f"{name}.toml").read_text("utf-8"))
