"""The cost of a plugin's hook module, which every command that resolves a name has to import."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Final, NamedTuple

from aaeframe.testing.case import require

SLOWEST: Final = 0.5
"""Seconds of processor time that importing a hook module may take."""
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
"""pydantic first: every command needs it, whoever imports it."""


class ImportCost(NamedTuple):
    """What it costs to import a module where only `aaeframe` and pydantic have been imported."""

    seconds: float
    """Of processor time, which does not grow with what else the machine does."""
    torch: bool
    """Whether it imports torch, which takes seconds by itself."""


def import_cost(module: str) -> ImportCost:
    """Import the module in a process of its own; the best of three, as the first may compile."""
    best = _import_once(module)
    for _ in range(2):
        if best.torch or best.seconds < SLOWEST / 2:
            break
        best = min(best, _import_once(module))
    return best


def check_hook_module(module: str) -> ImportCost:
    """Importing the hook module does not import torch, and takes less than half a second of processor time.

    Returns the cost.
    """
    cost = import_cost(module)
    advice = "name factories by string, and import what is heavy in their modules"
    require(not cost.torch, f"importing {module} imports torch: {advice}")
    require(
        cost.seconds < SLOWEST,
        f"importing {module} takes {cost.seconds:.2f} s of processor time, more than {SLOWEST} s: {advice}",
    )
    return cost


def _import_once(module: str) -> ImportCost:
    command = [sys.executable, "-c", _PROGRAM, module]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIME_LIMIT, check=False)
    except subprocess.TimeoutExpired as error:
        raise AssertionError(f"importing {module} takes more than {_TIME_LIMIT} s") from error
    require(done.returncode == 0, f"importing {module} by itself fails:\n{done.stderr.strip()}")
    return ImportCost(*json.loads(done.stdout))
