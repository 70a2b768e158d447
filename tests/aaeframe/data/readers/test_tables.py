from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aaeframe.configuration.reading import ReadOptions, read_options
from aaeframe.data import load, load_rows, load_table
from aaeframe.data.readers import limits, table_text
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
    np.testing.assert_array_equal(data.train.array(), X[data.train.index])
    assert data.spec.shape == (3,)
    assert data.num_classes is None


@pytest.mark.parametrize("name", ["label", "Labels", "CLASS", "target"])
def test_a_label_column_is_known_by_its_name(table, name):
    data = load(table(f"a,{name},b,c", *lines(X[:, 0], KINDS, X[:, 1], X[:, 2])))
    np.testing.assert_array_equal(data.train.array(), X[data.train.index])
    assert data.class_names == ("cat", "dog")
    assert data.train.labels.tolist() == (data.train.index % 2).tolist()


def test_a_label_column_is_named(table):
    path = table("a,b,label,kind", *lines(*X.T, KINDS))
    assert load(path, label_key="kind").class_names == ("cat", "dog")


def test_without_a_header_columns_have_numbers(table):
    assert load(table(*lines(KINDS, *X.T)), label_key="1").class_names == ("cat", "dog")


def test_numeric_labels_are_ordered_as_numbers(table):
    assert load(table("a,label", *lines(X[:, 0], np.arange(20) % 10 + 2))).class_names[-2:] == ("10", "11")


def test_excels_mark_quotes_spaces_and_blank_lines(table):
    path = table('"a", "label"', "1.5, one", "", '"2.5","two, or so"', encoding="utf-8-sig", end="\r\n")
    raw = read(path, ReadOptions())
    assert raw.parts[0].x.tolist() == [[1.5], [2.5]]
    assert [raw.class_names[code] for code in raw.parts[0].labels] == ["one", "two, or so"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            ["a,b", "1,2", "3,x4"],
            r"line 3, column 'b' holds 'x4', which is not a number\. A column of texts is named by",
        ),
        (["a,b", "1,2", "3,"], r"1 empty cell: 'b' 1\. Set data\.missing=\"drop\" to leave out the 1 of 2 rows"),
        (["1,2", "3,oops"], "line 2, column '2' holds 'oops'"),
        (["5,a", "6,7"], r"the first line \('5', 'a'\) can be a header or the first row\. Set data\.header=true"),
        (["a,b", "1,2,3"], "line 2 has 3 cells, the first line 2"),
        (["a,b", "1"], "line 2 has 1 cells, the first line 2"),
        (["a,b"], r"is empty: its shape is \(0, 2\)"),
        (["", ""], "the table is empty"),
        (["label", "1", "2"], r"is empty: its shape is \(2, 0\)"),
        (["a,label", *["1,0.5"] * 10], "'label' is taken for the labels, but they are not classes: one is 0.5"),
        (["a,b", *["1,2"] * 9, "3,inf"], "1 of 20 values are not finite .*inf in row 9, feature 1"),
    ],
)
def test_a_wrong_table_says_where(table, text, message):
    with pytest.raises(DataError, match=message):
        load(table(*text))


def test_a_column_that_is_not_there(table):
    with pytest.raises(DataError, match=r"no column 'kind'\. The columns are a, b\."):
        load(table("a,b", "1,2"), label_key="kind")
    many = ",".join(f"c{i}" for i in range(99))
    with pytest.raises(DataError, match=r"The columns are c0, .*, c9, \.\.\., c98\."):
        load(table(many), label_key="kind")


def test_text_that_is_no_utf8(table):
    with pytest.raises(DataError, match=r"the text after line 0 is not UTF-8 .*data\.encoding=cp1252"):
        load(table("größe", "1", encoding="latin-1"))


@pytest.mark.parametrize("header", [["a,b,y"], []], ids=["header", "bare"])
def test_a_table_of_numbers_has_no_labels(table, header):
    found = load_table(table(*header, *lines(*X.T)))
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, X)


def test_a_table_may_be_any_of_numpys_files(tmp_path):
    np.save(tmp_path / "t.npy", X)
    np.savez(tmp_path / "t.npz", points=X, y=np.zeros(20))
    for name in ("t.npy", "t.npz"):
        np.testing.assert_array_equal(load_table(tmp_path / name), X)
    np.save(tmp_path / "bytes.npy", np.arange(6, dtype=np.uint8).reshape(3, 2))
    assert load_table(tmp_path / "bytes.npy").dtype == np.float32


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("digits", "there is no file 'digits'. Give one of a table: .npy, .npz, .csv, .tsv, .txt"),
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


