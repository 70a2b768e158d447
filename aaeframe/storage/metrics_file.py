"""`metrics.jsonl`: one row of numbers for each epoch of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from aaeframe.errors import RunError, UnusableCheckpoint
from aaeframe.storage.atomic import append_whole, writing
from aaeframe.storage.formats import loads_json, read_bounded

MetricsRow: TypeAlias = dict[str, Any]


class MetricsFile:
    """The file `metrics.jsonl`: one JSON object a line, appended and flushed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, row: Mapping[str, Any]) -> None:
        """Write one row; RunError if that fails, and then no part of the row stays."""
        append_whole(self.path, json.dumps(row).encode() + b"\n")

    @property
    def size(self) -> int:
        """The number of bytes written so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    def require(self, size: int) -> None:
        """UnusableCheckpoint unless the first `size` bytes exist and end with a complete row.

        `size` is the file's size when the checkpoint was written.
        """
        if self.size < size:
            what = f"has {self.size} bytes"
        elif size and self._byte(size - 1) != b"\n":
            what = "does not end a row there"
        else:
            return
        raise UnusableCheckpoint(
            f"{self.path} {what}, but the checkpoint was written after {size}: rows were lost or the file was changed"
        )

    def truncate(self, size: int) -> None:
        """Remove everything after the first `size` bytes; UnusableCheckpoint as for `require`."""
        self.require(size)
        if self.size > size:
            with writing(self.path), self.path.open("r+b") as file:
                file.truncate(size)

    def _byte(self, place: int) -> bytes:
        with self.path.open("rb") as file:
            file.seek(place)
            return file.read(1)

    def rows(self) -> list[MetricsRow]:
        """All complete rows, without a last one cut off by a crash; RunError if a line is not a JSON object."""
        if not self.path.exists():
            return []
        try:
            return read_rows(read_bounded(self.path))
        except ValueError as error:
            raise RunError(
                f"{self.path} is not a table of metrics: {error}; restore it, or remove the run's folder"
            ) from error


def read_rows(content: bytes) -> list[MetricsRow]:
    """All complete rows, without a last one cut off; ValueError if a line is not a JSON object."""
    *lines, last = content.split(b"\n")
    torn = not last or last.startswith(b"{")
    return [_row(line) for line in (lines if torn else [*lines, last])]


def _row(line: bytes) -> MetricsRow:
    row = loads_json(line)
    if not isinstance(row, dict):
        raise ValueError(f"{line[:40]!r} is not a JSON object")
    return row
