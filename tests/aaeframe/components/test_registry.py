from __future__ import annotations

import importlib
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from threading import Event

import pytest

from aaeframe.components import registry
from aaeframe.components.registry import KINDS, Registry
from aaeframe.errors import AmbiguousComponent, BrokenComponent, PluginError, UnknownComponent
from aaeframe.hookspecs import API

TORUS = """
from aaeframe import Component, hookimpl

class Torus: ...

@hookimpl
def aaeframe_priors():
    return [Component("torus", "aaeframe_torus:Torus", "a ring of rings")]
"""


def source(body, name="torus", factory="aaeframe_torus:Torus"):
    """A module whose hook has this body; COMPONENT stands for a good record."""
    component = f'Component("{name}", "{factory}", "summary")'
    return f"""
from aaeframe import Component, hookimpl

class Torus: ...

@hookimpl
def aaeframe_priors():
    {body.replace("COMPONENT", component)}
"""


def plugin_of(registry, distribution):
    (found,) = [plugin for plugin in registry.plugins if plugin.distribution == distribution]
    return found


def test_first_party_components_come_by_entry_points_like_any_other():
    registry = Registry.load()

    ours = [plugin for plugin in registry.plugins if plugin.distribution == "aaeframe"]
    assert {plugin.status for plugin in ours} == {"active"}
    assert {offer.kind for plugin in ours for offer in plugin.offers} == set(KINDS) - {"preset", "benchmark"}
    assert {offer.name for offer in registry.offers("encoder")} == {"deterministic", "gaussian", "universal"}


def test_a_stranger_is_found_by_short_and_full_name_with_its_provenance(install):
    install("aaeframe-torus", {"aaeframe_torus": TORUS}, {"ring": "aaeframe_torus"}, version="2.1")
    registry = Registry.load()

    offer = registry.find("prior", "torus")

    assert offer == registry.find("prior", "aaeframe-torus:torus") == registry.find("prior", "Aaeframe_Torus:torus")
    assert (offer.distribution, offer.version, offer.plugin) == ("aaeframe-torus", "2.1", "ring")
    assert offer.full_name == "aaeframe-torus:torus"
    assert offer.factory() is sys.modules["aaeframe_torus"].Torus
    assert registry.find_all("torus") == (offer,)


def test_only_plugins_of_others_are_guarded_while_they_load(install, monkeypatch):
    """A guard takes milliseconds, and this distribution brings many plugins."""
    guards = []
    monkeypatch.setattr(registry, "guarded_import", lambda doing: nullcontext(guards.append(doing)))
    install("aaeframe-stranger", {"aaeframe_stranger": ""})
    assert len(Registry.load().plugins) > 1
    assert guards == ["loading the plugin aaeframe-stranger 1.0"]


def test_a_name_held_by_several_kinds_gives_one_of_each():
    assert [offer.kind for offer in Registry.load().find_all("gaussian")] == ["encoder", "prior"]


def test_factories_are_not_imported_before_use(install):
    install(
        "aaeframe-torus",
        {
            "aaeframe_torus": source("return [COMPONENT]", factory="aaeframe_torus_heavy:Torus"),
            "aaeframe_torus_heavy": "class Torus: ...",
        },
    )

    offer = Registry.load().find("prior", "torus")

    assert "aaeframe_torus_heavy" not in sys.modules
    offer.factory()
    assert "aaeframe_torus_heavy" in sys.modules


def test_one_distribution_seen_twice_counts_once(install):
    folder = install("aaeframe-torus", {"aaeframe_torus": TORUS})
    sys.path.insert(0, str(folder))  # undone with the fixture's own change

    plugin_of(Registry.load(), "aaeframe-torus")


