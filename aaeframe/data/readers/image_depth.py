"""Images of more than 8 bits per channel, of which Pillow keeps 8 in color, or that it reads wrongly.

Pillow unpacks 16-bit color into one byte per channel: the high byte, or the low byte if the file is said to have the
other byte order. So decoding twice gives both.
"""

from __future__ import annotations

import re
import sys
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aaeframe.errors import DataError

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

DEEP: Final = re.compile(r";16[BLN]$")
"""The ends of the raw modes, Pillow's names for the layout of a file's values, with 16 bits per channel."""

BITS, PHOTOMETRIC, DESCRIPTION, SAMPLES, PLANES, EXTRA, SIGN = 258, 262, 270, 277, 284, 338, 339
"""Numbers of TIFF tags."""

NATIVE: Final = {"I;16BS": "I;16NS", "I;32BS": "I;32NS", "F;32BF": "F;32NF"}
"""Raw modes that Pillow swaps though libtiff did so before."""


def check_kept(image: ImageFile, path: Path) -> None:
    """Refuse an image that Pillow would cut or misread. Call it before the image is loaded.

    Raises:
        DataError: the image has more bits or channels than Pillow keeps.
    """
    if image.format == "TIFF":
        _check_tiff(image, path)
    elif why := _cut(image, path):
        raise DataError(f"{path}: {why}, of which 8 would be kept. Save it as PNG or TIFF, or all images as .npy.")


def is_deep_color(image: ImageFile) -> bool:
    """Whether a PNG or TIFF has 16 bits per channel and color or transparency."""
    return image.format in ("PNG", "TIFF") and image.mode in ("RGB", "RGBA", "LA") and _bits16(image)


def load_deep(image: ImageFile, again: ImageFile) -> np.ndarray:
    """The values of a 16-bit image, uint16 (H, W, channels), from two opened images of one file, at one frame."""
    if _raw_mode(image.tile[0]) == "LA;16B":
        _set_raw_modes(image, ["RGBA"])  # four bytes per pixel, unchanged
        return np.ascontiguousarray(np.asarray(image)).view(">u2").astype(np.uint16)
    modes = [_color_mode(image, tile) for tile in image.tile]
    _set_raw_modes(image, modes)
    _set_raw_modes(again, [_other_order(mode) for mode in modes])
    values = np.asarray(image).astype(np.uint16)
    values <<= 8  # in place, for large images
    values |= np.asarray(again)
    return values


def load_gray(image: ImageFile, path: Path) -> np.ndarray:
    """The values of an image of mode I;16, I or F: uint16, int32, uint32 or float32 (H, W)."""
    _correct_order(image)
    inverted = image.format == "TIFF" and _tag(image, PHOTOMETRIC, 1) == 0
    if inverted and image.mode != "I;16":
        raise DataError(f"{path}: white is 0 in it, with values of mode {image.mode}. Save it with black as 0.")
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        return 65535 - values.astype(np.uint16) if inverted else values.astype(np.uint16)
    if image.mode == "F":
        return values.astype(np.float32)
    if image.format in ("PNG", "PPM"):  # older Pillow's mode of 16 bits
        return values.astype(np.uint16)
    unsigned = image.format == "TIFF" and _tag(image, SIGN, (1,))[0] == 1
    return values.view(np.uint32) if unsigned else values


def is_signed_byte(image: ImageFile) -> bool:
    """Whether the values are 8-bit integers with a sign, which Pillow reads as if they had none."""
    return image.format == "TIFF" and image.mode == "L" and _tag(image, SIGN, (1,))[0] == 2


def pictures_declared(image: ImageFile) -> int:
    """The number of pictures that ImageJ or tifffile declare. Of a large stack, only the first may have a page."""
    text = str(_tag(image, DESCRIPTION, "")) if image.format == "TIFF" else ""
    if found := re.match(r"ImageJ=.*?^images=(\d{1,9})$", text, re.DOTALL | re.MULTILINE):
        return int(found[1])
    if (found := re.match(r'\{"shape": \[([\d, ]{1,99})\]', text)) and '"truncated": true' in text:
        return prod(map(int, found[1].split(","))) // (prod(image.size) * _tag(image, SAMPLES, 1))
    return 1


def _tag(image: ImageFile, number: int, default: Any) -> Any:
    return image.tag_v2.get(number, default)  # type: ignore[attr-defined]


def _raw_mode(tile: Any) -> str:
    args = tile[3]
    return str(args[0]) if isinstance(args, tuple) and args else str(args)


