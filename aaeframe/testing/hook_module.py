"""The cost of a plugin's hook module, which is imported by every command that resolves a name."""

from __future__ import annotations

import contextlib
import importlib
import json
import subprocess
import sys
from types import ModuleType
from typing import Final, NamedTuple

from aaeframe.global_state import guarded
from aaeframe.testing.case import require

SLOWEST: Final = 0.5
"""The longest time for importing a hook module, in seconds of processor time."""
_TIME_LIMIT: Final = 60
_PROGRAM: Final = """
import contextlib, importlib, json, sys, time
import aaeframe
from pydantic import BaseModel, Field
start = time.process_time()
with contextlib.redirect_stdout(sys.stderr):
    importlib.import_module(sys.argv[1])
print(json.dumps([time.process_time() - start, "torch" in sys.modules]))
"""
"""pydantic is imported first because every command needs it."""


class ImportCost(NamedTuple):
    """The cost of importing a module where only `aaeframe` and pydantic have been imported."""

    seconds: float
    """Processor time, which does not depend on the machine's load."""
    torch: bool
    """Whether it imports torch, which takes seconds by itself."""


def import_cost(module: str) -> ImportCost:
    """Import the module in a separate process; the best of three, because the first may compile."""
    best = _import_once(module)
    for _ in range(2):
        if best.torch or best.seconds < SLOWEST / 2:
            break
        best = min(best, _import_once(module))
    return best


def check_hook_module(module: str) -> ImportCost:
    """Importing the hook module does not import torch, and takes less than half a second of processor time.

    Where torch is imported already, it changes nothing that all code shares. Returns the cost.
    """
    cost = import_cost(module)
    advice = "name factories by string, and import what is heavy in their modules"
    require(not cost.torch, f"importing {module} imports torch: {advice}")
    require(
        cost.seconds < SLOWEST,
        f"importing {module} takes {cost.seconds:.2f} s of processor time, more than {SLOWEST} s: {advice}",
    )
    changed = changes_by_import(module) if module in sys.modules else []
    require(not changed, f"importing {module} changes what all code shares: {', '.join(changed)}")
    return cost


def changes_by_import(module: str) -> list[str]:
    """Changes of the state that all code shares, by importing the module's package once more; they are undone."""
    package = module.partition(".")[0]

    def own() -> dict[str, ModuleType]:
        return {name: it for name, it in sys.modules.items() if name.partition(".")[0] == package}

    before = own()
    for name in before:
        del sys.modules[name]
    try:
        with contextlib.redirect_stdout(sys.stderr), guarded() as changed:
            importlib.import_module(module)
    finally:
        for name in own():
            del sys.modules[name]
        sys.modules.update(before)
    return changed


def _import_once(module: str) -> ImportCost:
    command = [sys.executable, "-c", _PROGRAM, module]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIME_LIMIT, check=False)
    except subprocess.TimeoutExpired as error:
        raise AssertionError(f"importing {module} takes more than {_TIME_LIMIT} s") from error
    require(done.returncode == 0, f"importing {module} by itself fails:\n{done.stderr.strip()}")
    return ImportCost(*json.loads(done.stdout))
