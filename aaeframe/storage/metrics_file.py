"""The numbers of a run: sums within an epoch, and one row of `metrics.jsonl` for each epoch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from aaeframe.errors import RunError, UnusableCheckpoint
from aaeframe.storage.atomic import append_whole, writing
from aaeframe.storage.json_text import loads_json

Row: TypeAlias = dict[str, Any]


class Sums:
    """Running sums of a step's losses, on the device, so that a step waits for nothing."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self.count = 0

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Add the losses of one step."""
        for name, loss in losses.items():
            value = loss.double()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self.count += 1

    def means(self) -> dict[str, float]:
        """The means so far; this waits for the device."""
        return {name: float(total) / self.count for name, total in self._sums.items()}

    def state_dict(self) -> dict[str, Tensor]:
        """The sums, as float64 scalars on the CPU."""
        return {name: total.cpu() for name, total in self._sums.items()}

    def load_state_dict(self, state: Mapping[str, Tensor], count: int, device: torch.device) -> None:
        """Go on from saved sums over `count` steps."""
        self._sums = {name: total.to(device) for name, total in state.items()}
        self.count = count


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
