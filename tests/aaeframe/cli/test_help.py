from __future__ import annotations

import json
import subprocess
import sys

import pytest
import typer

from aaeframe.cli import app

HEAVY = {
    *("torch", "triton", "numpy", "scipy", "sklearn", "matplotlib", "PIL", "pooch", "safetensors", "pluggy"),
    *("aaeframe.components.registry", "aaeframe.configuration.schema", "aaeframe_plugins", "aaeframe_kernels"),
}


def command_paths(command, path=()):
    yield path
    for name, child in getattr(command, "commands", {}).items():
        yield from command_paths(child, (*path, name))


PATHS = list(command_paths(typer.main.get_command(app)))


def loaded_after(code, *arguments):
    """Which modules a fresh interpreter has loaded after the code, and what it printed before."""
    end = "import json, sys; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{end}", *arguments], capture_output=True, text=True, check=True, timeout=120
    )
    return set(json.loads(done.stderr.splitlines()[-1])), done.stdout


def test_the_commands_are_those_of_the_manual():
    assert {" ".join(path) for path in PATHS} >= {
        "train",
        "sample",
        "encode",
        "reconstruct",
        "evaluate",
        "figures",
        "plugins list",
        "plugins info",
        "plugins check",
        "plugins new",
        "config show",
        "doctor",
    }


@pytest.mark.parametrize("path", PATHS, ids=lambda path: " ".join(path) or "aaeframe")
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_command_has_help(done, path, flag):
    assert f"Usage: {' '.join(('aaeframe', *path))}" in done(*path, flag).out


def test_help_imports_nothing_heavy():
    code = f"""
import sys
from aaeframe.cli import main
for path in {PATHS!r}:
    sys.argv = ["aaeframe", *path, "--help"]
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, (path, ended.code)
"""
    modules, printed = loaded_after(code)
    assert printed.count("Usage:") == len(PATHS)
    assert modules.isdisjoint(HEAVY)


def test_importing_the_package_imports_nothing_heavy():
    modules, _ = loaded_after("import aaeframe")
    assert modules.isdisjoint(HEAVY)
    assert {module for module in modules if module.startswith("aaeframe")} == {"aaeframe"}


@pytest.mark.parametrize("command", ["plugins list", "plugins list --json", "--version"])
def test_listing_plugins_imports_no_torch(command):
    code = """
import sys
from aaeframe.cli import main
try:
    main()
except SystemExit as ended:
    assert not ended.code
"""
    modules, printed = loaded_after(code, *command.split())
    assert "aaeframe" in printed
    assert modules.isdisjoint({"torch", "triton", "matplotlib", "sklearn", "scipy"})


def test_what_the_package_names_is_there():
    import aaeframe

    for name in aaeframe.__all__:
        assert getattr(aaeframe, name) is not None
    with pytest.raises(AttributeError, match="module 'aaeframe' has no attribute 'trian'"):
        aaeframe.trian  # noqa: B018


def test_no_command_is_a_usage_error_that_shows_the_help(cli):
    outcome = cli()
    assert outcome.code == 2
    assert "Usage: aaeframe" in outcome.out + outcome.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "No such command 'trian'"),
        (["train", "--epoch", "3"], "No such option: --epoch"),
        (["train", "--epochs", "x"], "Invalid value for '--epochs'"),
        (["sample"], "Missing argument 'RUN'"),
        (["--no-plugin", "none", "plugins", "list"], "cannot block 'none'"),
    ],
)
def test_a_wrong_command_line(cli, arguments, message):
    outcome = cli(*arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
