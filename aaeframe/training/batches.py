"""Minibatches. Their rows and order depend on (seed, epoch) only, so a run can resume anywhere."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from aaeframe import processes
from aaeframe.data import Split
from aaeframe.errors import ConfigError
from aaeframe.protocols import Batch
from aaeframe.seeds import generator
from aaeframe.training.windows import WindowOrder, WindowReader


class ResidentRows:
    """The training rows by index: all on the device if they fit `resident_bytes`, otherwise read when needed."""

    def __init__(self, split: Split, device: torch.device, resident_bytes: float) -> None:
        self.device = device
        self.resident = split.nbytes <= resident_bytes
        self._split = split
        self._x = torch.from_numpy(split.array()).to(device) if self.resident else None

    def __getitem__(self, index: Tensor) -> Tensor:
        """Rows (len(index), *shape) on the device, in the user's units; index is where `placed` puts it."""
        if self._x is not None:
            return self._x[index]
        return torch.from_numpy(self._split.rows(index.numpy())).to(self.device, non_blocking=True)

    def placed(self, index: Tensor) -> Tensor:
        """An index where it is read: on the device if the rows are there, else on the CPU."""
        return index.to(self.device) if self.resident else index


class _Rows(NamedTuple):
    """Rows of a pass, in order; minibatches are views of it."""

    chosen: Tensor
    """(N,) rows of the training set, on the CPU."""
    placed: Tensor
    """The same where it is read."""
    labels: Tensor | None
    """(N,) their classes, on the device."""
    values: Tensor | None = None
    """(N, *shape) the rows, on the device, if they are read already."""

    def part(self, start: int, stop: int) -> _Rows:
        labels = None if self.labels is None else self.labels[start:stop]
        values = None if self.values is None else self.values[start:stop]
        return _Rows(self.chosen[start:stop], self.placed[start:stop], labels, values)

    def own(self) -> _Rows:
        """The part of a minibatch that belongs to this process."""
        part = processes.share(len(self.chosen))
        return self.part(part.start, part.stop)

    def joined(self, other: _Rows) -> _Rows:
        labels = None if self.labels is None or other.labels is None else torch.cat([self.labels, other.labels])
        values = None if self.values is None or other.values is None else torch.cat([self.values, other.values])
        return _Rows(torch.cat([self.chosen, other.chosen]), torch.cat([self.placed, other.placed]), labels, values)


@dataclass(frozen=True)
class _WindowedPass:
    """A pass over rows in a source; its parts are read when needed."""

    rows: ResidentRows
    reader: WindowReader
    turn: int
    labels: Tensor | None
    """(N,) the classes of the rows of all passes."""

    def part(self, start: int, stop: int) -> _Rows:
        places, chosen, values = self.reader.part(self.turn, start, stop)
        device = self.rows.device
        labels = None if self.labels is None else self.labels[places].to(device)
        return _Rows(chosen, self.rows.placed(chosen), labels, values.to(device, non_blocking=True))


