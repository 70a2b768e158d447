from __future__ import annotations

import json
import subprocess
import sys
from typing import get_args

import pytest
import typer

from aaeframe import __version__
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
RUN_COMMANDS = [("train",), ("config", "show")]
"""The commands that take the options of a run, and name the installed components in their help."""


def loaded_after(code, *arguments):
    """The modules that a fresh interpreter has loaded after the code, and what it printed."""
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


def modules_of_help(paths):
    code = f"""
import sys
from aaeframe.cli import main
for path in {paths!r}:
    sys.argv = ["aaeframe", *path, "--help"]
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, (path, ended.code)
"""
    modules, printed = loaded_after(code)
    assert printed.count("Usage:") == len(paths)
    return modules


def test_help_imports_nothing_heavy():
    assert modules_of_help([path for path in PATHS if path not in RUN_COMMANDS]).isdisjoint(HEAVY)


@pytest.mark.slow
def test_help_that_names_components_loads_the_registry_and_no_component():
    assert modules_of_help(RUN_COMMANDS) & HEAVY == {"pluggy", "aaeframe.components.registry", "aaeframe_plugins"}


@pytest.fixture
def help_of(done, monkeypatch):
    """The help of a command in a terminal of 80 columns, by panel, each in one line."""

    def read(*path):
        monkeypatch.setenv("COLUMNS", "80")
        out = done(*path, "--help").out
        assert max(map(len, out.splitlines())) <= 80
        panels = {}
        for line in out.splitlines():
            if line.startswith("╭─"):
                title = line.strip("╭─╮ ")
                panels[title] = ""
            elif line.startswith("│"):
                panels[title] += f" {' '.join(line.strip('│').split())}"
        return panels

    return read


@pytest.mark.parametrize("path", RUN_COMMANDS, ids=" ".join)
def test_the_options_of_a_run_stand_in_panels_the_most_used_first(help_of, path):
    panels = help_of(*path)
    assert list(panels) == ["Data", "Model", "Training", "Configuration", "Output"]
    first = {panel: text.split()[0] for panel, text in panels.items() if panel != "Output"}
    assert first == {"Data": "--data", "Model": "--prior", "Training": "--epochs", "Configuration": "--preset"}


def test_help_names_what_can_be_chosen(help_of):
    from aaeframe.components.registry import KINDS, Registry
    from aaeframe.configuration.schema import TrainingConfig

    panels = help_of("train")
    registry = Registry.load()
    for name in [
        registry.shortest_name(it)
        for kind in KINDS
        if kind not in ("metric", "benchmark")
        for it in registry.offers(kind)
    ]:
        assert name in panels["Data"] + panels["Model"] + panels["Training"]
    for field in ("loss", "precision"):
        for name in get_args(TrainingConfig.model_fields[field].annotation):
            assert name in panels["Training"]
    assert "alternating (as in the paper) or joint" in panels["Training"]


def test_help_leaves_out_the_components_of_a_blocked_plugin(done):
    assert "swissroll(turns=3)" in done("--no-plugin", "priors", "train", "--help").out
    assert "empirical" not in done("--no-plugin", "priors", "train", "--help").out


@pytest.mark.parametrize("path", PATHS, ids=lambda path: " ".join(path) or "aaeframe")
def test_help_shows_no_type_of_a_flag_and_no_largest_number(help_of, path):
    for text in help_of(*path).values():
        assert "<bool>" not in text
        assert "9223372036854775807" not in text


@pytest.mark.slow
def test_label_key_is_there_wherever_data_is():
    missing = []
    for path in PATHS:
        command = typer.main.get_command(app)
        for name in path:
            command = command.commands[name]
        flags = {flag for parameter in command.params for flag in parameter.opts}
        if "--data" in flags and "--label-key" not in flags:
            missing.append(" ".join(path))
    assert missing == []


def test_the_package_can_be_run_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "aaeframe", "--version"], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == f"aaeframe {__version__}\n"


def test_importing_the_package_imports_nothing_heavy():
    modules, _ = loaded_after("import aaeframe")
    assert modules.isdisjoint(HEAVY)
    assert {module for module in modules if module.startswith("aaeframe")} == {"aaeframe", "aaeframe.version"}


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


def test_training_imports_no_compiler_and_no_library_that_it_does_not_use(tmp_path):
    """Importing torch._dynamo, pyplot or scikit-learn takes one to two seconds each."""
    code = "from aaeframe.cli import main\ntry: main()\nexcept SystemExit as ended: assert not ended.code"
    out = ("--out", str(tmp_path / "run"), "--network", "mlp(hidden=[8])", "--discriminator", "mlp(hidden=[8])")
    modules, printed = loaded_after(code, "train", "--epochs", "1", *out)
    assert "losses.png" in printed
    assert {"torch", "matplotlib"} < modules
    assert modules.isdisjoint({"torch._dynamo", "matplotlib.pyplot", "sklearn", "scipy.stats", "triton"})


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
