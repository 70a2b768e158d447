"""Tables that pandas, pyarrow, numpy and scipy write are read alike: rows, labels, names of rows and splits."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import io

import aaeframe.data
from aaeframe.data.readers.table_dialect import MISSING, is_number
from aaeframe.errors import DataError

pandas = pytest.importorskip("pandas", reason="no extra 'integrations': pandas is not installed")
pytest.importorskip("pyarrow", reason="no extra 'integrations': pyarrow is not installed")
from pyarrow import Table as ArrowTable  # noqa: E402 - it may not be there
from pyarrow import csv as arrow_csv  # noqa: E402

NEEDED = {"label_key", "ids", "encoding"}
"""The options that are always given."""

NAMES = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=8)
TEXTS = st.one_of(
    st.sampled_from(
        ["a, b", 'say "b"', "it's", "Ärger;\tx", "日本 語", "été", "x|y", "-", "1.5 mm", "#7", "3e", "None"]
    ),
    st.text(st.characters(codec="utf-8", exclude_categories=("C",)), min_size=1, max_size=6),
).filter(lambda text: text.strip().lower() not in ("", "nan"))


@dataclass
class Table:
    """The rows that are written."""

    x: np.ndarray
    columns: list[str]
    labels: list[str | int | None] | None
    ids: list[str] | None
    holes: np.ndarray
    """The cells of x that are written as empty ones."""

    def complete(self) -> Table:
        """The rows without an empty cell."""
        keep = np.flatnonzero(~self.holes.any(1))
        labels, ids = (None if it is None else [it[i] for i in keep] for it in (self.labels, self.ids))
        return Table(self.x[keep], self.columns, labels, ids, self.holes[keep])

    @property
    def label_texts(self) -> list[str | None]:
        """The name of each row's class; None without one."""
        return [None if it is None else str(it).strip() for it in self.labels or []]

    def label_array(self) -> np.ndarray:
        """Labels for files that hold arrays, where NaN and empty texts are none."""
        none = "" if any(isinstance(it, str) for it in self.labels) else np.nan
        return np.array([none if it is None else it for it in self.labels])

    def frame(self):
        """The table as a pandas.DataFrame."""
        x = np.where(self.holes, np.nan, self.x)
        columns: dict[str, Any] = {name: x[:, i] for i, name in enumerate(self.columns)}
        if self.labels is not None:
            columns["the label"] = self.labels
        if self.ids is not None:
            columns["the name"] = self.ids
        return pandas.DataFrame(columns)

    @property
    def options(self) -> dict[str, str]:
        """The options that say which column is what."""
        found = {"label_key": "the label"} if self.labels is not None else {}
        return found | ({"ids": "the name"} if self.ids is not None else {})


@st.composite
def tables(draw) -> Table:
    """A table of at least one row and one column, of which at least the first row has no empty cell."""
    rows, width = draw(st.one_of(st.integers(1, 12), st.integers(13, 60))), draw(st.integers(1, 5))
    scale, offset = draw(st.sampled_from([(1, 0), (1e-9, 0), (3, 1e7), (0.1, -1e6), (1e30, 0), (1000, 50)]))
    noise = np.random.default_rng(draw(st.integers(0, 2**32))).normal(size=(rows, width)) * scale + offset
    kind = draw(st.sampled_from(["reals", "short", "whole", "single", "mixed"]))
    x = {"reals": noise, "short": noise.round(2), "single": noise.astype(np.float32).astype(np.float64)}.get(
        kind, noise
    )
    if kind == "whole":
        x = np.rint(np.clip(noise, -(2**52), 2**52))
    if kind == "mixed":
        x[:, 0] = np.rint(np.clip(x[:, 0], -(2**52), 2**52))
    special = ("label", "labels", "class", "target", "y", "x", "id", "ids", "index", "the label", "the name")
    names = NAMES.filter(lambda name: name.strip().lower() not in special and name.strip() not in MISSING)
    columns = draw(st.lists(names, min_size=width, max_size=width, unique_by=str.strip))
    columns[0] = columns[0].replace("#", "No.")  # a line that begins with it is a comment
    holes = np.random.default_rng(0).random(x.shape) < draw(st.sampled_from([0, 0, 0.1]))
    holes[0] = False
    return Table(x, columns, draw(_labels(rows)), draw(_ids(rows)), holes)


@st.composite
def _labels(draw, rows: int) -> list[str | int | None] | None:
    """Classes by texts or numbers, some rows without one; or none at all."""
    kind = draw(st.sampled_from(["none", "texts", "numbers", "from 0"]))
    if kind == "none":
        return None
    values = {"texts": TEXTS, "numbers": st.integers(0, 2**40), "from 0": st.integers(0, 3)}[kind]
    unique_by = str.strip if kind == "texts" else None
    classes: list[Any] = draw(st.lists(values, min_size=1, max_size=4, unique_by=unique_by or (lambda it: it)))
    if draw(st.booleans()):
        classes.append(None)
    return draw(st.lists(st.sampled_from(classes), min_size=rows, max_size=rows))


def _ids(rows: int):
    return st.one_of(st.none(), st.lists(TEXTS, min_size=rows, max_size=rows, unique_by=str.strip))


# Writers: each writes one file, and returns its path and the options without which it may have two readings.

Written = tuple[Path, dict[str, Any]]


