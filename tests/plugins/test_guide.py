"""The plugin author's guide: its code runs, its signatures are those of the code. Commands and links: test_readmes."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from aaeframe import hookspecs
from aaeframe.components.discovery import HOOKS
from aaeframe.components.registry import Registry
from aaeframe.configuration import schema as config

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "plugins" / "README.md").read_text()


@dataclass(frozen=True)
class Block:
    """A block of code, and the file that the text above says it is."""

    language: str
    text: str
    file: str | None


def blocks():
    """A block belongs to the last file.py, or preset, that the paragraph right above it names."""
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE):
        paragraph = GUIDE[: match.start()].rstrip().rpartition("\n\n")[2]
        files = re.findall(r"`([\w/]+\.py|\w+/presets/\w+\.toml)`", paragraph) if not paragraph.endswith("```") else []
        yield Block(match[1], match[2], files[-1] if files else None)


BLOCKS = list(blocks())
FILES = {block.file: block.text for block in BLOCKS if block.file}
TESTS = {file: text for file, text in FILES.items() if file.startswith("test_")}
SCRIPTS = {file: text for file, text in FILES.items() if file.startswith("try_")}
PLUGINS = sorted({re.split(r"[/.]", file)[0] for file in FILES if file not in {**TESTS, **SCRIPTS}})
(SIGNATURES,) = (ast.parse(it.text) for it in BLOCKS if it.language == "python" and it.file is None)
TABLES = [block.text for block in BLOCKS if block.language == "toml" and not block.file]

PROGRAM = """
import json, sys, tempfile
import aaeframe, numpy as np
from aaeframe.components.registry import Registry
from aaeframe.testing.plugin import check_component
data = np.random.default_rng(0).normal(size=(60, 5)).astype("float32"), np.arange(60) % 3
small = {"network": "mlp(hidden=[16])", "discriminator": "mlp(hidden=[16])"}
results = {}
for offer in Registry.load().offers():
    if offer.distribution == "aaeframe" or offer.name == "mlflow":  # MLflow is not installed: see test_mlflow.py
        continue
    outcomes = list(check_component(offer))
    failed = [str(it) for it in outcomes if it.verdict == "failed"]
    with tempfile.TemporaryDirectory() as folder:
        labels = 9 if "labels" in [it.id for it in outcomes if it.verdict == "passed"] else 0
        parts, source = dict(small), data
        if offer.kind == "data-set":
            source = offer.full_name
        elif offer.kind == "observer":
            parts["observers"] = [offer.full_name]
        elif offer.kind == "metric":
            parts["config"] = {"evaluation": {"metrics": [offer.full_name]}}
        elif offer.kind != "benchmark":  # which no training takes
            parts[offer.kind] = offer.full_name
        run = aaeframe.train(source, epochs=1, batch_size=12, labels=labels, out=folder + "/run", **parts)
        if offer.kind == "prior":
            parts["prior"] = "categorical+" + offer.full_name
            aaeframe.train(data, epochs=1, batch_size=12, out=folder + "/product", **parts)
        if offer.kind == "metric":
            measured = run.evaluate()
            failed += [*measured.get("metric_errors", {}).values()]
    results[offer.full_name] = {"failed": failed, "finished": run.finished}
print(json.dumps(results))
"""
"""Prints the checks' results for every third-party component, and whether it trains."""


@pytest.fixture(scope="module")
def environment(new_environment, workshop):
    """Every plugin of the guide, with the project file that the guide gives for the first."""
    for file, text in FILES.items():
        if file in SCRIPTS:
            continue
        name = re.split(r"[/.]", file)[0] if file not in TESTS else "aaeframe_torus/tests"
        path = workshop.folder / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    wheels = []
    for plugin in PLUGINS:
        short = plugin.removeprefix("aaeframe_")
        (workshop.folder / plugin / "pyproject.toml").write_text(TABLES[0].replace("torus", short))
        wheels.append(workshop.wheel(workshop.folder / plugin))
    environment = new_environment()
    environment.install(*wheels)
    return environment


