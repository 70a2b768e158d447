"""Open a file that may be packed, within a bound on what it unfolds to."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import IO, Final, Protocol

from aaeframe.data.readers.limits import check_unfolding
from aaeframe.errors import DataError

PACKED: Final = (".gz", ".bz2", ".xz", ".zip")
"""The suffixes of packed files."""

MOST_XZ: Final = 2**28
"""Bytes of memory that .xz may ask for: four times what its highest level does, while a header may ask for 4 GiB."""

METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)

BLOCK: Final = 2**18

BROKEN: Final = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError)
"""Errors that reading a broken file may raise."""


def suffix_inside(path: PurePath) -> str:
    """The suffix of a file without that of its packing, in small letters; .zip may stand alone."""
    suffix = path.suffix.lower()
    inner = PurePath(path.stem).suffix.lower() if suffix in PACKED else suffix
    return suffix if suffix == ".zip" and not inner else inner


class _Reads(Protocol):
    def read(self, size: int, /) -> bytes: ...


@contextmanager
def opened(path: Path) -> Iterator[io.BufferedReader]:
    """The bytes of a file, unpacked as they are read.

    Raises:
        DataError: an archive has not exactly one file, or unfolds to more than `check_unfolding` allows.
    """
    with path.open("rb") as file:
        suffix, packed = path.suffix.lower(), os.fstat(file.fileno()).st_size
        if suffix not in PACKED:
            yield file
        elif suffix == ".zip":
            with _only_member(file, path) as (member, size):
                yield io.BufferedReader(_Bounded(member, size, path), BLOCK)
        else:
            yield io.BufferedReader(_Bounded(_unpacked(file, suffix), packed, path), BLOCK)


def _unpacked(file: IO[bytes], suffix: str) -> _Reads:
    if suffix == ".gz":
        return gzip.GzipFile(fileobj=file)
    return bz2.BZ2File(file) if suffix == ".bz2" else _Xz(file)


@contextmanager
def _only_member(file: IO[bytes], path: Path) -> Iterator[tuple[IO[bytes], int]]:
    with zipfile.ZipFile(file) as archive:
        members = [it for it in archive.infolist() if not it.is_dir() and not _is_by_the_way(it.filename)]
        if len(members) != 1:
            raise DataError(
                f"{path}: the archive holds {_listed([it.filename for it in members])}. One file is read: unpack the "
                "archive and give the file."
            )
        if members[0].flag_bits & 1:
            raise DataError(f"{path}: {members[0].filename!r} is locked by a password. Unpack it and give the file.")
        if members[0].compress_type not in METHODS:
            raise DataError(f"{path}: is packed by a method that is not read. Unpack it and give the file.")
        with archive.open(members[0]) as member:
            yield member, members[0].compress_size


def _is_by_the_way(name: str) -> bool:
    """Whether a member of an archive is what macOS adds to it."""
    return name.startswith("__MACOSX/") or PurePath(name).name == ".DS_Store"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(name[:60] for name in names[:5])
    return f"{len(names)} files ({shown}{', ...' if len(names) > 5 else ''})" if names else "no file"


class _Bounded(io.RawIOBase):
    """A stream that may not give far more bytes than it took."""

    def __init__(self, stream: _Reads, packed: int, path: Path) -> None:
        self.stream, self.packed, self.path, self.size = stream, packed, path, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        piece = self.stream.read(len(buffer))
        buffer[: len(piece)] = piece
        self.size += len(piece)
        check_unfolding(self.size, self.packed, str(self.path), "unfolds to at least")
        return len(piece)


class _Xz:
    """An .xz file of one or more streams, within `MOST_XZ` of memory: lzma.LZMAFile knows no such bound."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.decoder, self.ahead = file, self._decoder(), b""

    @staticmethod
    def _decoder() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MOST_XZ)

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end."""
        while True:
            if self.decoder.eof:
                self.ahead = self.decoder.unused_data.lstrip(b"\0") or self.file.read(BLOCK).lstrip(b"\0")
                if not self.ahead:
                    return b""
                self.decoder = self._decoder()
            elif self.decoder.needs_input and not self.ahead:
                self.ahead = self.file.read(BLOCK)
                if not self.ahead:
                    raise EOFError("the file ends before its end-of-stream marker")
            given, self.ahead = self.ahead, b""
            if piece := self.decoder.decompress(given, size):
                return piece
