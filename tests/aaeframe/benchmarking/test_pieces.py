"""The comparison of pieces: what it measures, that it continues, its tables and its figures."""

from __future__ import annotations

import json

import pytest
from PIL import Image

import aaeframe
from aaeframe.errors import ConfigError


@pytest.fixture
def pieces(script):
    return script("pieces")


TINY = ["--epochs", "1", "--width", "8", "--seeds", "1", "--pieces", "variational"]


def cells(seeds, **means):
    """Cells on petals of pieces whose numbers are these and a tenth more with each seed."""
    return [
        {
            **{"prior": "ten petals", "piece": piece, "seed": seed, "two_sample_interval": [0.4, 0.6 + seed / 10]},
            **dict.fromkeys(["distance", "two_sample", "reconstruction", "agreement"], mean + seed / 10),
        }
        for piece, mean in means.items()
        for seed in range(seeds)
    ]


@pytest.fixture
def petals_only(pieces, monkeypatch):
    monkeypatch.setattr(pieces, "PRIORS", {"ten petals": "mixture"})


@pytest.mark.slow
def test_runs_are_made_once_measured_once_and_drawn(pieces, tmp_path, capsys):
    out = tmp_path / "runs"
    for _ in range(2):
        assert pieces.main(["run", "--out", str(out), *TINY]) == 0
    record = out / "pieces.json"
    found = json.loads(record.read_text())

    refused, cell = found["cells"]
    assert (refused["prior"], cell["prior"]) == ("swiss roll", "ten petals")
    assert "SwissRoll) has no log_prob" in refused["refused"]
    assert (cell["steps"], cell["rows"], cell["test_accesses"]) == (12, 360, 1)
    assert cell["distance"] > 1
    assert cell["two_sample_interval"][0] <= cell["two_sample"] <= cell["two_sample_interval"][1]

    # Without the record the folders are read, and nothing is evaluated again.
    record.unlink()
    assert pieces.main(["run", "--out", str(out), *TINY]) == 0
    again = json.loads(record.read_text())
    assert again["cells"] == found["cells"]

    capsys.readouterr()
    assert pieces.main(["show", str(record)]) == 0
    shown = capsys.readouterr().out
    assert "| swiss roll | variational, Gaussian | no density |" in shown
    assert "1 runs of 1 epochs" in shown

    png = tmp_path / "pieces.png"
    assert pieces.main(["plot", str(record), "--out", str(png), "--runs", str(out)]) == 0
    for path in (png, tmp_path / "pieces-codes.png"):
        with Image.open(path) as image:
            assert len(image.getcolors(1 << 24)) > 20


class Stops:
    """Stops a training at its first step."""

    def stepped(self, step, losses):
        raise aaeframe.StopRun


def test_a_stopped_run_is_resumed(pieces, tmp_path):
    folder = pieces.folder_of(tmp_path, "ten petals", "wasserstein", 0)
    given = {"prior": "mixture", "network": "mlp(hidden=[8, 8])", "epochs": 1, "out": folder}
    with pytest.warns(UserWarning, match="ended the run, at step 1"):
        assert not aaeframe.train(
            "digits", recipe=pieces.recipe_of("wasserstein"), observers=[Stops()], **given
        ).finished

    run = pieces.trained(folder, "ten petals", "wasserstein", 0, epochs=1, width=8)

    assert (run.finished, run.step) == (True, 12)
    with pytest.raises(ConfigError, match=r"epochs and widths of \(1, 8, 8\)"):
        pieces.trained(folder, "ten petals", "wasserstein", 0, epochs=1, width=9)


def test_other_settings_are_refused_in_a_folder_of_runs(pieces, tmp_path, capsys):
    settings = {"epochs": 50, "width": 256}
    (tmp_path / "pieces.json").write_text(json.dumps({"settings": settings, "cells": []}))

    with pytest.raises(SystemExit) as ended:
        pieces.main(["run", "--out", str(tmp_path), "--epochs", "1"])

    assert ended.value.code == 2
    assert "has runs of {'epochs': 50, 'width': 256}, asked for {'epochs': 1" in capsys.readouterr().err


def test_a_row_has_mean_deviation_and_seeds(pieces, petals_only):
    *_, row = pieces.table(cells(3, deterministic=0.5), ["deterministic"])

    assert row == (
        "| ten petals | deterministic encoder | 0.600 ± 0.100 | 0.600 ± 0.100 | 0.400 to 0.700 "
        "| 0.600 ± 0.100 | 0.600 ± 0.100 | 3 |"
    )


@pytest.mark.parametrize(("other", "apart"), [(0.6, 0), (1.5, 4)])
def test_only_differences_beyond_the_spread_are_listed(pieces, petals_only, other, apart):
    found = [*pieces.differences(cells(3, deterministic=0.5, universal=other), ["deterministic", "universal"])]

    assert len(found) == apart
    assert all(it.endswith("deterministic 0.600 < universal 1.600") for it in found)


def test_two_seeds_tell_nothing_apart(pieces, petals_only):
    found = cells(2, deterministic=0.5, universal=9.0)

    assert [*pieces.differences(found, ["deterministic", "universal"])] == []
