from __future__ import annotations

import gzip
import hashlib

import numpy as np
import pytest
from scipy import io
from sklearn.datasets import load_digits
from torch.distributions import constraints

from aaeframe.data import catalogue as named
from aaeframe.data import data_sets, load
from aaeframe.data.download import RemoteFile
from aaeframe.errors import DataError


def sizes(data):
    return len(data.train), len(data.validation), len(data.test)


def test_the_names_are_those_of_the_paper_and_digits():
    assert list(data_sets()) == ["digits", "mnist", "fashion-mnist", "svhn", "tfd"]


def test_digits_are_those_of_scikit_learn():
    data = load("digits")
    assert sizes(data) == (1257, 180, 360)
    assert data.spec.shape == (1, 8, 8)
    assert (data.spec.mean.item(), data.spec.std.item()) == (0.0, 16.0)
    assert data.spec.support is constraints.unit_interval
    assert data.train.dtype == np.uint8
    images, labels = load_digits(return_X_y=True)
    rows = np.concatenate([split.index for split in (data.train, data.validation, data.test)])
    np.testing.assert_array_equal(np.sort(rows), np.arange(1797))
    for split in (data.train, data.validation, data.test):
        np.testing.assert_array_equal(split.array().reshape(-1, 64), images[split.index])
        np.testing.assert_array_equal(split.labels, labels[split.index])


def test_the_split_of_digits_is_stratified_and_never_moves():
    data = load("digits")
    for split, tenth in ((data.train, 125.7), (data.validation, 18.0), (data.test, 36.0)):
        assert np.abs(np.bincount(split.labels) - tenth).max() <= 4  # the classes themselves differ so much
    digest = hashlib.sha256(data.test.index.astype("<i8").tobytes()).hexdigest()
    assert digest == "4799f9744ac7d101019dcf61aaab8ddef58fa6c3c4dc0424891b53eb8d1d0e7f"


@pytest.mark.parametrize("files", [named.MNIST, named.FASHION_MNIST, named.SVHN])
def test_every_file_has_a_digest_and_a_place(files):
    for file in files:
        assert len(file.sha256) == 64
        assert file.urls
        assert all(url.endswith("/" + file.name) for url in file.urls)


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A folder for `AAEFRAME_DATA`, and how to replace the files of a data set by those in it."""
    monkeypatch.setenv("AAEFRAME_DATA", str(tmp_path))

    def replace(constant):
        files = []
        for file in getattr(named, constant):
            digest = hashlib.sha256((tmp_path / file.name).read_bytes()).hexdigest()
            files.append(RemoteFile(file.name, digest, ()))
        monkeypatch.setattr(named, constant, tuple(files))

    return tmp_path, replace


def write_idx(path, x):
    header = bytes([0, 0, 8, x.ndim]) + np.array(x.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(header + x.astype(np.uint8).tobytes(), compresslevel=1))


@pytest.mark.parametrize(("name", "constant"), [("mnist", "MNIST"), ("fashion-mnist", "FASHION_MNIST")])
def test_the_last_ten_thousand_rows_are_for_validation(kept, name, constant):
    folder, replace = kept
    x = np.random.default_rng(0).integers(0, 256, (10_030, 2, 2), dtype=np.uint8)
    y = np.arange(len(x)) % 10
    for part, rows in (("train", slice(None)), ("t10k", slice(20))):
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", x[rows])
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", y[rows])
    replace(constant)
    data = load(name)
    assert sizes(data) == (30, 10_000, 20)
    np.testing.assert_array_equal(data.validation.array()[:, 0], x[30:])
    np.testing.assert_array_equal(data.validation.labels, y[30:])
    np.testing.assert_array_equal(data.test.array()[:, 0], x[:20])
    assert data.class_names[9] == {"mnist": "9", "fashion-mnist": "Ankle boot"}[name]


def test_svhn_reads_ten_as_zero(kept):
    folder, replace = kept
    x = np.random.default_rng(0).integers(0, 256, (2, 2, 3, 10_030), dtype=np.uint8)
    y = (np.arange(10_030) % 10 + 1)[:, None]
    io.savemat(folder / "train_32x32.mat", {"X": x, "y": y})
    io.savemat(folder / "test_32x32.mat", {"X": x[..., :20], "y": y[:20]})
    replace("SVHN")
    data = load("svhn")
    assert sizes(data) == (30, 10_000, 20)
    assert data.test.labels.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0] * 2
    np.testing.assert_array_equal(data.test.array(), x[..., :20].transpose(3, 2, 0, 1))


def test_files_that_are_not_mnists_are_refused(kept):
    folder, _ = kept
    write_idx(folder / "train-images-idx3-ubyte.gz", np.zeros((10, 2, 2)))
    with pytest.raises(DataError, match=r"is not the train-images-idx3-ubyte.gz of mnist.*expected 440fcabf"):
        load("mnist")


def test_real_mnist(real_data):
    data = load("mnist")
    assert sizes(data) == (50_000, 10_000, 10_000)
    assert data.spec.shape == (1, 28, 28)
    assert data.train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert data.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert np.bincount(data.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert data.train.array().mean() == pytest.approx(33.3, abs=0.2)


def test_real_mnist_by_its_folder(real_data):
    data = load(real_data / "mnist")
    assert sizes(data) == (50_000, 10_000, 10_000)


def test_real_house_numbers(real_data):
    data = load(real_data / "svhn10k" / "svhn_test_first10000_32x32.npz")
    assert sizes(data) == (8_000, 1_000, 1_000)
    assert data.spec.shape == (3, 32, 32)
    assert data.num_classes == 10


def test_real_faces(real_data):
    data = load(real_data / "frey" / "frey_faces_1965x28x20_uint8.npz")
    assert sizes(data) == (1_573, 196, 196)
    assert data.spec.shape == (1, 28, 20)
    assert data.num_classes is None
