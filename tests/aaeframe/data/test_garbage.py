"""Whatever a file holds, what comes out is a data set or a DataError."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aaeframe.data import load
from aaeframe.errors import DataError

ANY = settings(
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # each example writes the file anew
)


def saved(save):
    stream = io.BytesIO()
    save(stream, np.arange(60, dtype=np.float32).reshape(20, 3))
    return stream.getvalue()


def zipped(content):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.csv", content)
    return stream.getvalue()


CSV = b"a,b,label\n" + b"1,2.5,cat\n3,4e-1,dog\n" * 10
IDX = b"\0\0\x08\x02" + np.array([20, 3], ">u4").tobytes() + bytes(60)
GENUINE = {
    "x-idx2-ubyte": IDX,
    "x-idx2-ubyte.gz": gzip.compress(IDX),
    "x.npy": saved(np.save),
    "x.npz": saved(lambda stream, x: np.savez_compressed(stream, x=x)),
    "x.csv": CSV,
    "x.csv.gz": gzip.compress(CSV),
    "x.csv.bz2": bz2.compress(CSV),
    "x.csv.xz": lzma.compress(CSV),
    "x.zip": zipped(CSV),
    "x.tsv": CSV.replace(b",", b"\t").decode().encode("utf-16"),
    "x.txt": b"# a b label\n" + b"1 2.5 cat\n3 4e-1 dog\n" * 10,
}


def load_or_refuse(path, content):
    path.write_bytes(content)
    try:
        data = load(path)
    except DataError:
        return
    assert np.isfinite(data.train.array()).all()


@pytest.mark.parametrize("name", GENUINE)
@ANY
@given(content=st.binary(max_size=300))
def test_random_bytes(tmp_path, name, content):
    load_or_refuse(tmp_path / name, content)


@pytest.mark.parametrize("name", GENUINE)
@ANY
@given(data=st.data())
def test_a_genuine_file_with_some_bytes_changed(tmp_path, name, data):
    content = bytearray(GENUINE[name])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    load_or_refuse(tmp_path / name, bytes(content[: data.draw(st.integers(0, len(content)))]))


@pytest.mark.parametrize("name", GENUINE)
def test_the_genuine_file_loads(tmp_path, name):
    (tmp_path / name).write_bytes(GENUINE[name])
    assert len(load(tmp_path / name).train) == 16
