"""Folders that should be of images."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from fuzzing.mutation import mutated

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)


def _saved(form: str, mode: str = "RGB") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(stream, form)
    return stream.getvalue()


def _png(width: int, height: int, depth: int, color: int, rows: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _pages(form: str) -> bytes:
    stream, page = io.BytesIO(), Image.fromarray(PIXELS)
    page.save(stream, form, save_all=True, append_images=[Image.fromarray(255 - PIXELS)] * 2)
    return stream.getvalue()


def _deep_tiff() -> bytes:
    """A TIFF whose header is changed from 4 pixels a line, three times 8 bits, to 2 of three times 16 bits."""
    stream = io.BytesIO()
    Image.fromarray(PIXELS[:, :4]).save(stream, "TIFF")
    content = bytearray(stream.getvalue())
    (start,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, start)
    for at in range(start + 2, start + 2 + 12 * count, 12):
        number, _, _, value = struct.unpack_from("<HHII", content, at)
        if number == 256:
            struct.pack_into("<I", content, at + 8, 2)
        elif number == 258:
            struct.pack_into("<3H", content, value, 16, 16, 16)
    return bytes(content)


GENUINE = (
    *(_saved(form) for form in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "ICO", "TGA", "PCX", "EPS")),
    *(_saved("PNG", mode) for mode in ("L", "LA", "P", "1", "RGBA")),
    _saved("TIFF", "F"),
    _saved("TIFF", "I"),
    *(_saved(form) for form in ("SGI", "DDS", "JPEG2000", "QOI")),
    _png(5, 4, 16, 2, b"".join(b"\4" + bytes(range(30)) for _ in range(4))),
    _png(5, 4, 16, 4, b"".join(b"\1" + bytes(range(20)) for _ in range(4))),
    _pages("TIFF"),
    _pages("GIF"),
    _deep_tiff(),
)


def _resized(content: bytes, width: int, height: int) -> bytes:
    """A JPEG, GIF or BMP whose header claims another size."""
    if content.startswith(b"\xff\xd8"):
        start = content.find(b"\xff\xc0") + 5
        return content[:start] + struct.pack(">HH", height & 0xFFFF, width & 0xFFFF) + content[start + 4 :]
    if content.startswith(b"GIF"):
        return content[:6] + struct.pack("<HH", width & 0xFFFF, height & 0xFFFF) + content[10:]
    return content[:18] + struct.pack("<II", width & 0xFFFFFFFF, height & 0xFFFFFFFF) + content[26:]


_sides = st.sampled_from([0, 1, 4, 5, 9000, 16_384, 65_535, 2**31 - 1, 2**32 - 1])
_contents = mutated(*GENUINE) | st.sampled_from(GENUINE) | st.binary(max_size=40)
_contents |= st.builds(_png, _sides, _sides, st.sampled_from([1, 8, 16, 3]), st.integers(0, 7), st.just(bytes(99)))
_contents |= st.builds(_resized, st.sampled_from(GENUINE[1:4]), _sides, _sides)

_names = st.sampled_from(
    [b"a.png", b"b.PNG", b"c.jpg", b"d.gif", b"e.txt", b".f.png", b"\xff\xfe.png", b"\xe9.jpg", b"g\n.png"]
)
_entries = st.tuples(_names, st.just("file"), _contents) | st.tuples(
    _names, st.sampled_from(["fifo", "loop", "nowhere", "out", "folder", "up"]), st.just(b"")
)
_alike = st.builds(
    lambda content, count: [(b"%03d.png" % i, "file", content) for i in range(count)],
    st.sampled_from(GENUINE) | _contents,
    st.sampled_from([1, 9, 10, 12]),
)
_loose = st.lists(_entries, max_size=4) | _alike | st.builds(list.__add__, _alike, st.lists(_entries, max_size=2))
_folders = st.sampled_from([b"cat", b"dog", b"\xff\xfe", b".hidden", b"e\xcc\x81", b"a.png", b"train", b"Test", b"val"])
_sound = st.builds(
    lambda content, count: [(b"%03d.png" % i, "file", content) for i in range(count)],
    st.sampled_from(GENUINE[:6]),
    st.integers(10, 12),
)
folders = st.tuples(_loose, st.dictionaries(_folders, _loose, max_size=3)) | st.tuples(_sound | _alike, st.just({}))
folders |= st.tuples(st.just([]), st.dictionaries(_folders, _sound | _loose, min_size=1, max_size=3))
"""The contents of a folder and of each of its subfolders: names, kinds and contents of files."""


def laid_out(described: tuple, folder: Path) -> Path:
    """The folder on the disk."""
    root = folder / "pictures"
    loose, groups = described
    for place, entries in [(root, loose), *((root / os.fsdecode(name), it) for name, it in groups.items())]:
        if os.path.lexists(place) and not place.is_dir():
            continue
        place.mkdir(parents=True, exist_ok=True)
        for name, kind, content in entries:
            _put(place / os.fsdecode(name), kind, content)
    return root


def _put(path: Path, kind: str, content: bytes) -> None:
    if os.path.lexists(path):
        return
    if kind == "file":
        path.write_bytes(content)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to({"loop": path, "nowhere": "nowhere", "out": "/etc/hosts", "up": ".."}[kind])
