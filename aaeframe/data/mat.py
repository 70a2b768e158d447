"""MATLAB files: SVHN's layout, the Toronto faces' layout, and any other by the names of its arrays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from aaeframe.data.assemble import Part
from aaeframe.data.keys import pick
from aaeframe.data.layout import CHANNELS
from aaeframe.data.limits import check_declared
from aaeframe.errors import DataError

BYTES: Final = {"uint8": 1, "int8": 1, "logical": 1, "char": 2, "uint16": 2, "int16": 2, "single": 4}
"""Bytes per value of MATLAB's smaller types; the others are counted as 8."""

UNLABELED: Final = -1
"""TFD's label of a face without one."""

FOLDS: Final = ((0, 1), (2,), (3,))
"""What TFD's folds call the faces for training (0 without label, 1 with), for validation and for the test."""


def read_parts(path: Path, labels: str | None) -> list[Part]:
    """The parts of a .mat file (version 7.2 or older).

    - `images` and `labs_ex`: the Toronto faces. With `folds`, the first fold's training faces, together with
      all that have no label, its validation and its test faces. A part has labels if all its faces have.
    - `X` (H, W, C, N) and `y` (N, 1): SVHN. Where the labels are 1 to 10, 10 is the digit 0.
    - otherwise as the names say (`keys.pick`).

    Raises:
        DataError: the file is unreadable, too large, or it cannot be told what is data in it.
    """
    arrays = _load(path)
    if labels is None and {"images", "labs_ex"} <= arrays.keys():
        return _faces(arrays, path)
    parts = []
    for x, y in pick({name: array.shape for name, array in arrays.items()}, labels, str(path)):
        parts.append(_svhn(arrays[x], None if y is None else arrays[y]))
    return parts


def _load(path: Path) -> dict[str, np.ndarray]:
    from scipy import io

    try:
        with path.open("rb") as stream:
            for name, shape, kind in io.whosmat(stream):
                check_declared(shape, BYTES.get(kind, 8), f"{path}: {name} ({kind})")
            stream.seek(0)
            found = io.loadmat(stream)
    except (DataError, MemoryError):
        raise
    except NotImplementedError as error:
        raise DataError(f"{path}: is a MATLAB 7.3 file. Save it again with `save -v7`, or as .npz.") from error
    except Exception as error:  # a broken file may make the reader fail in any way
        raise DataError(f"{path}: cannot be read as a MATLAB file: {error or type(error).__name__}.") from error
    return {name: array for name, array in found.items() if isinstance(array, np.ndarray)}


def _svhn(x: np.ndarray, y: np.ndarray | None) -> Part:
    rows_last = x.ndim == 4 and x.shape[2] in CHANNELS and y is not None and x.shape[3] == y.size != len(x)
    if y is None or not rows_last:
        return Part(x, y)
    y = y.reshape(-1)
    if y.dtype.kind in "uif" and y.min() >= 1 and y.max() == 10:
        y = y % 10
    return Part(np.moveaxis(x, -1, 0), y)


def _faces(arrays: Mapping[str, np.ndarray], path: Path) -> list[Part]:
    images, labels = arrays["images"], arrays["labs_ex"].reshape(-1)
    if len(labels) != len(images):
        raise DataError(f"{path}: {len(images)} images have {len(labels)} labels in labs_ex; they must be as many.")
    if "folds" not in arrays:
        return [_part(images, labels, np.arange(len(images)))]
    folds = arrays["folds"]
    if folds.ndim != 2 or len(folds) != len(images):
        raise DataError(
            f"{path}: folds has the shape {folds.shape}; it needs one row for each of {len(images)} images."
        )
    return [_part(images, labels, np.flatnonzero(np.isin(folds[:, 0], kinds))) for kinds in FOLDS]


def _part(images: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> Part:
    mine = labels[rows]
    return Part(images[rows], None if (mine == UNLABELED).any() else mine)
