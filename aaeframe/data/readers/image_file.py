"""One image file: its frames as arrays."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, cast

import numpy as np

from aaeframe.data.readers import image_depth
from aaeframe.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

# fmt: off
FORMATS: Final = (
    "PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "PPM", "JPEG2000", "AVIF", "QOI", "TGA", "ICO", "PSD", "SGI",
    "DDS", "PCX", "DIB", "ICNS", "CUR", "DCX", "FLI", "FITS", "BLP", "FTEX", "GBR", "IM", "MSP", "PCD", "PIXAR",
    "SUN", "XBM", "XPM",
)
# fmt: on
"""Pillow's names of the formats. Pillow detects a format by a file's first bytes, not by its name.

Left out are formats that run another program (EPS, WMF), hold a file of any format (IPTC, FPX, MIC), or that Pillow
recognizes but does not decode (BUFR, GRIB, HDF5, MPEG)."""

GRAY: Final = ("1", "L", "LA", "La")
"""Pillow's modes without color."""

PALETTES: Final = ("P", "PA")

DEEP: Final = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
"""Pillow's modes of more than eight bits."""

ORIENTATION: Final = 274
"""The EXIF tag of the orientation."""

Frames = Literal["all", "first"]

TRANSPARENT, EXIF, FURTHER, LAYERS, SIZES = "transparent", "exif", "further", "layers", "sizes"
"""Keys of the counts of what is passed over."""


def count_frames(path: Path) -> int:
    """The number of pages or frames of a file."""
    with opened(path) as image:
        return _frames(image)


def upright_size(path: Path) -> tuple[int, int]:
    """Height and width of the first frame, as far as the header tells."""
    with opened(path) as image:
        width, height = image.size
        # of PNG this needs its pixels; of TIFF the size is upright already
        turned = image.format in ("JPEG", "MPO", "WEBP", "AVIF") and _orientation(image, Counter()) > 4
        return (width, height) if turned else (height, width)


def read_frames(path: Path, frames: Frames | None, passed: Counter[str]) -> Iterator[np.ndarray]:
    """The frames of a file: (H, W) if gray, else (H, W, 3), of uint8, uint16, int32, uint32 or float32.

    What is passed over is counted in `passed`.

    Raises:
        DataError: the file cannot be decoded, would be cut, or has frames and `frames` is not given.
    """
    with opened(path) as image:
        count = _frames(image)
        _check_frames(count, frames, image, path)
        passed[LAYERS] += image.format == "PSD" and getattr(image, "n_frames", 1) > 1
        passed[SIZES] += image.format in ("ICO", "ICNS", "CUR") and len(image.info.get("sizes", ())) > 1
        if frames == "first":
            passed[FURTHER] += count - 1
            count = 1
        for frame in range(count):
            if frame:
                image.seek(frame)
            yield _frame(image, path, frame, passed)


@contextmanager
def opened(path: Path) -> Iterator[ImageFile]:
    """An image file. DataError if it fails to open, or if the code in the block fails to decode it."""
    from PIL import Image, UnidentifiedImageError

    try:
        # an opened file, because Pillow maps a path, and then misreads a TIFF that is turned
        with warnings.catch_warnings(), path.open("rb") as file:
            # an image of absurd size is refused, where Pillow would only warn
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", "Corrupt EXIF", UserWarning)  # counted when it is used
            with Image.open(file, formats=_formats()) as image:
                yield image
    except (DataError, MemoryError):
        raise
    except Exception as error:  # decoders fail in many ways on broken files
        why = str(error) or type(error).__name__
        if isinstance(error, UnidentifiedImageError):
            of_tiff = "it is broken, or a TIFF of channels, bits and layout that are not read"
            why = of_tiff if _is_tiff(path) else "its content is of no image format that is read"
        raise DataError(f"{path}: cannot be decoded as an image: {why}. Replace or remove it.") from error


def _is_tiff(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) in (b"II", b"MM")


