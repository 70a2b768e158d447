"""Minibatches. Their rows and order depend on (seed, epoch) only, so a run can resume anywhere."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from aaeframe.data import Split
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
        """Rows (len(index), *shape) on the device, in the user's units; index is on the CPU."""
        if self._x is not None:
            return self._x[index.to(self.device, non_blocking=True)]
        return torch.from_numpy(self._split.rows(index.numpy())).to(self.device, non_blocking=True)


@dataclass
class Batches:
    """The minibatches of a run: `next()` gives the batch at (epoch, position) and advances.

    An epoch passes once over the unlabeled rows, in an order of its own. A last incomplete batch is left out, so that
    every step has the same shape. Labeled rows, if any, are cycled through independently of epochs.
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
    _orders: dict[tuple[str, int], Tensor] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.batch_size = min(self.batch_size, len(self.unlabeled))
        if self.labeled is not None:
            self.labeled_batch_size = min(self.labeled_batch_size, len(self.labeled))

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
        order = self._order("unlabeled", self.epoch, len(self.unlabeled))
        index = self.unlabeled[order[start : start + self.batch_size]]
        labels = None if self.row_labels is None else self.row_labels[index].to(self.rows.device, non_blocking=True)
        batch = Batch(self.rows[index], labels, index, self._labeled_batch())
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
        chosen = self._order("labeled", turn, count)[start : start + size]
        if len(chosen) < size:  # the pass ends within the batch
            chosen = torch.cat([chosen, self._order("labeled", turn + 1, count)[: size - len(chosen)]])
        index = self.labeled[chosen]
        return Batch(self.rows[index], self.labels[chosen].to(self.rows.device, non_blocking=True), index)

    def _order(self, name: str, turn: int, count: int) -> Tensor:
        """The permutation of one pass; the last two are cached, because a batch may span two passes."""
        key = (name, turn)
        if key not in self._orders:
            self._orders.pop((name, turn - 2), None)
            self._orders[key] = torch.randperm(count, generator=generator(self.seed, "order", name, turn))
        return self._orders[key]


def split_labels(labels: np.ndarray, chosen: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """(unlabeled rows, labeled rows, labels of those). If every row is labeled, all also count as unlabeled."""
    rest = np.setdiff1d(np.arange(len(labels)), chosen)
    unlabeled = rest if len(rest) else chosen
    return torch.from_numpy(unlabeled), torch.from_numpy(chosen), torch.from_numpy(labels[chosen])
