"""Records, and where a cell stands, by folders that are written by hand."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from aaeframe.components.registry import Registry
from aaeframe.configuration.resolve import resolve
from aaeframe.reproduce import outcome, record
from aaeframe.reproduce.cell_status import State
from aaeframe.reproduce.cells import DataOverride, cells
from aaeframe.reproduce.experiments import EXPERIMENTS
from aaeframe.reproduce.work import status

BLOCK = {"entropy": None, "two_sample": 0.5, "two_sample_by": {"trees": 0.5}}
REPORT = {"reconstruction": {"ratio": 0.2}, "blocks": {"z": BLOCK}}
FORMER = {**REPORT, "blocks": {"z": {"entropy": None, "two_sample": 0.5, "two_sample_floor": 0.5}}}
"""A report by the former two-sample test."""
NATS = {"log_likelihood": 340.0}


@pytest.fixture(scope="module")
def registry():
    return Registry.load()


@pytest.fixture
def cell(tmp_path):
    """One whose folder is not there."""
    return cells([(EXPERIMENTS["likelihood"], "modern")], tmp_path, seeds=1)[0]


@pytest.fixture
def put(cell, registry):
    """Writes the folder of the cell's run; reports are of (step, raw weights, what)."""

    def put(epochs=None, **reports):
        config = resolve(cell.config(), registry).config
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
    assert status(cell, registry).state is State.MISSING
    put(epochs=3)
    assert status(cell, registry).state is State.UNFINISHED


@pytest.mark.parametrize(
    ("reports", "value"),
    [
        ({}, None),
        ({"test": (45_000, False, REPORT)}, None),
        ({"test": (45_000, False, REPORT), "nats": (45_000, False, NATS)}, 340.0),
        ({"test": (45_000, True, REPORT), "nats": (45_000, False, NATS)}, None),
        ({"test": (45_000, False, REPORT), "nats": (45_000, True, NATS)}, None),
        ({"test": (44_500, False, REPORT), "nats": (45_000, False, NATS)}, None),
        ({"test": (45_000, False, FORMER), "nats": (45_000, False, NATS)}, None),
    ],
)
def test_reports_count_that_are_of_the_finished_run_and_its_weights(cell, put, registry, reports, value):
    put(**reports)
    found = outcome.of_cell(cell)
    assert (found.value, found.finished) == (value, value is not None)
    assert status(cell, registry).state is State.UNFINISHED  # its record is left to be written
    record.write(cell.record, found)
    assert (status(cell, registry).state is State.DONE) == found.finished


def test_a_report_of_something_else_is_told_of(cell, put, registry):
    put(test=(45_000, False, {}), nats=(45_000, False, NATS))
    found = status(cell, registry)
    assert found.state is State.UNREADABLE
    assert "is no evaluation of this row" in found.reason


def test_of_a_run_that_goes_on_no_report_counts(cell, put):
    put(epochs=3, test=(1500, False, REPORT), nats=(1500, False, NATS))
    found = outcome.of_cell(cell)
    assert (found.value, found.criteria, found.epochs, found.planned_epochs) == (None, (), 3, 90)


def test_a_record_is_read_as_it_was_written(cell, put):
    put(test=(45_000, False, REPORT), nats=(45_000, False, NATS))
    found = outcome.of_cell(cell)
    record.write(cell.record, found)
    assert record.read(cell.record) == found


def test_a_record_stands_when_its_run_is_gone_but_an_unfinished_one_does_not(cell, put, registry):
    folder = put(test=(45_000, False, REPORT), nats=(45_000, False, NATS))
    done = outcome.of_cell(cell)
    shutil.rmtree(folder)
    record.write(cell.record, done)
    assert status(cell, registry).state is State.DONE
    record.write(cell.record, done.model_copy(update={"value": None}))
    assert status(cell, registry).state is State.MISSING


def test_a_row_of_metrics_that_was_torn_off_is_ignored(cell, put, registry):
    path = put(epochs=3) / "metrics.jsonl"
    path.write_text(path.read_text() + '{"epoch": 4, "st')
    assert status(cell, registry).record.epochs == 3


def test_other_data_is_told_of_before_other_settings(cell, put, registry):
    put(epochs=3)
    other = replace(cell, data=DataOverride("/there/own.npz", (1, 2)))
    found = status(other, registry)
    assert found.state is State.OTHER_DATA
    words = f"{cell.folder} is of mnist, own.npz with 1 and 2 rows held out was asked; take another --out"
    assert found.reason == words
    assert status(replace(cell, data=DataOverride("mnist")), registry).state is State.UNFINISHED


def test_other_labels_of_the_same_source_are_other_data(cell, put, registry):
    put(epochs=3)
    assert status(replace(cell, data=DataOverride("mnist", label_key="mood")), registry).state is State.OTHER_DATA


def test_of_the_same_source_other_rows_held_out_are_other_data(cell, put, registry):
    put(epochs=3)
    assert status(replace(cell, data=DataOverride("mnist", (1, 2))), registry).state is State.OTHER_DATA


def test_a_divergence_is_kept_until_its_record_is_removed(cell, put, registry):
    folder = put(epochs=3)
    sentence = "step 1700: the loss is not finite"
    record.write(cell.record, outcome.of_cell(cell).model_copy(update={"diverged": sentence}))
    found = status(cell, registry)
    assert found.state is State.DIVERGED
    assert found.reason == f"{folder} diverged: {sentence}; to try again, remove {cell.record}"
    cell.record.unlink()
    assert status(cell, registry).state is State.UNFINISHED


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("config.toml", "[training", "config.toml"),
        ("metrics.jsonl", "{}\n", "lacks epoch, step"),
        ("metrics.jsonl", "{\n", "is not a table of metrics"),
        ("evaluation.json", "[1]", "evaluation.json is not JSON"),
        ("evaluation.json", '{"test": 1}', "evaluation.json is not JSON"),
        ("checkpoints/step-00001500/state.json", "{", "state.json cannot be read"),
        ("checkpoints/step-00001500/state.json", "{}", "state.json cannot be read"),
        ("checkpoints/step-00001500/state.json", '{"environment": {}}', "state.json cannot be read"),
    ],
)
def test_what_cannot_be_read_is_told_of_and_never_raised(cell, put, registry, file, text, words):
    path = put(epochs=3) / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    found = status(cell, registry)
    assert found.state is State.UNREADABLE
    assert words in found.reason


def test_an_empty_folder_says_what_to_do(cell, registry):
    cell.folder.mkdir(parents=True)
    found = status(cell, registry)
    assert found.state is State.UNREADABLE
    assert found.reason == f"{cell.folder} is no run: it has no config.toml; remove it, and the run is trained"
