"""Resuming: what must be as it was, and what is noted where it is not."""

from __future__ import annotations

import re
import shutil

import pytest
import torch
from small_runs import ROWS, STEPS, Telling, assert_same_model, command, content, resumed, trained

from aaeframe.data import from_arrays
from aaeframe.errors import CheckpointError, ConfigError
from aaeframe.runs.loading import load
from aaeframe.runs.start import resume
from aaeframe.storage.checkpoint import Checkpoint, latest, read, write
from aaeframe.storage.metrics_file import MetricsFile


def test_a_finished_run_is_not_harmed(finished, registry):
    told = Telling()
    before = content(finished.folder.path)
    again = resume(finished.folder.path, registry, dataset=from_arrays(ROWS), callbacks=told.callbacks)
    assert again.finished
    assert told.warn == ["all 2 epochs were done already; nothing was trained"]
    assert told.steps == 0
    assert content(finished.folder.path) == before
    assert_same_model(again, finished)


def test_changed_data_is_refused_and_nothing_touched(tmp_path, registry):
    trained(tmp_path / "run", callbacks=Telling(stop_after=6).callbacks)
    metrics = tmp_path / "run" / "metrics.jsonl"
    metrics.write_bytes(metrics.read_bytes() + b'{"epoch": 2}\n')
    before = content(tmp_path / "run")
    with pytest.raises(CheckpointError, match="the training data differs from the data of this run so far"):
        resume(tmp_path / "run", registry, dataset=from_arrays(ROWS + 1))
    assert content(tmp_path / "run") == before


def test_rows_after_the_checkpoint_are_written_anew(tmp_path, registry):
    whole = trained(tmp_path / "whole")
    trained(tmp_path / "run", callbacks=Telling(stop_after=6).callbacks)
    metrics = MetricsFile(tmp_path / "run" / "metrics.jsonl")
    metrics.append({"epoch": 2, "of": "a process that was killed"})
    resume(tmp_path / "run", registry, dataset=from_arrays(ROWS))
    rows = metrics.rows()
    assert [row["epoch"] for row in rows] == [1, 2]
    assert rows[1]["reconstruction"] == MetricsFile(whole.folder.metrics).rows()[1]["reconstruction"]


PHASES = "reconstruction, discriminator, generator"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("optimizers.reconstruction", "optimizers.foo", f"optimizers.foo is not used: .* has the phases {PHASES}"),
        ("[plugins]", '[optimizers.foo]\nname = "adam"\n\n[plugins]', "optimizers.foo is not used"),
        ('"alternating"', '"joint"', "optimizers.reconstruction is not used: .* has the phases autoencoder"),
        ('schedule = "alternating"\n', "", "training.schedule is missing; .* has: alternating, joint"),
    ],
    ids=["another", "one more", "schedule", "no schedule"],
)
def test_optimizers_that_do_not_fit_the_recipe_are_refused(copy, registry, old, new, message):
    text = (copy / "config.toml").read_text()
    assert old in text
    (copy / "config.toml").write_text(text.replace(old, new))
    before = content(copy)
    with pytest.raises(ConfigError, match=message):
        resumed(copy, registry, Telling())
    assert content(copy) == before


def test_another_number_of_threads_is_noted_in_words(tmp_path, registry):
    trained(tmp_path / "run", callbacks=Telling(stop_after=6).callbacks)
    told, threads = Telling(), torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        run = resume(tmp_path / "run", registry, dataset=from_arrays(ROWS), callbacks=told.callbacks)
    finally:
        torch.set_num_threads(threads)
    assert run.finished
    assert told.warn == [
        f"no longer bitwise equal to a run that was never stopped: threads was {threads}, is {threads + 1}"
    ]