@pytest.mark.parametrize("row", ["1," * 300, '"\n",' * 150], ids=["one line", "line breaks in quotes"])
def test_a_row_without_end_is_refused(table, row, monkeypatch):
    monkeypatch.setattr(table_text, "LONGEST_ROW", 500)
    with pytest.raises(DataError, match="a row is longer than the 500 characters that are read"):
        load(table(row))
    assert load(table(*["1,2"] * 300)).spec.shape == (2,)


# What is read how.

SIX = "0,1,2,3,4,5"
READ = {
    "header of pandas above decimals": ("0,1,2\n0.5,0.25,1.5\n3.5,1.0,2.5\n", {}, [[0.5, 0.25, 1.5], [3.5, 1, 2.5]]),
    "header of pandas above many whole numbers": (f"{SIX}\n9,0,0,7,1,1\n", {}, [[9, 0, 0, 7, 1, 1]]),
    "header of pandas, said": ("0,1\n3,4\n7,8\n", {"header": True}, [[3, 4], [7, 8]]),
    "no header, said": ("0,1\n3,4\n", {"header": False}, [[0, 1], [3, 4]]),
    "numbers from 0 that are no header": ("0,1.5\n1,2\n", {}, [[0, 1.5], [1, 2]]),
    "header of numbers, said": ("400,402\n0.1,0.2\n", {"header": True}, [[0.1, 0.2]]),
    "header in quotes": ('"a","b, c"\n1,2\n', {}, [[1, 2]]),
    "x and y": ("x,y\n1,0\n2,1\n3,0\n4,1\n", {}, [[1, 0], [2, 1], [3, 0], [4, 1]]),
    "y of decimals": ("a,y\n1,0.5\n2,1\n3,0\n", {}, [[1, 0.5], [2, 1], [3, 0]]),
    "no labels, said": ("a,target\n1,0\n2,0\n", {"label_key": ""}, [[1, 0], [2, 0]]),
    "index of pandas": (",a,b\n0,5,6\n1,7,8\n", {}, [[5, 6], [7, 8]]),
    "index and header of pandas": (",0,1\n0,5,6\n1,7,8\n", {}, [[5, 6], [7, 8]]),
    "index of R": ('"","a","b"\n"1",5,6\n"2",7,8\n', {}, [[5, 6], [7, 8]]),
    "index written twice": ("Unnamed: 0,a\n0,5\n1,6\n", {}, [[5], [6]]),
    "tabs": ("a\tb\n1\t2.5\n", {}, [[1, 2.5]]),
    "bars": ("a|b\n1|2.5\n", {}, [[1, 2.5]]),
    "spaces": ("1.0  2.0\n 3.0 4.0 \n", {}, [[1, 2], [3, 4]]),
    "semicolons": ("a;b\n1;2.5\n", {}, [[1, 2.5]]),
    "semicolons and decimal commas": ("a;b\n1;2,5\n3,25;4\n", {}, [[1, 2.5], [3.25, 4]]),
    "the same without a header": ("1,5;2,5\n3,25;4,1\n", {}, [[1.5, 2.5], [3.25, 4.1]]),
    "tabs and decimal commas": ("a\tb\n-1,5\t2,5e-1\n", {}, [[-1.5, 0.25]]),
    "decimal commas in quotes": ('a,b\n"1,5","2,5"\n', {}, [[1.5, 2.5]]),
    "one column of decimal commas, said": ("a\n1,5\n2,5\n", {"decimal": ","}, [[1.5], [2.5]]),
    "thousands": ('a,b\n"1,234.5","2,345"\n7,8\n', {}, [[1234.5, 2345], [7, 8]]),
    "thousands, said": ('a,b\n"1,234",5\n', {"decimal": "."}, [[1234, 5]]),
    "three decimals, said": ('a,b\n"1,234",5\n', {"decimal": ","}, [[1.234, 5]]),
    "thousands with points": ("a;b\n1.234,5;2.345.678\n", {}, [[1234.5, 2345678]]),
    "three decimals below 1": ("a;b\n1.234;0.345\n", {}, [[1.234, 0.345]]),
    "line for Excel": ('sep=|\r\na,1|b\r\n"1"|2\r\n', {}, [[1, 2]]),
    "line for Excel in quotes": ('"sep=;"\na;b\n1;2\n', {}, [[1, 2]]),
    "separator, said": ("1~2\n3~4\n", {"separator": "~"}, [[1, 2], [3, 4]]),
    "separators at the ends": ("a,b,\n1,2,\n3,4,\n", {}, [[1, 2], [3, 4]]),
    "separators at the ends of the rows": ("a,b\n1,2,\n3,4,\n", {}, [[1, 2], [3, 4]]),
    "separators at the ends without a header": ("1,2,\n3,4,\n", {}, [[1, 2], [3, 4]]),
    "separator at the end of the header": ("a,b,\n1,2\n3,4\n", {}, [[1, 2], [3, 4]]),
    "lines of Windows, some blank": ("a,b\r\n\r\n1,2\r\n\r\n3,4\r\n\r\n", {}, [[1, 2], [3, 4]]),
    "lines of old": ("a,b\r1,2\r3,4\r", {}, [[1, 2], [3, 4]]),
    "rows without a value": ("a,b\n1,2\n,\n3,4\n,\n", {}, [[1, 2], [3, 4]]),
    "comments": ("# by hand, in 2024\na,b\n1,2\n#3,4\n5,6\n", {}, [[1, 2], [5, 6]]),
    "a comment with a !": ("#Attention!, by hand\na,b\n1,2\n", {}, [[1, 2]]),
    "a row that begins with #N/A": ("a,b\n1,2\n#N/A,3\n5,6\n", {"missing": "drop"}, [[1, 2], [5, 6]]),
    "column called #": ("#,HP\n1,20\n5,30\n", {}, [[1, 20], [5, 30]]),
    "true and false": ("a,b\nTrue,1\nFalse,2\n", {}, [[1, 1], [0, 2]]),
    "missing cells left out": ("a,b\n1,NA\n?,2\nnull,3\nNaN,4\n,5\n6,7\n", {"missing": "drop"}, [[6, 7]]),
    "columns left out": ("a,name,b\n1,Ann,2\n", {"drop": ["name"]}, [[1, 2]]),
    "columns left out by number": ("1,Ann,2\n3,Bob,4\n", {"drop": [2]}, [[1, 2], [3, 4]]),
    "one hot": ("a,c,b\n1,red,2\n3,blue,4\n", {"categories": ["c"]}, [[1, 0, 1, 2], [3, 1, 0, 4]]),
    "one hot in order of numbers": ("c,b\n10,1\n9,2\n", {"categories": ["c"]}, [[0, 1, 1], [1, 0, 2]]),
    "texts alone, no header": (
        "p,x\ne,x\np,y\n", {"categories": ["1", "2"]}, [[0, 1, 1, 0], [1, 0, 1, 0], [0, 1, 0, 1]],
    ),
    "exponents and infinity's absence": ("a,b\n1e3,.5\n+2.,-1E-2\n", {}, [[1000, 0.5], [2, -0.01]]),
}  # fmt: skip


