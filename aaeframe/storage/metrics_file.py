"""The numbers of a run: sums within an epoch, and one row of `metrics.jsonl` for each epoch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from aaeframe.errors import RunError, UnusableCheckpoint
from aaeframe.storage.atomic import append_whole, writing
from aaeframe.storage.formats import loads_json

Row: TypeAlias = dict[str, Any]


class MetricsFile:
    """`metrics.jsonl`: one JSON object a line, appended and flushed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, row: Mapping[str, Any]) -> None:
        """Write one row; RunError if the disk refuses it, in which case no part of the row stays."""
        append_whole(self.path, json.dumps(row).encode() + b"\n")

    @property
    def size(self) -> int:
        """The bytes written so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    def require(self, size: int) -> None:
        """UnusableCheckpoint, of one that was written after `size` bytes, unless that many whole rows are there."""
        if self.size < size:
            what = f"has {self.size} bytes"
        elif size and self._byte(size - 1) != b"\n":
            what = "has no row's end there"
        else:
            return
        raise UnusableCheckpoint(
            f"{self.path} {what}, but the checkpoint was written after {size}: rows were lost or the file was changed"
        )

    def truncate(self, size: int) -> None:
        """Forget what was written after `size` bytes; UnusableCheckpoint as of `require`."""
        self.require(size)
        if self.size > size:
            with writing(self.path), self.path.open("r+b") as file:
                file.truncate(size)

    def _byte(self, place: int) -> bytes:
        with self.path.open("rb") as file:
            file.seek(place)
            return file.read(1)

    def rows(self) -> list[Row]:
        """Every whole row, without one that a power cut tore off; RunError if a line is no JSON object."""
        if not self.path.exists():
            return []
        *lines, last = self.path.read_bytes().split(b"\n")
        torn = not last or last.startswith(b"{")
        try:
            return [_row(line) for line in (lines if torn else [*lines, last])]
        except ValueError as error:
            raise RunError(
                f"{self.path} is not a table of metrics: {error}; restore it, or remove the run's folder"
            ) from error


def _row(line: bytes) -> Row:
    row = loads_json(line)
    if not isinstance(row, dict):
        raise ValueError(f"{line[:40]!r} is no JSON object")
    return row
