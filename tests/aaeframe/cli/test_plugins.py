from __future__ import annotations

import json
import subprocess
import sys

import pytest

from aaeframe.cli import main

TOY = """
from aaeframe import Component, hookimpl

@hookimpl
def aaeframe_priors():
    return [Component("toy", "aaeframe_toy_prior:toy", "a toy"), Component("toy-2", "aaeframe_toy_prior:toy", "again")]

@hookimpl
def aaeframe_encoders():
    return [Component("toy", "aaeframe_toy_prior:nothing", "an encoder that is not there")]
"""

TOY_PRIOR = '''
from typing import Annotated

import torch
from pydantic import Field
from torch.distributions import Independent, Normal

def toy(*, size: Annotated[int, Field(gt=0, description="dimensions")] = 2, means: list[list[float]] | None = None):
    """A Gaussian to play with.

    This paragraph is not shown.
    """
    return Independent(Normal(torch.zeros(size), 1.0), 1)
'''


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command line: arguments -> (exit code, standard output, standard error)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["aaeframe", *arguments])
        monkeypatch.setenv("COLUMNS", "80")
        with pytest.raises(SystemExit) as raised:
            main()
        found = capsys.readouterr()
        return raised.value.code or 0, found.out, found.err

    return run


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """A generous limit for the import of a hook module, which is slow on a busy machine. The limit has its own test."""
    monkeypatch.setattr("aaeframe.testing.hook_module.SLOWEST", 60.0)


@pytest.fixture
def toy(install):
    """An installed plugin with two priors and an encoder whose factory is missing."""
    install("aaeframe-toy", {"aaeframe_toy": TOY, "aaeframe_toy_prior": TOY_PRIOR}, version="2.0")


def test_list_shows_plugins_components_and_errors_whole(run, install):
    install("aaeframe-broken", {"aaeframe_broken": f"raise RuntimeError('{'long ' * 40}[bold]end')"})

    code, out, _ = run("plugins", "list")

    assert code == 0
    assert f"aaeframe-broken 1.0, entry point broken (broken: RuntimeError: {'long ' * 40}[bold]end)" in out
    assert "aaeframe_broken.py:1\n" in out
    assert "  to fix it, if it is yours: aaeframe plugins check aaeframe-broken says more\n" in out
    assert "  to remove it: pip uninstall aaeframe-broken\n" in out
    assert "swissroll" in out
    assert "aaeframe_plugins.discriminators" in out


def test_list_names_ambiguous_components_in_full(run, install):
    install("aaeframe-toy", {"aaeframe_toy": TOY.replace('"toy-2"', '"swissroll"'), "aaeframe_toy_prior": TOY_PRIOR})

    _, out, _ = run("plugins", "list")

    assert "aaeframe:swissroll" in out
    assert "aaeframe-toy:swissroll" in out
    assert "aaeframe:mixture" not in out


def test_a_hook_of_a_newer_version_is_a_note_and_no_warning(run, install):
    newer = "\n@hookimpl(optionalhook=True)\ndef aaeframe_samplers():\n    raise RuntimeError('called')\n"
    install("aaeframe-toy", {"aaeframe_toy": TOY + newer, "aaeframe_toy_prior": TOY_PRIOR})
    said = "implements aaeframe_samplers, which this version does not know and does not call"

    _, text, _ = run("plugins", "list")
    _, as_json, _ = run("plugins", "list", "--json")

    assert f"note: aaeframe-toy 1.0, entry point toy (active): {said}\n" in text
    assert "warning" not in text
    (plugin,) = [it for it in json.loads(as_json)["plugins"] if it["distribution"] == "aaeframe-toy"]
    assert (plugin["notes"], plugin["warnings"], len(plugin["components"])) == ([said], [], 3)


def test_list_as_json(run, toy):
    code, out, _ = run("plugins", "list", "--json")

    (plugin,) = [it for it in json.loads(out)["plugins"] if it["distribution"] == "aaeframe-toy"]
    components = plugin.pop("components")
    assert code == 0
    assert plugin == {
        "name": "toy",
        "module": "aaeframe_toy",
        "distribution": "aaeframe-toy",
        "version": "2.0",
        "status": "active",
        "error": None,
        "location": None,
        "api": 1,
        "warnings": [],
        "notes": [],
    }
    assert components[-1] == {
        "kind": "prior",
        "name": "toy-2",
        "full_name": "aaeframe-toy:toy-2",
        "summary": "again",
        "factory": "aaeframe_toy_prior:toy",
    }


def test_blocked_plugins_are_listed_as_blocked(run, toy):
    _, out, _ = run("--no-plugin", "aaeframe-toy", "plugins", "list", "--json")

    assert {it["distribution"]: it["status"] for it in json.loads(out)["plugins"]}["aaeframe-toy"] == "blocked"


@pytest.mark.slow
def test_listing_and_help_import_no_torch():
    program = (
        "import sys; from aaeframe.cli import main; sys.argv[0] = 'aaeframe'\n"
        "try: main()\nexcept SystemExit: print('torch' in sys.modules, 'aaeframe.components.registry' in sys.modules)"
    )
    for arguments, expected in ((["plugins", "list"], "False True"), (["--help"], "False False")):
        done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == expected


