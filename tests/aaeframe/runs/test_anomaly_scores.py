"""Scores of a run: the density is kept with its weights, and never used for others."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_runs import LABELS, ROWS, SMALL, TRAINING

import aaeframe
from aaeframe.anomaly import fit_density, kept, scores
from aaeframe.errors import CheckpointError, ConfigError, DataError, ReadOnly
from aaeframe.runs.anomaly import AnomalyScorer

ODD = np.concatenate([ROWS[:20], np.full((1, 4), 60.0, np.float32)])


@pytest.fixture
def folder(finished, tmp_path):
    """A copy of a run whose weights have a moving average."""
    return shutil.copytree(finished.folder.path, tmp_path / "run")


def test_the_density_is_kept_and_gives_the_same_scores_without_the_data(folder):
    found = aaeframe.load(folder, data=ROWS).scores(ODD)

    assert found.shape == (21,)
    assert found.argmax() == 20
    assert (folder / "anomaly.safetensors").is_file()
    np.testing.assert_array_equal(aaeframe.load(folder).scores(ODD), found)  # its data came from Python


def test_other_weights_have_a_density_of_their_own(folder):
    averaged = aaeframe.load(folder, data=ROWS).scores(ODD)
    raw = aaeframe.load(folder, data=ROWS, raw_weights=True)

    found = raw.scores(ODD)

    fresh = fit_density(raw.model, raw.dataset().train)
    np.testing.assert_array_equal(found, scores(raw.model, ODD, "density", density=fresh))
    assert not np.array_equal(found, averaged)
    with pytest.raises(DataError, match="pass the same data again"):
        aaeframe.load(folder).scores(ODD)  # the file is of the raw weights now


def test_a_damaged_file_is_an_error_and_not_another_score(folder):
    aaeframe.load(folder, data=ROWS).scores(ODD)
    path = folder / "anomaly.safetensors"
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    for damaged in (content, content[:-1], b"", content[:200]):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"anomaly.safetensors cannot be used: .* Remove it"):
            aaeframe.load(folder, data=ROWS).scores(ODD)


def test_a_file_of_something_else_is_refused(folder):
    run = aaeframe.load(folder, data=ROWS)
    run.scores(ODD)
    path = folder / "anomaly.safetensors"
    with pytest.raises(CheckpointError, match="its tensors do not fit rows of 100 values"):
        kept.read(path, run.weights_digest(), 100)
    whole = load_file(path)
    del whole["rest"]
    for other in (whole, {**whole, "rest": torch.zeros(1)}):  # that of a density is float64
        save_file(other, path)
        with pytest.raises(CheckpointError, match="its tensors are not those of a density"):
            kept.read(path, run.weights_digest(), 4)


def test_a_density_that_cannot_be_kept_is_used_all_the_same(folder, monkeypatch):
    expected = aaeframe.load(folder, data=ROWS).scores(ODD)
    (folder / "anomaly.safetensors").unlink()

    def refuse(*arguments):
        raise ReadOnly("cannot write it.")

    monkeypatch.setattr(kept, "write_atomically", refuse)
    told = []

    np.testing.assert_array_equal(aaeframe.load(folder, data=ROWS).scores(ODD, warn=told.append), expected)
    assert told == ["cannot write it. Until then it is fitted for each command"]


def test_a_density_of_changed_data_is_asked_for_and_not_kept(folder):
    run = aaeframe.load(folder, data=ROWS + 1)
    with pytest.raises(DataError, match="is not the data of the training any more"):
        run.scores(ODD)

    AnomalyScorer(run, pytest.fail, data_changed=True).scores(ODD)

    assert not (folder / "anomaly.safetensors").exists()


@pytest.mark.parametrize("kind", ["density", "reconstruction", "prior"])
def test_the_threshold_is_exceeded_by_a_share_of_the_training_rows(folder, kind):
    run = aaeframe.load(folder, data=ROWS)
    scorer = AnomalyScorer(run, pytest.fail)

    found = scorer.scores(run.dataset().train, kind) > scorer.threshold(0.05, kind)

    assert found.sum() == 4  # of 80


@pytest.mark.parametrize("share", [0, 0.6, -1, float("nan")])
def test_a_contamination_is_a_share_of_less_than_half(finished, share):
    with pytest.raises(ConfigError, match=r"--contamination is the share of anomalies, in \(0, 0.5\], found"):
        AnomalyScorer(finished, pytest.fail).threshold(share)


def test_a_run_in_memory_scores_and_a_metric_measures_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    odd = np.arange(100) % 5 == 0
    x = np.where(odd[:, None], 30, 0) + ROWS - LABELS[:, None]
    run = aaeframe.train((x.astype(np.float32), odd.astype(int)), keep=False, **SMALL, **TRAINING)

    test = run.dataset().test
    report = run.evaluate(metrics=["anomaly", "anomaly(kind='reconstruction')", "anomaly(anomalies='2')"])

    found = report["metrics"]["anomaly"]
    pairs = run.scores(test)[test.labels == 1][:, None] > run.scores(test)[test.labels == 0]
    assert found["auroc"] == pytest.approx(pairs.mean())
    assert 0 < found["average_precision"] <= 1
    assert report["metrics"]['anomaly(kind="reconstruction")']["auroc"] == 1.0
    (why,) = report["metric_errors"].values()
    assert "has the classes 0, 1, and no class '2'" in why
    assert list(tmp_path.iterdir()) == []


def test_reasons_name_the_columns(folder):
    run = aaeframe.load(folder, data=ROWS)
    x = ROWS[:3].copy()
    x[1, 2] -= 50

    found = run.reasons(x, 2)

    assert found.columns.shape == found.deviations.shape == (3, 2)
    assert found.columns[1, 0] == "x_3"
    assert found.deviations[1, 0] < -5


@pytest.mark.slow
def test_labels_0_and_1_are_anomalies_without_being_asked_for():
    x = np.random.default_rng(0).normal(size=(80, 4)).astype(np.float32)
    odd = np.arange(80) % 8 == 0
    run = aaeframe.train((x, odd.astype(int)), keep=False, steps=20, network="mlp(hidden=[8])", scale="none")
    assert run.evaluate(split="train")["metrics"]["anomaly"].keys() == {"auroc", "average_precision"}
    other = aaeframe.train((x, odd.astype(int) + 1), keep=False, steps=20, network="mlp(hidden=[8])", scale="none")
    assert "metrics" not in other.evaluate(split="train")


def test_a_run_without_labels_is_evaluated_by_those_of_new_rows():
    run = aaeframe.train(ROWS, keep=False, **SMALL, **TRAINING)
    odd = np.arange(21) == 20
    found = run.evaluate((ODD, odd.astype(int)), warn=lambda sentence: None)
    assert found["metrics"]["anomaly"]["auroc"] == 1.0
    named = run.evaluate((ODD, np.where(odd, "odd", "usual")), metrics=["anomaly(anomalies='odd')"], two_sample=False)
    assert named["metrics"]['anomaly(anomalies="odd")']["auroc"] == 1.0


@pytest.mark.parametrize("kind", ["prior", "discriminator"])
def test_kinds_that_decode_nothing_need_no_labels(kind):
    run = aaeframe.train((ROWS, LABELS), recipe="supervised", keep=False, **SMALL, **TRAINING)

    np.testing.assert_array_equal(run.scores(ROWS.tolist(), kind=kind), run.scores(ROWS, kind=kind))
