"""Small runs, what a training told, and what two runs or folders have alike."""

from __future__ import annotations

import sys
from unittest.mock import patch

import numpy as np
import pytest
import torch

import aaeframe
from aaeframe import api, cli
from aaeframe.data import from_arrays
from aaeframe.runs.start import NO_CALLBACKS, Callbacks, resume

LABELS = np.arange(100) % 10
ROWS = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32) + LABELS[:, None]
SMALL = {"network": "mlp(hidden=[8])", "discriminator": "mlp(hidden=[8])"}
STEPS = 4
"""The number of steps of an epoch: 80 rows are for training."""
TRAINING = {"epochs": 2, "batch_size": 20, "device": "cpu"}


def trained(out, rows=ROWS, *, config=None, callbacks=NO_CALLBACKS, prior="gaussian", **training):
    with patch.object(api, "NO_CALLBACKS", callbacks):
        return aaeframe.train(rows, prior=prior, config=config, out=out, **SMALL, **{**TRAINING, **training})


def resumed(path, registry, told):
    return resume(path, registry, dataset=from_arrays(ROWS), callbacks=told.callbacks)


class Telling:
    """Remembers what a training told, and asks it to stop after some steps."""

    def __init__(self, stop_after=None, look=lambda row: None):
        self.stop_after, self.look = stop_after, look
        self.started, self.warn, self.steps = [], [], 0

    @property
    def callbacks(self):
        return Callbacks(self, lambda: self.steps == self.stop_after, self._start, self.warn.append)

    def _start(self, config, folder, steps):
        self.started.append((config.training.epochs, folder.path, steps))

    def stepped(self, epoch, step):
        self.steps += 1

    def epoch_ended(self, row, warnings):
        self.look(row)


def command(monkeypatch, capsys, *arguments):
    """The command line's exit code and standard error."""
    monkeypatch.setattr(sys, "argv", ["aaeframe", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return caught.value.code, capsys.readouterr().err


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_same_model(first, second):
    mine, theirs = first.model.state_dict(), second.model.state_dict()
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if not torch.equal(mine[name], theirs[name])] == []