def test_a_configuration_that_was_changed_is_noted_in_words(copy, monkeypatch, capsys, registry):
    load(copy)  # without a warning, which would be an error
    config, told = copy / "config.toml", Telling()
    config.write_text(f"# by hand\n{config.read_text().replace('epochs = 4', 'epochs = 5')}")
    sentence = f"{config} was changed since the checkpoint was written: training.epochs was 4, is 5"
    with pytest.warns(UserWarning, match=re.escape(sentence)):
        load(copy)
    _, err = command(monkeypatch, capsys, "sample", copy)
    assert f"note: {sentence}" in err.splitlines()
    resumed(copy, registry, told)
    assert told.steps == STEPS
    assert told.warn == [f"no longer bitwise equal to a run that was never stopped: {sentence}"]
    load(copy)


def test_fewer_epochs_than_were_trained_are_done_already(copy, registry):
    config, told = copy / "config.toml", Telling()
    config.write_text(config.read_text().replace("epochs = 4", "epochs = 2"))
    run = resumed(copy, registry, told)
    assert (run.step, run.finished, told.steps) == (4 * STEPS, True, 0)
    assert told.warn[0].endswith("training.epochs was 4, is 2")
    assert told.warn[1:] == ["all 2 epochs were done already; nothing was trained"]


def test_another_batch_size_is_named_as_what_does_not_fit(copy, registry):
    config = copy / "config.toml"
    config.write_text(config.read_text().replace("\nbatch_size = 20", "\nbatch_size = 40"))
    with pytest.raises(CheckpointError, match=r"of step 16, where .* at 8: bring .* training\.batch_size back"):
        resumed(copy, registry, Telling())


def test_a_checkpoint_of_a_version_that_kept_no_configuration_passes(copy, registry):
    newest = latest(copy / "checkpoints")
    saved = read(newest)
    before = {key: value for key, value in saved.state.items() if key not in ("config", "format", "digests")}
    shutil.rmtree(newest)
    write(copy / "checkpoints", before["step"], Checkpoint(saved.model, saved.optimizer, before))
    told = Telling()
    resumed(copy, registry, told)
    assert told.warn == ["all 4 epochs were done already; nothing was trained"]
    load(copy)


def test_a_checkpoint_with_the_states_of_random_generators_is_resumed_with_a_note(copy, registry):
    newest = latest(copy / "checkpoints")
    saved = read(newest)
    state = {key: it for key, it in saved.state.items() if key not in ("resumable", "format", "digests")}
    shutil.rmtree(newest)
    older = Checkpoint(saved.model, {**saved.optimizer, "rng.cpu": torch.get_rng_state()}, {**state, "format": 1})
    write(copy / "checkpoints", state["step"], older)
    config, told = copy / "config.toml", Telling()
    config.write_text(config.read_text().replace("epochs = 4", "epochs = 5"))
    resumed(copy, registry, told)
    assert told.steps == STEPS
    assert (
        "the version of aaeframe that wrote the checkpoint drew noise and prior samples in another way" in told.warn[0]
    )


def test_resuming_leaves_the_callers_random_state_alone(tmp_path, registry):
    trained(tmp_path / "run", callbacks=Telling(stop_after=6).callbacks)
    torch.rand(1)  # a state no run ends in
    before = torch.get_rng_state()
    resume(tmp_path / "run", registry, dataset=from_arrays(ROWS))
    assert torch.equal(torch.get_rng_state(), before)


def test_what_a_precision_costs_is_not_told_again(tmp_path, registry, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    begun, again = Telling(stop_after=6), Telling()
    trained(tmp_path / "run", callbacks=begun.callbacks, precision="bf16")
    resume(tmp_path / "run", registry, dataset=from_arrays(ROWS), callbacks=again.callbacks)
    assert ["bf16" in " ".join(it.warn) for it in (begun, again)] == [True, False]


def test_in_the_same_environment_nothing_is_noted(tmp_path, registry):
    trained(tmp_path / "run", callbacks=Telling(stop_after=6).callbacks)
    told = Telling()
    resume(tmp_path / "run", registry, dataset=from_arrays(ROWS), callbacks=told.callbacks)
    assert told.warn == []
    assert told.steps == 2
