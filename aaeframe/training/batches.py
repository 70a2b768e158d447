"""Minibatches: which rows in which order is a function of (seed, epoch) alone, so a run can go on anywhere."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from aaeframe.data import Split
from aaeframe.protocols import Batch
from aaeframe.seeds import generator


class Rows:
    """The training rows by index: whole on the device if they fit `resident_bytes`, else read as asked for."""

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
    """The minibatches of a run: `next()` gives the batch at (epoch, position) and moves on.

    An epoch passes over the unlabeled rows once, in an order of its own; a last batch that is not full is left out,
    so that every step has the same shape. Labeled rows, if any, go round independently of epochs.
    """

    rows: Rows
    unlabeled: Tensor
    """(N,) training rows to pass over."""
    batch_size: int
    seed: int
    row_labels: Tensor | None = None
    """(R,) the classes of all training rows, for batches that come with their labels."""
    labeled: Tensor | None = None
    """(M,) training rows whose labels are told."""
    labels: Tensor | None = None
    """(M,) their classes."""
    labeled_batch_size: int = 0
    epoch: int = 0
    position: int = 0
    """The next batch within the epoch."""
    _orders: dict[tuple[str, int], Tensor] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.batch_size = min(self.batch_size, len(self.unlabeled))
        if self.labeled is not None:
            self.labeled_batch_size = min(self.labeled_batch_size, len(self.labeled))

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one epoch."""
        return len(self.unlabeled) // self.batch_size

    @property
    def step(self) -> int:
        """Batches given so far."""
        return self.epoch * self.steps_per_epoch + self.position

    def next(self) -> Batch:
        """The batch at the current place; the place moves to the one after it."""
        start = self.position * self.batch_size
        order = self._order("unlabeled", self.epoch, len(self.unlabeled))
        index = self.unlabeled[order[start : start + self.batch_size]]
        labels = None if self.row_labels is None else self.row_labels[index].to(self.rows.device, non_blocking=True)
        batch = Batch(self.rows[index], labels, index, self._labeled_batch())
        self.position += 1
        if self.position == self.steps_per_epoch:
            self.epoch, self.position = self.epoch + 1, 0
        return batch

    def state_dict(self) -> dict[str, int]:
        """The place of the next batch."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go to a place."""
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
        """The permutation of one pass; the last two are kept, as a batch may reach over the end of a pass."""
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