def test_every_block_is_held_to_something():
    assert {block.language for block in BLOCKS} == {"python", "toml", "sh"}
    assert [
        *(
            "aaeframe_arcs",
            "aaeframe_blocks",
            "aaeframe_cloud",
            "aaeframe_contractive",
            "aaeframe_dropped",
            "aaeframe_energy",
        ),
        "aaeframe_laplace",
        *("aaeframe_learned", "aaeframe_linear", "aaeframe_mlflow", "aaeframe_pinwheel"),
        *("aaeframe_quadratic", "aaeframe_ray", "aaeframe_spiral", "aaeframe_torus"),
    ] == PLUGINS
    assert list(TESTS) == ["test_torus.py"]
    assert [file for file in FILES if file and file.endswith(".toml")] == ["aaeframe_spiral/presets/spiral.toml"]
    assert len(BLOCKS) == len(FILES) + 1 + len(TABLES) + GUIDE.count("```sh\n")


@pytest.mark.parametrize("text", SCRIPTS.values(), ids=SCRIPTS)
def test_a_script_runs(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(text, {"__name__": "__main__"})
    assert (tmp_path / "runs").is_dir()


@pytest.mark.slow
def test_every_plugin_conforms_and_trains(environment):
    results = environment.ask(PROGRAM)

    assert {name.partition(":")[0].replace("-", "_") for name in results} == set(PLUGINS) - {"aaeframe_mlflow"}
    for name, result in results.items():
        assert (result["failed"], result["finished"]) == ([], True), name


@pytest.mark.slow
def test_the_test_of_a_plugin_passes(environment, workshop):
    asked = ["-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-W", "error", "--rootdir", "."]

    passed = environment.python_runs(*asked, ".", cwd=workshop.folder / "aaeframe_torus/tests")

    assert " passed" in passed


def test_the_smallest_table_is_a_project_and_the_last_one_of_the_release_too():
    small, configuration, release = map(tomllib.loads, TABLES)

    assert (
        small["project"]["entry-points"]
        == release["project"]["entry-points"]
        == {"aaeframe": {"torus": "aaeframe_torus"}}
    )
    assert release["project"]["keywords"] == ["aaeframe-plugin"]
    assert config.parse(configuration).prior["z"].options == {"radius": 3.0, "tube": 0.2}


def functions(tree):
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_the_hooks_are_those_of_the_code():
    shown = {name: ast.unparse(it).partition(":\n")[0] for name, it in functions(SIGNATURES).items() if name in HOOKS}
    specified = functions(ast.parse(inspect.getsource(hookspecs)))

    for name in HOOKS:
        specified[name].decorator_list.clear()
    assert shown == {name: ast.unparse(specified[name]).partition(":\n")[0] for name in HOOKS}


RETURNS = {"data-set": "Dataset"}


@pytest.mark.parametrize("kind", sorted(set(HOOKS.values()) - {"preset"}))  # which has no factory
def test_the_factories_get_what_the_code_gives(kind):
    def positional(arguments):
        return {it.arg: ast.unparse(it.annotation) for it in arguments}

    shown = functions(SIGNATURES)[kind.replace("-", "_")]
    for offer in Registry.load().offers(kind):
        parameters = inspect.signature(offer.factory()).parameters.values()
        found = {it.name: it.annotation for it in parameters if it.kind is not it.KEYWORD_ONLY}
        assert found == positional(shown.args.args), offer.full_name
    assert len(shown.args.kwonlyargs) == 1
    assert ast.unparse(shown.returns) == RETURNS.get(kind, kind.capitalize())
    in_manual = re.search(rf"^    {shown.name}\((.*)\) +-> aaeframe\.(?:[\w.]+)\.(\w+)$", hookspecs.__doc__, re.M)
    assert in_manual[1].replace("*, ...", "").rstrip(", ") == ", ".join(
        f"{name}: {annotation}" for name, annotation in positional(shown.args.args).items()
    )
    assert in_manual[2] == RETURNS.get(kind, kind.capitalize())


def test_the_number_of_the_interface_is_that_of_the_code():
    assert f"aaeframe_api = {hookspecs.API}`" in GUIDE


def test_the_public_modules_are_those_that_first_party_plugins_may_use():
    sentence = GUIDE.partition("Public are ")[2].partition(";")[0]
    named = re.findall(r"`(aaeframe[.\w]*)`", sentence)
    layers = (ROOT / "tests" / "test_layers.py").read_text()
    found = (
        ast.literal_eval(it)
        for it in re.findall(r"(?:public|for_recipes|for_observers|for_benchmarks) = (\{.*?\})", layers)
    )
    assert set(named) == set().union(*found) | {"aaeframe.testing"}