BROKEN = {
    "raises at import": ("raise RuntimeError('no license')", "RuntimeError: no license"),
    "exits at import": ("raise SystemExit(3)", "SystemExit: 3"),
    "dependency": ("import aaeframe_nowhere", "ModuleNotFoundError: No module named 'aaeframe_nowhere'"),
    "syntax": ("def", "SyntaxError: invalid syntax (aaeframe_torus.py, line 1)"),
    "no hook": ("", "PluginError: aaeframe_torus implements none of the hooks aaeframe_encoders,"),
    "misspelled hook": (TORUS.replace("aaeframe_priors", "aaeframe_prior"), "did you mean aaeframe_priors?"),
    "unknown hook": (
        TORUS.replace("aaeframe_priors", "aaeframe_samplers"),
        "Mark a hook of a newer aaeframe by @hookimpl(optionalhook=True)",
    ),
    **{
        f"hook {option}": (TORUS.replace("@hookimpl", f"@hookimpl({option})"), f"@hookimpl({option}) of {rest}")
        for option, rest in {
            "tryfirst=True": "aaeframe_priors is not supported: there is no order among plugins",
            "trylast=True": "aaeframe_priors is not supported: there is no order among plugins",
            "wrapper=True": "aaeframe_priors is not supported: a hook returns records of its own plugin",
            "hookwrapper=True": "aaeframe_priors is not supported: a hook returns records of its own plugin",
            "specname='aaeframe_encoders'": "aaeframe_priors is not supported: name the function as the hook",
        }.items()
    },
    "unmarked hook": (TORUS.replace("@hookimpl", ""), "is not marked as a hook: put @aaeframe.hookimpl above it"),
    "hook signature": (TORUS.replace("priors()", "priors(device)"), "{'device'} are declared in the hookimpl"),
    "hook raises": (source("raise KeyError('x')"), "KeyError: 'x'"),
    "hook returns None": (source("return None"), "must return Component records, not NoneType"),
    "hook returns a string": (source("return 'torus'"), "must return Component records, not str"),
    "hook returns a class": (source("return [Torus]"), "must return Component records; one is type"),
    "factory is a class": (source("return [Component('t', Torus, '')]"), "the factory of a Component must be a string"),
    "name twice": (source("return [COMPONENT, COMPONENT]"), "offers the prior 'torus' more than once"),
    "bad name": (source("return [COMPONENT]", name="Torus"), "'Torus' is not a valid component name"),
    "bad factory": (source("return [COMPONENT]", factory="aaeframe_torus"), "must be 'module:attribute', not"),
    "no attribute": (source("return [COMPONENT]", factory="aaeframe_torus:Toros"), "has no attribute 'Toros'"),
    "no module": (source("return [COMPONENT]", factory="aaeframe_toros:T"), "there is no module 'aaeframe_toros'"),
    "no package": (source("return [COMPONENT]", factory="aaeframe_torus.x:T"), "no module 'aaeframe_torus.x'"),
    "no submodule": (source("return [COMPONENT]", factory="aaeframe.x.y:T"), "there is no module 'aaeframe.x'"),
    "api no number": ("aaeframe_api = '1'\n" + TORUS, "aaeframe_api must be a whole number from 1 to"),
    "api a bool": ("aaeframe_api = True\n" + TORUS, "aaeframe_api must be a whole number from 1 to"),
}


