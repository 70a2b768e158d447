"""Minibatches. Their rows and order depend on (seed, epoch) only, so a run can resume anywhere."""

from __future__ import annotations

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

    def part(self, start: int, stop: int) -> _Rows:
        labels = None if self.labels is None else self.labels[start:stop]
        return _Rows(self.chosen[start:stop], self.placed[start:stop], labels)

    def own(self) -> _Rows:
        """The part of a minibatch that belongs to this process."""
        part = processes.share(len(self.chosen))
        return self.part(part.start, part.stop)

    def joined(self, other: _Rows) -> _Rows:
        labels = None if self.labels is None or other.labels is None else torch.cat([self.labels, other.labels])
        return _Rows(torch.cat([self.chosen, other.chosen]), torch.cat([self.placed, other.placed]), labels)


@dataclass
class Batches:
    """The minibatches of a run: `next()` gives the batch at (epoch, position) and advances.

    An epoch passes once over the unlabeled rows, in an order of its own. A last incomplete batch is left out, so that
    every step has the same shape. Labeled rows, if any, are cycled through independently of epochs. Several processes
    share each minibatch: `next()` gives the part of this one, contiguous rows.
    """

    rows: ResidentRows
    unlabeled: Tensor
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
        start = self.position * self.batch_size
        rows = self._pass("unlabeled", self.epoch).part(start, start + self.batch_size).own()
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
        return self._batch(rows.own())

    def _batch(self, rows: _Rows, labeled: Batch | None = None) -> Batch:
        return Batch(self.rows[rows.placed], rows.labels, rows.chosen, labeled, self.step)

    def _pass(self, name: str, turn: int) -> _Rows:
        """One pass over the unlabeled or the labeled rows; the last two are kept, because a batch may span two.

        All of it is on the device from the start of the pass, so that a step copies nothing to it.
        """
        key = (name, turn)
        if key not in self._passes:
            self._passes.pop((name, turn - 2), None)
            self._passes[key] = self._ordered(name, turn)
        return self._passes[key]

    def _ordered(self, name: str, turn: int) -> _Rows:
        if name == "unlabeled":
            rows, labels = self.unlabeled, None if self.row_labels is None else self.row_labels[self.unlabeled]
        else:
            assert self.labeled is not None
            rows, labels = self.labeled, self.labels
        order = torch.randperm(len(rows), generator=generator(self.seed, "order", name, turn))
        chosen = rows[order]
        return _Rows(chosen, self.rows.placed(chosen), None if labels is None else labels[order].to(self.rows.device))


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
