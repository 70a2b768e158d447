from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest

from aaeframe.training.diagnosis import Monitor


def healthy(epoch):
    """A run that settles: the discriminator towards chance, mismatch and reconstruction downwards."""
    return {
        "epoch": epoch,
        "reconstruction": 3 + 8 * math.exp(-epoch / 5),
        "validation/reconstruction": 3.2 + 8 * math.exp(-epoch / 5),
        "mean_image_error": 10.0,
        "accuracy/style": 0.5 + 0.45 * math.exp(-epoch / 5),
        "mismatch/style": 0.1 + math.exp(-epoch / 5) + 0.02 * (-1) ** epoch,
        "accuracy/y": 0.52,
        "mismatch/y": 0.1,
        "entropy/y": 2.2,
        "classes/y": 10,
        "steps_per_second": 81.5,
        "time": "00:01:02",
    }


def observe(monitor, rows):
    return [warning for row in rows for warning in monitor.observe(row)]


def test_a_healthy_run_gives_no_warning():
    assert observe(Monitor(), map(healthy, range(1, 101))) == []


def test_a_winning_discriminator_is_reported_at_its_third_epoch():
    monitor = Monitor()
    rows = [{**healthy(e), "accuracy/style": 0.97} for e in range(1, 5)]
    assert observe(monitor, rows[:2]) == []
    [warning] = monitor.observe(rows[2])
    assert "style" in warning
    assert "97.0%" in warning
    assert "instance noise" in warning
    assert monitor.observe(rows[3]) == []


def test_an_epoch_below_breaks_the_row():
    values = [0.97, 0.97, 0.94, 0.97, 0.97]
    assert observe(Monitor(), [{"accuracy/z": value} for value in values]) == []
    assert observe(Monitor(), [{"accuracy/z": 0.95}] * 5) == []


def test_a_warning_comes_back_after_its_condition_has_cleared():
    monitor = Monitor()
    winning = [{"accuracy/z": 0.99}] * 4
    assert len(observe(monitor, winning)) == 1
    assert observe(monitor, [{"accuracy/z": 0.8}]) == []
    assert len(observe(monitor, winning)) == 1


def stuck(mismatch, accuracy=0.5):
    return [{"accuracy/z": accuracy, "mismatch/z": value} for value in mismatch]


def test_a_blind_discriminator_is_chance_with_a_growing_mismatch():
    [warning] = observe(Monitor(), stuck([1, 1.2, 1.4, 1.6, 1.8]))
    assert "at chance for 5 epochs" in warning
    assert "from 1 to 1.8" in warning


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(stuck([1, 1.2, 1.4, 1.6]), id="four epochs"),
        pytest.param(stuck([1.8, 1.6, 1.4, 1.2, 1.0]), id="falling"),
        pytest.param(stuck([0.10, 0.13, 0.09, 0.12, 0.15]), id="noise"),
        pytest.param(stuck([1, 1.01, 1.02, 1.03, 1.04]), id="hardly growing"),
        pytest.param(stuck([1, 1.2, 1.4, 1.6, 1.8], accuracy=0.7), id="not at chance"),
        pytest.param([{"accuracy/z": 0.5}] * 6, id="no mismatch measured"),
        pytest.param(
            [{**row, "mismatch_floor/z": 0.1} for row in stuck([0.1, 0.15, 0.2, 0.25, 0.29])],
            id="no more than noise",
        ),
    ],
)
def test_chance_is_no_failure_without_a_growing_mismatch(rows):
    assert observe(Monitor(), rows) == []


def test_reconstruction_must_beat_the_mean_image_within_three_epochs():
    rows = [{"reconstruction": 10.5, "mean_image_error": 10.0}] * 3
    monitor = Monitor()
    assert observe(monitor, rows[:2]) == []
    [warning] = monitor.observe(rows[2])
    assert "mean row" in warning
    assert "10.5 against 10" in warning


def test_validation_data_decide_about_the_reconstruction_where_there_are_any():
    row = {"reconstruction": 5.0, "validation/reconstruction": 11.0, "mean_image_error": 10.0}
    assert len(observe(Monitor(), [row] * 3)) == 1
    row = {"reconstruction": 11.0, "validation/reconstruction": 9.0, "mean_image_error": 10.0}
    assert observe(Monitor(), [row] * 3) == []


def test_a_collapsing_categorical_block_is_reported_at_once():
    monitor = Monitor()
    assert monitor.observe({"entropy/y": 1.16, "classes/y": 10}) == []
    [warning] = monitor.observe({"entropy/y": 1.0, "classes/y": 10})
    assert "block y" in warning
    assert "2.7 evenly used categories" in warning
    assert monitor.observe({"entropy/y": 0.9, "classes/y": 10}) == []


def test_blocks_are_judged_each_for_itself():
    rows = [{"accuracy/a": 0.99, "accuracy/b": 0.99 if e else 0.5} for e in range(5)]
    monitor = Monitor()
    found = [monitor.observe(row) for row in rows]
    assert [len(warnings) for warnings in found] == [0, 0, 1, 1, 0]
    assert found[2][0].startswith("block a")
    assert found[3][0].startswith("block b")


@pytest.mark.parametrize("value", [None, math.nan, math.inf, "0.99"], ids=str)
def test_what_is_no_finite_number_is_as_if_missing(value):
    rows = [{"accuracy/z": 0.99}, {"accuracy/z": 0.99}, {"accuracy/z": value}, {"accuracy/z": 0.99}]
    monitor = Monitor()
    assert observe(monitor, rows) == []
    json.dumps(monitor.state_dict(), allow_nan=False)


@pytest.mark.parametrize("cut", range(1, 9))
def test_an_interrupted_monitor_goes_on_where_it_was(cut):
    rows = [
        {**row, "accuracy/w": 0.99 if epoch != 4 else 0.5}
        for epoch, row in enumerate(stuck([1, 1.2, 1.4, 1.6, 1.8, 2.0, 1.0, 1.1, 1.2]))
    ]
    through = Monitor()
    expected = [through.observe(row) for row in rows]
    first, second = Monitor(), Monitor()
    found = [first.observe(row) for row in rows[:cut]]
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    found += [second.observe(row) for row in rows[cut:]]
    assert found == expected
    assert sum(map(len, expected)) == 3


def test_the_monitor_imports_no_torch():
    code = "import sys, aaeframe.training.diagnosis; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
