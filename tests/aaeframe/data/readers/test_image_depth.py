"""Images of more than 8 bits per channel: kept, or refused with words."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from aaeframe.configuration.reading import ReadOptions
from aaeframe.data import load
from aaeframe.data.readers import images
from aaeframe.errors import DataError

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 65_536, (6, 5), dtype=np.uint16)
COLOR = RNG.integers(0, 65_536, (6, 5, 3), dtype=np.uint16)
ALPHA = RNG.integers(0, 65_536, (6, 5, 4), dtype=np.uint16)


def read(folder, **given):
    return images.read(folder, ReadOptions(**given))


def png(path, array, filters=(0,), before=b""):
    """A 16-bit PNG; `filters` are the filters of the rows, in turn."""
    array = array if array.ndim == 3 else array[..., None]
    height, width, channels = array.shape
    step, rows, above = 2 * channels, b"", np.zeros(width * channels * 2, np.uint8)
    for y, row in enumerate(array.astype(">u2").reshape(height, -1).view(np.uint8)):
        left, corner = (np.concatenate([np.zeros(step, np.uint8), line[:-step]]) for line in (row, above))
        kind = filters[y % len(filters)]
        rows += (
            bytes([kind])
            + (row - (0, left, above, (left.astype(int) + above) // 2, paeth(left, above, corner))[kind])
            .astype(np.uint8)
            .tobytes()
        )
        above = row

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0))
    tail = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + (chunk(b"tRNS", before) if before else b"") + tail)


def paeth(left, above, corner):
    left, above, corner = (line.astype(int) for line in (left, above, corner))
    guess = left + above - corner
    to_left, to_above, to_corner = abs(guess - left), abs(guess - above), abs(guess - corner)
    return np.where(
        (to_left <= to_above) & (to_left <= to_corner), left, np.where(to_above <= to_corner, above, corner)
    )


def tiff(path, array, *, order="<", compress=False, planes=False, tags=(), pages=1):
    """A TIFF of one strip, or one strip per plane: `tags` are (number, type, values)."""
    array = array if array.ndim == 3 else array[..., None]
    height, width, channels = array.shape
    pieces = np.moveaxis(array, -1, 0) if planes else [array]
    strips = [np.ascontiguousarray(piece).astype(array.dtype.newbyteorder(order)).tobytes() for piece in pieces]
    strips = [zlib.compress(strip) if compress else strip for strip in strips]
    content, offsets = b"", []
    for strip in strips:
        offsets.append(8 + len(content))
        content += strip
    content += b"\0" * (len(content) % 2)
    fields = {
        256: (4, [width]), 257: (4, [height]), 258: (3, [8 * array.dtype.itemsize] * channels),
        259: (3, [8 if compress else 1]), 262: (3, [2 if channels > 2 else 1]), 273: (4, offsets), 277: (3, [channels]),
        278: (4, [height]), 279: (4, [len(strip) for strip in strips]), 284: (3, [2 if planes else 1]),
        339: (3, [{"u": 1, "i": 2, "f": 3}[array.dtype.kind]] * channels),
        **({338: (3, [2])} if channels in (2, 4) else {}),
        **{number: (kind, values) for number, kind, values in tags},
    }  # fmt: skip
    start = 8 + len(content)
    after = start + 2 + 12 * len(fields) + 4
    table, extra = struct.pack(order + "H", len(fields)), b""
    for number, (kind, values) in sorted(fields.items()):
        packed = struct.pack(f"{order}{len(values)}{'H' if kind == 3 else 'I'}", *values)
        if len(packed) > 4:
            place, extra = struct.pack(order + "I", after + len(extra)), extra + packed
        else:
            place = packed.ljust(4, b"\0")
        table += struct.pack(order + "HHI", number, kind, len(values)) + place
    mark = b"II*\0" if order == "<" else b"MM\0*"
    path.write_bytes(mark + struct.pack(order + "I", start) + content + table + bytes(4) + extra)


def only(raw):
    assert raw.parts[0].x.shape[0] == 1
    return np.moveaxis(raw.parts[0].x[0], 0, -1)


@pytest.mark.parametrize("filters", [(0,), (1,), (2,), (3,), (4,), (4, 3, 2, 1, 0)])
@pytest.mark.parametrize("array", [GRAY, COLOR, ALPHA, ALPHA[..., :2]], ids=["L", "RGB", "RGBA", "LA"])
def test_png_keeps_16_bits(tmp_path, array, filters):
    png(tmp_path / "a.png", array, filters)
    raw = read(tmp_path)
    assert raw.parts[0].x.dtype == np.uint16
    transparent = array.ndim == 3 and array.shape[-1] in (2, 4)
    wanted = array.reshape(6, 5, -1)
    np.testing.assert_array_equal(only(raw), wanted[..., : wanted.shape[-1] - transparent])
    assert raw.passed_over == (("transparency of 1 image",) if transparent else ())


def test_opaque_16_bits_are_not_mentioned_and_a_transparent_color_is(tmp_path):
    png(tmp_path / "a.png", np.concatenate([COLOR, np.full_like(COLOR[..., :1], 65_535)], -1))
    assert read(tmp_path).passed_over == ()
    png(tmp_path / "a.png", COLOR, before=COLOR[3, 2].astype(">u2").tobytes())
    assert read(tmp_path).passed_over == ("transparency of 1 image",)
    np.testing.assert_array_equal(only(read(tmp_path)), COLOR)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("array", [GRAY, COLOR, ALPHA], ids=["L", "RGB", "RGBA"])
def test_tiff_keeps_16_bits(tmp_path, array, compress, order):
    tiff(tmp_path / "a.tif", array, order=order, compress=compress)
    raw = read(tmp_path)
    assert raw.parts[0].x.dtype == np.uint16
    np.testing.assert_array_equal(only(raw), array.reshape(6, 5, -1)[..., :3])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "f4"])
def test_numbers_with_a_sign_and_floats_stay_what_they_are(tmp_path, dtype, compress, order):
    array = RNG.normal(0, 40, (6, 5)).astype(dtype)
    tiff(tmp_path / "a.tif", array, order=order, compress=compress)
    x = read(tmp_path).parts[0].x
    np.testing.assert_array_equal(x[0, 0], array)
    assert x.dtype == (np.float32 if dtype == "f4" else np.int32)


def test_large_integers_without_a_sign_stay_positive(tmp_path):
    array = np.full((6, 5), 2**32 - 2, np.uint32)
    tiff(tmp_path / "a.tif", array)
    np.testing.assert_array_equal(read(tmp_path).parts[0].x[0, 0], array)


@pytest.mark.parametrize("order", ["<", ">"])
def test_planes_of_16_bits(tmp_path, order):
    tiff(tmp_path / "a.tif", COLOR, order=order, planes=True)
    np.testing.assert_array_equal(only(read(tmp_path)), COLOR)
    tiff(tmp_path / "a.tif", COLOR, order=order, planes=True, compress=True)
    with pytest.raises(DataError, match="compressed in one plane per color, of which 8 would be kept"):
        read(tmp_path)


def test_white_is_zero(tmp_path):
    tiff(tmp_path / "a.tif", GRAY, tags=[(262, 3, [0])])
    np.testing.assert_array_equal(read(tmp_path).parts[0].x[0, 0], 65_535 - GRAY)
    tiff(tmp_path / "a.tif", GRAY.astype(np.float32), tags=[(262, 3, [0])])
    with pytest.raises(DataError, match="white is 0 in it, with values of mode F"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("array", "tags", "words"),
    [
        (ALPHA, [(262, 3, [5]), (338, 3, [])], "16 bits per channel, with colors of mode CMYK, of which 8 would"),
        (ALPHA, [(338, 3, [1])], "16 bits per channel, with colors of mode RGBA"),
        (ALPHA, [(338, 3, [0])], "has 4 channels, of which 1 are neither color nor transparency"),
        (ALPHA.astype(np.uint8), [(338, 3, [0])], "has 4 channels, of which 1 are neither"),
        (ALPHA[..., :2], [], "broken, or a TIFF of channels, bits and layout that are not read"),
    ],
    ids=["CMYK", "multiplied", "unnamed", "unnamed 8 bits", "LA"],
)
def test_what_would_be_cut_is_refused(tmp_path, array, tags, words):
    tiff(tmp_path / "a.tif", array, tags=tags)
    with pytest.raises(DataError, match=f"a.tif: .*{words}"):
        read(tmp_path)


def test_color_of_16_bits_in_other_formats_is_refused(tmp_path):
    (tmp_path / "a.ppm").write_bytes(b"P6 4 3 65535\n" + bytes(72))
    with pytest.raises(DataError, match=r"a\.ppm: .*of which 8 would be kept\. Save it as PNG or TIFF"):
        read(tmp_path)


def test_gray_of_16_bits_in_pgm(tmp_path):
    (tmp_path / "a.pgm").write_bytes(b"P5 5 6 65535\n" + GRAY.astype(">u2").tobytes())
    x = read(tmp_path).parts[0].x
    np.testing.assert_array_equal(x[0, 0], GRAY)
    assert x.dtype == np.uint16


def test_the_depth_of_jpeg_2000_and_avif_is_found(tmp_path):
    Image.new("RGB", (16, 16)).save(tmp_path / "a.jp2")
    content = bytearray((tmp_path / "a.jp2").read_bytes())
    content[content.index(b"\xff\x4f\xff\x51") + 42] = 15  # the depth of the first channel, less one
    (tmp_path / "a.jp2").write_bytes(bytes(content))
    with pytest.raises(DataError, match="has 16 bits per channel, of which 8 would be kept"):
        read(tmp_path)


def test_a_deep_animation_gives_its_first_frame_only(tmp_path):
    png(tmp_path / "a.png", COLOR)
    content = (tmp_path / "a.png").read_bytes()

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    def control(number):
        return chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, 5, 6, 0, 0, 1, 1, 0, 0))

    at, end = content.index(b"IDAT") - 4, content.index(b"IEND") - 4
    length = struct.unpack(">I", content[at : at + 4])[0]
    again = control(1) + chunk(b"fdAT", struct.pack(">I", 2) + content[at + 8 : at + 8 + length])
    head = content[:at] + chunk(b"acTL", struct.pack(">II", 2, 0)) + control(0)
    (tmp_path / "a.png").write_bytes(head + content[at:end] + again + content[end:])
    np.testing.assert_array_equal(only(read(tmp_path, frames="first")), COLOR)
    with pytest.raises(DataError, match="an animation with 16 bits per channel"):
        read(tmp_path, frames="all")


def test_pages_of_16_bits_are_rows(tmp_path):
    pages = [Image.fromarray(GRAY + i) for i in range(12)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    data = load(tmp_path / "a.tif", frames="all")
    wanted = [GRAY + np.uint16(i) for i in range(12)]
    np.testing.assert_array_equal(data.train.array()[:, 0], np.stack(wanted)[data.train.index])


def test_deep_images_are_turned(tmp_path):
    tiff(tmp_path / "a.tif", COLOR, tags=[(274, 3, [6])])
    np.testing.assert_array_equal(only(read(tmp_path)), np.rot90(COLOR, -1))
    tiff(tmp_path / "a.tif", GRAY, tags=[(274, 3, [8])])
    np.testing.assert_array_equal(only(read(tmp_path))[..., 0], np.rot90(GRAY))
