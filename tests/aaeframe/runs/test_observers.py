"""Observers of a run: what they are told, and that they change nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import aaeframe
from aaeframe.errors import BrokenComponent, ComponentError, ConfigError, OptionError
from aaeframe.runs.reading import read_config
from aaeframe.storage.run_folder import RunFolder
from aaeframe.training.observers import MEMBERS, Observer

from .small_runs import ROWS, STEPS, assert_same_model, command, trained

LAST = 2 * STEPS


class Remembers:
    """Remembers every call."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, member):
        if member not in MEMBERS:
            raise AttributeError(member)
        return lambda *arguments: self.calls.append((member, *map(self._kept, arguments)))

    @staticmethod
    def _kept(argument):
        return dict(argument) if type(argument).__name__ == "StepLosses" else argument

    def told(self, member):
        return [call[1:] for call in self.calls if call[0] == member]


class Stops:
    """Ends the run in a member, at a step or an epoch."""

    def __init__(self, member, at=None, why=""):
        self.__dict__[member] = self._stop
        self.at, self.why = at, why

    def _stop(self, *arguments):
        found = arguments[0].get("epoch") if isinstance(arguments[0], dict) else arguments[0]
        if self.at is None or found == self.at:
            raise aaeframe.StopRun(self.why)


def train(out, *observers, **settings):
    return trained(out, observers=list(observers), **settings)


@pytest.fixture(scope="module")
def remembered(tmp_path_factory):
    it = Remembers()
    return it, train(tmp_path_factory.mktemp("remembered") / "run", it, checkpoint_every=1)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("alone") / "run")


def test_an_observer_is_told_of_a_whole_run(remembered):
    it, run = remembered

    assert [name for name, *_ in it.calls] == [
        "run_started",
        *(["stepped"] * STEPS + ["epoch_ended", "checkpoint_saved"]) * 2,
        "run_ended",
    ]
    ((config, folder, steps, step),) = it.told("run_started")
    assert (folder, steps, step) == (run.folder.path, LAST, 0)
    assert config["prior"]["gaussian"] == {
        "component": "aaeframe:gaussian",
        "options": {"size": 2, "scale": 1.0},
        **{"instance_noise": 0.0, "softening": 0.0},
    }
    assert it.told("run_ended") == [(True, "all epochs are done")]
    assert [path.is_dir() for path, _ in it.told("checkpoint_saved")] == [True, True]
    assert [step for _, step in it.told("checkpoint_saved")] == [STEPS, LAST]


def test_its_losses_are_those_whose_means_are_the_rows(remembered):
    it, run = remembered
    steps, rows = it.told("stepped"), [row for row, _ in it.told("epoch_ended")]

    assert [step for step, _ in steps] == list(range(1, LAST + 1))
    means = [np.mean([losses["reconstruction"] for _, losses in part]) for part in (steps[:STEPS], steps[STEPS:])]
    assert means == pytest.approx([row["reconstruction"] for row in rows])
    assert rows == [{key: it for key, it in row.items() if key != "warnings"} for row in run.metrics]


def test_a_run_in_memory_has_no_folder_and_no_checkpoints():
    it = Remembers()
    train(None, it, keep=False, epochs=1)

    assert it.told("run_started")[0][1:] == (None, STEPS, 0)
    assert it.told("checkpoint_saved") == []
    assert it.told("run_ended") == [(True, "all epochs are done")]


class Disturbs:
    """Draws random numbers, changes torch and its own copies, and prints."""

    def stepped(self, step, losses):
        torch.manual_seed(step)
        torch.rand(5)
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        print("noise")

    def epoch_ended(self, row, warnings):
        row.clear()
        warnings.append("mine")

    def run_started(self, config, folder, steps, step):
        config["training"].clear()
        torch.rand(1)


