"""Stacks of images that Pillow, tifffile, numpy and scipy write are read alike: pixels, labels and splits."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import io

import aaeframe.data

tifffile = pytest.importorskip("tifffile", reason="no extra 'integrations': tifffile is not installed")

CLASSES = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "S"), include_characters=",'\" -"), min_size=1, max_size=6
)
LOSSLESS = {
    ("uint8", 1): (".png", ".bmp", ".tif", ".pgm", ".tga", ".gif", ".jp2", ".pcx", ".sgi"),
    ("uint8", 3): (".png", ".bmp", ".tif", ".ppm", ".tga", ".webp", ".jp2", ".pcx", ".sgi"),
    ("uint8", 4): (".png", ".tif", ".tga", ".webp"),
    ("uint16", 1): (".png", ".tif", ".pgm"),
    ("float32", 1): (".tif",),
}
"""Suffixes by type and number of channels, under which Pillow keeps every value. WebP has no gray."""


@dataclass
class Stack:
    """Images (N, H, W, C), with their classes, and the rows of each split, sorted by class; "" is a single split."""

    x: np.ndarray
    classes: list[str] | None
    splits: dict[str, slice]

    @property
    def opaque(self) -> np.ndarray:
        """The images (N, C, H, W) without the channel of transparency."""
        return np.moveaxis(self.x[..., :3], -1, 1)


@st.composite
def stacks(draw) -> Stack:
    """At least twelve images of one size, or fewer without splits."""
    dtype, channels = draw(st.sampled_from([*LOSSLESS, ("uint16", 3)]))
    sizes = st.integers(5, 12)
    rows, height, width = draw(st.integers(1, 30)), draw(sizes), draw(sizes)
    noise = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = (rows, height, width, channels)
    if dtype == "float32":
        x = noise.normal(size=shape, scale=draw(st.sampled_from([1.0, 1e-6, 1e6]))).astype(np.float32)
    else:
        x = noise.integers(0, draw(st.sampled_from([1, 16, np.iinfo(dtype).max])), shape, dtype, endpoint=True)
    usual = ("train", "training", "val", "valid", "validation", "test", "testing")
    names = CLASSES.map(str.strip).filter(lambda name: name and name.lower() not in usual)
    classes = draw(st.none() | st.lists(names, min_size=1, max_size=3, unique_by=str.lower))
    splits = {"": slice(0, rows)}
    if rows >= 12 and draw(st.booleans()):
        splits = {"train": slice(0, 10), "val": slice(10, 11), "test": slice(11, rows)}
    labels = None if classes is None else draw(st.lists(st.sampled_from(classes), min_size=rows, max_size=rows))
    for part in splits.values():  # the order of folders
        if labels is not None:
            labels[part] = sorted(labels[part])
    return Stack(x, labels, splits)


# Writers: each writes files or folders, and returns their paths and the options without which they have two readings.

Written = tuple[Path, dict[str, Any]]


def pillow_folders(stack: Stack, folder: Path) -> Iterator[Written]:
    """A folder of files by Pillow for each suffix that keeps the values, with folders of classes or splits."""
    for suffix in LOSSLESS.get((stack.x.dtype.name, stack.x.shape[-1]), ()):
        yield _folder(stack, folder / suffix[1:], suffix, _save), {}


def tifffile_folders(stack: Stack, folder: Path) -> Iterator[Written]:
    """Folders of files by tifffile, packed or not."""
    for name, how in (("plain", {}), ("deflate", {"compression": "zlib"}), ("big", {"byteorder": ">"})):
        photometric = "minisblack" if stack.x.shape[-1] == 1 else "rgb"
        extra = {"extrasamples": ["unassalpha"]} if stack.x.shape[-1] == 4 else {}

        def save(values: np.ndarray, path: Path, how=how, photometric=photometric, extra=extra) -> None:
            tifffile.imwrite(path, values, photometric=photometric, **how, **extra)

        yield _folder(stack, folder / name, ".tif", save), {}


def pages(stack: Stack, folder: Path) -> Iterator[Written]:
    """Files with one page for each row, by tifffile and by Pillow. They hold neither classes nor splits."""
    stack.classes, stack.splits = None, {"": slice(0, len(stack.x))}
    values = stack.x[..., 0] if stack.x.shape[-1] == 1 else stack.x
    if values.ndim == 3 or values.shape[-1] == 3:
        tifffile.imwrite(folder / "pages.tif", values, photometric="minisblack" if values.ndim == 3 else "rgb")
        yield folder / "pages.tif", {"frames": "all"}
    if values.dtype == np.uint8:
        first, *rest = map(Image.fromarray, values)
        first.save(folder / "frames.tiff", save_all=True, append_images=rest)
        yield folder / "frames.tiff", {"frames": "all"}


def arrays(stack: Stack, folder: Path) -> Iterator[Written]:
    """Arrays by numpy and scipy, with the channels last, first, or none."""
    x = stack.x[..., :3]
    for channels, values in (
        ("last", x),
        ("first", np.moveaxis(x, -1, 1)),
        *([("none", x[..., 0])] if x.shape[-1] == 1 else []),
    ):
        path, options = folder / f"{channels}.npz", {"channels": channels}
        held = {f"{split}_images".lstrip("_"): values[rows] for split, rows in stack.splits.items()}
        if stack.classes is not None:
            names = np.array(stack.classes)
            held |= {f"{split}_labels".lstrip("_"): names[rows] for split, rows in stack.splits.items()}
        np.savez(path, **held)
        if values.shape[-1] > 1:  # MATLAB has no last axis of length 1
            io.savemat(path.with_suffix(".mat"), held)
            yield path.with_suffix(".mat"), options | {"rows": "first"}
        yield path, options


def idx_folder(stack: Stack, folder: Path) -> Iterator[Written]:
    """Files of MNIST's format; classes by their numbers."""
    x = stack.x[..., 0]
    if stack.x.shape[-1] > 1 or x.dtype != np.uint8:
        return
    if stack.classes is not None:
        names = sorted(set(stack.classes))
        stack.classes = [str(names.index(it)) for it in stack.classes]
    for split, rows in stack.splits.items():
        _idx(folder / f"{split}-images.idx3-ubyte".lstrip("-"), x[rows])
        if stack.classes is not None:
            _idx(folder / f"{split}-labels.idx1-ubyte".lstrip("-"), np.array(stack.classes[rows], np.uint8))
    yield folder, {}