@pytest.mark.parametrize(("text", "options", "x"), READ.values(), ids=READ)
def test_values(table, text, options, x):
    np.testing.assert_array_equal(read(table(text, end=""), read_options(**options)).parts[0].x, x)


def labels_of(raw):
    labels, names = raw.parts[0].labels, raw.class_names
    return [None if label == -1 else names[label] if names else label for label in labels.tolist()]


LABELED = {
    "texts": (["b", "a", "b"], ["b", "a", "b"]),
    "texts that differ": (["1", "1.0", "01"], ["1", "1.0", "01"]),
    "zeros in front": (["01", "02", "01"], ["01", "02", "01"]),
    "whole numbers": (["10", "9", "10"], [10, 9, 10]),
    "whole numbers as decimals": (["1.0", "2.0", "2.0"], [1, 2, 2]),
    "whole numbers of numpy": (["1.000000000000000000e+00", "2.000000000000000000e+00"], [1, 2]),
    "codes with an e": (["1e3", "1E3", "2e5"], ["1e3", "1E3", "2e5"]),
    "beyond 64 bits": (["99999999999999999998", "99999999999999999999"], [f"9999999999999999999{i}" for i in (8, 9)]),
    "beyond float64": (["9007199254740993", "9007199254740992"], [9007199254740993, 9007199254740992]),
    "empty": (["a", "", "b", " "], ["a", None, "b", None]),
    "empty among numbers": (["1", "", "2"], [1, None, 2]),
    "empty among decimals, as pandas writes": (["1.0", "", "0.0"], [1, None, 0]),
    "nan among numbers": (["1.0", "nan", "2.0"], [1, None, 2]),
    "NA is Namibia": (["NA", "DE", ""], ["NA", "DE", None]),
    "-1 beside empty": (["-1", "1", ""], ["-1", "1", None]),
    "True and False": (["True", "False"], ["True", "False"]),
    "spaces behind": (["a ", "b "], ["a", "b"]),
    "spaces that tell apart": (["a ", "a"], ["a ", "a"]),
    "in quotes, of two lines": (['"a\n#b, c"', '"d ""e"""'], ["a\n#b, c", 'd "e"']),
    "dates": (["2024-01-01", "2024-01-02"], ["2024-01-01", "2024-01-02"]),
    "underscores": (["1_0", "10"], ["1_0", "10"]),
}


