"""`aaeframe plugins new`: names, folders, authors, and what is written; that it works is tests/plugins' to test."""

from __future__ import annotations

import errno
import os
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaeframe import __version__
from aaeframe.components.registry import KINDS
from aaeframe.errors import PackageError
from aaeframe.hookspecs import API
from aaeframe.scaffold import Names
from aaeframe.scaffold.package import use


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    """Commands run in an empty folder, and git knows nobody."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return tmp_path


def records(hooks):
    """The records that a hook module returns, by kind."""
    module = runpy.run_path(str(hooks))
    found = {kind: module.get(f"aaeframe_{kind}s") for kind in KINDS}
    return {kind: [(it.name, it.factory, it.summary) for it in hook()] for kind, hook in found.items() if hook}


def left(folder):
    """All that is in a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def test_it_writes_a_package_and_tells_what_to_do_next(done, inside):
    out = done("plugins", "new", "torus", "--kind", "prior").out

    assert left(inside / "aaeframe-torus") == [
        ".github/workflows/test.yml",
        ".gitignore",
        "LICENSE",
        "README.md",
        "aaeframe_torus/__init__.py",
        "aaeframe_torus/py.typed",
        "aaeframe_torus/torus.py",
        "pyproject.toml",
        "tests/test_conformance.py",
        "tests/test_torus.py",
    ]
    assert list(inside.iterdir()) == [inside / "aaeframe-torus"]
    assert out.startswith(
        "wrote aaeframe-torus: the prior 'torus', a ring in the plane; by the authors of aaeframe-torus"
    )
    steps = [line.strip() for line in out.partition("next:\n")[2].splitlines()]
    assert steps == [
        "cd aaeframe-torus",
        'pip install -e ".[dev]"',
        "pytest",
        "aaeframe plugins check torus",
        "aaeframe train --prior torus",
        "python -m build && twine upload dist/*",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_to_be_filled_in(done, inside, kind):
    done("plugins", "new", "swiss-cheese", "--kind", kind, "--out", "new")

    for path in left(inside / "new"):
        text = (inside / "new" / path).read_text()
        if not path.endswith(".yml"):  # the workflow has $words of its own, and is run by tests/plugins
            assert "$" not in text, path
        assert "TODO" not in text
    catalogue = (inside / "new/aaeframe_swiss_cheese/__init__.py").read_text()
    assert f"aaeframe_api = {API}\n" in catalogue
    assert f"def aaeframe_{kind.replace('-', '_')}s() -> list[Component]:" in catalogue
    readme = (inside / "new/README.md").read_text()
    assert f"{use(kind, 'swiss-cheese')}\n" in readme


def test_the_project_says_what_it_needs_and_how_it_is_found(done, inside):
    done("plugins", "new", "torus", "--kind", "network", "--author", 'Ada "Countess" Lovelace <ada@example.org>')

    table = tomllib.loads((inside / "aaeframe-torus/pyproject.toml").read_text())
    project = table["project"]
    assert (project["name"], project["license"], project["readme"]) == ("aaeframe-torus", "MIT", "README.md")
    assert project["authors"] == [{"name": 'Ada "Countess" Lovelace', "email": "ada@example.org"}]
    assert "aaeframe-plugin" in project["keywords"]
    assert project["entry-points"] == {"aaeframe": {"torus": "aaeframe_torus"}}
    assert project["dependencies"] == [f"aaeframe>={__version__},<1"]
    assert table["tool"]["pytest"]["ini_options"] == {"testpaths": ["tests"]}
    assert 'Ada "Countess" Lovelace\n' in (inside / "aaeframe-torus/LICENSE").read_text()
    assert "ada@" not in (inside / "aaeframe-torus/LICENSE").read_text()


def test_the_author_is_whom_git_knows_without_the_address(done, inside, monkeypatch):
    (inside / "gitconfig").write_text("[user]\n  name = Émilie du Châtelet\n  email = emilie@example.org\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(inside / "gitconfig"))

    done("plugins", "new", "torus", "--kind", "prior")

    package = inside / "aaeframe-torus"
    assert tomllib.loads((package / "pyproject.toml").read_text())["project"]["authors"] == [
        {"name": "Émilie du Châtelet"}
    ]
    assert "Émilie du Châtelet\n" in (package / "LICENSE").read_text()


def test_without_git_there_is_an_author_nevertheless(done, inside, monkeypatch):
    monkeypatch.setenv("PATH", str(inside))

    done("plugins", "new", "torus", "--kind", "prior")

    assert "the authors of aaeframe-torus\n" in (inside / "aaeframe-torus/LICENSE").read_text()


@pytest.mark.parametrize("author", ["<ada@example.org>", "Ada <ada", "Ada\nLovelace", ""])
def test_what_is_no_author_is_refused(cli, refused, inside, author):
    refused(cli("plugins", "new", "torus", "--kind", "prior", "--author", author), "is not an author: give --author")
    assert left(inside) == []


SUMMARIES = ["a knot", 'a "knot" of Ada\'s.', "1 \\\\ 2, $5: ∫ p(z) dz"]


@pytest.mark.parametrize("summary", SUMMARIES)
def test_the_summary_is_what_is_said_of_it_everywhere(done, inside, summary):
    out = done("plugins", "new", "torus", "--kind", "prior", "--summary", summary).out

    said, package = summary.removesuffix("."), inside / "aaeframe-torus"
    assert f"the prior 'torus', {said}; by" in out
    assert records(package / "aaeframe_torus/__init__.py") == {"prior": [("torus", "aaeframe_torus.torus:Torus", said)]}
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    assert project["description"] == f"The prior torus for aaeframe: {said}"
    assert f": {said}.\n" in (package / "README.md").read_text()


@pytest.mark.parametrize("summary", ["", " . ", "two\nlines", "\x07"])
def test_what_is_no_summary_is_refused(cli, refused, inside, summary):
    refused(cli("plugins", "new", "torus", "--kind", "prior", "--summary", summary), "is not a summary: give one line")
    assert left(inside) == []


@pytest.mark.parametrize("text", ["torus", "Torus", "aaeframe-torus", "aaeframe_torus", "AAEFRAME-Torus"])
def test_spellings_of_a_name(text):
    assert Names.of(text) == Names("torus")


def test_the_names_that_follow_from_one():
    names = Names.of("Swiss_Cheese.2")

    assert names.component == "swiss-cheese-2"
    assert (names.distribution, names.module) == ("aaeframe-swiss-cheese-2", "aaeframe_swiss_cheese_2")
    assert (names.stem, names.class_name) == ("swiss_cheese_2", "SwissCheese2")


@given(st.text("aZ5-_. ß", max_size=32))
def test_a_name_is_refused_or_good_everywhere(text):
    try:
        names = Names.of(text)
    except PackageError:
        return
    assert Names.of(names.component) == Names.of(names.distribution) == Names.of(names.module) == names
    compile(f"from {names.module}.{names.stem} import {names.class_name}", "test", "exec")


@pytest.mark.parametrize(
    "name", ["", "2d-roll", "tor us!", "torus-", "a/b", "../torus", "größe", "z" * 31, "aaeframe-"]
)
def test_a_bad_name_is_refused_with_what_would_do(cli, refused, inside, name):
    outcome = cli("plugins", "new", "--kind", "prior", "--", name)
    refused(outcome, f"{name!r} cannot be the name of a component. Begin with a letter, and use lower-case")
    assert left(inside) == []


def test_a_name_that_is_that_of_another_file_is_refused(cli, refused, inside):
    refused(cli("plugins", "new", "conformance", "--kind", "prior"), "tests/test_conformance.py is another test")
    assert left(inside) == []


@pytest.mark.parametrize(
    ("name", "kind", "end"), [("py", "prior", "py"), ("test", "prior", "py"), ("pyproject", "preset", "toml")]
)
def test_a_name_may_be_that_of_a_file_elsewhere_in_the_package(done, inside, name, kind, end):
    out = done("plugins", "new", name, "--kind", kind).out
    assert f"edit aaeframe_{name}/{name}.{end} and tests/test_{name}.py" in out


@pytest.mark.parametrize(("name", "word"), [("class", "class"), ("None", "None"), ("aaeframe-lambda", "lambda")])
def test_a_keyword_is_refused(cli, refused, name, word):
    refused(cli("plugins", "new", name, "--kind", "prior"), f"{word} is a keyword of Python")


def test_a_name_that_is_taken_is_refused(cli, refused, done, inside, install):
    install("aaeframe-torus", {"aaeframe_torus": "raise RuntimeError"})

    taken = cli("plugins", "new", "swissroll", "--kind", "prior")
    refused(taken, f"aaeframe {__version__} offers the prior 'swissroll' already", "choose another name")
    refused(cli("plugins", "new", "torus", "--kind", "encoder"), "aaeframe-torus 1.0 is installed already")
    refused(cli("plugins", "new", "kernels", "--kind", "prior"), "there is a module aaeframe_kernels here already")
    assert [it for it in left(inside) if not it.startswith("site-")] == []
    done("plugins", "new", "swissroll", "--kind", "network")


@pytest.mark.parametrize(("kind", "message"), [("priors", "'priors' is not one of"), (None, "Missing option '--kind'")])
def test_a_kind_that_is_none_is_refused(cli, refused, inside, kind, message):
    refused(cli("plugins", "new", "torus", *(() if kind is None else ("--kind", kind))), message)
    assert left(inside) == []


@pytest.mark.parametrize("there", ["a file", "a folder with something in it"])
def test_nothing_that_is_there_is_overwritten(cli, refused, inside, there):
    kept = inside / "new" if there == "a file" else inside / "new" / ".git"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("kept")

    refused(cli("plugins", "new", "torus", "--kind", "prior", "--out", "new"), "new is there already: give --out")
    assert left(inside) == [kept.relative_to(inside).as_posix()]
    assert kept.read_text() == "kept"


def test_a_folder_that_cannot_be_is_the_users_to_mend(cli, refused, inside):
    (inside / "file").write_text("kept")

    refused(cli("plugins", "new", "torus", "--kind", "prior", "--out", "file/new"), "cannot write file/new: ")
    assert left(inside) == ["file"]


def test_an_empty_folder_is_filled_even_if_one_stands_in_it(done, inside):
    before = inside.stat().st_ino

    out = done("plugins", "new", "torus", "--kind", "prior", "--out", ".").out

    assert Path("pyproject.toml").exists()
    assert inside.stat().st_ino == before
    assert not list(inside.glob(".aaeframe-new-*"))
    assert "cd ." in out


def test_folders_on_the_way_are_made(done, inside):
    done("plugins", "new", "torus", "--kind", "prior", "--out", "my plugins/torus")

    assert (inside / "my plugins/torus/pyproject.toml").exists()


@pytest.mark.parametrize(
    ("standing", "call", "fails"),
    [(False, "write_text", 4), (True, "write_text", 4), (False, "rename", 1), (True, "rename", 4)],
)
def test_a_full_disk_leaves_nothing_half_written(cli, refused, inside, monkeypatch, standing, call, fails):
    """The disk refuses once, at the call of this number."""
    if standing:
        (inside / "new").mkdir()
    whole, calls = getattr(Path, call), []

    def refuse(self, *arguments, **options):
        calls.append(self)
        if len(calls) == fails:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return whole(self, *arguments, **options)

    monkeypatch.setattr(Path, call, refuse)

    outcome = cli("plugins", "new", "torus", "--kind", "prior", "--out", "new")

    refused(outcome, "cannot write new: No space left on device")
    assert list(inside.rglob("*")) == ([inside / "new"] if standing else [])


@pytest.mark.slow
def test_it_needs_no_network_and_no_torch(inside):
    program = """
import socket, sys
def refuse(*_): raise AssertionError("the network is reached for")
socket.socket.connect = socket.getaddrinfo = refuse
from aaeframe.cli import main
sys.argv = ["aaeframe", "plugins", "new", "torus", "--kind", "discriminator"]
try: main()
except SystemExit as ended: print(ended.code, "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=inside)
    assert done.stdout.splitlines()[-1] == "0 False"


HOOKS = """# Hooks of ours: ö
import aaeframe
from aaeframe import Component, hookimpl


@hookimpl
def aaeframe_priors():
    return {returned}
"""
ONE_LINE = '[Component("a", "aaeframe_own.a:A", "ä"), Component("b", "aaeframe_own.b:B", "b")]'
HEALTHY = HOOKS.format(returned=ONE_LINE)
LISTS = {
    "on one line": ONE_LINE,
    "of nothing": "[]",
    "of nothing, on two lines": "[\n    ]",
    "with a comment": """[
        Component("a", "aaeframe_own.a:A", "ä"),  # the first
        # the last
    ]""",
    "without a comma at the end": '[\n        Component("a", "aaeframe_own.a:A", "ä")\n    ]',
    "that begins at once": '[Component("a", "aaeframe_own.a:A",\n        "ä")]',
}


@pytest.fixture
def package(inside):
    """A package as somebody else might write it: `package(hooks)` gives its folder and its hook module."""

    def write(hooks=HEALTHY, module="aaeframe_own/__init__.py", layout="src", entry=None):
        folder = inside / "own"
        path = folder / layout / module
        path.parent.mkdir(parents=True)
        path.write_bytes(hooks.encode())
        name = module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        entries = entry or f'own = "{name}"'
        project = f'[project]\nname = "aaeframe-own"\nversion = "1"\n[project.entry-points.aaeframe]\n{entries}\n'
        (folder / "pyproject.toml").write_text(project)
        return folder, path

    return write


def texts(folder):
    """The content of each file of a folder."""
    return {path: (folder / path).read_bytes() for path in left(folder)}


def add(run, *options):
    return run("plugins", "new", "knot", "--kind", "prior", "--out", "own", *options)


def test_a_component_is_added_to_a_package_that_was_written(done, inside):
    done("plugins", "new", "torus", "--kind", "prior")
    before = left(inside)

    out = done("plugins", "new", "knot", "--kind", "prior", "--out", "aaeframe-torus", "--summary", "a knot").out
    done("plugins", "new", "cheese", "--kind", "encoder", "--out", "aaeframe-torus")

    assert out.startswith("added to aaeframe-torus: the prior 'knot', a knot\nwrote aaeframe_torus/knot.py, ")
    assert set(left(inside)) - set(before) == {
        f"aaeframe-torus/{it}"
        for it in ("aaeframe_torus/knot.py", "aaeframe_torus/cheese.py", "tests/test_knot.py", "tests/test_cheese.py")
    }
    found = records(inside / "aaeframe-torus/aaeframe_torus/__init__.py")
    assert found["prior"][1] == ("knot", "aaeframe_torus.knot:Knot", "a knot")
    assert [it[:2] for it in found["encoder"]] == [("cheese", "aaeframe_torus.cheese:Cheese")]
    assert "from aaeframe_torus.knot import Knot\n" in (inside / "aaeframe-torus/tests/test_knot.py").read_text()
    for command in (["check"], ["format", "--check"]):
        lint = [sys.executable, "-m", "ruff", *command, "--no-cache", "."]
        linted = subprocess.run(lint, cwd=inside / "aaeframe-torus", capture_output=True, text=True, check=False)
        assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("returned", LISTS.values(), ids=LISTS)
def test_the_record_is_added_to_a_list(done, package, returned, end):
    source = HOOKS.format(returned=returned).replace("\n", end)
    _, hooks = package(source)
    before = records(hooks)["prior"]

    add(done, "--summary", "é")

    assert records(hooks) == {"prior": [*before, ("knot", "aaeframe_own.knot:Knot", "é")]}
    text = hooks.read_bytes().decode()
    assert text.count("\n") == text.count(end)
    assert [it for it in source.split(end) if "#" in it] == [it for it in text.split(end) if "#" in it]


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_a_hook_that_is_not_implemented_yet_is_appended(done, package, end):
    folder, hooks = package(HEALTHY.replace("\n", end), layout=".")
    (folder / "tests").mkdir()
    (folder / "tests/test_all.py").write_text("from aaeframe.testing import plugin_checks\n")

    done("plugins", "new", "knot", "--kind", "network", "--out", "own")

    found, text = records(hooks), hooks.read_bytes().decode()
    assert ([it[0] for it in found["network"]], [it[0] for it in found["prior"]]) == (["knot"], ["a", "b"])
    assert text.count("\n") == text.count(end)
    assert not (folder / "tests/test_conformance.py").exists()  # test_all.py has these checks


def test_a_package_without_conformance_tests_gets_them(done, package):
    folder, hooks = package(module="aaeframe_own/plugin/hooks.py")

    add(done)

    assert (folder / "src/aaeframe_own/plugin/knot.py").exists()
    assert records(hooks)["prior"][-1][1] == "aaeframe_own.plugin.knot:Knot"
    assert 'conformance_cases("aaeframe-own"' in (folder / "tests/test_conformance.py").read_text()


COMPUTED = HOOKS.format(returned="list(map(Component, ()))")
INDENTED = HEALTHY.replace("@hookimpl\ndef", "if True:\n  @hookimpl\n  def").replace("    return", "      return")
REFUSED = {
    "in an if": ({"hooks": INDENTED}, "add by hand: Component("),
    "imported": ({"hooks": "from aaeframe_own.hooks import aaeframe_priors\n"}, "add by hand: Component("),
    "computed": ({"hooks": COMPUTED}, 'add by hand: Component(name="knot", factory="aaeframe_own.knot:Knot", summary='),
    "qualified": (
        {"hooks": COMPUTED.replace("from aaeframe import Component, hookimpl", "Component = hookimpl = print")},
        "with Component and hookimpl imported from aaeframe",
    ),
    "same name": ({"hooks": HEALTHY.replace('"b"', '"knot"')}, "offers the prior 'knot' already"),
    "in parentheses": ({"hooks": HOOKS.format(returned="[\n(Component('a', 'a:b', 'c'))]")}, "add by hand: Component("),
    "no Python": ({"hooks": "def"}, "the hook module is not valid Python: invalid syntax"),
    "one module": ({"module": "aaeframe_own.py"}, "is a module, and a second file needs a package: move it to "),
    "no plugin": ({"entry": "other = 3"}, "names no entry point of the group 'aaeframe'"),
    "two modules": (
        {"entry": 'a = "aaeframe_own"\nb = "aaeframe_own.b"'},
        "aaeframe-own has the hook modules aaeframe_own, aaeframe_own.b, of which 2 implement aaeframe_priors",
    ),
}


@pytest.mark.parametrize(("written", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_added_to_is_refused_and_stays(cli, refused, package, written, message):
    folder, hooks = package(**written)
    if "b = " in written.get("entry", ""):
        (hooks.parent / "b.py").write_text(hooks.read_text())
    before = texts(folder)

    refused(add(cli), message)

    assert texts(folder) == before


def test_a_mark_of_utf_8_is_no_error(done, package):
    """Some editors put it first in a file."""
    _, hooks = package("\ufeff" + HEALTHY)
    add(done)
    assert [it[0] for it in records(hooks)["prior"]] == ["a", "b", "knot"]


def test_of_several_hook_modules_that_with_the_hook_is_meant(done, package):
    _, hooks = package(entry='a = "aaeframe_own.a"\nb = "aaeframe_own"')
    (hooks.parent / "a.py").write_text("# encoders only\n")

    add(done)

    assert records(hooks)["prior"][-1][0] == "knot"


@pytest.mark.parametrize("file", ["src/aaeframe_own/knot.py", "src/aaeframe_own/knot/x.py", "tests/test_knot.py"])
def test_a_file_that_is_there_is_named_before_anything_is_written(cli, refused, package, file):
    folder, _ = package()
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_text("kept")
    before = texts(folder)

    refused(add(cli), file.removesuffix("/x.py"), "there already, and nothing is overwritten")
    assert texts(folder) == before


def test_an_author_is_not_of_an_addition(cli, refused, package):
    package()

    outcome = add(cli, "--author", "Ada")

    refused(outcome, "--author is of a new package, and own is one already: leave --author out")


@pytest.mark.parametrize(("call", "fails"), [("write_text", 2), ("mkdir", 1), ("rename", 2), ("replace", 1)])
def test_a_full_disk_adds_nothing(cli, refused, package, monkeypatch, call, fails):
    """The disk refuses once, at the call of this number."""
    folder, _ = package()
    before = texts(folder)
    whole, calls = getattr(Path, call), []

    def refuse(self, *arguments, **options):
        calls.append(self)
        if len(calls) == fails:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return whole(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, call, refuse)
        outcome = add(cli)

    refused(outcome, "No space left on device")
    assert texts(folder) == before
    assert {it.name for it in folder.iterdir()} == {"pyproject.toml", "src"}