def test_info_shows_where_it_comes_from_and_every_option(run, toy):
    code, out, _ = run("plugins", "info", "toy", "--kind", "prior")

    assert code == 0
    assert "prior aaeframe-toy:toy: a toy" in out
    assert "from aaeframe-toy 2.0, aaeframe_toy_prior:toy" in out
    assert "A Gaussian to play with." in out
    assert "This paragraph" not in out
    for text in ("size", "int (> 0)", "dimensions", "list[list[float]] | None", "not set"):
        assert text in out


def test_info_as_json(run, toy):
    _, out, _ = run("plugins", "info", "aaeframe-toy:toy-2", "--json")

    (component,) = json.loads(out)["components"]
    assert (component["kind"], component["distribution"], component["version"]) == ("prior", "aaeframe-toy", "2.0")
    assert component["doc"] == "A Gaussian to play with."
    assert component["options"][0] == {
        "name": "size",
        "type": "int (> 0)",
        "default": 2,
        "required": False,
        "doc": "dimensions",
    }


def test_info_tells_of_a_forgotten_star(run, install):
    install("aaeframe-toy", {"aaeframe_toy": TOY, "aaeframe_toy_prior": TOY_PRIOR.replace("def toy(*, ", "def toy(")})

    _, out, _ = run("plugins", "info", "toy", "--kind", "prior")

    assert "no options\n" in out
    assert (
        "warning: its parameters size, means are not keyword-only and so not options: put * before size (in a dataclass"
        in out
    )


def test_info_shows_all_kinds_of_a_name(run):
    _, out, _ = run("plugins", "info", "gaussian")

    assert "encoder aaeframe:gaussian" in out
    assert "prior aaeframe:gaussian" in out


def test_info_of_an_unknown_name_is_an_error_with_the_nearest(run):
    code, out, err = run("plugins", "info", "swisroll")

    assert (code, out) == (2, "")
    assert err.startswith("error: no active plugin offers a component named 'swisroll'\n")
    assert "did you mean 'swissroll'?" in err


def test_info_of_a_missing_factory_is_an_error(run, toy):
    code, _, err = run("plugins", "info", "toy", "--kind", "encoder")

    assert code == 2
    assert "the encoder 'toy' of aaeframe-toy 2.0 cannot be loaded from aaeframe_toy_prior:nothing" in err


def test_an_unknown_kind_is_an_error(run):
    code, _, err = run("plugins", "info", "gaussian", "--kind", "priors")

    assert code == 2
    assert "is not one of" in err


@pytest.mark.slow
def test_check_of_a_healthy_component_passes(run):
    code, out, _ = run("plugins", "check", "categorical")

    assert code == 0
    assert "aaeframe 0.1.0, entry point priors (active)" in out
    assert "  pass  hook-module: imported in 0." in out
    assert "  pass  log-prob-fit\n" in out
    assert "  n/a   labels: has no sample_labeled and num_classes\n" in out
    assert out.endswith("nothing failed\n")


@pytest.mark.slow
def test_check_of_a_plugin_checks_all_it_offers(run, toy, monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site-aaeframe-toy-2.0"))
    code, out, _ = run("plugins", "check", "aaeframe_toy", "--json")

    report = json.loads(out)
    factories = {subject["full_name"]: subject for subject in report["checked"] if "full_name" in subject}
    failed = [
        (it["id"], it["message"])
        for subject in report["checked"]
        for it in subject["checks"]
        if it["verdict"] == "failed"
    ]
    assert code == 1
    assert report["failed"] == 1
    assert set(factories) == {"aaeframe-toy:toy", "aaeframe-toy:toy-2"}
    assert failed[0][0] == "factory"
    assert "aaeframe_toy_prior:nothing" in failed[0][1]


def test_check_of_a_broken_plugin_reports_its_error_and_where(run, install):
    folder = install("aaeframe-broken", {"aaeframe_broken": "x = 1\nraise RuntimeError('no license')"})

    code, out, _ = run("plugins", "check", "aaeframe-broken")

    assert code == 1
    assert f"  FAIL  active: broken: RuntimeError: no license (at {folder / 'aaeframe_broken.py'}:2)\n" in out
    assert out.endswith("1 failed\n")
    assert out.count("no license") == 1
    code, out, _ = run("plugins", "check", "aaeframe-broken", "--json")
    (subject,) = json.loads(out)["checked"]
    assert (code, subject["checks"][0]["verdict"]) == (1, "failed")


def test_check_of_an_unknown_name_is_an_error(run):
    code, _, err = run("plugins", "check", "aaeframe-nothing")

    assert code == 2
    assert "no active plugin offers a component named 'aaeframe-nothing'" in err


@pytest.mark.slow
def test_check_takes_options_and_says_which_are_needed(run, tmp_path):
    (tmp_path / "points.csv").write_text("x,y\n0,1\n2,3\n4,6\n")

    code, out, _ = run("plugins", "check", f"empirical(path='{tmp_path / 'points.csv'}')")
    assert (code, out.splitlines()[-1]) == (0, "nothing failed")
    assert "pass  prior-state" in out

    code, out, err = run("plugins", "check", "empirical")
    assert (code, out) == (2, "")
    assert "needs path: " in err

    code, _, err = run("plugins", "check", "gaussian(sizes=3)", "--kind", "prior")
    assert code == 2
    assert "has no option 'sizes'; did you mean 'size'?" in err

    code, _, err = run("plugins", "check", "aaeframe(size=3)")
    assert code == 2
    assert "no active plugin offers a component named 'aaeframe'" in err
