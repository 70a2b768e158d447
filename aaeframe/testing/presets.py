"""Checks of a preset: its TOML is a configuration whose components are installed, and tells what it is."""

from __future__ import annotations

import tomllib

from aaeframe.components.registry import Registry
from aaeframe.configuration.compose import compose
from aaeframe.configuration.presets import described
from aaeframe.configuration.resolve import resolve
from aaeframe.errors import AaeframeError
from aaeframe.testing.case import ComponentCase, require


class PresetCase(ComponentCase):
    """A function that returns the TOML of a preset."""


def check_configuration(case: PresetCase) -> None:
    """The preset is TOML, and all that it names is installed and takes the options that it gives."""
    try:
        table = {key: part for key, part in tomllib.loads(case.build()).items() if key != "about"}
        require(bool(table), "the preset sets nothing; give it a table such as [prior.z] or [training]")
        resolve(compose(None, table, {}), Registry.load())
    except (AaeframeError, tomllib.TOMLDecodeError) as error:
        raise AssertionError(f"the preset cannot be trained: {error}") from error


def check_about(case: PresetCase) -> str | None:
    """The table [about] has the keys that `aaeframe presets` shows, if there is one."""
    about = tomllib.loads(case.build()).get("about")
    if about is None:
        return "has no table [about]; its title is the summary"
    try:
        described(about, "it")
    except AaeframeError as error:
        raise AssertionError(str(error)) from error
    return None
