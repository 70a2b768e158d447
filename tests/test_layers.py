"""Imports between rooms: one ordered list of rooms, and five rules, read from the source of the three packages."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "aaeframe": ROOT / "aaeframe",
    "aaeframe_plugins": ROOT / "plugins/aaeframe_plugins",
    "aaeframe_kernels": ROOT / "kernels/aaeframe_kernels",
}
ROOMS = (
    *(
        "errors",
        "hookspecs",
        "protocols",
        "torch_state",
        "patches",
        "global_state",
        "seeds",
        "version",
        "processes",
        "aaeframe_kernels",
    ),
    *("supports", "storage", "components", "configuration"),
    *("data", "losses", "model", "scaffold"),
    *("recipes", "training", "evaluation", "anomaly", "export"),
    *("assembly", "figures", "report"),
    *("runs", "benchmarking", "testing"),
    *("api", "sklearn", "inference", "reproduce"),
    *("aaeframe", "cli", "__main__"),
)
"""From the ground up: a room imports from rooms before it. "aaeframe" is the package's own `__init__`."""

TORCH_FREE = {
    *(
        "aaeframe",
        "aaeframe.hookspecs",
        "aaeframe.errors",
        "aaeframe.version",
        "aaeframe.processes.launcher",
        "aaeframe.cli",
        "aaeframe.scaffold",
    ),
    *(
        f"aaeframe.components.{it}"
        for it in ("api_version", "discovery", "guard", "options", "registry", "requirements", "source_tree")
    ),
    *("aaeframe.components.objects", "aaeframe.configuration.objects"),
    *(
        f"aaeframe.configuration.{it}"
        for it in (
            *("schema", "optimizers", "reading", "strict", "shorthand", "compose", "unused", "changes", "presets"),
        )
    ),
    *("aaeframe.configuration.data_sets", "aaeframe.configuration.resolve", "aaeframe.storage.checkpoint_state"),
    *("aaeframe_plugins", "aaeframe_plugins.priors", "aaeframe_plugins.encoders"),
    *(
        "aaeframe_plugins.discriminators",
        "aaeframe_plugins.networks",
        "aaeframe_plugins.recipes",
        "aaeframe_plugins.data_sets",
        "aaeframe_plugins.metrics",
        "aaeframe_plugins.observers",
    ),
}
HEAVY = {"torch", "triton", "numpy", "scipy", "sklearn", "matplotlib", "PIL", "pooch", "safetensors"}


@dataclass(frozen=True)
class Import:
    """One name that a module imports, and when."""

    module: str
    """The module it comes from."""
    name: str | None
    """The imported name; None for the module itself."""
    when: str
    """"import" of the module, "use" of a function in it, or "types" for the type checker alone."""

    @property
    def package(self) -> str:
        return self.module.partition(".")[0]


def imports_of(source: str) -> list[Import]:
    """Every import of a module, wherever it stands."""
    found: list[Import] = []

    def visit(node: ast.AST, when: str) -> None:
        if isinstance(node, ast.Import):
            found.extend(Import(alias.name, None, when) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found.extend(Import(node.module, alias.name, when) for alias in node.names)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for child in node.body:
                visit(child, "types")
            for child in node.orelse:
                visit(child, when)
            return
        inner = "use" if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) else when
        for child in ast.iter_child_nodes(node):
            visit(child, inner)

    visit(ast.parse(source), "import")
    return found


def modules() -> dict[str, list[Import]]:
    found = {}
    for package, folder in PACKAGES.items():
        for path in folder.rglob("*.py"):
            parts = (package, *path.relative_to(folder).with_suffix("").parts)
            found[".".join(parts).removesuffix(".__init__")] = imports_of(path.read_text("utf-8"))
    return found


MODULES = modules()
EXAMPLES = {
    ".".join(path.relative_to(project).with_suffix("").parts).removesuffix(".__init__"): imports_of(path.read_text())
    for project in (ROOT / "plugins/examples").iterdir()
    for path in project.rglob("*.py")
    if path.relative_to(project).parts[0] != "tests"
}
"""The modules of the example packages, by name."""


