"""The command line inside this process, and a trained run for the commands that use one."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import aaeframe
from aaeframe.cli import main

SMALL = ("--network", "mlp(hidden=[8])", "--discriminator", "mlp(hidden=[8])", "--epochs", "1")


@dataclass(frozen=True)
class Outcome:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def cli(monkeypatch, capsys):
    """Runs `aaeframe` with these arguments."""
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["aaeframe", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture
def done(cli):
    """Runs `aaeframe`, which must end well."""

    def run(*arguments):
        outcome = cli(*arguments)
        assert outcome.code == 0, outcome.err
        return outcome

    return run


@pytest.fixture
def no_figures(monkeypatch):
    """Training draws nothing, for tests that look at no figure."""
    monkeypatch.setattr("aaeframe.runs.run.Run.plot_figures", lambda *_, **__: [])


@pytest.fixture
def refused():
    """Holds an outcome to how bad input is refused: exit code 2, words with these parts, no traceback, no result."""

    def check(outcome, *parts):
        assert outcome.code == 2, outcome
        assert outcome.out == ""
        assert "Traceback" not in outcome.err
        for part in parts:
            assert part in outcome.err

    return check


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory):
    """A run on the digits. It is shared: take `run` to change anything in it."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    aaeframe.train(
        prior="swissroll",
        encoder="universal(hidden=[8])",
        network="mlp(hidden=[8])",
        discriminator="mlp(hidden=[8])",
        epochs=1,
        ema=0.5,
        out=folder,
    )
    return folder


@pytest.fixture
def run(digits_run, tmp_path):
    """A copy of the run on the digits."""
    return shutil.copytree(digits_run, tmp_path / "run")


@pytest.fixture
def table(tmp_path):
    """A file of 60 rows and three classes."""
    rng = np.random.default_rng(0)
    path = tmp_path / "table.npz"
    np.savez(path, x=rng.normal(size=(60, 4)).astype(np.float32), y=np.arange(60) % 3)
    return path


class Bomb:
    """A pickle that runs a function of its maker's choice when it is opened."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return os.mkdir, (str(self.canary),)


@pytest.fixture
def canary(tmp_path):
    """A path that only code of the attacker would make."""
    path = tmp_path / "code-ran"
    yield path
    assert not os.path.lexists(path)


@pytest.fixture
def bomb(canary):
    """An object that makes the canary's path when it is unpickled."""
    return Bomb(canary)