@pytest.mark.parametrize(("cells", "labels"), LABELED.values(), ids=LABELED)
def test_labels(table, cells, labels):
    raw = read(table("a,label", *(f"{i}.5,{cell}" for i, cell in enumerate(cells))), ReadOptions())
    assert labels_of(raw) == labels
    assert raw.labels_from == "column 'label'"
    assert raw.columns == ("a",)
    assert len(raw.parts[0].x) == len(cells)


def test_names_of_numpys_header_are_in_a_comment(tmp_path):
    for separator in (",", " "):
        header = separator.join(["a", "b", "label"])
        np.savetxt(tmp_path / "t.txt", [[1.5, 2, 0], [2.5, 0, 1]], delimiter=separator, header=header)
        raw = read(tmp_path / "t.txt", ReadOptions())
        assert raw.columns == ("a", "b")
        assert labels_of(raw) == [0, 1]
        assert raw.parts[0].x.tolist() == [[1.5, 2], [2.5, 0]]


IDS = {
    "texts": (["a1", "b2"], ["a1", "b2"]),
    "large numbers": (["9007199254740993", "9007199254740992"], [9007199254740993, 9007199254740992]),
    "beyond 64 bits": (["9" * 30, "8" * 30], ["9" * 30, "8" * 30]),
    "zeros in front": (["007", "008"], ["007", "008"]),
    "dates": (["2024-01-31", "2024-02-01"], ["2024-01-31", "2024-02-01"]),
    "an empty one": (["a", ""], ["a", ""]),
}


@pytest.mark.parametrize(("cells", "ids"), IDS.values(), ids=IDS)
def test_ids(table, cells, ids):
    raw = read(table("name,a", *(f"{cell},{i}" for i, cell in enumerate(cells))), read_options(ids="name"))
    assert raw.parts[0].ids.tolist() == ids
    assert raw.parts[0].x.tolist() == [[0], [1]]
    assert raw.columns == ("a",)


def test_an_index_without_a_name_may_be_the_ids(table):
    raw = read(table(",a", "52,1", "17,2"), read_options(ids="Unnamed: 0"))
    assert raw.parts[0].ids.tolist() == [52, 17]
    raw = read(table(",a", "0,1", "1,2"), read_options(ids="Unnamed: 0"))
    assert raw.parts[0].ids.tolist() == [0, 1]
    assert raw.passed_over == ()


def test_rows_left_out_take_their_labels_and_ids_with_them(table):
    path = table("id,a,c,label", "1,1,r,x", "2,,r,y", "3,3,,z", "4,4,b,x")
    raw = read(path, read_options(missing="drop", ids="id", categories=["c"]))
    assert raw.parts[0].ids.tolist() == [1, 4]
    assert labels_of(raw) == ["x", "x"]
    assert raw.class_names == ("x",)
    assert raw.columns == ("a", "c=b", "c=r")
    assert raw.parts[0].x.tolist() == [[1, 0, 1], [4, 1, 0]]
    assert raw.passed_over == ("2 rows with empty cells",)


def test_rows_with_na_in_a_category_are_left_out_with_those_of_empty_cells(table):
    lines = ("a,c", "1,r", "NA,r", "3,NA", "4,?", "5,", "6,b")
    raw = read(table(*lines), read_options(missing="drop", categories=["c"]))
    assert raw.parts[0].x.tolist() == [[1, 0, 1], [6, 1, 0]]
    assert raw.columns == ("a", "c=b", "c=r")
    assert raw.passed_over == ("4 rows with empty cells",)
    filled = read(table(*lines), read_options(missing="mean", categories=["c"]))
    assert filled.columns == ("a", "c=?", "c=NA", "c=b", "c=r")


def test_empty_cells_stay_open_for_the_mean(table):
    raw = read(table("a,c", "1,r", ",b", "3,"), read_options(missing="mean", categories=["c"]))
    np.testing.assert_array_equal(raw.parts[0].x, [[1, 0, 1], [np.nan, 1, 0], [3, np.nan, np.nan]])


@pytest.mark.parametrize(("drop", "said"), [(["b"], "column 'b'"), (["c", "a"], "columns 'a', 'c'")])
def test_columns_left_out_are_said(table, drop, said):
    raw = read(table("a,b,c", "1,2,3"), ReadOptions(drop=drop))
    assert raw.passed_over == (f"{said}, as data.drop asks",)


def test_one_class_and_empty_cells(table):
    raw = read(table("a,label", "1,1", "2,", "3,1"), ReadOptions())
    assert labels_of(raw) == ["1", None, "1"]
    assert load_rows(table("a,label", "1,1", "2,", "3,1")).class_names == ("1",)


