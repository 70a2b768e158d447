from __future__ import annotations

import json

import numpy as np
import pytest

from aaeframe.data import from_arrays, identity, load
from aaeframe.data.identity import changes, digest

X = np.random.default_rng(0).random((200, 3)).astype(np.float32)
LABELS = np.arange(200) % 2


def of(x=X, labels=LABELS, columns=("a", "b", "c")):
    return identity.identity(from_arrays(x, labels, columns=columns, name="mine"))


def test_the_same_data_has_no_changes_after_json():
    known = json.loads(json.dumps(of()))
    assert changes(known, of()) == []
    assert known["rows"] == {"training": 160, "validation": 20, "test": 20}
    assert (known["columns"], known["class_names"], known["shape"]) == (["a", "b", "c"], ["0", "1"], [3])


@pytest.mark.parametrize(
    ("now", "found"),
    [
        (of(X[::-1], LABELS[::-1]), ["other values, labels or another order in the training and validation and test"]),
        (of(X, 1 - LABELS), ["other values, labels or another order in the training"]),
        (of(X + 1), ["other values, labels"]),
        (of(X[:190], LABELS[:190]), ["152 training rows where there were 160", "19 validation", "19 test rows"]),
        (of(np.tile(X, (11, 1)), np.tile(LABELS, 11)), ["1,760 training rows where there were 160", "220", "220"]),
        (of(columns=("b", "a", "c")), ["other columns"]),
        (of(columns=None), ["other columns"]),
        (of(X[:, :2], columns=("a", "b")), [r"rows of shape (2,) where it was (3,)", "other columns"]),
        (of(labels=np.array(["x", "y"])[LABELS]), ["other class names"]),
        (of(labels=None), ["other class names"]),
    ],
    ids=["order", "labels", "values", "fewer", "more", "renamed", "unnamed", "narrower", "names", "unlabeled"],
)
def test_each_change_is_named(now, found):
    said = changes(of(), now)
    assert len(said) == len(found)
    for sentence, part in zip(said, found, strict=True):
        assert part in sentence


def test_one_value_in_one_split_names_that_split():
    x = X.copy()
    x[from_arrays(X).test.index[4], 2] += 1e-6
    assert changes(of(), of(x)) == ["other values, labels or another order in the test rows"]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64, ">f8", np.int64])
@pytest.mark.parametrize("shape", [(40, 3), (40, 6, 5)])
def test_a_file_has_the_identity_of_its_array(tmp_path, dtype, shape):
    x = (np.random.default_rng(0).random(shape) * 200).astype(dtype)
    np.save(tmp_path / "x.npy", x)
    mapped = load(tmp_path / "x.npy")
    assert mapped.train.is_mapped
    assert identity.identity(mapped)["digests"] == identity.identity(from_arrays(x))["digests"]


def test_of_large_splits_rows_over_all_of_them_are_read(monkeypatch):
    monkeypatch.setattr(identity, "MOST_BYTES", 10 * 3 * 4)
    split = from_arrays(X).train
    known = digest(split)
    assert known == digest(from_arrays(X).train)
    assert known != digest(split.take(np.arange(len(split))[::-1]))
    assert known != digest(split.take(np.arange(len(split) - 1)))