def home(imported: Import) -> str:
    """The module of ours that holds what is imported: `from aaeframe import data` is aaeframe.data."""
    inner = f"{imported.module}.{imported.name}"
    return inner if inner in MODULES else imported.module


def runtime(name: str) -> set[str]:
    """The modules that importing a module imports, with all packages above them."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        waiting.extend(".".join(module.split(".")[:n]) for n in range(1, module.count(".") + 1))
        waiting.extend(home(it) for it in MODULES.get(module, ()) if it.when == "import")
    return seen - {name}


def packages(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def _pairs(among: dict[str, list[Import]]) -> Iterator[tuple[str, Import]]:
    return ((module, imported) for module, imports in among.items() for imported in imports)


def offenders(start: str, forbidden: tuple[str, ...], among: dict[str, list[Import]] = MODULES) -> list[str]:
    """Imports, at any time but for types, of what modules under `start` must not import."""
    return [
        f"{module} imports {home(it)}"
        for module, it in _pairs(among)
        if f"{module}.".startswith(f"{start}.")
        and it.when != "types"
        and any(f"{home(it)}.".startswith(f"{other}.") for other in forbidden)
    ]


def is_unsafe(call: ast.Call) -> bool:
    """Whether a call runs a text as code, or may unpickle."""
    name = ast.unparse(call.func)
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    pickles = name in {"np.load", "np.save", "np.lib.format.read_array", "np.lib.format.write_array"}
    return name in {"eval", "exec", "compile", "__import__", "torch.load", "torch.save"} or (
        pickles and given.get("allow_pickle") != "False"
    )


def test_the_three_packages_are_found():
    assert packages(set(MODULES)) == set(PACKAGES)
    assert {"aaeframe.cli.train", "aaeframe_plugins.priors.swissroll", "aaeframe_kernels.discriminator_loss"} <= set(
        MODULES
    )


def test_the_core_never_imports_the_plugins():
    assert offenders("aaeframe", ("aaeframe_plugins",)) == []


def test_the_kernels_import_nothing_of_ours():
    known = {"torch", "triton", "aaeframe_kernels", *sys.stdlib_module_names}
    kernels = {name: imports for name, imports in MODULES.items() if name.startswith("aaeframe_kernels")}
    strange = {f"{name} imports {it.module}" for name, it in _pairs(kernels) if it.package not in known}
    assert strange == set()


DEPENDENCIES = {"aaeframe_flow": {"zuko"}, "aaeframe_plugins": {"numpy", "PIL"}}
"""Libraries that packages need besides: of ours those that aaeframe requires."""


def test_plugins_use_what_a_stranger_may_use():
    known = {"torch", "pydantic", "aaeframe", *sys.stdlib_module_names}
    for_recipes = {"aaeframe.recipes", "aaeframe.losses.reconstruction", "aaeframe.evaluation"}
    for_observers = {"aaeframe.training.observers"}
    for_benchmarks = {"aaeframe.benchmarking"}
    public = {"aaeframe", "aaeframe.protocols", "aaeframe.supports", "aaeframe.errors", "aaeframe.data"}
    plugins = {name: imports for name, imports in MODULES.items() if name.startswith("aaeframe_plugins")}
    assert {"aaeframe_torus", "aaeframe_hypersphere.sphere"} <= set(EXAMPLES)
    for name, imports in (plugins | EXAMPLES).items():
        package = name.partition(".")[0]
        assert {it.package for it in imports} <= {*known, package, *DEPENDENCIES.get(package, ())}, name
        ours = [it for it in imports if it.package == "aaeframe"]
        assert {home(it) for it in ours} <= public | for_recipes | for_observers | for_benchmarks, name
        assert not [it for it in ours if (it.name or "").startswith("_")], name


def test_nobody_takes_private_names_of_another_module():
    private = [
        f"{module} imports {it.name} of {it.module}"
        for module, it in _pairs(MODULES)
        if it.package in PACKAGES and (it.name or "").startswith("_") and not (it.name or "").startswith("__")
    ]
    assert private == []


def room(module: str) -> str:
    package, _, inner = module.partition(".")
    return inner.partition(".")[0] or package if package == "aaeframe" else package


def upward(among: dict[str, list[Import]]) -> list[str]:
    """Imports, at any time, types too, of a room that stands above the importing one."""
    return [
        f"{module} imports {home(it)}"
        for module, it in _pairs(among)
        if it.package in ("aaeframe", "aaeframe_kernels") and ROOMS.index(room(home(it))) > ROOMS.index(room(module))
    ]


def test_every_room_is_in_the_list_and_the_list_names_no_other():
    assert {room(module) for module in MODULES} - {"aaeframe_plugins"} == set(ROOMS)


def test_imports_run_downward():
    """Rule 0. What is above may use what is below, never the other way."""
    assert upward({name: imports for name, imports in MODULES.items() if not name.startswith("aaeframe_plugins")}) == []


def test_at_most_twelve_modules_stand_at_the_top():
    assert len([path for path in (ROOT / "aaeframe").glob("*.py")]) <= 12


@pytest.mark.parametrize(
    ("start", "forbidden"),
    [
        ("aaeframe.training", ("aaeframe.recipes",)),
        ("aaeframe.recipes", ("aaeframe.configuration", "aaeframe.components", "aaeframe.storage", "aaeframe.data")),
    ],
)
def test_loop_and_recipes_know_nothing_of_each_others_surroundings(start, forbidden):
    assert any(f"{module}.".startswith(f"{start}.") for module in MODULES), f"there is no {start}"
    assert offenders(start, forbidden) == []


LATER = {
    ("aaeframe_plugins.observers.tensorboard", "torch.utils.tensorboard"): "it needs an extra",
    ("aaeframe.components.options", "aaeframe.global_state"): "listing components does not need torch",
    ("aaeframe.components.guard", "aaeframe.global_state"): "listing components does not need torch",
    ("aaeframe.configuration.optimizers", "torch"): "a configuration without optimizers is read without torch",
    ("aaeframe.runs.run", "aaeframe.runs.in_memory"): "it rebuilds runs, for which it imports `Run`",
    ("aaeframe.runs.reading", "aaeframe.runs.initial"): "it loads runs, for which it imports `Run`",
    ("aaeframe.runs.run", "aaeframe.runs.reporting"): "it imports matplotlib, and the run",
    ("aaeframe.runs.run", "aaeframe.storage.output"): "a report alone needs it",
    ("aaeframe.benchmarking.compiling", "torch._dynamo"): "it takes a second to import",
    ("aaeframe.benchmarking.compiling", "torch._dynamo.utils"): "it takes a second to import",
    ("aaeframe.reproduce.experiments", "aaeframe.reproduce.rivals"): "the command line lists columns without torch",
    ("aaeframe.data.read", "aaeframe.data.readers.arrow"): "pyarrow is optional",
    ("aaeframe.data.read", "aaeframe.data.readers.h5ad"): "anndata is optional",
    ("aaeframe_kernels.parzen.launch", "aaeframe_kernels.parzen.kernel"): "triton is optional",
    ("aaeframe_kernels.discriminator_loss.launch", "aaeframe_kernels.discriminator_loss.kernel"): "triton is optional",
}
"""Imports inside functions, and why."""


def test_imports_stand_at_the_top_of_a_file():
    """Rule 5. But in the command line, which must start quickly, and for optional or slow packages."""
    optional = {"triton", "pykeops", "pythae", "pyarrow", "sklearn", "matplotlib", "PIL", "scipy", "pooch", "requests"}
    optional |= {"onnxruntime", "onnx_ir", "anndata"}
    optional.add("pytest")  # needed by `conformance_cases` alone
    inner = {
        (module, home(it))
        for module, it in _pairs(MODULES)
        if it.when == "use" and not module.startswith("aaeframe.cli") and it.package not in optional
    }
    assert inner == set(LATER)


def test_only_the_command_line_imports_the_command_line():
    outside = {
        name: imports for name, imports in MODULES.items() if not name.startswith(("aaeframe.cli", "aaeframe.__main__"))
    }
    bar = {f"aaeframe.{it} imports rich" for it in ("runs.progress", "api")}  # train of Python shows the bar, too
    found = offenders("aaeframe", ("aaeframe.cli", "typer", "rich"), outside)
    assert {re.sub(r"(imports rich).*", r"\1", it) for it in found} == bar


def test_only_losses_and_measures_and_their_users_see_the_kernels():
    allowed = (
        "aaeframe.losses.adversarial",
        "aaeframe.evaluation",
        "aaeframe.recipes",
        "aaeframe.benchmarking",
        "aaeframe.cli",
    )
    others = {name: imports for name, imports in MODULES.items() if not name.startswith(allowed)}
    assert offenders("aaeframe", ("aaeframe_kernels",), others) == []


def test_the_registry_needs_hook_specifications_and_errors_alone():
    ours = {name for name in runtime("aaeframe.components.registry") if name.startswith("aaeframe")}
    assert ours == {
        *("aaeframe", "aaeframe.version", "aaeframe.errors", "aaeframe.hookspecs", "aaeframe.components"),
        *("aaeframe.components.discovery", "aaeframe.components.api_version", "aaeframe.components.guard"),
    }


@pytest.mark.parametrize("name", sorted(TORCH_FREE))
def test_a_torch_free_module_imports_nothing_heavy(name):
    assert name in MODULES
    assert packages(runtime(name)) & HEAVY == set()


def test_every_module_of_the_command_line_starts_light():
    commands = [name for name in MODULES if name.startswith("aaeframe.cli")]
    assert [name for name in commands if packages(runtime(name)) & {*HEAVY, "pluggy"}] == []


def test_nothing_of_ours_reads_a_pickle_or_runs_a_text():
    unpicklers = {"pickle", "cPickle", "marshal", "shelve", "dill", "joblib", "cloudpickle"}
    assert [f"{module} imports {it.module}" for module, it in _pairs(MODULES) if it.package in unpicklers] == []
    unsafe = [
        f"{path.relative_to(ROOT)}:{call.lineno}: {ast.unparse(call)}"
        for folder in PACKAGES.values()
        for path in folder.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call) and is_unsafe(call)
    ]
    assert unsafe == []


@pytest.mark.parametrize(
    ("call", "unsafe"),
    [
        ("eval('1')", True),
        ("torch.load(path)", True),
        ("np.load(path)", True),
        ("np.load(path, allow_pickle=True)", True),
        ("np.load(path, allow_pickle=False)", False),
        ("model.eval()", False),
        ("load(path)", False),
    ],
)
def test_what_is_unsafe_is_known(call, unsafe):
    assert is_unsafe(ast.parse(call, mode="eval").body) == unsafe


def test_imports_have_no_cycle():
    graph = {
        name: {home(it) for it in imports if it.when == "import" and it.package in PACKAGES} - {name}
        for name, imports in MODULES.items()
    }
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"modules import each other: {' -> '.join(error.args[1])}")


def test_imports_are_found_wherever_they_stand():
    source = """
import a.b
from c import d
if TYPE_CHECKING:
    import e
else:
    import f
try:
    import g
except ImportError:
    pass
class K:
    import h
    def method(self):
        from i import j
async def later():
    import k
"""
    assert {(it.module, it.when) for it in imports_of(source)} == {
        ("a.b", "import"),
        ("c", "import"),
        ("e", "types"),
        ("f", "import"),
        ("g", "import"),
        ("h", "import"),
        ("i", "use"),
        ("k", "use"),
    }


def test_an_offense_is_found_inside_a_function_too():
    among = {
        "aaeframe.recipes.bad": imports_of("def f():\n    from aaeframe.components import registry"),
        "aaeframe.recipes.good": imports_of("if TYPE_CHECKING:\n    from aaeframe.components import registry"),
        "aaeframe.recipes.near": imports_of("import aaeframe.components.registry_of_something"),
    }
    found = offenders("aaeframe.recipes", ("aaeframe.components.registry",), among)
    assert found == ["aaeframe.recipes.bad imports aaeframe.components.registry"]
