from __future__ import annotations

import numpy as np
import pytest

from aaeframe.storage.atomic import written_atomically
from aaeframe.storage.npz import Chunked, write_npz


def write(path, arrays):
    with written_atomically(path) as file:
        write_npz(file, arrays)


def test_arrays_are_written_whole_or_in_chunks(tmp_path):
    x, names = np.arange(24, dtype=np.float32).reshape(4, 3, 2), np.array(["a", "bc"])
    turned = np.asfortranarray(x)
    chunked = Chunked(x.shape, x.dtype, (turned[at] for at in (slice(3), slice(3, 4))))
    with written_atomically(tmp_path / "a.npz") as file:
        write_npz(file, {"x": x, "names": names, "chunked": chunked})
    with np.load(tmp_path / "a.npz", allow_pickle=False) as found:
        assert set(found) == {"x", "names", "chunked"}
        for name, expected in {"x": x, "names": names, "chunked": x}.items():
            np.testing.assert_array_equal(found[name], expected)
            assert found[name].dtype == expected.dtype


def test_what_fails_on_the_way_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(b"before")

    def chunks():
        yield np.zeros((1, 2), np.float32)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(path, {"x": Chunked((2, 2), np.dtype(np.float32), chunks())})
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_arrays_of_objects_are_refused(tmp_path):
    with pytest.raises(ValueError, match="allow_pickle=False"):
        write(tmp_path / "a.npz", {"x": np.array([{}])})
    assert list(tmp_path.iterdir()) == []