@dataclass
class Batches:
    """The minibatches of a run: `next()` gives the batch at (epoch, position) and advances.

    An epoch passes once over the unlabeled rows, in an order of its own. A last incomplete batch is left out, so that
    every step has the same shape. Labeled rows, if any, are cycled through independently of epochs. Several processes
    share each minibatch: `next()` gives the part of this one, contiguous rows.
    """

    rows: ResidentRows
    unlabeled: Tensor | Everything
    """(N,) the training rows of an epoch."""
    batch_size: int
    seed: int
    row_labels: Tensor | None = None
    """(R,) the classes of all training rows, for recipes that use labels in every batch."""
    labeled: Tensor | None = None
    """(M,) the training rows that have labels."""
    labels: Tensor | None = None
    """(M,) the classes of the labeled rows."""
    labeled_batch_size: int = 0
    epoch: int = 0
    position: int = 0
    """The number of the next batch within the epoch."""
    steps: int | None = None
    """The number of all batches; the last epoch ends with it."""
    windows: dict[str, WindowReader] = field(default_factory=dict)
    """The readers of passes over unlabeled and labeled rows that are in a source."""
    labeled_rows: ResidentRows | None = None
    """The labeled rows by their place among these, if they are kept apart."""
    _passes: dict[tuple[str, int], _Rows] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.batch_size = min(self.batch_size, len(self.unlabeled))
        if self.labeled is not None:
            self.labeled_batch_size = min(self.labeled_batch_size, len(self.labeled))
            _refuse_uneven("labeled_batch_size", self.labeled_batch_size, len(self.labeled))
        _refuse_uneven("batch_size", self.batch_size, len(self.unlabeled))

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches in one epoch."""
        return len(self.unlabeled) // self.batch_size

    @property
    def step(self) -> int:
        """The number of batches given so far."""
        given = self.epoch * self.steps_per_epoch + self.position
        return given if self.steps is None else min(given, self.steps)

    def next(self) -> Batch:
        """The batch at the current position; the position then advances by one."""
        start, own = self.position * self.batch_size, processes.share(self.batch_size)
        rows = self._pass("unlabeled", self.epoch).part(start + own.start, start + own.stop)
        batch = self._batch(rows, self._labeled_batch())
        self.position += 1
        if self.position == self.steps_per_epoch or self.step == self.steps:
            self.epoch, self.position = self.epoch + 1, 0
        return batch

    def state_dict(self) -> dict[str, int]:
        """The position of the next batch."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Restore a position."""
        self.epoch, self.position = state["epoch"], state["position"]

    def _labeled_batch(self) -> Batch | None:
        if self.labeled is None or self.labels is None:
            return None
        count, size = len(self.labeled), self.labeled_batch_size
        turn, start = divmod(self.step * size, count)
        rows = self._pass("labeled", turn).part(start, start + size)
        if lacking := size - len(rows.chosen):  # the pass ends within the batch
            rows = rows.joined(self._pass("labeled", turn + 1).part(0, lacking))
        return self._batch(rows.own(), of=self.labeled_rows)

    def _batch(self, rows: _Rows, labeled: Batch | None = None, *, of: ResidentRows | None = None) -> Batch:
        x = (of or self.rows)[rows.placed] if rows.values is None else rows.values
        return Batch(x, rows.labels, rows.chosen, labeled, self.step)

    @property
    def order(self) -> dict[str, str]:
        """A digest of the windows in which rows come, by "windows"; empty if each pass has one."""
        digests = [it.order.digest() for _, it in sorted(self.windows.items()) if not it.order.is_single]
        return {"windows": " ".join(digests)} if digests else {}

    def close(self) -> None:
        """End the threads that read ahead."""
        for reader in self.windows.values():
            reader.close()

    def _pass(self, name: str, turn: int) -> _Rows | _WindowedPass:
        """One pass over the unlabeled or the labeled rows; the last two are kept, because a batch may span two.

        All of it is on the device from the start of the pass, so that a step copies nothing to it.
        """
        if (reader := self.windows.get(name)) is not None:
            return _WindowedPass(self.rows, reader, turn, self.labels if name == "labeled" else self._unlabeled_labels)
        key = (name, turn)
        if key not in self._passes:
            self._passes.pop((name, turn - 2), None)
            self._passes[key] = self._ordered(name, turn)
        return self._passes[key]

    def _ordered(self, name: str, turn: int) -> _Rows:
        if name == "unlabeled":
            rows, labels = self.unlabeled, self._unlabeled_labels
        else:
            assert self.labeled is not None
            rows, labels = self.labeled, self.labels
        order = torch.randperm(len(rows), generator=generator(self.seed, "order", name, turn))
        chosen = rows[order]
        apart = self.labeled_rows if name == "labeled" else None
        placed = self.rows.placed(chosen) if apart is None else apart.placed(order)
        return _Rows(chosen, placed, None if labels is None else labels[order].to(self.rows.device))

    @property
    def _unlabeled_labels(self) -> Tensor | None:
        """(N,) the classes of the rows of an epoch, if they are used."""
        if self.row_labels is None or isinstance(self.unlabeled, Everything):
            return self.row_labels
        return self.row_labels[self.unlabeled]


def add_windows(batches: Batches, split: Split, window_bytes: float) -> None:
    """Read the passes over rows in a source in windows of this size, unless one holds all rows in memory."""
    most = max(1, int(window_bytes // max(1, split.nbytes // len(split))))
    passes = {"unlabeled": batches.unlabeled}
    if batches.labeled is not None and not batches.rows.resident:
        if len(batches.labeled) <= most:
            batches.labeled_rows = ResidentRows(split.take(batches.labeled.numpy()), batches.rows.device, math.inf)
        else:
            passes["labeled"] = batches.labeled
    for name, rows in passes.items():
        index = None if isinstance(rows, Everything) else rows
        bounds = split.chunk_bounds if index is None else np.searchsorted(index.numpy(), split.chunk_bounds)
        order = WindowOrder(bounds, most, batches.seed, name)
        if not (order.is_single and batches.rows.resident):
            batches.windows[name] = WindowReader(split, order, index)


class Everything:
    """All row numbers of a training set, without an array."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        return index if isinstance(index, Tensor) else torch.arange(*index.indices(self._count))


def _refuse_uneven(option: str, size: int, rows: int) -> None:
    """ConfigError for a minibatch that the processes cannot share evenly, with the nearest sizes that they can."""
    count = processes.size()
    if size % count == 0:
        return
    below = size - size % count
    nearest = [it for it in (below, below + count) if 0 < it <= rows]
    advice = f"use training.{option}={' or '.join(map(str, nearest))}" if nearest else "start fewer processes"
    raise ConfigError(f"a minibatch of {size} rows (training.{option}) cannot be shared by {count} processes; {advice}")


def split_labels(labels: np.ndarray, chosen: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """(unlabeled rows, labeled rows, labels of those). If every row is labeled, all also count as unlabeled."""
    rest = np.setdiff1d(np.arange(len(labels)), chosen)
    unlabeled = rest if len(rest) else chosen
    return torch.from_numpy(unlabeled), torch.from_numpy(chosen), torch.from_numpy(labels[chosen])
