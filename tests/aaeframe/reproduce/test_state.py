"""Where a cell stands, told from folders that are written by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from aaeframe.components.registry import Registry
from aaeframe.configuration.resolve import resolve
from aaeframe.errors import TrainingDiverged
from aaeframe.reproduce import divergence
from aaeframe.reproduce.cells import Given, cells
from aaeframe.reproduce.rows import ROWS
from aaeframe.reproduce.state import State, as_it_is, state

REPORT = {"reconstruction": {"ratio": 0.2}, "blocks": {"z": {"entropy": None, "two_sample": 0.5}}}
NATS = {"log_likelihood": 340.0}


@pytest.fixture(scope="module")
def registry():
    return Registry.load()


@pytest.fixture
def cell(tmp_path):
    """One whose folder is not there."""
    return cells([(ROWS["likelihood"], "modern")], tmp_path, seeds=1)[0]


@pytest.fixture
def put(cell, registry):
    """Writes the folder of the cell's run; reports are of (step, raw weights, what)."""

    def put(epochs=None, **reports):
        config = resolve(cell.config(), registry)
        cell.folder.mkdir(parents=True)
        (cell.folder / "config.toml").write_text(config.to_toml())
        line = {"reconstruction": 10.0, "validation/reconstruction": 11.0, "seconds": 1.5}
        done = range(1, 1 + (config.training.epochs if epochs is None else epochs))
        rows = [json.dumps({"epoch": at, "step": 500 * at, **line}) for at in done]
        (cell.folder / "metrics.jsonl").write_text("".join(f"{row}\n" for row in rows))
        names = {"test": "test", "nats": "test likelihood, 10000 samples"}
        told = {names[it]: {"step": step, "raw_weights": raw, **what} for it, (step, raw, what) in reports.items()}
        (cell.folder / "evaluation.json").write_text(json.dumps(told))
        return cell.folder

    return put


def test_where_a_cell_stands_as_its_run_goes_on(cell, put, registry):
    assert state(cell, registry).state is State.NOTHING
    put(epochs=3)
    assert state(cell, registry).state is State.BEGUN


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ({}, State.TRAINED),
        ({"test": (45_000, False, REPORT)}, State.TRAINED),
        ({"test": (45_000, False, REPORT), "nats": (45_000, False, NATS)}, State.DONE),
        ({"test": (45_000, True, REPORT), "nats": (45_000, False, NATS)}, State.TRAINED),
        ({"test": (45_000, False, REPORT), "nats": (45_000, True, NATS)}, State.TRAINED),
        ({"test": (44_500, False, REPORT), "nats": (45_000, False, NATS)}, State.TRAINED),
        ({"test": (45_000, False, {}), "nats": (45_000, False, NATS)}, State.UNREADABLE),
    ],
)
def test_reports_count_that_are_of_the_finished_run_and_its_weights(cell, put, registry, reports, expected):
    put(**reports)
    assert state(cell, registry).state is expected


def test_of_a_run_that_goes_on_no_report_counts(cell, put, registry):
    put(epochs=3, test=(1500, False, REPORT), nats=(1500, False, NATS))
    found = state(cell, registry)
    assert (found.state, found.found.evaluations) == (State.BEGUN, {})


def test_a_row_of_metrics_that_was_torn_off_is_ignored(cell, put, registry):
    path = put(epochs=3) / "metrics.jsonl"
    path.write_text(path.read_text() + '{"epoch": 4, "st')
    assert state(cell, registry).found.epochs == 3


def test_other_data_is_told_of_before_other_settings(cell, put, registry):
    put(epochs=3)
    other = replace(cell, data=Given("/there/own.npz", (1, 2)))
    found = state(other, registry)
    assert found.state is State.OTHER_DATA
    assert found.told == f"{cell.folder} is of mnist, own.npz with 1 and 2 rows held out was asked; take another --out"
    assert as_it_is(other, registry).state is State.BEGUN
    assert state(replace(cell, data=Given("mnist")), registry).state is State.BEGUN


def test_of_the_same_source_other_rows_held_out_are_other_data(cell, put, registry):
    put(epochs=3)
    assert state(replace(cell, data=Given("mnist", (1, 2))), registry).state is State.OTHER_DATA


def test_a_divergence_is_kept_until_its_file_is_removed(cell, put, registry):
    folder = put(epochs=3)
    divergence.write(folder, TrainingDiverged("step 1700: the loss is not finite"))
    assert divergence.read(folder) == divergence.Divergence(1700, "step 1700: the loss is not finite")
    found = state(cell, registry)
    assert found.state is State.DIVERGED
    assert found.told == f"{folder} diverged: step 1700: the loss is not finite; to try again, remove its diverged.json"
    (folder / "diverged.json").unlink()
    assert state(cell, registry).state is State.BEGUN


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("config.toml", "[training", "config.toml"),
        ("metrics.jsonl", "{}\n", "lacks epoch, step"),
        ("metrics.jsonl", "{\n", "is not a table of metrics"),
        ("evaluation.json", "[1]", "evaluation.json is not JSON"),
        ("evaluation.json", '{"test": 1}', "evaluation.json is not JSON"),
        ("diverged.json", "{}", "diverged.json cannot be read"),
        ("checkpoints/step-00001500/state.json", "{", "state.json cannot be read"),
        ("checkpoints/step-00001500/state.json", "{}", "state.json cannot be read"),
        ("checkpoints/step-00001500/state.json", '{"environment": {}}', "state.json cannot be read"),
    ],
)
def test_what_cannot_be_read_is_told_of_and_never_raised(cell, put, registry, file, text, words):
    path = put(epochs=3) / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    found = state(cell, registry)
    assert found.state is State.UNREADABLE
    assert words in found.told


def test_an_empty_folder_says_what_to_do(cell, registry):
    cell.folder.mkdir(parents=True)
    found = state(cell, registry)
    assert found.state is State.UNREADABLE
    assert found.told == f"{cell.folder} is no run: it has no config.toml; remove it, and the run is trained"