@pytest.mark.parametrize(("module", "error"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_is_kept_with_its_error_and_harms_no_other(install, module, error):
    install("aaeframe-torus", {"aaeframe_torus": module})

    registry = Registry.load()

    broken = plugin_of(registry, "aaeframe-torus")
    assert (broken.status, broken.version, broken.offers) == ("broken", "1.0", ())
    assert error in broken.error
    assert registry.find("prior", "swissroll").distribution == "aaeframe"
    with pytest.raises(UnknownComponent, match=r"may be in a plugin that is not active: aaeframe-torus 1\.0") as raised:
        registry.find("prior", "torus")
    assert error in str(raised.value)


def test_an_optional_hook_is_called_if_it_is_known_and_noted_if_not(install):
    optional = TORUS.replace("@hookimpl", "@hookimpl(optionalhook=True)")
    install("aaeframe-torus", {"aaeframe_torus": optional})
    install("aaeframe-ring", {"aaeframe_ring": optional.replace("aaeframe_priors", "aaeframe_samplers")})

    registry = Registry.load()

    assert registry.find("prior", "torus").distribution == "aaeframe-torus"
    assert plugin_of(registry, "aaeframe-torus").notes == ()
    newer = plugin_of(registry, "aaeframe-ring")
    assert (newer.status, newer.offers, newer.warnings) == ("active", (), ())
    assert newer.notes == ("implements aaeframe_samplers, which this version does not know and does not call",)


def test_a_newer_interface_is_incompatible_not_broken(install):
    install("aaeframe-torus", {"aaeframe_torus": f"aaeframe_api = {API + 1}\nfrom aaeframe import nothing_yet"})
    install("aaeframe-ring", {"aaeframe_ring": f"aaeframe_api = {API + 1}"})
    registry = Registry.load()

    newer = plugin_of(registry, "aaeframe-ring")
    assert newer.status == "incompatible"
    assert f"needs plugin interface {API + 1}, this aaeframe has {API}" in newer.error
    assert plugin_of(registry, "aaeframe-torus").status == "broken"  # it failed before it could say so


def test_an_error_names_the_line_to_blame(install):
    folder = install("aaeframe-torus", {"aaeframe_torus": "x = 1\nraise RuntimeError('no')"})

    assert plugin_of(Registry.load(), "aaeframe-torus").location == f"{folder / 'aaeframe_torus.py'}:2"


def test_an_entry_point_must_name_a_module(install):
    install("aaeframe-torus", {"aaeframe_torus": TORUS}, {"torus": "aaeframe_torus:Torus"})

    assert "must name a module, not an attribute" in plugin_of(Registry.load(), "aaeframe-torus").error


def test_two_entry_points_of_one_distribution_must_not_offer_the_same(install):
    modules = {"aaeframe_a": TORUS, "aaeframe_torus": TORUS}
    install("aaeframe-torus", modules, {"a": "aaeframe_torus", "b": "aaeframe_a"})

    found = {it.name: it for it in Registry.load().plugins if it.distribution == "aaeframe-torus"}

    assert found["a"].status == "active"
    assert "aaeframe-torus offers the prior 'torus' more than once" in found["b"].error


def test_keyboard_interrupt_is_not_caught(install):
    install("aaeframe-torus", {"aaeframe_torus": "raise KeyboardInterrupt"})

    with pytest.raises(KeyboardInterrupt):
        Registry.load()


def test_what_a_plugin_prints_goes_to_standard_error(install, capsys):
    install("aaeframe-torus", {"aaeframe_torus": "print('hello')\n" + TORUS})

    Registry.load()

    assert capsys.readouterr() == ("", "hello\n")


def test_strict_raises_the_first_failure(install, monkeypatch):
    install("aaeframe-torus", {"aaeframe_torus": "raise RuntimeError('no license')"})
    monkeypatch.setenv("AAEFRAME_STRICT_PLUGINS", "1")

    with pytest.raises(RuntimeError, match="no license"):
        Registry.load()


def test_a_clash_is_an_error_on_use_that_lists_the_full_names(install):
    clash = source("return [COMPONENT]", name="gaussian")
    install("aaeframe-torus", {"aaeframe_torus": clash})
    registry = Registry.load()

    names = "aaeframe:gaussian, aaeframe-torus:gaussian; use a full name"
    with pytest.raises(AmbiguousComponent, match=f"'gaussian' names the prior of several plugins: {names}"):
        registry.find("prior", "gaussian")
    stranger = registry.find("prior", "aaeframe-torus:gaussian")
    assert registry.find("prior", "aaeframe:gaussian").distribution == "aaeframe"
    assert registry.shortest_name(stranger) == "aaeframe-torus:gaussian"
    assert registry.shortest_name(registry.find("encoder", "gaussian")) == "gaussian"


@pytest.mark.parametrize("name", ["aaeframe-torus", "AAEFRAME_torus", "ring", "aaeframe_torus"])
def test_blocking_by_distribution_entry_point_or_module(install, name):
    install("aaeframe-torus", {"aaeframe_torus": TORUS}, {"ring": "aaeframe_torus"})

    registry = Registry.load(blocked=[name])

    assert plugin_of(registry, "aaeframe-torus").status == "blocked"
    assert "aaeframe_torus" not in sys.modules
    with pytest.raises(UnknownComponent, match=r"aaeframe-torus 1\.0, entry point ring \(blocked\)"):
        registry.find("prior", "torus")


def test_blocking_by_the_environment_adds_to_the_argument(monkeypatch):
    monkeypatch.setenv("AAEFRAME_NO_PLUGINS", "priors, networks, recipes, observers")

    registry = Registry.load(blocked=["encoders"])

    kinds = {offer.kind for offer in registry.offers()}
    assert "discriminator" in kinds
    assert kinds.isdisjoint({"encoder", "prior", "network", "recipe"})


def test_a_blocked_name_that_matches_nothing_is_an_error():
    with pytest.raises(PluginError, match="cannot block 'tours'") as raised:
        Registry.load(blocked=["tours"])
    assert "aaeframe (entry point priors, module aaeframe_plugins.priors)" in str(raised.value)


def test_an_unknown_name_gets_the_nearest_and_the_known_ones():
    with pytest.raises(UnknownComponent) as raised:
        Registry.load().find("prior", "gausian")
    assert "no active plugin offers a prior named 'gausian'" in str(raised.value)
    assert "did you mean 'gaussian'?" in str(raised.value)
    assert "known priors: categorical, empirical, gaussian, mixture, swissroll" in str(raised.value)
    assert "not active" not in str(raised.value)


def test_a_full_name_of_a_distribution_that_is_not_installed_says_so():
    with pytest.raises(UnknownComponent, match="no distribution 'aaeframe-torus' with plugins is installed"):
        Registry.load().find("prior", "aaeframe_torus:torus")


def test_a_misspelled_full_name_gets_the_nearest():
    with pytest.raises(UnknownComponent, match="did you mean 'aaeframe:gaussian'") as raised:
        Registry.load().find("prior", "aaeframe:gausian")
    assert "no distribution" not in str(raised.value)


def test_a_name_of_another_kind_is_pointed_out():
    with pytest.raises(UnknownComponent, match="'conv' is the name of another kind of component: network"):
        Registry.load().find("prior", "conv")


@pytest.mark.parametrize(
    ("heavy", "message"),
    [
        ("raise ImportError('libfoo.so')", "cannot be loaded from aaeframe_heavy:Torus: ImportError: libfoo.so"),
        ("raise SystemExit('bye')", "cannot be loaded from aaeframe_heavy:Torus: SystemExit: bye"),
        ("", "cannot be loaded from aaeframe_heavy:Torus: AttributeError"),
        ("Torus = 3", "cannot be called: it is of type int"),
    ],
)
def test_a_factory_that_fails_on_use_names_the_component_and_its_plugin(install, heavy, message):
    hooks = source("return [COMPONENT]", factory="aaeframe_heavy:Torus")
    install("aaeframe-torus", {"aaeframe_torus": hooks, "aaeframe_heavy": heavy})
    offer = Registry.load().find("prior", "torus")

    with pytest.raises(BrokenComponent, match=r"^the prior 'torus' of aaeframe-torus 1\.0") as raised:
        offer.factory()
    assert message in str(raised.value)


def test_a_factory_that_another_thread_is_importing_is_waited_for(install, monkeypatch):
    class Gate:
        reached, opened = Event(), Event()

    monkeypatch.setitem(sys.modules, "gate", Gate)
    slow = "import gate\ngate.reached.set()\nassert gate.opened.wait(60)\nclass Torus: ..."
    hooks = TORUS.replace("class Torus: ...", "").replace("aaeframe_torus:Torus", "slow_torus:Torus")
    install("aaeframe-torus", {"aaeframe_torus": hooks, "slow_torus": slow}, {"ring": "aaeframe_torus"})

    with ThreadPoolExecutor(2) as pool:
        importing = pool.submit(importlib.import_module, "slow_torus")
        assert Gate.reached.wait(60)
        loading = pool.submit(lambda: Registry.load().find("prior", "torus").factory())
        with pytest.raises(TimeoutError):
            loading.result(0.3)  # it waits; a load that does not has failed by now
        Gate.opened.set()
        assert loading.result(60) is importing.result(60).Torus