def test_what_is_passed_over_is_said(table):
    raw = read(table("# one", ",0,1,", "0,0.5,1.5,", "# two", "1,1.5,2.5,", ",,,"), ReadOptions())
    assert raw.parts[0].x.tolist() == [[0.5, 1.5], [1.5, 2.5]]
    assert sorted(raw.passed_over) == [
        "1 row with no value in any cell",
        "2 comment lines",
        "column 1, which has no name and counts the rows from 0",
        "column 4, which has no name and no values",
        "the first line ('', '0', '1', ''), which is taken for a header",
    ]


MANY = "".join(f"{i},{i}\n" for i in range(10_001))
REFUSED = {
    "header or row": ("0,1\n3,4\n", {}, r"\('0', '1'\) can be a header or the first row.*data\.header=false"),
    "header or row, counting on": (f"{SIX}\n6,7,8,9,10,11\n", {}, "can be a header or the first row"),
    "one column": ("0\n1\n1\n", {}, "can be a header or the first row"),
    "wavelengths": ("400,402,404\n0.1,0.2,0.3\n", {}, r"\('400', '402', '404'\) can be a header or the first row"),
    "years": ("land,2001,2002\nA,1.5,2.5\nB,3.5,4.5\n", {"ids": "land"}, "can be a header or the first row"),
    "a wrong cell in the first row": ("5.1,x3.5\n4.9,3.0\n", {}, "can be a header or the first row"),
    "y or labels": ("a,y\n1,0\n2,1\n3,0\n4,1\n", {}, r"'y' can hold the labels \(2 .*label_key=y .*label_key=\"\""),
    "labels first, no header": ("1,0.5,1.5\n2,1.5,2.5\n" * 3, {}, r"column 1 .*labels \(2 .*label_key=1 .*key=\"\""),
    "labels last, no header": ("0.5,1.5,0\n1.5,2.5,1\n" * 3, {}, r"column 3 can hold the labels .*label_key=3 "),
    "two labels": ("a,label,target\n1,0,1\n", {}, "columns 'label', 'target' can each hold the labels"),
    "a quantity as label": ("a,target\n1,0.5\n", {}, r"not classes: one is 0\.5.*data\.label_key=\"\""),
    "too many classes": ("a,label\n" + MANY, {}, "'label' has more than 10000 different values"),
    "too many categories": ("a,c\n" + MANY, {"categories": ["c"]}, r"'c' has more than 10000.*data\.drop=\[\"c\"\]"),
    "a category named as a column": ("a=x,a\n1,x\n2,y\n", {"categories": ["a"]}, "two columns would be 'a=x', as"),
    "nan among texts": ("a,label\n1,nan\n2,b\n", {}, "'label' holds 'nan': it can be the name of a class"),
    "ids as a feature": ("id,a\n7,1\n3,2\n", {}, r"'id' holds a different whole number in each row.*data\.ids=id"),
    "an index shuffled": (",a\n52,1\n17,2\n", {}, r"column 1 has no name.*data\.ids=\"Unnamed: 0\""),
    "names of rows without a header": ('"a","b"\n"r1",1,2\n', {}, "line 2 has 3 cells, .*names the rows"),
    "large whole numbers": ("a\n9007199254740993\n1.5\n", {}, r"holds 9007199254740993, which is beyond.*data\.ids=a"),
    "two names": ("a,b,a\n1,2,3\n", {}, r"columns 1 and 3 are both named 'a'.*data\.header=false"),
    "thousands or not": ('a,b\n"1,234",5\n', {}, r"'1,234' can be 1234 or 1\.234.*data\.decimal=\"\.\" for the first"),
    "thousands or not, with points": ("a;b\n1.234;5\n", {}, r"'1\.234' can be 1234 or 1\.234.*data\.decimal=\",\" for"),
    "points and commas": ("a;b\n1.5;2,5\n", {}, r"with a point \('1\.5'\) and with a comma \('2,5'\).*data\.decimal"),
    "commas later": ("a;b\n" + "1;2\n" * 1200 + "1,5;2\n", {}, r"line 1202.*'1,5'.*which mark is the decimal one"),
    "one column of decimal commas": ("a\n1,5\n2,5\n", {}, r"line 2 has 2 cells, .*data\.decimal"),
    "two separators": ("a;b|c\nd;e|f\n", {}, r"separated by ';' or by '\|'.*data\.separator"),
    "percent": ("a,b\n5%,1\n", {}, "'5%', which is not a number. A percentage can be 5 or a hundredth of it"),
    "true among numbers": ("a,b\nTrue,1\n2,1\n", {}, "True and False are numbers where a column holds nothing else"),
    "number after truth": ("a,b\n" + "True,1\n" * 1200 + "2,1\n", {}, "line 1202, column 'a' holds '2'"),
    "#N/A first": ("a,b\n#N/A,1\n#N/A,2\n3,4\n", {}, "2 empty cells: 'a' 2"),
    "an error of a spreadsheet first": ("a;b\n1;2\n#DIV/0!;3\n", {}, "line 3, .*'#DIV/0!', .*fix its formula"),
    "an error of a Spanish one": ("a;b\n1;2\n3;#¡DIV/0!\n", {}, "line 3, .*fix its formula"),
    "yes": ("a,b\nyes,1\n", {}, r"'yes', which is not a number.*data\.categories=\[\"a\"\]"),
    "ISO date": ("a,b\n2024-01-31,1\n", {}, r"Dates and times are not read: .*data\.drop=\[\"a\"\]"),
    "ISO time": ("a,b\n2024-01-31T12:00:00Z,1\n", {}, "Dates and times are not read"),
    "date of Excel": ("a;b\n31.01.2024;1,5\n", {}, "Dates and times are not read"),
    "American date": ("a,b\n1/31/24,1\n", {}, "Dates and times are not read"),
    "time": ("a,b\n12:30,1\n", {}, "Dates and times are not read"),
    "several columns of texts": ("a,b,c\nx,1,z\n", {}, "'a' holds 'x', .*Columns of texts, too: 'c'"),
    "underscore": ("a,b\n1_000,1\n", {}, "'1_000', which is not a number"),
    "currency": ("a,b\n$5,1\n", {}, r"'\$5', which is not a number"),
    "missing": ("a,b\n1,\n?,2\nNA,\n", {}, r"4 empty cells: 'a' 2, 'b' 2\. .*the 3 of 3 rows.*data\.missing=\"mean\""),
    "blank line of one column": ("a\n1\n\n3\n", {}, "1 empty cell: 'a' 1"),
    "nothing but missing": ("a,b\n1,\n2,\n", {"missing": "drop"}, "all cells are empty in 'b'"),
    "every row missing": ("a,b\n1,\n,2\n", {"missing": "drop"}, "every row has an empty cell"),
    "missing category": ("a,c\n1,r\n2,\n", {"categories": ["c"]}, "1 empty cell: 'c' 1"),
    "a quote without end": ('a,label\n1,"cat\n2,dog\n', {}, "cannot be read as .csv: line 3: .*end each quoted cell"),
    "comment or label": ("label,a\n#x,1\n#y,2\nz,3\n", {}, "can be a comment or a row whose 'label' begins with #"),
    "not a separator": ("1a2\n", {"separator": "a"}, "'a' cannot separate cells"),
    "one column for two": ("a,b\n1,2\n", {"ids": "a", "drop": ["a"]}, r"'a' is in data\.ids and in data\.drop"),
    "no column to drop": ("a,b\n1,2\n", {"drop": ["c"]}, "there is no column 'c'. The columns are a, b"),
    "no such encoding": ("a,b\n1,2\n", {"encoding": "utf-9"}, "there is no encoding 'utf-9'. Usual ones are"),
    "no encoding of text": ("a,b\n1,2\n", {"encoding": "hex"}, "there is no encoding 'hex'"),
    "null characters": ("a,b\n1,2\0\n", {}, "line 2 holds a null character"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "options", "message"), REFUSED.values(), ids=REFUSED)
