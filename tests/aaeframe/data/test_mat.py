from __future__ import annotations

import numpy as np
import pytest
from scipy import io

from aaeframe.data import load
from aaeframe.errors import DataError

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (8, 9, 3, 40), dtype=np.uint8)
FACES = RNG.integers(0, 256, (60, 6, 6), dtype=np.uint8)


def test_svhn(tmp_path):
    y = (np.arange(40) % 10 + 1).astype(np.uint8)[:, None]
    io.savemat(tmp_path / "train_32x32.mat", {"X": X, "y": y})
    data = load(tmp_path / "train_32x32.mat")
    assert data.spec.shape == (3, 8, 9)
    rows = data.train.index
    np.testing.assert_array_equal(data.train.array(), X.transpose(3, 2, 0, 1)[rows])
    np.testing.assert_array_equal(data.train.labels, y[rows, 0] % 10)
    assert data.train.data.flags.c_contiguous


def test_other_labels_in_svhns_layout_stay(tmp_path):
    io.savemat(tmp_path / "a.mat", {"X": X, "y": np.arange(40)[:, None] % 10})
    data = load(tmp_path / "a.mat")
    np.testing.assert_array_equal(data.test.labels, data.test.index % 10)


def test_names_as_in_npz(tmp_path):
    x = RNG.standard_normal((30, 5))
    io.savemat(tmp_path / "a.mat", {"images": x, "who": np.arange(30) % 3 + 1.0})
    data = load(tmp_path / "a.mat", labels="who")
    np.testing.assert_array_equal(data.train.array(), x[data.train.index].astype(np.float32))
    assert data.class_names == ("1", "2", "3")


def test_the_toronto_faces_by_their_first_fold(tmp_path):
    folds = np.zeros((60, 5), np.uint8)
    folds[30:50, 0], folds[50:54, 0], folds[54:, 0] = 1, 2, 3
    labels = np.where(folds[:, 0] > 0, np.arange(60) % 2 + 1, -1)
    io.savemat(tmp_path / "TFD_48x48.mat", {"images": FACES, "labs_ex": labels[:, None], "folds": folds})
    data = load(tmp_path / "TFD_48x48.mat")
    np.testing.assert_array_equal(data.train.array()[:, 0], FACES[:50])
    np.testing.assert_array_equal(data.validation.array()[:, 0], FACES[50:54])
    np.testing.assert_array_equal(data.test.array()[:, 0], FACES[54:])
    assert data.train.labels is None
    assert data.validation.labels.tolist() == [0, 1, 0, 1]
    assert data.class_names == ("1", "2")


@pytest.mark.parametrize("unlabeled", [0, 1])
def test_the_toronto_faces_without_folds(tmp_path, unlabeled):
    labels = np.arange(60) % 7 + 1
    labels[:unlabeled] = -1
    io.savemat(tmp_path / "TFD_48x48.mat", {"images": FACES, "labs_ex": labels})
    data = load(tmp_path / "TFD_48x48.mat")
    assert (len(data.train), len(data.validation), len(data.test)) == (48, 6, 6)
    assert data.num_classes == (None if unlabeled else 7)


def test_tfd_by_name_is_looked_for_in_the_users_folder(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"cannot be downloaded.*TFD_48x48.mat into a folder and set AAEFRAME_DATA"):
        load("tfd")
    monkeypatch.setenv("AAEFRAME_DATA", str(tmp_path))
    with pytest.raises(DataError, match="cannot be downloaded"):
        load("tfd")
    io.savemat(tmp_path / "TFD_48x48.mat", {"images": FACES, "labs_ex": np.arange(60) % 7 + 1})
    assert load("tfd").spec.shape == (1, 6, 6)


def test_labels_and_folds_must_fit_the_faces(tmp_path):
    io.savemat(tmp_path / "a.mat", {"images": FACES, "labs_ex": np.ones(59)})
    with pytest.raises(DataError, match="60 images have 59 labels in labs_ex"):
        load(tmp_path / "a.mat")
    io.savemat(tmp_path / "a.mat", {"images": FACES, "labs_ex": np.ones(60), "folds": np.ones((5, 60))})
    with pytest.raises(DataError, match=r"folds has the shape \(5, 60\); it needs one row for each of 60"):
        load(tmp_path / "a.mat")


def test_a_broken_file_is_refused(tmp_path):
    io.savemat(tmp_path / "a.mat", {"x": RNG.standard_normal((30, 5))}, do_compression=True)
    whole = (tmp_path / "a.mat").read_bytes()
    (tmp_path / "a.mat").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be read as a MATLAB file"):
        load(tmp_path / "a.mat")
    (tmp_path / "a.mat").write_bytes(b"nonsense" * 40)
    with pytest.raises(DataError, match="cannot be read as a MATLAB file"):
        load(tmp_path / "a.mat")


def test_a_newer_file_says_how_to_save_it(tmp_path):
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    (tmp_path / "a.mat").write_bytes(header + b"\x89HDF" * 100)
    with pytest.raises(DataError, match=r"is a MATLAB 7.3 file. Save it again with `save -v7`"):
        load(tmp_path / "a.mat")


def test_what_is_no_array_of_numbers_is_refused(tmp_path):
    cells = np.empty((12, 2), object)
    cells[:] = "a"
    io.savemat(tmp_path / "a.mat", {"x": cells})
    with pytest.raises(DataError, match="of type cell; it must be real numbers"):
        load(tmp_path / "a.mat")
