"""Early stopping: the best epoch by a validation criterion, and whether to stop. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass
class EarlyStopping:
    """The best of the epochs that were observed. An epoch is best if its criterion is less than in every earlier one.

    It has no state of its own in a checkpoint: observing the rows of the metrics again restores it.
    """

    criterion: str
    """The name of the metric, less being better."""
    patience: int
    """The number of validation measurements without improvement after which the training stops."""
    best_epoch: int = 0
    """Counted from 1; 0 before the first measurement."""
    best_step: int = 0
    best: float = float("inf")
    waited: int = 0
    """The number of measurements since the best one."""

    @property
    def exhausted(self) -> bool:
        """Whether to stop."""
        return self.waited >= self.patience

    def observe(self, row: Mapping[str, Any]) -> bool:
        """Add the metrics of an epoch; whether it is the best so far. Rows without the criterion do not count."""
        value = row.get(self.criterion)
        if value is None:
            return False
        if not value < self.best:
            self.waited += 1
            return False
        self.best, self.best_epoch, self.best_step, self.waited = value, row["epoch"], row["step"], 0
        return True

    def observe_all(self, rows: Iterable[Mapping[str, Any]], steps: int) -> EarlyStopping:
        """Add the metrics of the epochs up to a number of steps."""
        for row in rows:
            if row["step"] <= steps:
                self.observe(row)
        return self

    def __str__(self) -> str:
        """The best epoch in a sentence."""
        return f"the best epoch is {self.best_epoch}, by its {self.criterion} of {self.best:.4g}"
