from __future__ import annotations

import json

import pytest

from aaeframe.errors import RunError, UnusableCheckpoint
from aaeframe.storage.metrics_file import MetricsFile


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
