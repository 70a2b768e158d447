"""The training loop: epochs, batches, metrics and checkpoints, for any recipe."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from aaeframe import processes
from aaeframe.configuration.changes import as_saved
from aaeframe.configuration.schema import Config
from aaeframe.data.identity import changes
from aaeframe.errors import CheckpointError, DataError, TrainingDiverged
from aaeframe.global_state import PATCHABLE, guarded, restoring
from aaeframe.model.autoencoder import Autoencoder
from aaeframe.model.priors import fixed_priors, is_trained
from aaeframe.protocols import Batch, Needs, Prior
from aaeframe.seeds import begin
from aaeframe.storage.checkpoint import Checkpoint, tensors_below
from aaeframe.storage.metrics_file import MetricsRow
from aaeframe.training.agreement import StopAgreement
from aaeframe.training.batches import Batches
from aaeframe.training.cuda_graph import GraphedStep
from aaeframe.training.device import arithmetic, current, environment
from aaeframe.training.diagnosis import Monitor
from aaeframe.training.early_stopping import EarlyStopping
from aaeframe.training.finiteness import check_finite
from aaeframe.training.keeping import InMemory, Keeper
from aaeframe.training.loss_log import EVERY, LossLog
from aaeframe.training.loss_weights import LossWeights
from aaeframe.training.moving_average import MovingAverage
from aaeframe.training.observers import Observers
from aaeframe.training.optimizers import change, load_optimizer, optimizer_tensors, schedules

BY_OBSERVER, BY_CALLER = 1, 2
"""Requests to stop, the stronger one last."""


class Recipe(Protocol):
    """The interface of a recipe that the loop uses."""

    @property
    def needs(self) -> Needs:
        """The requirements of the recipe."""

    def draw(self, batch: Batch) -> Any:
        """The prior samples that a step on this minibatch needs."""

    def step(self, batch: Batch, draws: Any = None) -> Mapping[str, Tensor]:
        """Train on one minibatch; detached scalars by name, the same names at every step."""


class Display(Protocol):
    """Shows the progress of a training to the caller."""

    def stepped(self, epoch: int, step: int) -> None:
        """Called after each step: `step` counts the steps of the whole run, `epoch` from 0."""

    def epoch_ended(self, row: MetricsRow, warnings: list[str]) -> None:
        """Called after a row of metrics was written; warnings are sentences."""


class Silent:
    """A display that shows nothing."""

    def stepped(self, epoch: int, step: int) -> None:
        """Do nothing."""

    def epoch_ended(self, row: MetricsRow, warnings: list[str]) -> None:
        """Do nothing."""


@dataclass
class Training:
    """A run in progress: everything that changes while it trains, which is what a checkpoint saves."""

    config: Config
    recipe: Recipe
    model: Autoencoder
    optimizers: Mapping[str, Optimizer]
    weights: LossWeights
    """Loss weights read by the recipe; updated at the start of each epoch."""
    batches: Batches
    device: torch.device
    validate: Callable[[Autoencoder, int], MetricsRow]
    """Measures on validation data at the end of an epoch; must not change the global random state."""
    data: Mapping[str, Any]
    """The properties of the data for checkpoints: its support, the classes learned, and its identity."""
    keeper: Keeper = field(default_factory=InMemory)
    display: Display = field(default_factory=Silent)
    observers: Observers = field(default_factory=Observers)
    stop_asked: Callable[[], bool] = lambda: False
    versions: Mapping[str, str] = field(default_factory=dict)
    """Software versions for checkpoints: Python, and distributions by name."""
    stopping: EarlyStopping | None = None
    """Early stopping, if the run has it."""

    def __post_init__(self) -> None:
        decay = self.config.training.ema
        shared = fixed_priors(self.model.priors)
        self.average = MovingAverage(self.model, decay, shared) if decay else None
        self._schedules = schedules(self.config)
        self.monitor = Monitor()
        self.losses = LossLog()
        wanted = self.device.type == "cuda" and self.config.training.cuda_graph
        self.lacks_graph = wanted and not processes.capturable()
        """Whether the steps are to be a CUDA graph, which this NCCL does not allow."""
        self._graphed = GraphedStep(self.recipe) if wanted and not self.lacks_graph else None
        self._clock, self._summed = time.monotonic(), 0
        self._saved_step = -1
        self._patched: list[str] = []
        self._agreement = StopAgreement()
        self.stopped_by = 0
        """The request to stop that was followed, BY_OBSERVER or BY_CALLER of any process; 0 for none."""

    @property
    def finished(self) -> bool:
        """Whether every epoch is done, or the training stopped early."""
        return self.batches.epoch >= self.config.training.epochs or self.stopped_early

    @property
    def steps(self) -> int:
        """The number of steps of the whole run."""
        return self.batches.steps or self.config.training.epochs * self.batches.steps_per_epoch

    @property
    def stopped_early(self) -> bool:
        """Whether the validation criterion has not improved for as long as `training.patience` allows."""
        return self.stopping is not None and self.stopping.exhausted

    @property
    def evaluated(self) -> Autoencoder:
        """The model to evaluate: the moving average if there is one."""
        return self.model if self.average is None else self.average.model

    def run(self) -> bool:
        """Train to the end, or until the caller or an observer stops it, and save the last state.

        Returns whether the end was reached.

        It seeds torch's global generators at each step. TrainingDiverged if a loss is not finite.
        """
        try:
            with (
                current(self.device),
                restoring("a component of this run", PATCHABLE),
                processes.synchronized(self.model),
            ):
                return self._run()
        finally:
            self.batches.close()

    def _run(self) -> bool:
        (self.stopped_by,) = processes.agree(BY_OBSERVER if self.observers.stopped else 0)
        while not self.finished and not self.stopped_by:
            self._begin_epoch()
            epoch = self.batches.epoch
            with guarded(PATCHABLE) as patched:
                while self.batches.epoch == epoch:
                    self._step()
                    if self._stops():
                        break
            self._patched += patched
            if self.batches.epoch > epoch:
                self._end_epoch(epoch)
            if self._stops(now=True):
                self.save()
        return self.finished

    def _stops(self, *, now: bool = False) -> bool:
        """Whether any process asked to stop; several processes agree about it at certain steps, or `now`."""
        if not self.stopped_by:
            asked = BY_CALLER if self.stop_asked() else BY_OBSERVER if self.observers.stopped else 0
            self.stopped_by = self._agreement(self.batches.step, asked, now=now)
        return bool(self.stopped_by)

    def _begin_epoch(self) -> None:
        epoch = self.batches.epoch
        for phase, optimizer in self.optimizers.items():
            change(optimizer, self._schedules[phase](epoch))
        self.weights.set(epoch)
        self.model.train()
        self._clock, self._summed = time.monotonic(), self.losses.count

    def _step(self) -> None:
        step, epoch = self.batches.step, self.batches.epoch
        begin(self.config.training.seed, "noise", step, processes.rank(), device=self.device)
        with arithmetic(self.config.training.precision, self.device):
            take = self.recipe.step if self._graphed is None else self._graphed
            try:
                losses = take(self.batches.next())
            except (ValueError, RuntimeError):
                self._check_losses(alone=True)  # numbers that are not finite explain it
                raise
        self.losses.add(step, losses)
        if self.average is not None:
            self.average.update(step)
        if (step + 1) % EVERY == 0:
            self._check_losses()
        self.observers.stepped(step + 1, losses)
        self.display.stepped(epoch, step + 1)

    def _check_losses(self, *, alone: bool = False) -> None:
        """TrainingDiverged if a loss was not finite; it names a prior whose samples are not."""
        try:
            self.losses.collect(alone=alone)
        except TrainingDiverged as error:
            for name, prior in self.model.priors.items():
                if not _samples_are_finite(prior):
                    advice = "lower optimizers.prior.lr" if is_trained(prior) else "fix it, or choose another"
                    raise TrainingDiverged(
                        f"the prior of block {name!r}, of type {type(prior).__name__}, gives samples that are not "
                        f"finite: {advice} ({error})"
                    ) from error
            raise

    def _end_epoch(self, epoch: int) -> None:
        self._check_losses()
        seconds = time.monotonic() - self._clock
        rate = (self.losses.count - self._summed) / seconds if seconds else 0.0
        row = {"epoch": epoch + 1, "step": self.batches.step, **self.losses.means()}
        row |= self._validated(epoch)
        processes.together(lambda: check_finite(self.batches.step, row))
        row |= {"seconds": round(seconds, 3), "steps_per_second": round(rate, 3)}
        self.losses = LossLog()
        warnings = [*self.monitor.observe(row), *map(_harmed, self._patched)]
        self._patched.clear()
        self.keeper.append({**row, "warnings": warnings} if warnings else row)
        self.observers.epoch_ended(row, warnings)  # before the checkpoint: no resumed run leaves the epoch out
        is_best = self.stopping is not None and self.stopping.observe(row)
        if is_best or (epoch + 1) % self.config.training.checkpoint_every == 0 or self.finished:
            self.save()
        self.display.epoch_ended(row, warnings)

    def _validated(self, epoch: int) -> MetricsRow:
        """The validation metrics. TrainingDiverged if the model has weights or outputs that are not finite."""
        step = self.batches.step
        weights = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        processes.together(lambda: check_finite(step, weights))
        try:
            return self.validate(self.evaluated, epoch)
        except DataError as error:  # finite weights may give codes that are not finite
            raise TrainingDiverged(
                f"step {step}: what the model gives for the validation rows is not finite. Lower the learning rate "
                f"(--set optimizers.<phase>.lr=...); the last checkpoint holds finite values ({error})"
            ) from error

    def save(self) -> None:
        """Write a checkpoint.

        TrainingDiverged, and nothing is written, if a value is not finite. ProcessError if processes have different
        weights.
        """
        step = self.batches.step
        if step == self._saved_step:
            return
        self._check_losses()
        checkpoint = self._checkpoint(processes.first(lambda: self.keeper.metrics_bytes))
        processes.together(lambda: _require_finite(step, checkpoint))
        processes.require_same_tensors(step, checkpoint.model)
        path = self._write(self.keeper, checkpoint)
        self._saved_step = step
        if path is not None:
            self.observers.checkpoint_saved(path, step)

    def save_untrained(self, keeper: Keeper) -> None:
        """Write a checkpoint of the untrained model elsewhere, by one process alone."""
        checkpoint = self._checkpoint(self.keeper.metrics_bytes)
        _require_finite(self.batches.step, checkpoint)
        self._write(keeper, checkpoint)

    def _write(self, keeper: Keeper, checkpoint: Checkpoint) -> Path | None:
        best = self.stopping.best_step if self.stopping else None
        return keeper.write(self.batches.step, checkpoint, best=best)

    def load(self, saved: Checkpoint) -> None:
        """Resume from a checkpoint; CheckpointError if it belongs to another model or other data."""
        state = saved.state
        if {**state["data"], "name": None} != {**self.data, "name": None}:  # a file may be moved
            other = "another scale or number of classes"
            if state["data"].get("windows") != self.data.get("windows"):
                other = "other row groups or shards, or another data.window_mib, by which rows are put in order"
            found = "; ".join(changes(state["data"], self.data)) or other
            raise CheckpointError(
                f"the training data differs from the data of this run so far: {found}. Restore that data, or train anew"
            )
        if state["batches"]["position"] >= self.batches.steps_per_epoch:
            raise CheckpointError(
                f"the checkpoint is of batch {state['batches']['position']} of an epoch, which has "
                f"{self.batches.steps_per_epoch}: the batch size was changed; change it back, or train anew"
            )
        load_model(self.model, saved.model, "model.")
        if self.average is not None:
            load_model(self.average.model, saved.model, "ema.")
        self.batches.load_state_dict(state["batches"])
        if self.batches.step != state["step"]:
            raise CheckpointError(
                f"the checkpoint is of step {state['step']}, where the training would be at {self.batches.step}: bring "
                "training.steps and training.batch_size back to what they were, or start a new run with --initial"
            )
        self.monitor.load_state_dict(state["monitor"])
        try:
            self._load_tensors(saved.optimizer, state["summed_steps"])
        except (RuntimeError, TypeError, ValueError, LookupError) as error:
            raise CheckpointError(
                f"the checkpoint does not fit the training its configuration describes: {error}"
            ) from error
        self.keeper.resume(state["metrics_bytes"])
        if self.stopping is not None:
            self.stopping.observe_all(processes.first(lambda: list(self.keeper.rows)), state["step"])
        self._saved_step = self.batches.step

    def _load_tensors(self, tensors: Mapping[str, Tensor], summed_steps: int) -> None:
        """Restore optimizers and sums."""
        trained = (self.batches.step - 1) // self.batches.steps_per_epoch  # the epoch of the last step
        trained = min(trained, self.config.training.epochs - 1)  # there may be fewer now: then nothing is left to do
        for phase, optimizer in self.optimizers.items():
            if trained >= 0:
                change(optimizer, self._schedules[phase](trained))
            load_optimizer(optimizer, tensors, f"optimizer.{phase}.")
        self.losses.load_state_dict(tensors_below("sums.", tensors), summed_steps)

    def _checkpoint(self, metrics_bytes: int) -> Checkpoint:
        model = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        if self.average is not None:
            model |= {f"ema.{k}": v for k, v in self.average.model.state_dict().items()}
        optimizer: dict[str, Tensor] = {}
        for phase, it in self.optimizers.items():
            optimizer |= {f"optimizer.{phase}.{k}": v for k, v in optimizer_tensors(it).items()}
        optimizer |= {f"sums.{k}": v for k, v in self.losses.state_dict().items()}
        state = {
            "step": self.batches.step,
            "resumable": True,
            "batches": self.batches.state_dict(),
            "summed_steps": self.losses.count,
            "monitor": self.monitor.state_dict(),
            "metrics_bytes": metrics_bytes,
            "data": dict(self.data),
            "config": as_saved(self.config),
            "environment": environment(self.device),
            "versions": dict(self.versions),
        }
        return Checkpoint(model, optimizer, state)


def _require_finite(step: int, checkpoint: Checkpoint) -> None:
    check_finite(step, {**checkpoint.model, **checkpoint.optimizer})


def _harmed(changed: str) -> str:
    return (
        f"a component of this run changed {changed} during the epoch. It was restored after it, but these numbers may "
        "be wrong. Find the component with: aaeframe plugins check NAME"
    )


def _samples_are_finite(prior: Prior) -> bool:
    """Whether a prior can be sampled, and the samples are finite. Torch refuses parameters that are not a number."""
    try:
        with torch.random.fork_rng(devices=[]):
            return bool(prior.sample(torch.Size([1000])).isfinite().all())
    except (ValueError, RuntimeError):
        return False


def load_model(model: nn.Module, tensors: Mapping[str, Tensor], prefix: str) -> None:
    """Restore a model from the tensors under a prefix; CheckpointError if names or shapes differ."""
    try:
        model.load_state_dict(tensors_below(prefix, tensors))
    except RuntimeError as error:
        raise CheckpointError(
            f"the checkpoint does not fit the model its configuration describes (has a plugin changed?): {error}"
        ) from error