def test_what_has_two_readings_or_none_is_refused(table, text, options, message):
    with pytest.raises(DataError, match=message):
        read(table(text, end=""), read_options(**options))


def test_samples_have_no_labels_and_no_ids(table):
    found = load_table(table("id,y,label", "1,0,1", "2,1,1", "3,0,1", "4,1,1"))
    np.testing.assert_array_equal(found, [[1, 0, 1], [2, 1, 1], [3, 0, 1], [4, 1, 1]])


@pytest.mark.parametrize(
    ("encoding", "given"),
    [("utf-8-sig", None), ("utf-16", None), ("utf-32", None), ("utf-16-le", "utf-16-le"), ("cp1252", "cp1252")],
)
def test_encodings(table, encoding, given):
    raw = read(table("größe,label", "1,süß", "2,über", encoding=encoding), read_options(encoding=given))
    assert raw.columns == ("größe",)
    assert raw.class_names == ("süß", "über")


@pytest.mark.parametrize(
    ("encoding", "message"),
    [("utf-16-le", 'data.encoding="utf-16-le"'), ("utf-16-be", 'data.encoding="utf-16-be"'), ("cp1252", "cp1252")],
)
def test_an_encoding_that_cannot_be_known_is_asked_for(table, encoding, message):
    with pytest.raises(DataError, match=message):
        read(table("größe,label", "1,süß", "2,über", encoding=encoding), ReadOptions())


def test_a_wrong_encoding_is_refused(table):
    with pytest.raises(DataError, match=r"data\.encoding=ascii is set, but the text after line 0 is not ASCII"):
        read(table("größe", "1", encoding="utf-8"), read_options(encoding="ascii"))


# Files.

TEXT = b"a,b\n" + b"1,2.5\n3,4.5\n" * 10


