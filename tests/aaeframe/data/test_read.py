from __future__ import annotations

import builtins
import io
import os
import sys

import numpy as np
import pytest

from aaeframe.configuration.reading import ReadOptions
from aaeframe.data import data_sets, load
from aaeframe.data.named import opened
from aaeframe.data.read import usable
from aaeframe.errors import DataError


@pytest.mark.parametrize(
    ("asked", "near"), [("mnits", "mnist"), ("Digits", "digits"), ("fashion_mnist", "fashion-mnist")]
)
def test_an_unknown_name_lists_the_names_and_the_nearest(asked, near):
    with pytest.raises(DataError) as caught:
        load(asked)
    assert f"no data set and no file {asked!r}. Did you mean {near!r}?" in str(caught.value)
    assert f"Names are {', '.join(data_sets())}" in str(caught.value)


def test_a_missing_file_lists_the_formats(tmp_path):
    with pytest.raises(DataError, match=r"no file '.*faces.npz'.*paths are of \.npz, \.npy, \.csv"):
        load(tmp_path / "faces.npz")


def test_an_unknown_format(tmp_path):
    (tmp_path / "x.zarr").write_text("x")
    with pytest.raises(DataError, match=r"x.zarr: has an unknown format, by its name\. Give \.npz"):
        load(tmp_path / "x.zarr")


@pytest.mark.parametrize("name", ["x.npz", "x.npy", "x.csv", "x.mat", "x-idx3-ubyte", "x-idx3-ubyte.gz"])
def test_an_empty_file(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(DataError, match="the file is empty"):
        load(tmp_path / name)


@pytest.mark.parametrize("name", ["x.npz", "x.npy", "x.csv", "x.mat", "x-idx3-ubyte", "x-idx3-ubyte.gz"])
def test_an_unreadable_file(tmp_path, name, monkeypatch):
    (tmp_path / name).write_bytes(b"content")
    opened = io.open

    def forbidden(path, *args, **options):
        if str(path) == str(tmp_path / name):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *args, **options)

    # where the tests run as root, no file mode forbids reading
    monkeypatch.setattr(io, "open", forbidden)
    monkeypatch.setattr(builtins, "open", forbidden)
    with pytest.raises(DataError, match=rf"{name}: cannot be read.*Permission denied"):
        load(tmp_path / name)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.csv")
    with pytest.raises(DataError, match=r"is neither a file nor a folder"):
        load(tmp_path / "x.csv")


@pytest.mark.parametrize("source", ["x" * 5000, "~nobody-of-this-name/x.npy"])
def test_a_path_that_cannot_be(source):
    with pytest.raises(DataError, match=r"cannot be read|no data set and no file"):
        load(source)


@pytest.mark.parametrize("source", ["", " "])
def test_an_empty_name_is_not_the_current_folder(source, tmp_path, monkeypatch):
    np.save(tmp_path / "part-0.npy", np.zeros((20, 3)))
    monkeypatch.chdir(tmp_path)
    assert load(".").train.shape == (3,)
    with pytest.raises(DataError, match="the name of the data is empty"):
        load(source)


def test_a_file_named_like_a_data_set_is_had_as_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert load("digits").name == "digits"
    with pytest.raises(DataError, match="holds no images"):
        load("./digits")


@pytest.mark.parametrize("source", ["digits", "x.npy", "folder"])
def test_labels_where_they_mean_nothing(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.zeros((10, 2)))
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match=r"label_key.* out\."):
        load(source, label_key="kind")


def test_the_axes_of_other_data_are_read_as_the_runs(tmp_path):
    options = ReadOptions(channels="first", rows="last", label_key="y", scale="none")
    np.save(tmp_path / "x.npy", np.zeros((10, 2)))
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    (tmp_path / "x.mat").write_bytes(b"any")
    assert usable(tmp_path / "x.npy", options).given == {"channels": "first"}
    assert usable(tmp_path / "x.mat", options).given == {"channels": "first", "rows": "last", "label_key": "y"}
    assert usable(tmp_path / "x.csv", options).given == {"label_key": "y"}
    assert usable(opened("digits"), options).given == {}


def test_data_beyond_memory(tmp_path, monkeypatch):
    np.savez(tmp_path / "x.npz", x=np.zeros((10, 2)))

    def full(*_args, **_options):
        raise MemoryError

    monkeypatch.setattr(np.lib.format, "read_array", full)
    with pytest.raises(DataError, match=r"x.npz: does not fit into memory\. Save it as \.npy"):
        load(tmp_path / "x.npz")


def test_a_home_folder_is_known(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    np.save(tmp_path / "x.npy", np.zeros((10, 2)))
    assert len(load("~/x.npy").train) == 8


def test_a_file_without_a_split_holds_out_what_it_is_told(tmp_path):
    np.save(tmp_path / "rows.npy", np.arange(200, dtype=np.float32).reshape(100, 2))
    data = load(tmp_path / "rows.npy", held_out=(10, 20))
    assert [len(data.train), len(data.validation), len(data.test)] == [70, 10, 20]


def test_a_source_with_its_own_split_keeps_it(tmp_path):
    with pytest.raises(DataError, match="digits: is read in its own way; leave held_out out"):
        load("digits", held_out=(10, 20))


@pytest.mark.parametrize(
    ("name", "library", "extra"), [("x.parquet", "pyarrow", "parquet"), ("x.h5ad", "anndata", "h5ad")]
)
def test_a_library_that_is_missing_is_named(tmp_path, monkeypatch, name, library, extra):
    (tmp_path / name).write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, library, None)
    message = rf"{name}: is read by {library}, which is not installed: pip install 'aaeframe\[{extra}\]'"
    with pytest.raises(DataError, match=message):
        load(tmp_path / name)
