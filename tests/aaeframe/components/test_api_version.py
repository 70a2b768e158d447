"""Plugins written for an older, a newer or an outlived interface, against interfaces that are invented here."""

from __future__ import annotations

import json
import sys

import pytest

from aaeframe import hookspecs
from aaeframe.cli import main
from aaeframe.components.api_version import CURRENT, Interface
from aaeframe.components.registry import Registry
from aaeframe.errors import UnknownComponent
from aaeframe.hookspecs import hookspec

PLUGIN = """
from aaeframe import Component, hookimpl

class Torus: ...

@hookimpl
def aaeframe_priors():
    return [Component("torus", "aaeframe_torus:Torus", "a ring of rings")]
"""
RENAMED = "`limit` is called `budget`, and goes with interface 3: take `budget`"


class Second:
    """The hooks of an interface 2, in which an argument has another name from now on."""

    @hookspec
    def aaeframe_encoders(self): ...

    @hookspec(warn_on_impl_args={"limit": DeprecationWarning(RENAMED)})
    def aaeframe_priors(self, limit, budget): ...

    @hookspec
    def aaeframe_discriminators(self): ...

    @hookspec
    def aaeframe_networks(self): ...

    @hookspec
    def aaeframe_recipes(self): ...

    @hookspec
    def aaeframe_observers(self): ...


class Third(Second):
    """The hooks of an interface 3, in which the argument's old name is gone."""

    @hookspec
    def aaeframe_priors(self, budget): ...


CHANGES = {2: "hooks are told a budget; take it if you can use it", 3: "`limit` is gone; take `budget`"}
SECOND = Interface(Second, 2, 1, {2: CHANGES[2]}, {"limit": 7, "budget": 7})
THIRD = Interface(Third, 3, 2, {3: CHANGES[3]}, {"budget": 7})


def taking(argument, *, api=None):
    """A plugin whose hook takes an argument and offers a component whose summary tells what it was."""
    stated = "" if api is None else f"aaeframe_api = {api}\n"
    plugin = PLUGIN.replace("aaeframe_priors()", f"aaeframe_priors({argument})")
    return stated + plugin.replace('"a ring of rings"', f'f"{argument}={{{argument}}}"')


@pytest.fixture
def found(install):
    """The plugin with this source as it is found under an interface."""

    def find(source, interface=CURRENT):
        install("aaeframe-torus", {"aaeframe_torus": source}, version="2.1")
        (plugin,) = [it for it in Registry.load(interface=interface).plugins if it.distribution == "aaeframe-torus"]
        return plugin

    return find


@pytest.mark.parametrize("stated", ["", "aaeframe_api = 1\n"])
def test_a_plugin_of_todays_interface_works_without_a_warning(found, stated):
    plugin = found(stated + PLUGIN)
    assert (plugin.status, plugin.api, plugin.warnings) == ("active", hookspecs.API, ())


@pytest.mark.parametrize("stated", ["", "aaeframe_api = 1\n"], ids=["unstated", "stated"])
def test_a_plugin_of_an_older_interface_works_and_is_told_what_changed_and_what_to_do(found, stated):
    plugin = found(stated + PLUGIN, SECOND)
    assert (plugin.status, plugin.api) == ("active", 1)
    assert [it.full_name for it in plugin.offers] == ["aaeframe-torus:torus"]
    assert plugin.warnings == (
        "was written for plugin interface 1, this aaeframe has 2; a later aaeframe will refuse it. Changes since: "
        f"2: {CHANGES[2]}. When the plugin follows them, state aaeframe_api = 2",
    )


def test_an_argument_that_is_to_go_warns_with_its_place_before_it_breaks(found, recwarn):
    plugin = found(taking("limit", api=2), SECOND)
    assert plugin.status == "active"
    assert [it.component.summary for it in plugin.offers] == ["limit=7"]
    (warning,) = plugin.warnings
    assert warning.startswith(f"{RENAMED} (at ")
    assert "aaeframe_torus.py:" in warning
    assert not recwarn.list