def zipped(*names, content=TEXT, method=zipfile.ZIP_DEFLATED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name in names:
            archive.writestr(name, content)
    return stream.getvalue()


PACKED = {
    "t.csv": TEXT,
    "T.CSV": TEXT,
    "t.tsv": TEXT.replace(b",", b"\t"),
    "t.txt": TEXT.replace(b",", b" "),
    "tabs.csv": TEXT.replace(b",", b"\t"),
    "t.csv.gz": gzip.compress(TEXT),
    "two.csv.gz": gzip.compress(TEXT[:50]) + gzip.compress(TEXT[50:]),
    "t.csv.bz2": bz2.compress(TEXT),
    "t.csv.xz": lzma.compress(TEXT),
    "two.csv.xz": lzma.compress(TEXT[:50]) + bytes(4) + lzma.compress(TEXT[50:]),
    "t.csv.zip": zipped("t.csv"),
    "t.zip": zipped("folder/t.csv", "__MACOSX/._t.csv"),
}


@pytest.mark.parametrize(("name", "content"), PACKED.items(), ids=PACKED)
def test_packed_files(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    data = load(tmp_path / name)
    assert len(data.split("all")) == 20
    np.testing.assert_array_equal(load_table(tmp_path / name)[:2], [[1, 2.5], [3, 4.5]])


def locked(archive):
    """The archive with the mark of a password on its member."""
    content = bytearray(archive)
    content[6] |= 1
    content[archive.index(b"PK\1\2") + 8] |= 1
    return bytes(content)


GREEDY = lzma.compress(TEXT, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 2**29}])
BROKEN = {
    "several.zip": (zipped("a.csv", "b.csv"), r"holds 2 files \(a\.csv, b\.csv\)\. One file is read"),
    "none.zip": (zipped(), "holds no file"),
    "odd.zip": (zipped("a.csv", method=zipfile.ZIP_LZMA), "by a method that is not read"),
    "locked.zip": (locked(zipped("a.csv")), "locked by a password"),
    "text.zip": (TEXT, "cannot be read as .zip"),
    "text.csv.gz": (TEXT, "cannot be read as .gz"),
    "text.csv.bz2": (TEXT, "cannot be read as .bz2"),
    "text.csv.xz": (TEXT, "cannot be read as .xz"),
    "short.csv.gz": (gzip.compress(TEXT)[:-20], "cannot be read as .gz"),
    "short.csv.bz2": (bz2.compress(TEXT)[:-20], "cannot be read as .bz2"),
    "short.csv.xz": (lzma.compress(TEXT)[:-20], "cannot be read as .xz"),
    "greedy.csv.xz": (GREEDY, "cannot be read as .xz"),
    "unknown.gz": (gzip.compress(TEXT), "unknown format"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content", "message"), [(k, *v) for k, v in BROKEN.items()], ids=BROKEN)
def test_broken_files(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load(tmp_path / name)


@pytest.mark.slow
@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, lambda x: zipped("t.csv", content=x)])
def test_a_file_made_to_exhaust_memory_is_refused(tmp_path, monkeypatch, pack):
    monkeypatch.setattr(limits, "GENEROUS", 10_000)
    suffix = {b"\x1f\x8b": "gz", b"BZ": "bz2", b"\xfd7": "xz", b"PK": "zip"}[pack(b"")[:2]]
    path = tmp_path / f"t.csv.{suffix}"
    path.write_bytes(pack(b"1,2\n" * 1_000_000))
    with pytest.raises(DataError, match=r"unfolds to at least .*over 500 times the .* bytes"):
        load(path)


def test_a_long_label_is_held_once(table):
    """The labels of 20,000 rows would take 8 GB if each were as long as the longest."""
    path = table("a,label", "1," + "x" * 100_000, *["1,b"] * 20_000)
    tracemalloc.start()
    raw = read(path, ReadOptions())
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert raw.class_names == ("b", "x" * 100_000)
    assert raw.parts[0].labels[:3].tolist() == [1, 0, 0]
    assert most < 20e6


def test_a_long_id_among_many_is_refused(table):
    with pytest.raises(DataError, match="names of the rows are up to 90000 characters long"):
        read(table("name,a", "x" * 90_000 + ",1", *["b,1"] * 20_000), read_options(ids="name"))


# Long tables, whose plain rows are read in blocks.

LONG = np.round(np.random.default_rng(1).standard_normal((3000, 3)) * 100, 3)
NAMES = [f"n{i % 7}" for i in range(3000)]
ODD = {
    "plain": {},
    "quotes": {1500: ['"1.5"', "2", "3", '"n,1"']},
    "a break in quotes": {1500: ["1.5", "2", "3", '"n\n1"']},
    "large": {1499: ["1e300", "2", "3", "n1"]},
    "spaces": {1600: ["1.5", " 2 ", " 3", " n1"]},
    "no label": {1600: ["1.5", "2", "3", ""]},
    "last": {2999: ['"1.5"', "2", "3", "n1"]},
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.parametrize(("separator", "decimal"), [(",", "."), (";", ",")])
def test_a_long_table(table, odd, separator, decimal):
    cells = [[*map(str, row), name] for row, name in zip(LONG.tolist(), NAMES, strict=True)]
    for row, texts in odd.items():
        cells[row] = texts
    written = [separator.join([*(it.replace(".", decimal) for it in row[:3]), row[3]]) for row in cells]
    raw = read(table(separator.join(["a", "b", "c", "label"]), *written), ReadOptions())
    assert raw.parts[0].x.tolist() == [[float(cell.strip('"')) for cell in row[:3]] for row in cells]
    assert labels_of(raw) == [row[3].strip('" ') or None for row in cells]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,2,3,4,n1", "line 2402 has 5 cells, the first line 4"),
        ("1,2,n1", "line 2402 has 3 cells, the first line 4"),
        ("1,x,3,n1", "line 2402, column 'b' holds 'x'"),
        ("1,2_0,3,n1", "line 2402, column 'b' holds '2_0'"),
        ("1,9007199254740993,3,n1", "line 2402, column 'b' holds 9007199254740993"),
        ("1,?,3,n1", "1 empty cell: 'b' 1"),
        ('1,2,3,"n1', "cannot be read as .csv: line 3001: unexpected end of data"),
    ],
)
def test_an_odd_line_of_a_long_table_is_named(table, line, message):
    written = lines(*LONG.T, NAMES)
    written[2400] = line
    with pytest.raises(DataError, match=message):
        read(table("a,b,c,label", *written), ReadOptions())


