"""SIGINT and SIGTERM, wherever they come: work is left within seconds, and nothing is half done."""

from __future__ import annotations

import signal

import pytest

from aaeframe.evaluation import likelihood
from aaeframe.figures import gallery
from aaeframe.runs import measuring
from aaeframe.runs import start as starts
from aaeframe.storage.checkpoint import latest

SIGNALS = pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
TRAIN = ("train", "--prior", "gaussian", "--network", "mlp(hidden=[8])", "--discriminator", "mlp(hidden=[8])")


@pytest.fixture(autouse=True)
def default_handlers():
    """The handlers of a command line, not those of pytest; a test that forgets a signal ends this process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    assert {number: signal.getsignal(number) for number in before} == {**before, signal.SIGTERM: signal.SIG_DFL}


@pytest.fixture
def signaled(monkeypatch):
    """Sends signals to this process before the n-th call of a function."""

    def at(module, name, *numbers, call=1):
        real, calls = getattr(module, name), []

        def wrapped(*args, **kwargs):
            calls.append(None)
            if len(calls) == call:
                for number in numbers:
                    signal.raise_signal(number)
            return real(*args, **kwargs)

        monkeypatch.setattr(module, name, wrapped)

    return at


@SIGNALS
@pytest.mark.parametrize("where", ["load_data", "create"])
def test_before_the_first_step_it_leaves_at_once_and_nothing_is_written(cli, signaled, tmp_path, number, code, where):
    signaled(starts, where, number)
    outcome = cli(*TRAIN, "--out", tmp_path / "run")
    assert outcome.code == code
    assert outcome.err.endswith("interrupted before training began; nothing was written\n")
    assert list(tmp_path.iterdir()) == []


def test_while_the_first_checkpoint_is_written_nothing_is_left(cli, signaled, tmp_path):
    signaled(starts.checkpoints, "_write_flushed", signal.SIGINT, call=2)
    assert cli(*TRAIN, "--out", tmp_path / "run").code == 130
    assert list(tmp_path.iterdir()) == []


def test_while_a_run_is_resumed_it_leaves_at_once_and_the_run_is_as_it_was(cli, signaled, run):
    def content():
        return {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}

    before = content()
    signaled(starts, "load_data", signal.SIGTERM)
    outcome = cli("train", "--resume", run)
    assert outcome.code == 143
    assert outcome.err == f"stopped; resume with: aaeframe train --resume {run}\n"
    assert content() == before


@SIGNALS
def test_asked_in_the_last_step_it_neither_evaluates_nor_draws(cli, signaled, tmp_path, number, code):
    signaled(starts.Training, "_validated", number)
    outcome = cli(*TRAIN, "--epochs", 1, "--out", tmp_path / "run")
    assert outcome.code == code
    assert outcome.out == ""
    assert f"stopped; resume with: aaeframe train --resume {tmp_path / 'run'}" in outcome.err
    assert latest(tmp_path / "run" / "checkpoints").name == "step-00000012"
    assert not (tmp_path / "run" / "figures").exists()


@pytest.mark.slow
@SIGNALS
def test_after_the_training_it_leaves_at_once_and_the_same_can_be_had_again(cli, signaled, run, number, code):
    signaled(gallery, "save", number, call=2)
    outcome = cli("train", "--resume", run)
    assert outcome.code == code
    assert outcome.err.endswith(f"stopped; resume with: aaeframe train --resume {run}\n")
    assert [path.name for path in (run / "figures").iterdir()] == ["codes-swissroll.png"]
    assert cli("train", "--resume", run).code == 0
    assert (run / "figures" / "losses.png").exists()


def test_a_path_that_a_shell_would_split_is_quoted(cli, signaled, run, tmp_path):
    spaced = run.rename(tmp_path / "my run")
    signaled(starts, "load_data", signal.SIGTERM)
    assert cli("train", "--resume", spaced).err == f"stopped; resume with: aaeframe train --resume '{spaced}'\n"


def test_the_same_signal_twice_at_one_moment_is_one(cli, signaled, tmp_path):
    """As `timeout` sends it to a process and to its group."""
    signaled(starts.Training, "_step", signal.SIGTERM, signal.SIGTERM, call=3)
    assert cli(*TRAIN, "--out", tmp_path / "run").code == 143
    assert latest(tmp_path / "run" / "checkpoints").name == "step-00000003"


def test_evaluation_is_left_at_once(cli, signaled, run):
    signaled(measuring, "evaluate", signal.SIGTERM)
    outcome = cli("evaluate", run)
    assert (outcome.code, outcome.out) == (143, "")
    assert outcome.err == "interrupted; nothing was written\n"
    assert not (run / "evaluation.json").exists()


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(likelihood, "CHUNK", 100)
    monkeypatch.setattr(measuring, "CHUNK", 100)


@pytest.mark.slow
@SIGNALS
def test_a_likelihood_is_left_after_the_samples_at_hand_and_goes_on_there(
    cli, done, signaled, run, small_chunks, monkeypatch, number, code
):
    counted = []
    real = likelihood.ParzenState.update

    def update(self, samples):
        counted.append(len(samples))
        real(self, samples)

    monkeypatch.setattr(likelihood.ParzenState, "update", update)
    whole = done("evaluate", run, "--likelihood", "--samples", 500, "--json").json["likelihood"]
    every = len(counted)
    signaled(likelihood.Decoded, "rows", number, call=4)
    outcome = cli("evaluate", run, "--likelihood", "--samples", 500)
    assert outcome.code == code
    assert outcome.err.splitlines()[-1] == "stopped; run the same command to resume from here"
    assert [path.suffix for path in (run / "likelihood").iterdir()] == [".unfinished"]
    again = done("evaluate", run, "--likelihood", "--samples", 500, "--json").json["likelihood"]
    assert len(counted) == 2 * every, "no sample was looked at twice, or left out"
    assert {**again, "seconds": whole["seconds"]} == whole
