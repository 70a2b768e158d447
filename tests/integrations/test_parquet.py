"""Results as .parquet: the types of the columns, rows without a label, pipes."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest

from aaeframe.storage.npz import Chunked
from aaeframe.storage.output import Output
from aaeframe.storage.results import SUFFIXES, Results, write

pyarrow = pytest.importorskip("pyarrow", reason="no extra 'integrations'")
parquet = pytest.importorskip("pyarrow.parquet", reason="no extra 'integrations'")

Z = (np.arange(6, dtype=np.float32) / 7).reshape(3, 2)
FOUND = {"labels": np.array([1, -1, 0]), "class_names": ("a", "b"), "ids": np.array([7, 3, 5])}


def test_columns_have_the_types_of_their_values(tmp_path):
    chunked = Chunked(Z.shape, Z.dtype, iter([Z[:2], Z[2:]]))
    write(Output.named(tmp_path / "a.parquet", SUFFIXES), Results({"z": chunked}, ["z"], **FOUND))
    table = parquet.read_table(tmp_path / "a.parquet")
    assert table.column_names == ["ids", "labels", "z_1", "z_2"]
    assert table.schema.types == [pyarrow.int64(), pyarrow.string(), pyarrow.float32(), pyarrow.float32()]
    assert table["labels"].to_pylist() == ["b", None, "a"]
    np.testing.assert_array_equal(np.stack([table["z_1"], table["z_2"]], axis=1), Z)


def test_texts_are_texts(tmp_path):
    found = Results({"z": Z, "why": np.array([["a"], ["b"], ["é"]])}, ["z", "why"])
    write(Output.named(tmp_path / "a.parquet", SUFFIXES), found)
    table = parquet.read_table(tmp_path / "a.parquet")
    assert table.schema.field("why_1").type == pyarrow.string()
    assert table["why_1"].to_pylist() == ["a", "b", "é"]


def test_a_pipe_takes_it(tmp_path):
    pipe, found = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    write(Output.named(pipe, SUFFIXES, form="parquet"), Results({"z": Z}, ["z"], **FOUND))
    reader.join()
    assert parquet.read_table(pyarrow.BufferReader(found[0])).num_rows == 3
