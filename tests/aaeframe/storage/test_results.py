"""Arrays of a command as tables: names of columns, bits of numbers, what is refused."""

from __future__ import annotations

import csv
import tracemalloc

import numpy as np
import pytest

from aaeframe import data
from aaeframe.errors import ConfigError
from aaeframe.storage import results
from aaeframe.storage.npz import Chunked
from aaeframe.storage.output import Output
from aaeframe.storage.results import Results, header, write

Z = np.arange(6, dtype=np.float32).reshape(3, 2) / 7
Y = np.eye(3, dtype=np.float32)
CLASSES = ("cat", 'dog, "old"', "owl")


def to(path, found):
    return write(Output.named(path, results.SUFFIXES), found)


def cells(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def coded(**others):
    return Results({"y": Y, "z": Z}, ["y", "z"], {"y": CLASSES}, **others)


def test_a_table_has_ids_and_labels_first_and_classes_by_name(tmp_path):
    found = coded(ids=np.array(["a,b", "#c", " d"]), labels=np.array([1, -1, 2]), class_names=CLASSES)
    assert to(tmp_path / "a.csv", found) == ".csv"
    first, *rows = cells(tmp_path / "a.csv")
    assert first == ["ids", "labels", *CLASSES, "z_1", "z_2"]
    assert [row[:2] for row in rows] == [["a,b", CLASSES[1]], ["#c", ""], [" d", CLASSES[2]]]
    np.testing.assert_array_equal(np.array([row[2:] for row in rows], np.float32), np.hstack([Y, Z]))


def test_a_table_is_read_again_with_its_labels_and_ids(tmp_path):
    found = coded(ids=np.array([7, 3, 5]), labels=np.array([1, -1, 2]), class_names=CLASSES)
    to(tmp_path / "a.csv", found)
    read = data.load_rows(tmp_path / "a.csv")
    assert read.columns == (*CLASSES, "z_1", "z_2")
    assert read.rows.ids.tolist() == ["7", "3", "5"]
    assert [[*read.class_names, None][label] for label in read.rows.labels] == [CLASSES[1], None, CLASSES[2]]
    np.testing.assert_array_equal(read.rows.array().astype(np.float32), np.hstack([Y, Z]))


@pytest.mark.parametrize(
    ("found", "names"),
    [
        (Results({"z": np.zeros((2, 2, 2)), "s": np.zeros(2)}, ["z", "s"]), ["z_1", "z_2", "z_3", "z_4", "s_1"]),
        (Results({"y": np.zeros((2, 2))}, ["y"], {"y": "01"}), ["y_0", "y_1"]),
        (Results({"y": np.zeros((2, 2))}, ["y"], {"y": "01"}, ids=np.arange(2)), ["ids", "0", "1"]),
        (
            Results({"y": Y, "z": Z}, ["y", "z"], {"y": ["z_1", "labels", "a"]}, labels=np.zeros(3, int)),
            ["labels", "y_z_1", "y_labels", "a", "z_1", "z_2"],
        ),
    ],
    ids=["shapes", "numbers alone", "numbers", "names taken"],
)
def test_names_of_columns_are_different_and_no_row_of_numbers(found, names):
    assert header(found) == names


@pytest.mark.parametrize(("kind", "bits"), [(np.float32, np.uint32), (np.float64, np.uint64)])
def test_numbers_read_back_to_the_same_bits(tmp_path, kind, bits):
    rng = np.random.default_rng(0)
    x = rng.integers(0, np.iinfo(bits).max, 30_000, bits, endpoint=True).view(kind)
    x = np.concatenate([x[np.isfinite(x)], np.array([0.0, -0.0, 1e-45, np.finfo(kind).max, 16777216, 0.1])])
    x = x[: len(x) // 3 * 3].reshape(-1, 3).astype(kind)
    to(tmp_path / "a.csv", Results({"x": x}, ["x"]))
    read = np.array(cells(tmp_path / "a.csv")[1:], np.float64).astype(kind)
    np.testing.assert_array_equal(read.view(bits), x.view(bits))


def test_draws_are_rows_of_their_own(tmp_path):
    found = Results({"z": np.stack([Z, Z + 1])}, ["z"], ids=np.arange(3), draws=2)
    to(tmp_path / "a.csv", found)
    first, *rows = cells(tmp_path / "a.csv")
    assert first == ["ids", "draw", "z_1", "z_2"]
    assert [row[:2] for row in rows] == [[str(i), str(draw)] for draw in (1, 2) for i in range(3)]
    np.testing.assert_array_equal(np.array(rows)[3:, 2:].astype(np.float32), Z + 1)


@pytest.mark.slow
def test_chunks_are_written_one_after_another_and_not_all_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "CELLS", 2**12)
    one = np.full((200, 50), 1 / 3, np.float32)
    many = Chunked((10_000, 50), one.dtype, (one for _ in range(50)))
    tracemalloc.start()
    with Output.named("/dev/null", results.SUFFIXES).writing() as file:
        results._write_csv(file, Results({"x": many}, ["x"]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * 2**20  # the text alone is 5.5 MB
    few = Chunked((5, 2), Z.dtype, iter([Z, Z[:2]]))
    to(tmp_path / "a.csv", Results({"x": few}, ["x"], ids=np.arange(5)))
    assert [row[0] for row in cells(tmp_path / "a.csv")[1:]] == list("01234")


def test_npy_holds_one_array_and_says_what_it_leaves_out(tmp_path):
    found = Results({"z": Z, "x": Y}, ["z"], labels=np.zeros(3, int), class_names=("a",))
    assert to(tmp_path / "a.npy", found) == ".npy"
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), Z)
    assert found.left_out(".npy") == ["x", "labels", "class_names"]
    assert found.left_out(".csv") == ["x"]
    assert found.left_out(".npz") == []


@pytest.mark.parametrize(
    ("suffix", "found", "words"),
    [
        (".npy", coded(), r"\.npy holds one array, and there are y, z; give \.npz"),
        (".csv", Results({"x": np.zeros((2, 1, 8, 8))}, ["x"], flat=False), r"x \(2, 1, 8, 8\) are images or series"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_and_nothing_is_written(tmp_path, suffix, found, words):
    with pytest.raises(ConfigError, match=words):
        to(tmp_path / f"a{suffix}", found)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("flat", "form"), [(True, ".csv"), (False, ".npz")])
def test_a_stream_without_a_format_gets_csv_or_for_images_npz(flat, form):
    shape = (3, 2) if flat else (3, 1, 2, 2)
    assert to("/dev/null", Results({"x": np.zeros(shape)}, ["x"], flat=flat)) == form


def test_parquet_without_pyarrow_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"pip install 'aaeframe\[parquet\]'"):
        to(tmp_path / "a.parquet", coded())
    assert list(tmp_path.iterdir()) == []


def test_texts_are_cells_in_quotes_where_a_reader_could_mistake_them(tmp_path):
    found = Results(
        {"s": np.array([0.5, 2]), "why": np.array(["a,b", "c"])}, ["s", "why"], {"s": ["s"], "why": ["why"]}
    )
    to(tmp_path / "a.csv", found)
    assert (tmp_path / "a.csv").read_bytes() == b's,why\n0.5,"a,b"\n2.0,c\n'