def test_an_argument_that_is_gone_breaks_the_plugin_alone(found):
    plugin = found(taking("limit", api=2), THIRD)
    assert plugin.status == "broken"
    assert "{'limit'} are declared in the hookimpl but can not be found in the hookspec" in plugin.error


def test_what_replaces_it_works_in_both(found):
    plugin = found(taking("budget", api=2), SECOND)
    assert (plugin.status, plugin.warnings) == ("active", ())
    assert [it.component.summary for it in plugin.offers] == ["budget=7"]


def test_what_replaces_it_works_after_the_old_name_is_gone(found):
    plugin = found(taking("budget", api=3), THIRD)
    assert (plugin.status, plugin.warnings) == ("active", ())
    assert [it.component.summary for it in plugin.offers] == ["budget=7"]


@pytest.mark.parametrize(
    ("stated", "interface", "error"),
    [
        (
            3,
            SECOND,
            "needs plugin interface 3, this aaeframe has 2: upgrade aaeframe (pip install --upgrade aaeframe) or "
            "install an older aaeframe-torus",
        ),
        (
            1,
            THIRD,
            "was written for plugin interface 1, this aaeframe has 3 and supports those from 2. Upgrade the plugin "
            "(pip install --upgrade aaeframe-torus) or install an older aaeframe",
        ),
    ],
    ids=["newer", "too old"],
)
def test_an_interface_that_is_not_understood_is_incompatible_with_what_to_upgrade(install, stated, interface, error):
    install("aaeframe-torus", {"aaeframe_torus": f"aaeframe_api = {stated}\n{PLUGIN}"})
    registry = Registry.load(interface=interface)
    (plugin,) = [it for it in registry.plugins if it.distribution == "aaeframe-torus"]
    assert (plugin.status, plugin.error, plugin.offers) == ("incompatible", f"IncompatiblePlugin: {error}", ())
    with pytest.raises(UnknownComponent, match=r"aaeframe-torus 1\.0, entry point torus \(incompatible: .*upgrade"):
        registry.find("prior", "torus")


@pytest.mark.parametrize("stated", ["'2'", "0", "True", "2.0"])
def test_a_number_that_is_none_is_the_plugins_fault(found, stated):
    plugin = found(f"aaeframe_api = {stated}\n{PLUGIN}", SECOND)
    assert plugin.status == "broken"
    assert "aaeframe_api must be a whole number from 1 to 2" in plugin.error


@pytest.mark.parametrize("changes", [{}, {2: "a"}, {1: "a", 2: "b", 3: "c"}])
def test_an_interface_cannot_be_raised_without_telling_what_changed(changes):
    with pytest.raises(ValueError, match=r"changes must tell of the numbers \[2, 3\]"):
        Interface(Third, 3, 1, changes)


@pytest.fixture
def run(monkeypatch, capsys, install):
    """The command line where the interface is the second and a plugin takes what is to go."""
    install("aaeframe-torus", {"aaeframe_torus": taking("limit", api=2)}, version="2.1")
    monkeypatch.setattr("aaeframe.cli.options.registry", lambda context: Registry.load(interface=SECOND))
    monkeypatch.setattr("aaeframe.testing.hook_module.SLOWEST", 60.0)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["aaeframe", *arguments])
        with pytest.raises(SystemExit) as raised:
            main()
        return raised.value.code or 0, *capsys.readouterr()

    return run


def test_the_list_shows_warnings_and_keeps_standard_error_clean(run):
    code, out, err = run("plugins", "list")
    assert (code, err) == (0, "")
    assert f"warning: aaeframe-torus 2.1, entry point torus (active): {RENAMED} (at " in out
    _, out, _ = run("plugins", "list", "--json")
    described = {it["distribution"]: it for it in json.loads(out)["plugins"]}
    assert described["aaeframe-torus"]["api"] == 2
    assert described["aaeframe-torus"]["warnings"][0].startswith(RENAMED)
    assert "was written for plugin interface 1" in described["aaeframe"]["warnings"][0]


def test_the_check_shows_them_to_the_author(run, monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site-aaeframe-torus-2.1"))
    _, out, _ = run("plugins", "check", "aaeframe-torus")
    assert f"pass  active: {RENAMED} (at " in out
