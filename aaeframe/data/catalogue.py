"""The factories of the named data sets, which the hook `aaeframe_data_sets` offers."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

import numpy as np

from aaeframe.data import splits
from aaeframe.data.assemble import DEFAULTS, assemble
from aaeframe.data.dataset import Dataset
from aaeframe.data.download import VARIABLE, RemoteFile, fetch, find_kept
from aaeframe.data.raw import RawData, RawPart
from aaeframe.data.readers import idx, mat
from aaeframe.data.scaling import pixels
from aaeframe.errors import DataError

HELD_OUT: Final = 10_000
"""The number of last training rows used as the validation split of the downloaded data sets."""

CLOTHES: Final = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def _files(bases: tuple[str, ...], *entries: tuple[str, str, str | None]) -> tuple[RemoteFile, ...]:
    return tuple(RemoteFile(name, sha, tuple(b + name for b in bases), content) for name, sha, content in entries)


MNIST: Final = _files(
    ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
    (
        "train-images-idx3-ubyte.gz",
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    (
        "train-labels-idx1-ubyte.gz",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    (
        "t10k-images-idx3-ubyte.gz",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    (
        "t10k-labels-idx1-ubyte.gz",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)
"""Images and labels of the training part, then of the test part."""

FASHION_MNIST: Final = _files(
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
    ("train-images-idx3-ubyte.gz", "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84", None),
    ("train-labels-idx1-ubyte.gz", "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845", None),
    ("t10k-images-idx3-ubyte.gz", "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073", None),
    ("t10k-labels-idx1-ubyte.gz", "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", None),
)

SVHN: Final = _files(
    ("http://ufldl.stanford.edu/housenumbers/",),
    ("train_32x32.mat", "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8", None),
    ("test_32x32.mat", "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b", None),
)


def load_digits() -> Dataset:
    """The built-in digits: uint8 from 0 to 16, (1, 8, 8).

    1,257 rows are for training, 180 for validation, 360 for the test, by `splits.stratified`. They are the rows of
    scikit-learn's `load_digits` (BSD 3-Clause license), a copy of the test part of UCI's "Optical Recognition of
    Handwritten Digits" by Alpaydin and Kaynak, 1998. They are kept beside this file, as importing scikit-learn takes a
    second.
    """
    with (files("aaeframe.data") / "digits.npz").open("rb") as file, np.load(file, allow_pickle=False) as kept:
        x, labels = kept["images"], kept["labels"].astype(np.int64)
    cuts = splits.stratified(labels, validation=180, test=360)
    return assemble("digits", RawData([RawPart(x, labels)], cuts), spec=pixels((1, 8, 8), 16.0))


def load_mnist() -> Dataset:
    """MNIST's digits."""
    return _load_four("mnist", MNIST)


def load_fashion_mnist() -> Dataset:
    """Fashion-MNIST's pieces of clothing."""
    return _load_four("fashion-mnist", FASHION_MNIST, CLOTHES)


def _load_four(name: str, files: tuple[RemoteFile, ...], class_names: tuple[str, ...] | None = None) -> Dataset:
    """A data set in MNIST's four idx files; the last 10,000 training rows are for validation."""
    arrays = [idx.read_array(fetch(file, name)) for file in files]
    parts = [RawPart(arrays[0], arrays[1]), RawPart(arrays[2], arrays[3])]
    return assemble(name, RawData(parts, splits.last(len(arrays[0]), HELD_OUT), class_names, channels="none"))


def load_svhn() -> Dataset:
    """SVHN's cropped digits, with label 10 read as 0; the last 10,000 training rows are for validation."""
    parts = [part for file in SVHN for part in mat.read(fetch(file, "svhn"), DEFAULTS).parts]
    return assemble("svhn", RawData(parts, splits.last(len(parts[0].x), HELD_OUT), channels="last"))


def load_tfd() -> Dataset:
    """The Toronto faces from the user's file, as `mat.read` reads them."""
    path = find_kept("TFD_48x48.mat", "tfd")
    if path is None:
        raise DataError(
            "tfd: the Toronto Face Database cannot be downloaded; it is available from its authors. Put its "
            f"TFD_48x48.mat into a folder and set {VARIABLE} to that folder, or give the path of the file in "
            "place of the name tfd."
        )
    return assemble("tfd", mat.read(path, DEFAULTS))