def pandas_files(table: Table, folder: Path) -> Iterator[Written]:
    """Text files in the dialects that pandas writes."""
    frame, told = table.frame(), {"header": True, "decimal": ".", **table.options}
    comma = told | {"separator": ","}
    for name, how, options in (
        ("plain.csv", {}, comma),
        ("quoted.csv", {"quoting": csv.QUOTE_NONNUMERIC, "lineterminator": "\r\n"}, comma),
        ("all quoted.csv", {"quoting": csv.QUOTE_ALL}, comma),
        ("tabs.tsv", {"sep": "\t"}, told | {"separator": "\t"}),
        ("decimal.csv", {"sep": ";", "decimal": ","}, told | {"separator": ";", "decimal": ","}),
        ("marked.csv", {"encoding": "utf-8-sig"}, comma),
        ("wide.csv", {"encoding": "utf-16"}, comma),
        ("pipes.txt", {"sep": "|"}, told | {"separator": "|"}),
        *((f"packed.csv{packing}", {}, comma) for packing in (".gz", ".bz2", ".xz", ".zip")),
    ):
        frame.to_csv(folder / name, index=False, **how)
        yield folder / name, options
    if table.ids is not None:  # a line that begins with # is a comment, unless it is quoted
        quoting = csv.QUOTE_NONNUMERIC if any(it.strip().startswith("#") for it in table.ids) else csv.QUOTE_MINIMAL
        frame.set_index("the name").to_csv(folder / "ids first.csv", quoting=quoting)
        yield folder / "ids first.csv", comma
    if len(frame) > 1:  # of one row, an index of 0 is a number
        frame.to_csv(folder / "index.csv")
        yield folder / "index.csv", comma
    try:
        frame.to_csv(folder / "western.csv", index=False, encoding="cp1252")
    except UnicodeEncodeError:
        return
    yield folder / "western.csv", comma | {"encoding": "cp1252"}


def arrow_file(table: Table, folder: Path) -> Iterator[Written]:
    """A text file by pyarrow, which quotes every text."""
    path = folder / "arrow.csv"
    arrow_csv.write_csv(ArrowTable.from_pandas(table.frame(), preserve_index=False), path)
    yield path, {"header": True, "decimal": ".", "separator": ",", **table.options}


def numpy_files(table: Table, folder: Path) -> Iterator[Written]:
    """Arrays."""
    arrays, options = {"x": table.x}, {}
    if table.labels is not None:
        arrays["y"] = table.label_array()
    if table.ids is not None:
        arrays["names"], options["ids"] = np.array(table.ids), "names"
    for save in (np.savez, np.savez_compressed):
        path = folder / f"{save.__name__}.npz"
        save(path, **arrays)
        yield path, options
    path = folder / "arrays.mat"
    io.savemat(path, arrays | {"x": np.asfortranarray(table.x)})
    yield path, options | {"rows": "first"}


def check(table: Table, write: Callable[[Table, Path], Iterator[Written]]) -> None:
    """Every file gives the rows that were drawn, or is refused with the option that decides."""
    whole = table.complete()
    with tempfile.TemporaryDirectory() as folder:
        for path, options in write(whole if write is numpy_files else table, Path(folder)):
            known = {key: options[key] for key in NEEDED & options.keys()}
            if any(map(is_number, table.columns)) and "header" in options:
                known["header"] = True  # numbers can be a row
            if len(table.columns) == 1 and "separator" in options:  # of a single column, nothing tells
                known |= {"separator": options["separator"], "decimal": options["decimal"]}
            if write is not numpy_files and table.holes.any():
                known["missing"] = options["missing"] = "drop"
            try:
                found = aaeframe.data.load_rows(path, **known)
            except DataError as error:
                if not any(f"data.{key}" in str(error) for key in options):
                    raise
                known = options
                found = aaeframe.data.load_rows(path, **known)
            same(found.rows, found.class_names, whole, np.arange(len(whole.x)))
            if path.suffix not in (".npz", ".mat"):
                assert [*found.columns] == [name.strip() for name in table.columns]
            if len(whole.x) >= 10:
                check_splits(aaeframe.data.load(path, **known), whole)


def same(rows, class_names, table: Table, index: np.ndarray) -> None:
    """Rows are those of the table at this index."""
    np.testing.assert_array_equal(rows.array(), table.x[index])
    ids = None if table.ids is None else [table.ids[i].strip() for i in index]
    assert (None if rows.ids is None else rows.ids.tolist()) == ids
    labels = [None] * len(index) if rows.labels is None else [None if i < 0 else class_names[i] for i in rows.labels]
    assert labels == [table.label_texts[i] if table.labels is not None else None for i in index]


def check_splits(data, table: Table) -> None:
    """Every split has the rows of the rule in `aaeframe.data.splits`."""
    rows = len(table.x)
    test, validation, train = np.split(np.random.default_rng(0).permutation(rows), [rows // 10, rows // 10 * 2])
    for split, index in ((data.train, train), (data.validation, validation), (data.test, test)):
        same(split, data.class_names, table, np.sort(index))


WRITERS = pytest.mark.parametrize("write", [pandas_files, arrow_file, numpy_files])


@WRITERS
@settings(deadline=None, max_examples=25)
@given(tables())
def test_tables_by_other_writers_are_read_alike(write, table):
    check(table, write)


@pytest.mark.slow
@WRITERS
@settings(deadline=None, max_examples=500)
@given(tables())
def test_many_tables_by_other_writers_are_read_alike(write, table):
    check(table, write)
