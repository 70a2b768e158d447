"""The first-party observers by themselves: a table, and TensorBoard where it is not installed."""

from __future__ import annotations

import csv
import sys

import pytest

from aaeframe.components.registry import Registry
from aaeframe.errors import ConfigError, OptionError
from aaeframe_plugins.observers.table import Table
from aaeframe_plugins.observers.tensorboard import TensorBoard, numbers


def table(folder, epochs, *, step=0, steps=10, **more):
    it = Table()
    it.run_started({}, folder, steps, step)
    for epoch in epochs:
        it.epoch_ended({"epoch": epoch, "step": 2 * epoch, "loss": 0.5 * epoch, **more}, [])
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_table_has_a_row_for_each_epoch(tmp_path):
    assert table(tmp_path, [1, 2]) == [
        {"epoch": "1", "step": "2", "loss": "0.5"},
        {"epoch": "2", "step": "4", "loss": "1.0"},
    ]


def test_a_resumed_run_repeats_no_row(tmp_path):
    table(tmp_path, [1, 2, 3])
    assert [row["epoch"] for row in table(tmp_path, [2, 3, 4], step=2)] == ["1", "2", "3", "4"]


def test_a_session_that_trains_nothing_keeps_the_rows_of_a_training_elsewhere(tmp_path):
    table(tmp_path, [1, 2, 3])
    assert [row["epoch"] for row in table(tmp_path, [], step=2, steps=2)] == ["1", "2", "3"]


def test_a_new_column_is_empty_in_older_rows(tmp_path):
    table(tmp_path, [1])
    assert [row["error"] for row in table(tmp_path, [2], step=2, error=0.25)] == ["", "0.25"]
    assert list(tmp_path.iterdir()) == [tmp_path / "metrics.csv"]


def test_a_run_in_memory_is_refused_with_the_reason():
    with pytest.raises(OptionError, match="writes into the folder of a run; this one is in memory"):
        Table().run_started({}, None, 10, 0)


def test_without_tensorboard_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigError, match=r'install the extra: pip install "aaeframe\[tensorboard\]"'):
        TensorBoard()


def test_the_numbers_of_a_report_are_found_at_any_depth():
    report = {"split": "test", "step": 3, "rows": 20, "blocks": {"z": {"wasserstein": 0.5, "known": True}}, "a": None}
    assert dict(numbers(report)) == {"rows": 20, "blocks/z/wasserstein": 0.5}


def test_they_are_listed():
    assert [it.full_name for it in Registry.load().offers("observer")] == ["aaeframe:csv", "aaeframe:tensorboard"]
