"""Runs from the command line: how they end, and what may be given to resume them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_runs import ROWS, command, content

from aaeframe.storage.checkpoint import latest, read
from aaeframe.storage.metrics_file import MetricsFile


def test_divergence_is_reported_with_exit_code_1(tmp_path, monkeypatch, capsys):
    np.save(tmp_path / "x.npy", ROWS)
    optimizer = "optimizers.reconstruction=sgd(lr=1e30)"
    flags = ["--network", "mlp(hidden=[8])", "--discriminator", "mlp(hidden=[8])", "--epochs", 1, "--set", optimizer]
    out = tmp_path / "run"
    code, err = command(monkeypatch, capsys, "train", "--data", tmp_path / "x.npy", *flags, "--out", out)
    assert code == 1
    assert "error: step 0: the loss of the discriminator phase, block 'gaussian' is not finite" in err
    assert "Traceback" not in err
    saved = read(latest(out / "checkpoints"))
    assert all(bool(torch.isfinite(value).all()) for value in saved.model.values())
    assert not MetricsFile(out / "metrics.jsonl").rows()


@pytest.mark.parametrize(
    "flags",
    [["--epochs", "5"], ["--prior", "gaussian"], ["--set", "training.seed=1"], ["--out", "x"], ["--ema", "0.0"]],
    ids=lambda flags: flags[0],
)
def test_nothing_else_can_be_given_with_resume(monkeypatch, capsys, finished, flags):
    before = content(finished.folder.path)
    code, err = command(monkeypatch, capsys, "train", "--resume", finished.folder.path, *flags)
    assert code == 2
    assert f"takes no other option, found {flags[0]};" in err
    assert content(finished.folder.path) == before


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "is not a run: it has no config.toml"),
        (lambda path: path.mkdir(), "is not a run: it has no config.toml"),
        (lambda path: path.write_text(""), "is a file, and the folder of a run is needed here"),
    ],
    ids=["missing", "empty", "file"],
)
def test_resuming_what_is_no_run_is_refused(tmp_path, monkeypatch, capsys, make, message):
    make(tmp_path / "run")
    code, err = command(monkeypatch, capsys, "train", "--resume", tmp_path / "run")
    assert code == 2
    assert message in err
    assert "Traceback" not in err
