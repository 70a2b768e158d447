"""Folders of images, and single image files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from aaeframe.configuration.reading import ReadOptions
from aaeframe.data import splits
from aaeframe.data.raw import RawData, RawPart
from aaeframe.data.readers import image_file as files
from aaeframe.data.readers.image_folder import SUFFIXES, Classes, Tree, read_tree
from aaeframe.data.readers.limits import check_declared, check_unfolding
from aaeframe.errors import DataError
from aaeframe.storage.text import plural

TYPES: Final = {
    "uint8": "8 bits per channel",
    "uint16": "16 bits per channel",
    "int32": "integers with a sign",
    "uint32": "32 bits per channel",
    "float32": "floating-point numbers",
}

MOST_SIZES: Final = 4
"""The number of different sizes that a message lists."""


def is_image(path: Path) -> bool:
    """Whether a file has a suffix of an image."""
    return path.suffix.lower() in SUFFIXES


def holds_images(folder: Path) -> bool:
    """Whether a folder, or one below it that is not hidden, holds an image."""
    for _, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if any(is_image(Path(name)) for name in names):
            return True
    return False


def read(path: Path, options: ReadOptions) -> RawData:
    """The images of a folder or of one file, (N, C, H, W), in the order of their names.

    | in the folder | meaning |
    | --- | --- |
    | images | rows without labels |
    | one subfolder per class | rows with labels; further folders in a class belong to it |
    | `train`, and `val` or `test` | splits, each with images or with one subfolder per class |

    Without `test`, a tenth of the training images is for the test. The images are gray if all are gray, else RGB.
    Transparency is passed over.

    Raises:
        DataError: there are no images, they differ in size or type, or one cannot be decoded or read in two ways.
    """
    tree = read_tree(path) if path.is_dir() else Tree({None: {None: [path]}}, ())
    paths = [image for classes in tree.splits.values() for group in classes.values() for image in group]
    stack = _Stack(path, paths, options)
    counts = stack.fill()
    names = tuple(sorted({name for classes in tree.splits.values() for name in classes if name is not None}))
    parts = _parts(tree, names, stack.x, counts)
    cuts = splits.without_test([*parts], [len(it.x) for it in parts.values()])
    said = () if cuts is None else (_no_test(parts, cuts),)
    return RawData(
        list(parts.values()),
        cuts,
        class_names=names or None,
        channels="first",
        labels_from="the subfolders" if names else None,
        passed_over=tree.passed_over + stack.phrases() + said,
    )


def _parts(tree: Tree, names: Sequence[str], x: np.ndarray, counts: Sequence[int]) -> dict[str | None, RawPart]:
    """The rows of each split, given the number of rows of each file."""
    parts: dict[str | None, RawPart] = {}
    row = file = 0
    for split, classes in tree.splits.items():
        sizes = counts[file : file + sum(map(len, classes.values()))]
        rows = x[row : row + sum(sizes)]
        parts[split] = RawPart(rows, _labels(classes, names, sizes))
        row, file = row + len(rows), file + len(sizes)
    return parts


def _labels(classes: Classes, names: Sequence[str], sizes: Sequence[int]) -> np.ndarray | None:
    if None in classes:
        return None
    per_class = [names.index(name) for name in classes if name is not None]
    return np.repeat(np.repeat(per_class, [len(group) for group in classes.values()]), sizes)


def _no_test(parts: dict[str | None, RawPart], cuts: splits.Cuts) -> str:
    test = cuts.test[1]
    assert isinstance(test, np.ndarray)
    return (
        f"{len(test)} of {len(parts['train'].x)} training images, which are the test rows, as there is no folder test"
    )


class _Stack:
    """The array of all rows. It is gray until the first color."""

    x: np.ndarray

    def __init__(self, where: Path, paths: Sequence[Path], options: ReadOptions) -> None:
        self._where, self._paths = str(where), paths
        self._frames, self._size = options.frames, options.image_size
        self._passed: Counter[str] = Counter()
        self._packed = sum(path.stat().st_size for path in paths)
        self._gray = self._rows = self._unfolded = 0
        self._first: Path | None = None

    def fill(self) -> list[int]:
        """Read all files; returns the number of rows of each."""
        total = len(self._paths)
        if self._frames == "all":
            total = sum(files.count_frames(path) for path in self._paths)
        counts = []
        for path in self._paths:
            before = self._rows
            for values in files.read_frames(path, self._frames, self._passed):
                self._unfolded += values.nbytes
                check_unfolding(self._unfolded, self._packed, self._where)  # resized ones are not in the array's size
                self._add(values if self._size is None else _resized(values, self._size), path, total)
            counts.append(self._rows - before)
        self.x = self.x[: self._rows]
        return counts

    def phrases(self) -> tuple[str, ...]:
        """A phrase for each kind of thing that is passed over."""
        said = {
            files.FURTHER: "{} after the first of a file",
            files.TRANSPARENT: "transparency of {}",
            files.EXIF: "corrupt EXIF data of {}",
            files.LAYERS: "layers of {}",
            files.SIZES: "other sizes of {}",
        }
        nouns = {files.FURTHER: "frame", files.LAYERS: "PSD file", files.SIZES: "icon"}
        found = [
            phrase.format(plural(self._passed[key], nouns.get(key, "image")))
            for key, phrase in said.items()
            if self._passed[key]
        ]
        if self.x.shape[1] == 3 and self._gray:
            found.append(f"lack of color in {self._gray} of {plural(self._rows, 'image')}")
        return tuple(found)

    def _add(self, values: np.ndarray, path: Path, total: int) -> None:
        color = values.ndim == 3
        if self._first is None:
            self._first = path
            self.x = self._allocated(total, 3 if color else 1, values)
        self._check_alike(values, path)
        if color and self.x.shape[1] == 1:
            gray = self.x[: self._rows]
            self.x = self._allocated(total, 3, values)
            self.x[: self._rows] = gray
        self._gray += not color
        self.x[self._rows] = values.transpose(2, 0, 1) if color else values
        self._rows += 1

    def _allocated(self, total: int, channels: int, values: np.ndarray) -> np.ndarray:
        shape = (total, channels, *values.shape[:2])
        size = check_declared(shape, values.itemsize, self._where)
        if self._size is None:
            check_unfolding(size, self._packed, self._where)
        return np.empty(shape, values.dtype)

    def _check_alike(self, values: np.ndarray, path: Path) -> None:
        if values.shape[:2] != self.x.shape[2:]:
            raise self._sizes_differ(values.shape[:2], path)
        if values.dtype != self.x.dtype:
            raise DataError(
                f"{self._where}: {self._first} has {TYPES[self.x.dtype.name]}, {path} has {TYPES[values.dtype.name]}. "
                "All images must have one type: convert them first, or remove the others."
            )

    def _sizes_differ(self, other: tuple[int, ...], path: Path) -> DataError:
        """The error that lists all sizes."""
        assert self._first is not None
        found: dict[tuple[int, ...], list[Path]] = {self.x.shape[2:]: [], other: []}
        for image in self._paths:
            found.setdefault(files.upright_size(image), []).append(image)
        examples = {self.x.shape[2:]: self._first, other: path}
        listed = [
            f"{list(size)} ({examples.get(size, group[0] if group else path).name}"
            + (f" and {len(group) - 1} more)" if len(group) > 1 else ")")
            for size, group in list(found.items())[:MOST_SIZES]
        ]
        height, width = self.x.shape[2:]
        return DataError(
            f"{self._where}: the images have {len(found)} different sizes (height, width): {', '.join(listed)}"
            f"{', ...' if len(found) > MOST_SIZES else ''}. All rows need one size: give for example "
            f"data.image_size=[{height},{width}] to resize them, or remove the others."
        )


def _resized(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image of this height and width. Pixels are averaged (antialiased), so the values keep their range."""
    from PIL import Image

    if values.shape[:2] == size:
        return values
    wanted = size[::-1]
    if values.dtype == np.uint8:
        return np.asarray(Image.fromarray(np.ascontiguousarray(values)).resize(wanted, Image.Resampling.BILINEAR))
    planes = values[..., None] if values.ndim == 2 else values
    resized = [
        np.asarray(Image.fromarray(planes[..., i].astype(np.float32)).resize(wanted, Image.Resampling.BILINEAR))
        for i in range(planes.shape[-1])
    ]
    stacked = resized[0] if values.ndim == 2 else np.stack(resized, axis=-1)
    if values.dtype == np.float32:
        return stacked
    bounds = np.iinfo(values.dtype)  # float32 rounds large integers out of them
    return np.clip(np.rint(stacked.astype(np.float64)), bounds.min, bounds.max).astype(values.dtype)
