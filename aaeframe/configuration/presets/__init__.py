"""Configurations by name: one TOML file each, which shows all that a run of it uses and begins with what it is.

[about]       what it reproduces, what it deviates in, how long it takes: `read_about`
[data] ...    the configuration: `read_preset`

Ours are the files of this folder. Plugins offer others by the hook `aaeframe_presets`. Names follow the rules of
components: a short name that several distributions offer is an error, a full one is "distribution:name".
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from typing import Any, ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from aaeframe.components.registry import Registry, normalized
from aaeframe.errors import AmbiguousComponent, ConfigError
from aaeframe.storage.problems import problems


@dataclass(frozen=True)
class About:
    """The description of a preset."""

    title: str
    reproduces: str = ""
    """The section, the table or the figure of the paper, and its number."""
    deviates: tuple[str, ...] = ()
    """Differences from the paper, one sentence each, with the source of what the paper does not have."""
    takes: str = ""
    """The time a run takes, and where."""
    seeds: tuple[int, ...] = ()
    """Seeds of the reported runs, fixed before the first look at test rows."""
    tuned: str | None = None
    """The way the settings were chosen, where held-out labels had a part in it."""

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Preset:
    """A preset that has not been read yet."""

    name: str
    distribution: str
    text: Callable[[], str]
    """Reads its TOML."""
    summary: str | None = None
    """A line of its plugin; None for ours, whose title says it."""

    @property
    def full_name(self) -> str:
        """The unambiguous name, such as "aaeframe-torus:torus"."""
        return f"{self.distribution}:{self.name}"


def presets(registry: Registry | None = None) -> dict[str, Preset]:
    """All presets by their shortest unambiguous name, in order; without a registry only ours."""
    found = [
        Preset(path.name.removesuffix(".toml"), "aaeframe", partial(path.read_text, "utf-8"))
        for path in files(__name__).iterdir()
        if path.name.endswith(".toml")
    ]
    for offer in registry.offers("preset") if registry else ():
        found.append(Preset(offer.name, offer.distribution, offer.factory(), offer.component.summary))
    times = [it.name for it in found]
    named = {it.name if times.count(it.name) == 1 else it.full_name: it for it in found}
    return dict(sorted(named.items()))


def preset_names(registry: Registry | None = None) -> list[str]:
    """The names of all presets; without a registry of ours."""
    return list(presets(registry))


def preset_text(name: str, registry: Registry | None = None) -> str:
    """The TOML of a preset as it is written. ConfigError, with the nearest name and all names, if there is none."""
    return _find(name, registry).text()


def read_preset(name: str, registry: Registry | None = None) -> dict[str, Any]:
    """The configuration of a preset, without its description. ConfigError if it does not exist or is no TOML."""
    return {key: part for key, part in _table(_find(name, registry)).items() if key != "about"}


def read_about(name: str, registry: Registry | None = None) -> About:
    """The description of a preset; of a plugin's without a table [about], its summary.

    ConfigError if no preset has this name, or if it has no description.
    """
    preset = _find(name, registry)
    about = _table(preset).get("about", None if preset.summary is None else {"title": preset.summary})
    if about is None:
        raise ConfigError(f"the preset {name!r} does not say what it is; give it a table [about]")
    return described(about, repr(name))


def described(about: Any, whose: str) -> About:
    """The description in a table [about]; ConfigError if a key is missing, unknown or wrong."""
    try:
        return TypeAdapter(About).validate_python(about)
    except ValidationError as error:
        found = "; ".join(problems(error))
        raise ConfigError(f"the table [about] of the preset {whose} is wrong: {found}") from error


def _find(name: str, registry: Registry | None) -> Preset:
    known = presets(registry)
    distribution, colon, short = name.rpartition(":")
    wanted = f"{normalized(distribution)}{colon}{short}"
    matches = [it for it in known.values() if wanted in (it.name, it.full_name)]
    if len(matches) > 1:
        names = ", ".join(it.full_name for it in matches)
        raise AmbiguousComponent(f"{name!r} names the preset of several plugins: {names}; use a full name")
    if not matches:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        inactive = [str(it) for it in registry.plugins if it.status != "active"] if registry else []
        more = f". It may be in a plugin that is not active: {'; '.join(inactive)}" if inactive else ""
        raise ConfigError(f"no preset is named {name!r}{hint}; there are: {', '.join(known) or 'none'}{more}")
    return matches[0]


def _table(preset: Preset) -> dict[str, Any]:
    try:
        return tomllib.loads(preset.text())
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the preset {preset.full_name!r} is not TOML: {error}") from error
