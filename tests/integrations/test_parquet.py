"""Results as .parquet: the types of the columns, rows without a label, pipes."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest

from aaeframe.errors import DataError
from aaeframe.storage import results
from aaeframe.storage.npz import Chunked
from aaeframe.storage.output import Output
from aaeframe.storage.results import SUFFIXES, Results, write
from aaeframe.storage.shards import Layout, Shard, ShardFile, concatenated

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


@pytest.mark.parametrize("draws", [0, 2])
@pytest.mark.parametrize("kind", ["texts", "numbers"])
def test_shards_in_parquet_join_to_the_bytes_of_one_file(tmp_path, monkeypatch, draws, kind):
    ids = np.array([f"p{k}" for k in range(12)]) if kind == "texts" else np.arange(12)[::-1].copy()
    monkeypatch.setattr(results, "CELLS", 16)
    rng = np.random.default_rng(0)
    z = rng.normal(size=(12, 3)).astype(np.float32)
    z[5, 1] = np.nan
    arrays = {"z": z, "why": np.array(["a", "é", "x,y"])[np.arange(12) % 3], "flag": (z[:, 0] > 0).astype(np.uint8)}
    if draws:
        arrays = {"z": np.stack([z, z + 1])}
    labels = np.arange(12) % 3 - 1
    columns = {"why": ["why"], "flag": ["flag"]}
    whole = Results(arrays, list(arrays), columns, labels, ("a.b", "a"), ids, draws)
    for index, (start, stop) in enumerate([(0, 5), (5, 5), (5, 12)]):
        at = slice(start, stop)
        cut = {name: it[:, at] if draws else it[at] for name, it in arrays.items()}
        part = Results(cut, list(cut), columns, labels[at], ("a.b", "a"), ids[at], draws)
        shard = Shard(index=index, count=3, start=start, stop=stop, rows=12, origin={}, layout=Layout.of(part))
        write(Output.named(tmp_path / f"{index}.parquet", SUFFIXES), part, shard.model_dump_json())
    files = [ShardFile.open(tmp_path / f"{index}.parquet") for index in (2, 0, 1)]
    for suffix in (".parquet", ".csv", ".npz"):
        write(Output.named(tmp_path / f"one{suffix}", SUFFIXES), whole)
        write(Output.named(tmp_path / f"joined{suffix}", SUFFIXES), concatenated(files))
        assert (tmp_path / f"joined{suffix}").read_bytes() == (tmp_path / f"one{suffix}").read_bytes()


def test_a_parquet_file_that_is_no_shard_or_damaged_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    write(Output.named(path, SUFFIXES), Results({"z": Z}, ["z"]))
    with pytest.raises(DataError, match=r"a\.parquet is not a shard"):
        ShardFile.open(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"a\.parquet cannot be read as a shard"):
        ShardFile.open(path)