def test_training_has_the_same_bits_with_observers_and_without(alone, tmp_path, capfd):
    class Fails:
        def stepped(self, step, losses):
            torch.rand(1)
            raise OSError("disk full")

    settings = {"threads": torch.get_num_threads(), "dtype": torch.get_default_dtype()}
    it = Remembers()
    with pytest.warns(UserWarning, match=r"the observer 'Fails' failed in stepped and is left out: OSError: disk full"):
        run = train(tmp_path / "run", Disturbs(), Fails(), it, "csv")

    assert_same_model(run, alone)
    checkpoints = [next(iter(sorted(it.folder.checkpoints.iterdir(), reverse=True))) for it in (run, alone)]
    optimizers = [(path / "optimizer.safetensors").read_bytes() for path in checkpoints]
    assert optimizers[0] == optimizers[1]
    assert settings == {"threads": torch.get_num_threads(), "dtype": torch.get_default_dtype()}
    assert torch.is_grad_enabled()
    assert len(it.told("epoch_ended")) == 2
    assert all(row["epoch"] and warnings == [] for row, warnings in it.told("epoch_ended"))
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("error", [SystemExit(3), ValueError(), aaeframe.StopRun("late")])
def test_an_observer_that_fails_is_reported_once_and_left_out(tmp_path, error):
    class Fails:
        calls = 0

        def run_ended(self, finished, reason):
            self.calls += 1
            raise error

    it = Fails()
    with pytest.warns(UserWarning, match="the observer 'Fails' failed in run_ended and is left out"):
        run = train(tmp_path / "run", it, epochs=1)
    said = []
    run.evaluate(split="validation", warn=said.append)

    assert not any("Fails" in sentence for sentence in said)
    assert (run.finished, it.calls) == (True, 1)


def test_losses_are_refused_when_the_step_is_over(tmp_path):
    class Keeps:
        kept = None

        def stepped(self, step, losses):
            if self.kept is not None:
                self.kept["reconstruction"]
            self.kept = losses

    with pytest.warns(UserWarning, match="the losses of step 1 were read after `stepped` returned"):
        train(tmp_path / "run", Keeps(), epochs=1)


