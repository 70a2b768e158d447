"""A run and measurements for the tests of the report, which share reported_runs.py."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from aaeframe.configuration.schema import Config
from aaeframe.report.subject import Subject

sys.path.insert(0, str(Path(__file__).parent))
pytest.register_assert_rewrite("reported_runs")

from reported_runs import BLOCK, EVALUATION, trained  # noqa: E402


@pytest.fixture
def measured():
    """Makes a subject that has measurements and no model."""

    def make(rows=(), *, ratio=0.25, finished=True, **block):
        report = {**EVALUATION, "reconstruction": {**EVALUATION["reconstruction"], "ratio": ratio}}
        report["blocks"] = {"z": {**BLOCK, **block}}
        return Subject("run", Config(), None, None, "test", report, rows, 12, "", finished)

    return make


@pytest.fixture(scope="session")
def digits():
    """A run on images with a swiss roll."""
    return trained("digits", prior="swissroll", encoder="universal(hidden=[8])", batch_size=100)