def _idx(path: Path, values: np.ndarray) -> None:
    path.write_bytes(struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes())


def _folder(stack: Stack, folder: Path, suffix: str, save: Callable[[np.ndarray, Path], None]) -> Path:
    """Write each image into the folder of its class or split, in the order of the rows."""
    classes = stack.classes or [""] * len(stack.x)
    places = [f"{split}/{it}".strip("/") for split, rows in stack.splits.items() for it in classes[rows]]
    for i, (values, place) in enumerate(zip(stack.x, places, strict=True)):
        (folder / place).mkdir(parents=True, exist_ok=True)
        save(values[..., 0] if values.shape[-1] == 1 else values, folder / place / f"{i:04}{suffix}")
    return folder


def _save(values: np.ndarray, path: Path) -> None:
    options = {"lossless": True, "exact": True} if path.suffix == ".webp" else {}
    Image.fromarray(values).save(path, **options)


def check(stack: Stack, write: Callable[[Stack, Path], Iterator[Written]]) -> None:
    """Every file or folder gives the images that were drawn."""
    with tempfile.TemporaryDirectory() as folder:
        for path, options in write(stack, Path(folder)):
            found = aaeframe.data.load_rows(path, **options)
            same(found.rows, found.class_names, stack, np.arange(len(stack.x)))
            transparent = (
                int((stack.x[..., 3] < np.iinfo(stack.x.dtype).max).any(axis=(1, 2)).sum())
                if stack.x.shape[-1] == 4
                else 0
            )
            if write in (pillow_folders, tifffile_folders):
                assert any(
                    it.startswith(f"transparency of {transparent} ") for it in found.reading.passed_over
                ) == bool(transparent)
            if len(stack.x) >= 10:
                check_splits(aaeframe.data.load(path, **options), stack)


def same(rows, class_names, stack: Stack, index: np.ndarray) -> None:
    """Rows are those of the stack at this index."""
    found = rows.array()
    assert rows.data.dtype == (stack.x.dtype if stack.x.dtype == np.uint8 else np.float32)
    np.testing.assert_array_equal(found, stack.opaque[index])
    labels = None if rows.labels is None else [class_names[i] for i in rows.labels]
    assert labels == (None if stack.classes is None else [stack.classes[i] for i in index])


def check_splits(data, stack: Stack) -> None:
    """Every split has its own rows, or those of the rule in `aaeframe.data.splits`."""
    count = len(stack.x)
    if len(stack.splits) > 1:
        train, validation, test = (np.arange(count)[rows] for rows in stack.splits.values())
    else:
        test, validation, train = np.split(np.random.default_rng(0).permutation(count), [count // 10, count // 10 * 2])
    for split, index in ((data.train, train), (data.validation, validation), (data.test, test)):
        same(split, data.class_names, stack, np.sort(index))


WRITERS = pytest.mark.parametrize("write", [pillow_folders, tifffile_folders, pages, arrays, idx_folder])


@WRITERS
@settings(deadline=None, max_examples=25)
@given(stacks())
def test_images_by_other_writers_are_read_alike(write, stack):
    check(stack, write)


@pytest.mark.slow
@WRITERS
@settings(deadline=None, max_examples=300)
@given(stacks())
def test_many_images_by_other_writers_are_read_alike(write, stack):
    check(stack, write)
