from __future__ import annotations

import json

import pytest
import torch

from aaeframe.errors import RunError, UnusableCheckpoint
from aaeframe.storage.metrics_file import MetricsFile
from aaeframe.training.running_means import Sums

CPU = torch.device("cpu")


def losses(value):
    return {"reconstruction": torch.tensor(value), "generator/z": torch.tensor(2 * value)}


def test_means_are_over_the_steps():
    sums = Sums()
    for value in (1.0, 2.0, 6.0):
        sums.add(losses(value))
    assert sums.means() == {"reconstruction": 3.0, "generator/z": 6.0}
    assert sums.count == 3


def test_sums_do_not_lose_small_losses_to_large_ones():
    sums = Sums()
    sums.add({"loss": torch.tensor(1e8)})
    for _ in range(999):
        sums.add({"loss": torch.tensor(1.0)})
    assert sums.means()["loss"] == pytest.approx((1e8 + 999) / 1000, abs=1e-6)


def test_sums_do_not_change_the_losses_given():
    first = {"loss": torch.tensor(1.0, dtype=torch.float64)}
    sums = Sums()
    sums.add(first)
    sums.add(first)
    assert first["loss"].item() == 1.0


def test_restored_sums_go_on_to_the_same_bits():
    values = torch.rand(20, generator=torch.Generator().manual_seed(0)).tolist()
    whole, first, second = Sums(), Sums(), Sums()
    for number, value in enumerate(values):
        whole.add(losses(value))
        if number < 7:
            first.add(losses(value))
    second.load_state_dict(first.state_dict(), first.count, CPU)
    for value in values[7:]:
        second.add(losses(value))
    assert second.means() == whole.means()


@pytest.fixture
def file(tmp_path):
    return MetricsFile(tmp_path / "metrics.jsonl")


def test_rows_are_lines_of_json(file):
    rows = [{"epoch": 1, "loss": 0.1, "warnings": ["a\nb"]}, {"epoch": 2, "loss": 1 / 3}]
    assert file.rows() == []
    assert file.size == 0
    for row in rows:
        file.append(row)
    assert file.rows() == rows
    assert [json.loads(line) for line in file.path.read_text().splitlines()] == rows
    assert file.size == file.path.stat().st_size


def test_rows_after_a_size_are_forgotten(file):
    file.append({"epoch": 1})
    size = file.size
    file.append({"epoch": 2})
    file.path.write_bytes(file.path.read_bytes() + b'{"epo')
    file.truncate(size)
    assert file.rows() == [{"epoch": 1}]
    file.truncate(size)
    assert file.rows() == [{"epoch": 1}]


@pytest.mark.parametrize("content", [None, b"", b'{"epoch": 1}'])
def test_lost_rows_are_an_error(file, content):
    if content is not None:
        file.path.write_bytes(content)
    with pytest.raises(
        UnusableCheckpoint, match=r"metrics.jsonl has \d+ bytes, but .* after 13: rows were lost or the"
    ):
        file.truncate(13)


def test_rows_that_do_not_end_where_they_did_are_an_error(file):
    file.append({"epoch": 1})
    size = file.size
    file.path.write_bytes(b'{"epoch": 1, "mine": true}\n{"epoch": 2}\n')
    before = file.path.read_bytes()
    with pytest.raises(
        UnusableCheckpoint, match=rf"does not end a row there, but the checkpoint was written after {size}"
    ):
        file.truncate(size)
    assert file.path.read_bytes() == before


def test_a_full_disk_leaves_whole_rows(file, files_up_to):
    file.append({"epoch": 1, "text": "x" * 50})
    with files_up_to(100), pytest.raises(RunError, match=r"cannot write .*metrics.jsonl: File too large"):
        file.append({"epoch": 2, "text": "x" * 50})
    assert [row["epoch"] for row in file.rows()] == [1]
    file.append({"epoch": 2})
    assert [row["epoch"] for row in file.rows()] == [1, 2]


def test_a_row_that_a_power_cut_tore_off_is_not_there(file):
    file.append({"epoch": 1})
    whole = file.path.read_bytes()
    for torn in (b'{"epo', b'{"epoch": 2}'):
        file.path.write_bytes(whole + torn)
        assert file.rows() == [{"epoch": 1}]


@pytest.mark.parametrize(
    "text", ["{]\n", "[1, 2]\n", "[]\n", '[["epoch", 1]]\n', "3\n", "[" * 5000, "\n\n", "\n", "\x00", '{"epoch": 1}\nx']
)
def test_what_is_no_table_of_metrics_is_refused(file, text):
    file.path.write_text(text)
    with pytest.raises(RunError, match=r"metrics.jsonl is not a table of metrics"):
        file.rows()
