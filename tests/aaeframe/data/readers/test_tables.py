from __future__ import annotations

import numpy as np
import pytest

from aaeframe.configuration.reading import ReadOptions
from aaeframe.data import load, load_table
from aaeframe.data.readers import tables
from aaeframe.data.readers.tables import read
from aaeframe.errors import DataError

X = np.round(np.random.default_rng(0).standard_normal((20, 3)), 3)
KINDS = np.array(["cat", "dog"])[np.arange(20) % 2]


@pytest.fixture
def table(tmp_path):
    def write(*lines, encoding="utf-8", end="\n"):
        path = tmp_path / "t.csv"
        path.write_bytes((end.join(lines) + end).encode(encoding))
        return path

    return write


def lines(*columns):
    return [",".join(map(str, cells)) for cells in zip(*columns, strict=True)]


@pytest.mark.parametrize("header", [[], ["a,b,c"]], ids=["bare", "header"])
def test_numbers_with_or_without_a_header(table, header):
    data = load(table(*header, *lines(*X.T)))
    np.testing.assert_array_equal(data.train.array(), X[data.train.index].astype(np.float32))
    assert data.spec.shape == (3,)
    assert data.num_classes is None


@pytest.mark.parametrize("name", ["label", "Labels", "CLASS", "target", "y"])
def test_a_label_column_is_known_by_its_name(table, name):
    data = load(table(f"a,{name},b,c", *lines(X[:, 0], KINDS, X[:, 1], X[:, 2])))
    np.testing.assert_array_equal(data.train.array(), X[data.train.index].astype(np.float32))
    assert data.class_names == ("cat", "dog")
    assert data.train.labels.tolist() == (data.train.index % 2).tolist()


def test_a_label_column_is_named(table):
    path = table("a,b,label,kind", *lines(*X.T, KINDS))
    assert load(path, label_key="kind").class_names == ("cat", "dog")


def test_without_a_header_columns_have_numbers(table):
    assert load(table(*lines(KINDS, *X.T)), label_key="1").class_names == ("cat", "dog")


def test_numeric_labels_are_ordered_as_numbers(table):
    assert load(table("a,y", *lines(X[:, 0], np.arange(20) % 10 + 2))).class_names[-2:] == ("10", "11")


def test_excels_mark_quotes_spaces_and_blank_lines(table):
    path = table('"a", "y"', "1.5, one", "", '"2.5","two, or so"', encoding="utf-8-sig", end="\r\n")
    part = read(path, ReadOptions()).parts[0]
    assert part.x.tolist() == [[1.5], [2.5]]
    assert part.labels.tolist() == ["one", "two, or so"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (["a,b", "1,2", "3,x4"], r"line 3, column 'b' holds 'x4', which is not a number\. Cells are numbers"),
        (["a,b", "1,2", "3,"], r"line 3, column 'b' holds '', which is not a number"),
        (["1,2", "3,oops"], "line 2, column '2' holds 'oops'"),
        (["5,a", "6,7"], "line 1, column '2' holds 'a'"),
        (["a,b", "1,2,3"], "line 2 has 3 cells, the first line 2"),
        (["a,b", "1"], "line 2 has 1 cells, the first line 2"),
        (["a,b"], r"is empty: its shape is \(0, 2\)"),
        (["", ""], "the table is empty"),
        (["y", "1", "2"], r"is empty: its shape is \(0, 0\)"),
        (["a,y", "1,2", "3,"], "line 3 has no label in column 'y'"),
        (["a,y", *["1,0.5"] * 10], "the first is 0.5 in row 0"),
        (["a,b", *["1,2"] * 9, "nan,inf"], "2 of 20 values are not finite .*nan in row 9, feature 0"),
    ],
)
def test_a_wrong_table_says_where(table, text, message):
    with pytest.raises(DataError, match=message):
        load(table(*text))


def test_semicolons_are_shown_as_what_was_found(table):
    with pytest.raises(DataError, match=r"holds '3;4', which is not a number\. Cells are numbers separated by commas"):
        load(table("a;b", "3;4"))


def test_a_column_that_is_not_there(table):
    with pytest.raises(DataError, match=r"no column 'kind'\. The columns are a, b\."):
        load(table("a,b", "1,2"), label_key="kind")
    many = ",".join(f"c{i}" for i in range(99))
    with pytest.raises(DataError, match=r"The columns are c0, .*, c9, \.\.\., c98\."):
        load(table(many), label_key="kind")


def test_text_that_is_no_utf8(table):
    with pytest.raises(DataError, match=r"cannot be read as .csv: .*must be text in UTF-8"):
        load(table("größe", "1", encoding="latin-1"))


@pytest.mark.parametrize("header", [["a,b,y"], []], ids=["header", "bare"])
def test_a_table_of_numbers_has_no_labels(table, header):
    found = load_table(table(*header, *lines(*X.T)))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, X.astype(np.float32))


def test_a_table_may_be_any_of_numpys_files(tmp_path):
    np.save(tmp_path / "t.npy", X)
    np.savez(tmp_path / "t.npz", points=X, y=np.zeros(20))
    for name in ("t.npy", "t.npz"):
        np.testing.assert_array_equal(load_table(tmp_path / name), X.astype(np.float32))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("digits", "there is no file 'digits'. Give one of a table: .npy, .npz, .csv"),
        ("t.mat", "is not a table by its name"),
        ("images.npy", r"has rows of shape \(1, 4, 4\). A table is \(rows, columns\)"),
        ("~nobody-has-this-name/t.npy", "cannot be read"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.mat").write_text("1")
    np.save(tmp_path / "images.npy", np.zeros((3, 4, 4)))
    with pytest.raises(DataError, match=message):
        load_table(name)


def test_a_label_so_long_that_all_would_take_its_memory_is_refused(table):
    with pytest.raises(DataError, match=r"line 2 has a label of 90000 characters in column 'y'; at most 1000 are read"):
        load(table("a,y", "1," + "x" * 90_000, *["1,b"] * 30))


@pytest.mark.parametrize("row", ["1," * 300, '"\n",' * 150], ids=["one line", "line breaks in quotes"])
def test_a_row_without_end_is_refused(table, row, monkeypatch):
    monkeypatch.setattr(tables, "LONGEST_ROW", 500)
    with pytest.raises(DataError, match="a row is longer than the 500 characters that are read"):
        load(table(row))
    assert load(table(*["1,2"] * 300)).spec.shape == (2,)
