"""Observers, which follow a run and change nothing of it: their interface, and the group of a run."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol

import torch
from torch import Tensor

from aaeframe.errors import BrokenComponent, StopRun
from aaeframe.global_state import OF_TORCH, SETTINGS, guarded


class Observer(Protocol):
    """Follows a run. Every member is optional: leave out what is not needed, or inherit from this class.

    `run_started` is the first call and `run_ended` the last. An evaluation or figures after the training come with
    calls of both, on this object or, in a later process, on a new one.

    A member that raises `aaeframe.StopRun` during a training ends it: the run is saved. After any other exception the
    observer is reported once and gets no more calls. Random numbers may be drawn: torch's state is restored.
    Arguments are copies. What is printed goes to standard error.
    """

    def run_started(self, config: Mapping[str, Any], folder: Path | None, steps: int, step: int) -> None:
        """Called first.

        Args:
            config: the resolved configuration, as tables of JSON-like values.
            folder: the folder of the run; None for a run in memory.
            steps: the number of training steps at which the run ends.
            step: the number of steps done. 0 is a new run; more is one that resumes, and what an observer noted of
                later steps is void. Equal to `steps` if nothing will be trained.
        """

    def stepped(self, step: int, losses: Mapping[str, float]) -> None:
        """Called after each training step, the first of which is step 1.

        Reading a loss waits for the device. Losses can be read during this call only.
        """

    def epoch_ended(self, row: Mapping[str, Any], warnings: Sequence[str]) -> None:
        """Called after each epoch with its row of `metrics.jsonl`, which has "epoch" and "step"; warnings are texts."""

    def reported(self, name: str, report: Mapping[str, Any]) -> None:
        """Called with each evaluation, under its name in `evaluation.json`, such as "validation"."""

    def drawn(self, paths: Sequence[Path]) -> None:
        """Called with the files of figures, PNG images."""

    def checkpoint_saved(self, path: Path, step: int) -> None:
        """Called after a checkpoint was written, with its folder. A run in memory writes none."""

    def run_ended(self, finished: bool, reason: str) -> None:
        """Called last. `finished` says whether the run is trained to its end, `reason` is a phrase."""


MEMBERS: Final = (
    *("run_started", "stepped", "epoch_ended", "reported", "drawn", "checkpoint_saved", "run_ended"),
)  # fmt: skip
"""The members of an observer."""


class StepLosses(Mapping[str, float]):
    """The losses of one step, read from the device when they are looked up."""

    def __init__(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        self._step, self._tensors = step, tensors
        self._closed = False

    def __getitem__(self, name: str) -> float:
        """The loss of this name. RuntimeError after the call of `stepped`: the next step may overwrite its memory."""
        if self._closed:
            raise RuntimeError(
                f"the losses of step {self._step} were read after `stepped` returned; read them there: dict(losses)"
            )
        return float(self._tensors[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def close(self) -> None:
        """Allow no more reading."""
        self._closed = True


@contextmanager
def unseen(settings: Mapping[str, Any] = SETTINGS) -> Iterator[None]:
    """Run foreign code that leaves no trace on a training: what all code shares is restored, its random numbers too.

    Standard output is standard error meanwhile.
    """
    states = torch.get_rng_state(), torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None
    try:
        with guarded(settings), redirect_stdout(sys.stderr):
            yield
    finally:
        torch.set_rng_state(states[0])
        if states[1] is not None:
            torch.cuda.set_rng_state(states[1])


def members_of(name: str, observer: object) -> dict[str, Callable[..., object]]:
    """The members of an observer by name. Those of the class `Observer`, which do nothing, are left out.

    BrokenComponent if there is none, or one cannot be called.
    """
    found = {
        member: getattr(observer, member)
        for member in MEMBERS
        if getattr(type(observer), member, None) is not getattr(Observer, member) and hasattr(observer, member)
    }
    kind = f"the observer {name!r}, of type {type(observer).__name__},"
    if not found:
        raise BrokenComponent(f"{kind} has none of the members of an observer: {', '.join(MEMBERS)}")
    for member, call in found.items():
        if not callable(call):
            raise BrokenComponent(f"{kind} has a member {member} that cannot be called: {call!r}")
    return found


class Observers:
    """The observers of a run, by name. One that fails is reported once and gets no more calls."""

    def __init__(self, factories: Mapping[str, Callable[[], object]] = MappingProxyType({})) -> None:
        self._factories = dict(factories)
        self._members: dict[str, dict[str, Callable[..., object]]] = {}
        self._warn: Callable[[str], None] = lambda sentence: None
        self._trains = False
        self._called: set[tuple[str, str]] = set()
        self.stopped: str | None = None
        """A sentence on the observer that ended the training; None if none did."""

    def __bool__(self) -> bool:
        return bool(self._factories)

    def build(self, *names: str) -> None:
        """Build the observers of these names, if they are not built. Raises as their factories and `members_of` do."""
        for name in names:
            if name not in self._members:
                with unseen():
                    self._members[name] = members_of(name, self._factories[name]())

    def run_started(
        self, config: Mapping[str, Any], folder: Path | None, steps: int, step: int, warn: Callable[[str], None]
    ) -> None:
        """Tell the observers of a beginning, after those were built that are not yet.

        `warn` is called, until the next beginning, with a sentence for each observer that fails.
        """
        self._warn, self._trains, self.stopped = warn, step < steps, None
        for name in tuple(self._factories):
            self._guard(name, "its factory", partial(self.build, name))
        self._tell("run_started", config, folder, steps, step)

    def stepped(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Tell of a step. The losses are read only if an observer reads them."""
        losses = StepLosses(step, tensors)
        for name, members in tuple(self._members.items()):
            if "stepped" in members:
                self._guard(name, "stepped", partial(members["stepped"], step, losses))
        losses.close()

    def epoch_ended(self, row: Mapping[str, Any], warnings: Sequence[str]) -> None:
        """Tell of the end of an epoch."""
        self._tell("epoch_ended", row, warnings)

    def reported(self, name: str, report: Mapping[str, Any]) -> None:
        """Tell of an evaluation."""
        self._tell("reported", name, report)

    def drawn(self, paths: Sequence[Path]) -> None:
        """Tell of figures."""
        self._tell("drawn", paths)

    def checkpoint_saved(self, path: Path, step: int) -> None:
        """Tell of a checkpoint."""
        self._tell("checkpoint_saved", path, step)

    def run_ended(self, finished: bool, reason: str) -> None:
        """Tell of the end."""
        self._trains = False
        self._tell("run_ended", finished, reason)

    def _tell(self, member: str, *arguments: Any) -> None:
        """Call a member of all observers that have it, each with copies of its own."""
        for name, members in tuple(self._members.items()):
            if member in members:
                self._guard(name, member, partial(members[member], *copy.deepcopy(arguments)))

    def _guard(self, name: str, doing: str, call: Callable[[], object]) -> None:
        """Call an observer. It is left out from then on if it fails, unless by StopRun during a training."""
        first = (name, doing) not in self._called
        self._called.add((name, doing))
        try:
            # To look for patches takes milliseconds, too long for each step; a step after the first may yet patch.
            with unseen(OF_TORCH if doing == "stepped" and not first else SETTINGS):
                call()
        except (Exception, SystemExit) as error:
            if isinstance(error, StopRun) and self._trains:
                self.stopped = self.stopped or _sentence(f"the observer {name!r} ended the run", error)
                return
            del self._factories[name]
            self._members.pop(name, None)
            self._warn(
                _sentence(f"the observer {name!r} failed in {doing} and is left out: {type(error).__name__}", error)
            )


def _sentence(begin: str, error: BaseException) -> str:
    return f"{begin}: {error}" if str(error) else begin
