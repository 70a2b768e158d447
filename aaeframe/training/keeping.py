"""Keep what a training leaves behind: in a run's folder, or in memory alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from aaeframe import processes
from aaeframe.errors import CheckpointError
from aaeframe.storage import checkpoint as checkpoints
from aaeframe.storage.checkpoint import Checkpoint
from aaeframe.storage.metrics_file import MetricsFile, MetricsRow
from aaeframe.storage.run_folder import RunFolder


class Keeper(Protocol):
    """Keeps the metrics and the checkpoints of a training."""

    @property
    def rows(self) -> Sequence[MetricsRow]:
        """The metrics, one row an epoch."""

    @property
    def evaluations(self) -> Mapping[str, Any]:
        """The stored reports by split."""

    @property
    def metrics_bytes(self) -> int:
        """The size of the metrics file; a checkpoint notes it."""

    def append(self, row: MetricsRow) -> None:
        """Keep the metrics of an epoch."""

    def write(self, step: int, checkpoint: Checkpoint, *, best: int | None = None) -> Path | None:
        """Keep a checkpoint, and return its folder if it has one. That of step `best` stays, however old."""

    def best(self, step: int) -> Checkpoint:
        """The checkpoint of the best step; CheckpointError without it."""

    def resume(self, metrics_bytes: int) -> None:
        """Forget what came after a checkpoint."""


@dataclass(frozen=True)
class InFolder:
    """Keeps a training in a run's folder."""

    folder: RunFolder

    @property
    def metrics(self) -> MetricsFile:
        """The file of the metrics."""
        return MetricsFile(self.folder.metrics)

    @property
    def rows(self) -> Sequence[MetricsRow]:
        """The rows of the metrics file."""
        return self.metrics.rows()

    @property
    def evaluations(self) -> Mapping[str, Any]:
        """The reports in the run's folder."""
        return self.folder.read_evaluation()

    @property
    def metrics_bytes(self) -> int:
        """The size of the metrics file."""
        return self.metrics.size

    def append(self, row: MetricsRow) -> None:
        """Append a row to the metrics file."""
        self.metrics.append(row)

    def write(self, step: int, checkpoint: Checkpoint, *, best: int | None = None) -> Path | None:
        """Write a checkpoint; the last two are kept, and that of step `best`."""
        return checkpoints.write(self.folder.checkpoints, step, checkpoint, keep=best)

    def best(self, step: int) -> Checkpoint:
        """Read and verify the checkpoint of the best step."""
        return checkpoints.read(checkpoints.path_of(self.folder.checkpoints, step))

    def resume(self, metrics_bytes: int) -> None:
        """Cut the metrics file, and remove what an interrupted checkpoint left."""
        self.metrics.truncate(metrics_bytes)
        checkpoints.remove_leftovers(self.folder.checkpoints)


@dataclass(frozen=True)
class ByFirst:
    """Keeps a training by the first of several processes. An error there is an error of all.

    Properties are those of this process: no exchange hides in them.
    """

    kept: Keeper

    @property
    def rows(self) -> Sequence[MetricsRow]:
        """The rows, as this process reads them."""
        return self.kept.rows

    @property
    def evaluations(self) -> Mapping[str, Any]:
        """The reports, as this process reads them."""
        return self.kept.evaluations

    @property
    def metrics_bytes(self) -> int:
        """The size, as this process finds it."""
        return self.kept.metrics_bytes

    def append(self, row: MetricsRow) -> None:
        """Keep a row."""
        processes.first(lambda: self.kept.append(row))

    def write(self, step: int, checkpoint: Checkpoint, *, best: int | None = None) -> Path | None:
        """Keep a checkpoint; its folder in the first process, None in the others."""
        paths: list[Path | None] = [None]

        def write() -> None:
            paths.append(self.kept.write(step, checkpoint, best=best))

        processes.first(write)
        return paths[-1]

    def best(self, step: int) -> Checkpoint:
        """The checkpoint of the best step, read by each process."""
        return processes.together(lambda: self.kept.best(step))

    def resume(self, metrics_bytes: int) -> None:
        """Forget what came after a checkpoint."""
        processes.first(lambda: self.kept.resume(metrics_bytes))


@dataclass(frozen=True)
class InMemory:
    """Keeps the metrics in memory, and of checkpoints the models of the last and the best, without optimizers."""

    rows: list[MetricsRow] = field(default_factory=list)
    metrics_bytes: int = 0
    evaluations: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Reports of an archive; evaluations in memory are not stored."""
    checkpoints: dict[int, Checkpoint] = field(default_factory=dict, repr=False)
    """Checkpoints by step. The tensors of the last are those of the model itself, which no longer change afterwards."""

    def append(self, row: MetricsRow) -> None:
        """Keep a row."""
        self.rows.append(row)

    def write(self, step: int, checkpoint: Checkpoint, *, best: int | None = None) -> Path | None:
        """Keep the model: a copy if it is the best."""
        for old in self.checkpoints.keys() - {best}:
            del self.checkpoints[old]
        model = checkpoint.model
        if step == best:
            model = {name: it.detach().to("cpu", copy=True) for name, it in model.items()}
        self.checkpoints[step] = replace(checkpoint, model=model, optimizer={})
        return None

    def best(self, step: int) -> Checkpoint:
        """The copy of the best step."""
        if step not in self.checkpoints:
            kept = ", ".join(map(str, self.checkpoints)) or "none"
            raise CheckpointError(
                f"there are no weights of step {step} here; kept are those of step {kept}. An archive holds one step: "
                "write it anew with aaeframe export RUN --format archive --best --out model.zip"
            )
        return self.checkpoints[step]

    def resume(self, metrics_bytes: int) -> None:
        """Do nothing: there is no checkpoint to resume from."""
