from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from small_runs import LABELS, ROWS, SMALL, TRAINING, Telling, resumed, trained

import aaeframe
from aaeframe.data import from_arrays
from aaeframe.errors import CheckpointError, ConfigError, DataError, RunError
from aaeframe.protocols import Needs
from aaeframe.storage import checkpoint as checkpoints
from aaeframe.training.early_stopping import EarlyStopping

JUMPY = {"optimizers": {"reconstruction": {"lr": 0.3}}}
"""A learning rate at which the validation error soon rises."""
PATIENT = {"epochs": 40, "patience": 3, "checkpoint_every": 40}
CRITERION = "validation/reconstruction"


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("stopped") / "run", config=JUMPY, **PATIENT)


def weights(run):
    return run.model.state_dict()


def same(run, other):
    return all(torch.equal(value, weights(other)[name]) for name, value in weights(run).items())


@pytest.mark.parametrize(
    ("values", "patience", "best", "exhausted"),
    [
        ([3.0, 2.0, 1.0], 1, 3, False),
        ([3.0, 2.0, 2.0], 1, 2, True),
        ([3.0, 2.0, 2.5, 1.0, 4.0], 2, 4, False),
        ([3.0, None, None, 4.0], 2, 1, False),
    ],
    ids=["falling", "an equal value is no improvement", "a new best begins anew", "epochs that were not measured"],
)
def test_the_patience_counts_measurements_without_improvement(values, patience, best, exhausted):
    rows = [{"epoch": at, "step": at, **({"c": it} if it is not None else {})} for at, it in enumerate(values, 1)]
    found = EarlyStopping("c", patience).observe_all(rows, len(rows))
    assert (found.best_epoch, found.exhausted) == (best, exhausted)


def test_a_run_stops_after_as_many_epochs_without_improvement_and_knows_its_best(stopped):
    values = [row[CRITERION] for row in stopped.metrics]
    best = int(np.argmin(values)) + 1
    assert len(values) == best + 3 < 40
    assert stopped.stopped_early
    assert stopped.finished
    assert stopped.best_epoch == best


def test_the_weights_of_the_best_epoch_are_kept_and_loaded(tmp_path, stopped):
    folder = stopped.folder.path
    last, best = aaeframe.load(folder), aaeframe.load(folder, best=True)
    assert same(last, stopped)
    assert not same(best, last)
    assert best.step == 4 * stopped.best_epoch
    assert (best.stopped_early, best.finished, best.best_epoch) == (True, True, stopped.best_epoch)
    told = Telling(stop_after=best.step)
    assert same(best, trained(tmp_path / "run", config=JUMPY, callbacks=told.callbacks, **PATIENT))


def test_the_best_is_kept_among_later_checkpoints(tmp_path):
    run = trained(tmp_path / "run", config=JUMPY, **{**PATIENT, "checkpoint_every": 1})
    kept = [path.name for path in checkpoints.paths(run.folder.checkpoints)]
    assert kept == [f"step-{step:08d}" for step in (4 * run.best_epoch, run.step - 4, run.step)]


def test_a_run_that_was_stopped_and_resumed_has_the_same_bits_and_the_same_end(tmp_path, stopped, registry):
    told = Telling(stop_after=4 * (stopped.best_epoch + 1) + 1)
    half = trained(tmp_path / "run", config=JUMPY, callbacks=told.callbacks, **PATIENT)
    assert not half.finished
    assert half.best_epoch == stopped.best_epoch
    end = resumed(tmp_path / "run", registry, Telling())
    assert same(end, stopped)
    assert same(end.best(), stopped.best())
    assert (end.step, end.stopped_early, end.best_epoch) == (stopped.step, True, stopped.best_epoch)
    again = Telling()
    assert resumed(tmp_path / "run", registry, again).step == stopped.step
    assert any("stopped early already: the best epoch is" in it for it in again.warn)


def test_a_run_in_memory_has_the_last_weights_and_reaches_the_best(stopped):
    settings = {**SMALL, **TRAINING, **PATIENT}
    run = aaeframe.train(ROWS, prior="gaussian", config=JUMPY, keep=False, **settings)
    assert same(run, stopped)
    assert same(run.best(), stopped.best())


