"""Configurations by name: one TOML file each, which shows all that a run of it uses and begins with what it is.

[about]       what it reproduces, what it deviates in, how long it takes: `read_about`
[data] ...    the configuration: `read_preset`
"""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from aaeframe.errors import ConfigError


@dataclass(frozen=True)
class About:
    """The description of a preset."""

    title: str
    reproduces: str
    """The section, the table or the figure of the paper, and its number."""
    deviates: tuple[str, ...]
    """Differences from the paper, one sentence each, with the source of what the paper does not have."""
    takes: str
    """The time a run takes, and where."""
    seeds: tuple[int, ...]
    """Seeds of the reported runs, fixed before the first look at test rows."""
    tuned: str | None = None
    """The way the settings were chosen, where held-out labels had a part in it."""


def preset_names() -> list[str]:
    """The names of all presets."""
    return sorted(it.name.removesuffix(".toml") for it in files(__name__).iterdir() if it.name.endswith(".toml"))


def preset_text(name: str) -> str:
    """The TOML of a preset as it is written; ConfigError, with the nearest name and all names, if there is none."""
    names = preset_names()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"no preset is named {name!r}{hint}; there are: {', '.join(names) or 'none'}")
    return (files(__name__) / f"{name}.toml").read_text("utf-8")


def read_preset(name: str) -> dict[str, Any]:
    """The configuration of a preset, without what it says of itself; ConfigError if there is none of this name."""
    return {key: part for key, part in tomllib.loads(preset_text(name)).items() if key != "about"}


def read_about(name: str) -> About:
    """The description of a preset. ConfigError if no preset has this name, or if it has no description."""
    about = tomllib.loads(preset_text(name)).get("about")
    if about is None:
        raise ConfigError(f"the preset {name!r} does not say what it is; give it a table [about]")
    lists: dict[str, Any] = {key: tuple(about[key]) for key in ("deviates", "seeds")}
    return About(**{**about, **lists})