def test_comments_and_empty_rows_of_a_long_table_are_passed_over(table):
    written = lines(*LONG.T, NAMES)
    for i in (2900, 1800, 20):
        written[i:i] = ["# 1,2,3", "", ",,,"]
    raw = read(table("a,b,c,label", *written), ReadOptions())
    np.testing.assert_array_equal(raw.parts[0].x, LONG)
    assert labels_of(raw) == NAMES
    assert raw.passed_over == ("3 comment lines", "3 rows with no value in any cell")


# Whatever is written comes back.

NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**6), 10**6).map(float)
WORDS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\r\x1c\x1d\x1e\x1f\x85"), min_size=1, max_size=8
).filter(lambda text: text == text.strip() and text.lower() != "nan")
DIALECTS = {
    "commas": ({"delimiter": ","}, ".", "utf-8", ".csv"),
    "semicolons": ({"delimiter": ";"}, ",", "utf-8-sig", ".csv"),
    "tabs": ({"delimiter": "\t"}, ".", "utf-16", ".tsv"),
    "quotes": ({"delimiter": ",", "quoting": csv.QUOTE_ALL}, ",", "utf-8", ".csv"),
    "bars": ({"delimiter": "|", "lineterminator": "\n"}, ".", "utf-8", ".txt.gz"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("form", "decimal", "encoding", "suffix"), DIALECTS.values(), ids=DIALECTS)
@settings(
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=st.lists(st.tuples(WORDS, NUMBERS, NUMBERS, WORDS), min_size=2, max_size=12))
def test_what_is_written_comes_back(tmp_path, form, decimal, encoding, suffix, rows):
    path = tmp_path / f"t{suffix}"
    with (gzip.open if suffix.endswith(".gz") else open)(path, "wt", encoding=encoding, newline="") as stream:
        writer = csv.writer(stream, **{"quoting": csv.QUOTE_NONNUMERIC, **form})
        writer.writerow(["row", "a", "b", "kind"])
        for name, a, b, kind in rows:
            numbers = [Written(repr(value).replace(".", decimal)) for value in (a, b)]
            writer.writerow([name, *(numbers if form.get("quoting") is None else map(str, numbers)), kind])
    options = read_options(ids="row", label_key="kind", separator=form["delimiter"], decimal=decimal)
    raw = read(path, options)
    assert raw.parts[0].x.tolist() == [[a, b] for _, a, b, _ in rows]
    assert [str(it) for it in raw.parts[0].ids.tolist()] == [name for name, *_ in rows]
    if raw.class_names is None:
        assert labels_of(raw) == [int(float(kind)) if int(float(kind)) != -1 else None for *_, kind in rows]
    else:
        assert labels_of(raw) == [kind for *_, kind in rows]


class Written(float):
    """A number that csv writes as it was spelled."""

    def __new__(cls, text):
        number = super().__new__(cls, text.replace(",", "."))
        number.text = text
        return number

    def __str__(self):
        return self.text

    __repr__ = __str__