@cache
def _formats() -> list[str]:
    """The formats that the installed Pillow knows."""
    from PIL import Image

    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _frames(image: ImageFile) -> int:
    if image.format == "PSD" or not getattr(image, "is_animated", False):  # of PSD, the frames are layers
        return 1
    return int(image.n_frames)  # type: ignore[attr-defined]


def _check_frames(count: int, frames: Frames | None, image: ImageFile, path: Path) -> None:
    if count > 1 and frames is None:
        raise DataError(
            f"{path}: has {count} pages or frames. Give data.frames=all to read each as a row, or data.frames=first "
            "to read only the first."
        )
    declared = image_depth.pictures_declared(image)
    if declared > count and frames != "first":
        raise DataError(
            f"{path}: its description declares {declared} pictures, and it has {count} pages. Save it as a TIFF with "
            "one page per picture, or give data.frames=first to read only the first."
        )


def _frame(image: ImageFile, path: Path, frame: int, passed: Counter[str]) -> np.ndarray:
    image_depth.check_kept(image, path)
    if image_depth.is_deep_color(image):
        values, opaque = _deep_color(image, path, frame)
    elif image.mode in DEEP:
        values, opaque = image_depth.load_gray(image, path), True
    else:
        values, opaque = _bytes(image)
    passed[TRANSPARENT] += not opaque
    return _upright(values, _orientation(image, passed))


def _deep_color(image: ImageFile, path: Path, frame: int) -> tuple[np.ndarray, bool]:
    if frame and image.format == "PNG":
        raise DataError(
            f"{path}: is an animation with 16 bits per channel, of which 8 would be kept. Save its frames as single "
            "PNG files, or give data.frames=first to read only the first."
        )
    key = image.info.get("transparency")
    with opened(path) as again:
        again.seek(frame)
        values = image_depth.load_deep(image, again)
    colors = values[..., :1] if values.shape[-1] == 2 else values[..., :3]
    opaque = values.shape[-1] == colors.shape[-1] or bool((values[..., -1] == 65535).all())
    if isinstance(key, tuple):  # the color that stands for transparent
        opaque = not (colors == np.asarray(key)).all(-1).any()
    return (colors[..., 0] if colors.shape[-1] == 1 else colors), opaque


def _bytes(image: ImageFile) -> tuple[np.ndarray, bool]:
    """The 8-bit values of an image without its transparency, and whether it is opaque."""
    signed = image_depth.is_signed_byte(image)
    image.load()
    mode, opaque, colors = image.mode, True, cast("Image", image)
    if mode in ("RGBa", "La"):
        colors = image.convert("RGBA" if mode == "RGBa" else "LA")
    if "A" in colors.getbands() or "transparency" in image.info:
        whole = colors.convert("RGBA")
        opaque = whole.getchannel("A").getextrema() == (255, 255)
        colors = whole if mode in PALETTES else colors
    values = np.asarray(colors.convert("L" if mode in GRAY else "RGB"))
    if signed:
        return values.view(np.int8).astype(np.int32), opaque
    from_palette = mode in PALETTES or image.format == "GIF"  # Pillow gives later frames of a GIF as RGB
    if from_palette and values.ndim == 3 and (values == values[..., :1]).all():
        return values[..., 0], opaque
    return values, opaque


def _orientation(image: ImageFile, passed: Counter[str]) -> int:
    """The EXIF orientation, 1 to 8. Of a TIFF, Pillow has applied it."""
    from PIL.Image import Exif

    try:
        with warnings.catch_warnings(action="error"):  # of corrupt EXIF data
            exif = Exif()
            if content := image.info.get("exif"):
                exif.load(content)
            value = exif.get(ORIENTATION) or image.getexif().get(ORIENTATION, 1)
    except Exception:  # such data is broken in many ways
        passed[EXIF] += 1
        return 1
    return value if value in range(1, 9) else 1


def _upright(values: np.ndarray, orientation: int) -> np.ndarray:
    if orientation > 4:
        values = values.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return values[::-1] if orientation in (3, 4, 7, 8) else values
