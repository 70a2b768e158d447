"""The front page and the READMEs of the rooms: commands exist, code runs, links lead somewhere, each keeps its size."""

from __future__ import annotations

import re
import shlex
import tomllib
from functools import cache
from pathlib import Path

import pytest
import typer

from aaeframe.cli import app
from aaeframe.configuration import schema

ROOT = Path(__file__).parents[1]
FRONT = ROOT / "README.md"
HOMES = sorted(path.parent for path in (ROOT / "aaeframe").glob("*/__init__.py"))
ROOMS = [home / "README.md" for home in HOMES]
PLUGINS = sorted((ROOT / "plugins").rglob("README.md"))
OTHERS = [ROOT / "benchmarks/README.md", ROOT / "benchmarks/results/README.md", ROOT / "kernels/README.md"]
READMES = [FRONT, *ROOMS, *OTHERS, *PLUGINS, *sorted((ROOT / ".github").glob("*.md"))]
KNOWN = (
    "pip install ",
    "python -m ",
    "python3 -m venv ",
    "python benchmarks/",
    "python3 benchmarks/",
    "pytest ",
    "torchrun ",
    ".venv/bin/",
)
"""Accepted beginnings of commands of other programs."""
SMALL = ["--network", "mlp(hidden=[16])", "--discriminator", "mlp(hidden=[16])", "--epochs", "1"]
NETWORKS = 'network="mlp(hidden=[16])", discriminator="mlp(hidden=[16])"'
TINY = {r"epochs=\d+": f"epochs=1, {NETWORKS}", r"steps=\d+": f"steps=2, {NETWORKS}"}
"""Options that make a training of the READMEs short. .ci/run trains the first one in full."""


def name(path):
    return path.relative_to(ROOT).as_posix()


@cache
def text(path):
    return path.read_text("utf-8")


def blocks(path, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text(path), re.DOTALL | re.MULTILINE)


def commands(path):
    """The lines of shell blocks; of the front page, what stands within sentences too."""
    inline = re.findall(r"`(aaeframe [a-z][^`]*)`", text(path)) if path == FRONT else []
    return [line for block in blocks(path, "sh") for line in block.splitlines()] + inline


@cache
def anchors(path):
    """The headings of a file as links name them."""
    headings = re.findall(r"^#+ (.*)", re.sub(r"^```.*?^```$", "", text(path), flags=re.DOTALL | re.MULTILINE), re.M)
    return {re.sub(r"[^\w -]", "", it).strip().lower().replace(" ", "-") for it in headings}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


@pytest.fixture
def aaeframe(folder, capsys):
    """Runs `aaeframe` in this process, which must end well; what it prints."""

    def run(*arguments):
        capsys.readouterr()
        app(arguments, prog_name="aaeframe", standalone_mode=False)
        return capsys.readouterr().out

    return run


def test_the_front_page_is_one_page():
    assert len(FRONT.read_bytes()) <= 10_000
    assert len(text(FRONT).splitlines()) <= 200
    assert text(FRONT).count("![") == 2


def test_the_two_commands_are_found_as_ci_finds_them():
    (train,) = (line for line in text(FRONT).splitlines() if line.startswith("python3 -m venv"))
    (test,) = (line for line in text(FRONT).splitlines() if line.endswith("pytest"))
    assert [train, test] == [block.strip() for block in blocks(FRONT, "sh")[:2]]


@pytest.mark.parametrize("readme", ROOMS, ids=name)
def test_a_room_says_its_purpose_in_few_lines(readme):
    heading, _, purpose, *rest = text(readme).splitlines()
    assert heading.startswith("# ")
    assert purpose.endswith(".")
    assert len(rest) + 3 <= 60


@pytest.mark.parametrize("home", HOMES, ids=name)
def test_a_room_names_each_of_its_modules(home):
    modules = {path.name for path in home.glob("*.py")} - {"__init__.py"}
    packages = {path.name for path in home.iterdir() if path.is_dir()} - {"__pycache__"}
    named = set(re.findall(r"\]\(([^)]+)\)", text(home / "README.md")))

    assert (modules | packages) - named == set()


@pytest.mark.parametrize("readme", READMES, ids=name)
def test_every_command_exists(readme):
    for line in commands(readme):
        program, *arguments = shlex.split(re.sub(r"^torchrun .* -m aaeframe ", "aaeframe ", line), comments=True)
        if program != "aaeframe":
            assert line.startswith(KNOWN), line
            continue
        command, context = typer.main.get_command(app), None
        while hasattr(command, "commands"):
            own = arguments[:1] not in (["history"], ["merge"])
            if command.invoke_without_command and own:  # a group that is a command itself
                inner = command.name
                break
            assert arguments, f"{line} ends before a command"
            inner, *rest = arguments
            assert inner in command.commands, f"there is no command {inner} in {line}"
            context = command.make_context(command.name, [inner], parent=context)
            command, arguments = command.commands[inner], rest
        command.make_context(inner, arguments, parent=context)  # an option that does not exist is a UsageError


@pytest.mark.parametrize("readme", READMES, ids=name)
def test_every_link_leads_somewhere(readme):
    for target in re.findall(r"\]\(([^)]+)\)", re.sub(r"```.*?```", "", text(readme), flags=re.DOTALL)):
        if not target.startswith("http"):
            file, _, anchor = target.partition("#")
            path = (readme.parent / file).resolve() if file else readme
            assert path.exists(), target
            assert not anchor or anchor in anchors(path), target


def configurations():
    """The commands that train, of the front page and of the rooms."""
    for readme in (FRONT, *ROOMS):
        for line in commands(readme):
            program, *arguments = shlex.split(line, comments=True)
            if (program, arguments[:1]) == ("aaeframe", ["train"]) and "--resume" not in arguments:
                yield pytest.param(arguments[1:], id=line)


@pytest.mark.parametrize("arguments", [*configurations()])
def test_every_training_is_one_that_a_run_can_have(aaeframe, arguments):
    without_out = [it for it in arguments if it != "--out" and not it.startswith("runs/")]
    aaeframe("config", "show", *without_out)


@pytest.mark.parametrize("readme", [it for it in ROOMS if blocks(it, "toml")], ids=name)
def test_every_table_of_a_room_is_a_configuration(readme):
    for block in blocks(readme, "toml"):
        schema.parse({**schema.Config().model_dump(exclude_none=True), **tomllib.loads(block)})


@pytest.mark.parametrize("readme", [it for it in (FRONT, *ROOMS) if blocks(it, "python")], ids=name)
def test_the_python_code_runs(readme, folder):
    for block in blocks(readme, "python"):
        for length, short in TINY.items():
            block = re.sub(length, short, block)
        exec(block, {"__name__": "__main__"})


def masked(line):
    """The words of a line, without its numbers and the borders of tables."""
    return re.sub(r"[\d.]+", "#", re.sub("[\u2500-\u257f]", " ", line)).split()


@pytest.mark.slow
def test_the_quick_start_prints_what_the_front_page_shows(aaeframe):
    (shown,) = blocks(FRONT, "text")
    quick = [shlex.split(line)[1:] for line in blocks(FRONT, "sh")[2].splitlines()]
    printed = "".join(aaeframe(*it, *(SMALL if it[0] == "train" else [])) for it in quick)
    lines = [masked(line) for line in printed.splitlines()]
    for line in shown.splitlines():
        assert masked(line) in lines, line
