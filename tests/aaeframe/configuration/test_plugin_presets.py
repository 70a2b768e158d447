"""Presets that plugins offer: found by name beside ours, told where they fail, and used by a training."""

from __future__ import annotations

import sys

import pytest

import aaeframe
from aaeframe.cli import main
from aaeframe.components.registry import Registry
from aaeframe.configuration.compose import compose
from aaeframe.configuration.presets import preset_names, presets, read_about, read_preset
from aaeframe.errors import AmbiguousComponent, BrokenComponent, ConfigError
from aaeframe.testing import checks_for

SOURCE = """
from aaeframe import Component, hookimpl

@hookimpl
def aaeframe_presets():
    return [Component("roll", "aaeframe_rolls:presets/roll.toml", "digits on a roll")]
"""
ROLL = """
[prior.z]
component = "swissroll"
options = { turns = 3.0 }

[network]
component = "mlp"
options = { hidden = [8] }

[training]
epochs = 1
"""


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command line: arguments -> (exit code, standard output)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["aaeframe", *arguments])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as raised:
            main()
        return raised.value.code or 0, capsys.readouterr().out

    return run


@pytest.fixture
def rolls(install):
    """Install aaeframe-rolls with a preset of this text."""

    def rolls(text=ROLL, source=SOURCE, name="aaeframe-rolls"):
        module = name.replace("-", "_")
        folder = install(name, {f"{module}.__init__": source.replace("aaeframe_rolls", module)}, {"rolls": module})
        (folder / module / "presets").mkdir()
        if text is not None:
            (folder / module / "presets" / "roll.toml").write_text(text)
        return Registry.load()

    return rolls


def test_a_preset_of_a_plugin_is_found_by_both_names_beside_ours(rolls):
    registry = rolls()

    assert preset_names(registry) == sorted([*preset_names(), "roll"])
    assert read_preset("roll", registry) == read_preset("aaeframe_rolls:roll", registry)
    assert compose("roll", None, {}, registry=registry).prior["z"].options == {"turns": 3.0}
    assert read_about("roll", registry).title == "digits on a roll"  # the summary, without a table [about]
    assert presets(registry)["roll"].distribution == "aaeframe-rolls"


@pytest.mark.slow
def test_a_training_uses_it(rolls):
    rolls()
    run = aaeframe.train("digits", preset="roll", keep=False)

    assert run.config.prior["z"].options["turns"] == 3.0
    with pytest.raises(ConfigError, match=r"no preset is named 'roll'; .*not active: aaeframe-rolls 1.0.*blocked"):
        aaeframe.train("digits", preset="roll", keep=False, blocked=("aaeframe-rolls",))


def test_names_collide_as_those_of_components_do(rolls):
    rolls()
    registry = rolls(name="aaeframe-tubes")

    with pytest.raises(AmbiguousComponent, match="several plugins: aaeframe-rolls:roll, aaeframe-tubes:roll; use a"):
        read_preset("roll", registry)
    assert {"aaeframe-rolls:roll", "aaeframe-tubes:roll"} <= set(preset_names(registry))


def test_a_name_of_ours_in_a_plugin_needs_the_distribution(rolls):
    ours = preset_names()[0]
    registry = rolls(source=SOURCE.replace('"roll"', f'"{ours}"'))

    with pytest.raises(AmbiguousComponent, match=f"aaeframe-rolls:{ours}, aaeframe:{ours}; use a full name"):
        read_preset(ours, registry)
    assert read_preset(f"aaeframe:{ours}", registry) == read_preset(ours)


@pytest.mark.parametrize(
    ("text", "source", "error"),
    [
        (None, SOURCE, "the preset 'roll' does not exist: the package aaeframe_rolls has no file presets/roll.toml"),
        (
            ROLL,
            SOURCE.replace("presets/roll", "../roll"),
            "'roll' must be 'package:path.toml', not 'aaeframe_rolls:../",
        ),
        (ROLL, SOURCE.replace("return [", "return 1 / 0, ["), "ZeroDivisionError"),
    ],
)
def test_a_broken_plugin_is_listed_with_its_error(rolls, text, source, error):
    registry = rolls(text, source)

    (plugin,) = (it for it in registry.plugins if it.distribution == "aaeframe-rolls")
    assert plugin.status == "broken"
    assert error in plugin.error
    assert preset_names(registry) == preset_names()


def test_what_cannot_be_read_is_said_when_it_is_asked_for_and_does_not_spoil_the_list(rolls, run):
    registry = rolls("[training\n")

    with pytest.raises(ConfigError, match="the preset 'aaeframe-rolls:roll' is not TOML"):
        compose("roll", None, {}, registry=registry)
    code, out = run("presets", "list", "--json")
    assert code == 0
    assert "broken: the preset 'aaeframe-rolls:roll' is not TOML" in out


def test_a_file_of_another_package_is_missed_when_it_is_read(rolls):
    registry = rolls(source=SOURCE.replace("aaeframe_rolls:", "aaeframe_nowhere:"))

    with pytest.raises(BrokenComponent, match=r"'roll' of aaeframe-rolls 1.0 cannot be read from aaeframe_nowhere:"):
        read_preset("roll", registry)


@pytest.mark.slow
def test_the_commands_show_it_with_its_distribution(rolls, run):
    rolls(f'[about]\ntitle = "A roll"\ntakes = "a second"\n{ROLL}')

    assert "aaeframe-rolls" in run("presets", "list")[1]
    shown = run("presets", "show", "roll")[1]
    assert shown.startswith("roll: A roll\n\ntakes       a second\ntrain it    aaeframe train --preset roll\n")
    assert "turns = 3.0" in shown
    assert "turns = 3.0" in run("config", "show", "--preset", "roll")[1]
    assert "digits on a roll" in run("plugins", "info", "roll")[1]
    assert "no options" in run("plugins", "info", "roll")[1]


@pytest.mark.parametrize(
    ("text", "failed", "message"),
    [
        (ROLL, None, None),
        (ROLL.replace("turns", "turn"), "configuration", "the preset cannot be trained: .*did you mean 'turns'"),
        (ROLL.replace("swissroll", "nowhere"), "configuration", "no active plugin offers a prior named 'nowhere'"),
        ("", "configuration", "the preset sets nothing"),
        ("[training", "configuration", "the preset cannot be trained"),
        (f"[about]\ntitel = 'x'\n{ROLL}", "about", "the table .about. of the preset it is wrong: .*titel"),
    ],
)
def test_the_checks_find_what_is_wrong(text, failed, message):
    for name, check in checks_for("preset", lambda: text):
        if name == failed:
            with pytest.raises(AssertionError, match=message.replace("\n", " ")):
                check()
        elif failed is None:
            check()
