"""A rule for all tests: they are skipped only for a listed reason."""

from __future__ import annotations

import gc
import os
import sys

import pytest
import torch

# The suite's networks are small: on several threads they wait for each other more than they compute. Children too.
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

ALLOWED_SKIPS = ("no GPU", "no AAEFRAME_DATA", "no extra 'integrations'", "no Chromium")
"""The allowed beginnings of a skip's reason. Any other skip fails the session: a test that never runs tests nothing."""

STRICT = "AAEFRAME_NO_SKIPS" in os.environ
"""Whether every skip fails the session: set where all that tests want is installed."""


class SkipWatch:
    """Collects the skips that are not allowed and fails the session for them."""

    def __init__(self) -> None:
        self.unlisted: list[str] = []

    def pytest_runtest_logreport(self, report):
        if report.skipped and not hasattr(report, "wasxfail"):
            reason = report.longrepr[2].removeprefix("Skipped: ")
            if STRICT or not reason.startswith(ALLOWED_SKIPS):
                self.unlisted.append(f"{report.nodeid}: {reason}")

    pytest_collectreport = pytest_runtest_logreport  # of a module that is skipped whole

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session):
        if self.unlisted:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        for skip in self.unlisted:
            terminalreporter.write_line(f"SKIPPED FOR NO LISTED REASON {skip}", red=True)


def pytest_configure(config):
    config.pluginmanager.register(SkipWatch(), "skip-watch")


_BOUND = """
import ctypes, os, sys
if os.geteuid() == 0 and sys.platform == "linux":
    for capability in (1, 2):  # reading and writing whatever the permissions: root's, who is bound by them without
        assert ctypes.CDLL(None).prctl(24, capability, 0, 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture(scope="session")
def bound_by_permissions():
    """The words before a command's that have permissions bind it, even if it is root's."""
    return [sys.executable, "-c", _BOUND]


THRESHOLD = gc.get_threshold()


def pytest_collection_finish():
    """Collect garbage less often, and leave what is there before the tests out, which would slow each collection."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)  # by default at each 700th object


def pytest_unconfigure():
    gc.unfreeze()
    gc.set_threshold(*THRESHOLD)