def test_an_observer_that_reads_no_loss_waits_for_none(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr("aaeframe.training.observers.float", lambda it: read.append(it) or 0.0, raising=False)

    class Looks:
        def stepped(self, step, losses):
            assert len(losses) == len(list(losses)) > 1
            if step == 2:
                losses["reconstruction"]

    train(tmp_path / "run", Looks(), epochs=1)
    assert len(read) == 1


@pytest.mark.parametrize(
    ("member", "at", "step"), [("stepped", 2, 2), ("epoch_ended", 1, STEPS), ("run_started", None, 0)]
)
def test_an_observer_ends_a_run_that_is_saved_and_resumed_to_the_same_bits(alone, tmp_path, member, at, step):
    it = Remembers()
    with pytest.warns(UserWarning, match=f"the observer 'Stops' ended the run: enough, at step {step} of {LAST}"):
        run = train(tmp_path / "run", Stops(member, at, "enough"), it)

    assert (run.finished, run.step) == (False, step)
    assert it.told("run_ended") == [(False, "the observer 'Stops' ended the run: enough")]
    again = aaeframe.resume(run.folder.path, data=ROWS, observers=[it])
    assert it.told("run_started")[1][1:] == (run.folder.path, LAST, step)
    assert_same_model(again, alone)


def test_an_observer_that_stops_after_the_last_epoch_has_nothing_to_end(tmp_path):
    assert train(tmp_path / "run", Stops("epoch_ended", at=2)).finished


def test_a_training_that_fails_is_told(tmp_path):
    it = Remembers()
    with pytest.raises(aaeframe.errors.TrainingDiverged):
        train(tmp_path / "run", it, config={"optimizers": {"reconstruction": "sgd(lr=1e30)"}})

    ((finished, reason),) = it.told("run_ended")
    assert not finished
    assert reason.startswith("TrainingDiverged: ")


def test_reports_and_figures_are_told_as_sessions_that_train_nothing(remembered, monkeypatch, tmp_path):
    it, run = remembered
    drawn = [tmp_path / "codes.png"]
    monkeypatch.setattr("aaeframe.runs.reporting.plot_gallery", lambda *_, **__: drawn)
    it.calls.clear()
    report = run.evaluate(split="validation")
    run.plot_figures(split="validation")

    assert [name for name, *_ in it.calls] == [
        "run_started",
        "reported",
        "run_ended",
        "run_started",
        "drawn",
        "run_ended",
    ]
    assert it.told("run_started")[0][2:] == (LAST, LAST)
    assert it.told("reported") == [("validation", report)]
    assert it.told("drawn") == [(drawn,)]
    assert it.told("run_ended") == [(True, "nothing was trained")] * 2


# By name.


def test_observers_are_stored_and_follow_a_resumed_run(tmp_path, monkeypatch, capsys):
    rows, run = tmp_path / "rows.npy", tmp_path / "run"
    np.save(rows, ROWS)
    with pytest.warns(UserWarning, match="ended the run"):
        trained(run, str(rows), observers=["csv", 'csv(file="again.csv")', Stops("stepped", at=STEPS + 2)])
    stored = read_config(RunFolder(run)).observers
    assert {name: (it.component, it.options) for name, it in stored.items()} == {
        "csv": ("aaeframe:csv", {"file": "metrics.csv"}),
        "csv_2": ("aaeframe:csv", {"file": "again.csv"}),
    }
    aaeframe.resume(run)

    for file in ("metrics.csv", "again.csv"):
        assert [line.partition(",")[0] for line in (run / file).read_text().splitlines()] == ["epoch", "1", "2"]


def test_a_changed_option_of_an_observer_changes_no_bits_and_is_no_news(tmp_path):
    with pytest.warns(UserWarning, match="ended the run"):
        run = train(tmp_path / "run", "csv", Stops("stepped", at=2))
    config = run.folder.path / "config.toml"
    config.write_text(config.read_text().replace("metrics.csv", "other.csv"))

    aaeframe.resume(run.folder.path, data=ROWS)  # a warning is an error here

    assert (run.folder.path / "other.csv").is_file()


def test_an_observer_that_is_gone_keeps_no_run_from_use(tmp_path):
    with pytest.warns(UserWarning, match="ended the run"):
        run = train(tmp_path / "run", "csv", Stops("stepped", at=2))
    config = run.folder.path / "config.toml"
    config.write_text(config.read_text().replace("aaeframe:csv", "aaeframe-gone:csv"))

    again = aaeframe.load(run.folder.path, data=ROWS)
    said = []
    again.evaluate(split="validation", warn=said.append)
    assert any("'csv' failed in its factory and is left out: UnknownComponent" in it for it in said)
    with pytest.warns(UserWarning, match="'csv' failed in its factory and is left out: UnknownComponent"):
        assert aaeframe.resume(run.folder.path, data=ROWS).finished


def test_nothing_acts_without_being_asked_for(alone):
    assert sorted(path.name for path in alone.folder.path.iterdir()) == ["checkpoints", "config.toml", "metrics.jsonl"]
    assert read_config(alone.folder).observers == {}


@pytest.mark.parametrize(
    ("observers", "error", "message"),
    [
        (["cvs"], ComponentError, "no active plugin offers a observer named 'cvs'"),
        (["csv(file=3)"], OptionError, "file=3 does not fit"),
        (['csv(file="../rows.csv")'], OptionError, "does not fit"),
        ([Remembers], ConfigError, r"the observer Remembers is a class; pass an instance, as in Remembers\(\)"),
        ([3], BrokenComponent, "of type int, has none of the members of an observer: run_started, stepped"),
        (3, ConfigError, r"observers is a list of names and objects, not int; write \[it\]"),
        ([Observer], ConfigError, "is a class"),
    ],
)
def test_what_cannot_observe_is_refused_before_anything_is_written(tmp_path, observers, error, message):
    with pytest.raises(error, match=message):
        trained(tmp_path / "run", observers=observers)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_command_takes_observers_and_tells_when_one_ends_the_run(tmp_path, monkeypatch, capsys):
    rows, run = tmp_path / "rows.npy", tmp_path / "run"
    np.save(rows, ROWS)
    small = (
        "--network",
        "mlp(hidden=[8])",
        "--discriminator",
        "mlp(hidden=[8])",
        "--epochs",
        "1",
        "--batch-size",
        "20",
    )
    code, err = command(
        monkeypatch,
        capsys,
        "train",
        "--data",
        rows,
        *small,
        "--observer",
        "csv",
        "--observer",
        'csv(file="b.csv")',
        "--out",
        run,
    )
    assert code == 0, err
    assert (run / "metrics.csv").read_text() == (run / "b.csv").read_text()
    code, err = command(monkeypatch, capsys, "train", "--resume", run, "--observer", "csv")
    assert (code, "found --observer" in err) == (2, True)
