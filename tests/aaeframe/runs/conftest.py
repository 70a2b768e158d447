"""Runs that were trained once for all tests of this folder, which share small_runs.py."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from aaeframe.components.registry import Registry

sys.path.insert(0, str(Path(__file__).parent))
pytest.register_assert_rewrite("small_runs")

from small_runs import trained  # noqa: E402  from here on its asserts say what they compared


@pytest.fixture(scope="session")
def registry():
    return Registry.load()


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A run of two epochs with a moving average."""
    return trained(tmp_path_factory.mktemp("runs") / "run", ema=0.9)


@pytest.fixture(scope="session")
def long(tmp_path_factory):
    """A run of four epochs; its checkpoints are of steps 12 and 16."""
    return trained(tmp_path_factory.mktemp("runs") / "run", checkpoint_every=1, epochs=4)


@pytest.fixture
def copy(tmp_path, long):
    """A copy of it, to be damaged."""
    return shutil.copytree(long.folder.path, tmp_path / "run")
