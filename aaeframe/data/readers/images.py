"""Folders of images."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from aaeframe.configuration.reading import ReadOptions
from aaeframe.data.classes import check_names
from aaeframe.data.raw import RawData, RawPart
from aaeframe.data.readers.limits import check_declared, check_unfolding
from aaeframe.errors import DataError
from aaeframe.storage.atomic import leads_out

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")

FORMATS: Final = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
"""Pillow's names of the formats. Pillow detects a format by a file's first bytes, not by its name. It knows other
formats, such as PostScript, for which it runs another program."""

GRAY: Final = ("1", "L", "LA")
"""Pillow's modes without color."""

DEEP: Final = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
"""Pillow's modes of more than eight bits, which a conversion would cut off."""


USES: Final[frozenset[str]] = frozenset()
"""The options that are used."""


def read(folder: Path, options: ReadOptions) -> RawData:
    """The images of a folder, uint8 (N, C, H, W), sorted by name, and the names of its classes if any.

    The images are in the folder itself, without labels, or in one subfolder per class, with the class's name. All must
    have the same size. They are gray if all files are gray, else RGB. Transparency is discarded, and only the first
    frame of an animation is used. Hidden files and files of other formats are ignored.

    Raises:
        DataError: there are no images, their sizes differ, one cannot be decoded, or a link leads out.
    """
    loose = _images_in(folder, folder)
    subfolders = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    groups = {path.name: _images_in(path, folder) for path in subfolders}
    paths = loose or [path for group in groups.values() for path in group]
    if not paths:
        raise DataError(f"{folder}: holds no images. Images are files that end in {', '.join(SUFFIXES)}.")
    if loose and any(groups.values()):
        raise DataError(
            f"{folder}: images lie in the folder itself ({loose[0].name}) and in subfolders too. Put all of "
            "them into the folder, or each into the subfolder of its class."
        )
    if loose:
        return RawData([RawPart(_decode(paths, folder))], channels="first")
    for name, group in groups.items():
        if not group:
            raise DataError(f"{folder}: the subfolder {name!r} holds no images. Remove it, or fill it.")
    check_names(tuple(groups), str(folder))
    labels = np.repeat(np.arange(len(groups)), [len(group) for group in groups.values()])
    part = RawPart(_decode(paths, folder), labels)
    return RawData([part], class_names=tuple(groups), channels="first", labels_from="the subfolders")


def _images_in(folder: Path, root: Path) -> list[Path]:
    found = [p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
    paths = sorted(path for path in found if not path.is_dir())
    for path in [folder, *paths]:
        if leads_out(path, root):
            raise DataError(f"{path}: is a link that leads out of {root}. Copy what it points to into the folder.")
    for path in paths:
        if not path.is_file():
            raise DataError(f"{path}: is not a file, or a link to one. Remove it.")
    return paths


def _decode(paths: Sequence[Path], folder: Path) -> np.ndarray:
    (width, height), mode = _common_form(paths)
    channels = 1 if mode == "L" else 3
    shape = (len(paths), channels, height, width)
    size = check_declared(shape, 1, str(folder))
    check_unfolding(size, sum(path.stat().st_size for path in paths), str(folder))
    x = np.empty(shape, np.uint8)
    for row, path in enumerate(paths):
        with _opened(path) as image:
            x[row] = np.asarray(image.convert(mode)).reshape(height, width, channels).transpose(2, 0, 1)
    return x


def _common_form(paths: Sequence[Path]) -> tuple[tuple[int, int], str]:
    forms = [_form(path) for path in paths]
    size = forms[0][0]
    for path, (other, _) in zip(paths, forms, strict=True):
        if other != size:
            raise DataError(
                f"{paths[0]} is {size[0]}x{size[1]} pixels, {path} is {other[0]}x{other[1]}. All images must "
                "have the same size; resize them first."
            )
    return size, "L" if all(mode in GRAY for _, mode in forms) else "RGB"


def _form(path: Path) -> tuple[tuple[int, int], str]:
    with _opened(path) as image:
        if image.mode in DEEP:
            raise DataError(
                f"{path}: has more than 8 bits per channel (mode {image.mode}). Convert it, or give all "
                "images as one array in a .npy file."
            )
        return image.size, image.mode


@contextmanager
def _opened(path: Path) -> Iterator[Image]:
    from PIL import Image

    try:
        # an image of absurd size is refused, where Pillow would only warn
        with (
            warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning),
            Image.open(path, formats=FORMATS) as image,
        ):
            yield image
    except (DataError, MemoryError):
        raise
    except Exception as error:  # decoders fail in many ways on broken files
        why = str(error) or type(error).__name__
        raise DataError(f"{path}: cannot be decoded as an image: {why}. Replace or remove it.") from error
