"""The scripts in benchmarks/, which are not installed."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture(scope="module", autouse=True)
def _fast_collections(frozen_heap):
    """Measurements collect garbage each time."""


@pytest.fixture
def script(monkeypatch):
    """Imports a script by its name, as running it would."""
    monkeypatch.syspath_prepend(SCRIPTS)
    yield importlib.import_module
    for path in SCRIPTS.glob("*.py"):
        sys.modules.pop(path.stem, None)