def test_the_best_weights_leave_a_prior_that_follows_codes_in_the_last_run_as_it_is():
    settings = {**SMALL, **TRAINING, **PATIENT, "recipe": "clustering", "config": JUMPY}
    prior = {"y": "categorical(classes=4, follow=0.3)", "z": "gaussian"}
    run = aaeframe.train(ROWS, prior=prior, keep=False, **settings)
    before = run.weights_digest()
    best = run.best()
    assert best.model.priors["y"].seen == best.step < run.step
    assert run.model.priors["y"].seen == run.step
    assert run.weights_digest() == before


def test_a_damaged_or_missing_best_checkpoint_is_an_error(tmp_path, stopped):
    run = shutil.copytree(stopped.folder.path, tmp_path / "run")
    shutil.rmtree(checkpoints.path_of(run / "checkpoints", 4 * stopped.best_epoch))
    with pytest.raises(CheckpointError, match=f"step-{4 * stopped.best_epoch:08d}.* cannot be used: No such file"):
        aaeframe.load(run, best=True)


def test_without_patience_there_is_no_best(finished):
    assert finished.best_epoch is None
    assert not finished.stopped_early
    with pytest.raises(RunError, match=r"trained without training.patience; .*--set training.patience=N"):
        aaeframe.load(finished.folder.path, best=True)


def test_the_criterion_is_the_error_where_classes_are_learned():
    classes = Needs(labels="optional", class_block=True)
    assert classes.criterion(10) == "validation/error"
    assert classes.criterion(0) == Needs().criterion(0) == CRITERION
    assert Needs(reconstructs=False).criterion(0) is None


def test_an_error_without_labeled_validation_rows_is_refused():
    data = from_arrays(ROWS, LABELS)
    data.validation.labels[:] = -1
    with pytest.raises(DataError, match=r"no labeled validation rows, whose error is the criterion"):
        aaeframe.train(
            data, recipe="semi-supervised", prior="y=categorical(classes=10)+z=gaussian", labels=10, patience=2,
            keep=False, **SMALL, **TRAINING,
        )  # fmt: skip


@pytest.mark.parametrize("patience", [0, -1, "many"])
def test_a_patience_that_is_no_count_is_refused(patience):
    with pytest.raises(ConfigError, match=r"training\.patience"):
        aaeframe.train(ROWS, keep=False, patience=patience)


@pytest.fixture
def told(capsys, monkeypatch):
    """Run a command; returns its standard output and error, and its exit code as `code`."""
    from aaeframe.cli import main

    def run(*arguments, code=0):
        monkeypatch.setattr("sys.argv", ["aaeframe", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert (ended.value.code or 0) == code
        return capsys.readouterr()

    return run


@pytest.mark.slow
def test_the_command_line_says_that_it_stopped_and_uses_the_best(tmp_path, told):
    np.save(tmp_path / "rows.npy", ROWS)
    folder, out = tmp_path / "run", tmp_path / "out.npz"
    rate = ("--set", "optimizers.reconstruction.lr=0.3", "--set", "training.patience=2", "--batch-size", 20)
    small = ("--network", "mlp(hidden=[8])", "--discriminator", "mlp(hidden=[8])", "--epochs", 30)
    train = told("train", "--data", tmp_path / "rows.npy", "--out", folder, *rate, *small, "--json")
    result = json.loads(train.out)
    best = result["best_epoch"]
    assert result["stopped_early"]
    assert result["finished"]
    note = f"stopped early after 2 epochs without improvement; the best epoch is {best}, by its {CRITERION}"
    assert note in train.err
    assert "--best" in train.err
    report = json.loads(told("evaluate", folder, "--best", "--split", "validation", "--json").out)
    assert report["step"] == 4 * best
    run = aaeframe.load(folder, best=True)
    x = run.dataset().test.array()
    for command, name, expected in (
        ("encode", "gaussian", run.encode(x)["gaussian"]),
        ("reconstruct", "x_hat", run.reconstruct(x)),
        ("sample", "x", run.sample(3, seed=1)),
    ):
        more = ("--count", 3, "--seed", 1) if command == "sample" else ()
        told(command, folder, "--best", "--out", out, *more)
        np.testing.assert_array_equal(np.load(out)[name], expected)


@pytest.mark.parametrize("command", ["evaluate", "encode", "reconstruct", "sample", "figures"])
def test_the_command_line_refuses_the_best_of_a_run_without_patience(finished, told, command):
    told_now = told(command, finished.folder.path, "--best", code=2)
    assert "trained without training.patience; use its last weights, or train with --set training" in told_now.err