def _set_raw_modes(image: ImageFile, modes: list[str]) -> None:
    tiles: list[Any] = []
    for tile, mode in zip(image.tile, modes, strict=True):
        args = (mode, *tile[3][1:]) if isinstance(tile[3], tuple) else mode
        tiles.append(tile._replace(args=args) if hasattr(tile, "_replace") else (*tile[:3], args))
    image.tile = tiles


def _bits16(image: ImageFile) -> bool:
    if image.format == "TIFF":
        return 16 in _tag(image, BITS, (1,))
    return bool(image.tile) and DEEP.search(_raw_mode(image.tile[0])) is not None


def _color_mode(image: ImageFile, tile: Any) -> str:
    """The raw mode of a tile. Pillow reads one plane of a 16-bit TIFF as if it had 8 bits."""
    mode = _raw_mode(tile)
    order = "L" if image.format == "TIFF" and image.tag_v2.prefix == b"II" else "B"  # type: ignore[attr-defined]
    return mode if DEEP.search(mode) else f"{mode};16{order}"


def _other_order(mode: str) -> str:
    native = "L" if sys.byteorder == "little" else "B"
    order = native if mode[-1] == "N" else mode[-1]
    return mode[:-1] + ("B" if order == "L" else "L")


def _correct_order(image: ImageFile) -> None:
    if image.format == "TIFF" and image.tile and image.tile[0][0] == "libtiff" and sys.byteorder == "little":
        modes = [_raw_mode(tile) for tile in image.tile]
        _set_raw_modes(image, [NATIVE.get(mode, mode) for mode in modes])


def _check_tiff(image: ImageFile, path: Path) -> None:
    extra, deep = tuple(_tag(image, EXTRA, ())), 16 in _tag(image, BITS, (1,))
    if len(extra) > 1 or 0 in extra:
        raise DataError(
            f"{path}: has {_tag(image, SAMPLES, 1)} channels, of which {len(extra)} are neither color nor "
            "transparency. Save it without them, or give all images with all channels as one array in a .npy file."
        )
    if not deep or image.mode.startswith("I") or not image.tile:
        return
    compressed = image.tile[0][0] == "libtiff"
    if image.mode not in ("RGB", "RGBA") or 1 in extra:
        raise DataError(
            f"{path}: has 16 bits per channel, with colors of mode {image.mode}, of which 8 would be kept. Save it as "
            "RGB or RGBA (transparency not multiplied in), or give all images as one array in a .npy file."
        )
    if compressed and _tag(image, PLANES, 1) == 2:
        raise DataError(
            f"{path}: has 16 bits per channel, compressed in one plane per color, of which 8 would be kept. Save it "
            "with the colors of a pixel together, or uncompressed."
        )


def _cut(image: ImageFile, path: Path) -> str | None:
    """The bits that Pillow would cut from an image, as far as its header says; None if it keeps all."""
    tile = image.tile[0] if image.tile else None
    args = tile[3] if tile is not None and isinstance(tile[3], tuple) else ()
    if image.format == "PPM" and image.mode == "RGB" and len(args) > 1 and args[1] > 255:
        return f"its colors go to {args[1]}"
    if image.format == "SGI" and tile is not None and (tile[0] == "SGI16" or (len(args) > 2 and args[2] == 2)):
        return "has 16 bits per channel"
    if image.format == "JPEG2000" and image.mode != "I;16" and (bits := _jpeg2000_bits(path)) > 8:
        return f"has {bits} bits per channel"
    if image.format == "AVIF" and _avif_is_deep(path):
        return "has 10 or 12 bits per channel"
    if image.format == "DDS" and tile is not None and tile[0] == "bcn" and args[0] == 6:
        return "has 16 bits per channel"
    if image.format == "FITS" and image.mode != "L":
        return "is FITS with more than 8 bits"  # whose scale and sign Pillow ignores
    return None


def _jpeg2000_bits(path: Path) -> int:
    content = path.read_bytes()
    start = content.find(b"\xff\x4f\xff\x51")
    if start < 0:
        return 8
    count = int.from_bytes(content[start + 40 : start + 42], "big")
    depths = content[start + 42 : start + 42 + 3 * count : 3]
    return max(((depth & 0x7F) + 1 for depth in depths), default=8)


def _avif_is_deep(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(2**16)
    return any(len(after) > 2 and after[2] & 0x40 for after in head.split(b"av1C")[1:])
