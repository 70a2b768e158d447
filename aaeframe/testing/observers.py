"""Checks of an observer: it takes the calls of a training, of a resumed one and of one without a folder."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import torch
from PIL import Image

from aaeframe.errors import BrokenComponent, StopRun
from aaeframe.testing.case import ComponentCase, require, seeded
from aaeframe.training.observers import StepLosses, members_of

EPOCHS: Final = 3
STEPS: Final = 4
"""The steps of an epoch."""
PREFIX: Final = "aaeframe-check-"
CONFIG: Final = {
    "data": {"source": "digits", "labels": 0},
    "prior": {"z": {"component": "aaeframe:gaussian", "options": {"size": 2}}},
    "training": {"epochs": EPOCHS, "seed": 0},
    "optimizers": {"generator": {"name": "adam", "betas": [0.5, 0.999]}},
}


class ObserverCase(ComponentCase):
    """A factory of an observer."""


def not_installed(error: Exception) -> bool:
    """Whether an observer refuses to be built because a package is missing that its extra installs."""
    return isinstance(error, ImportError) or isinstance(error.__cause__, ImportError)


@seeded
def check_observer_members(case: ObserverCase) -> None:
    """The observer has a member that is called, under its right name."""
    _members(case.build())


@seeded
def check_observer_calls(case: ObserverCase) -> None:
    """Every call of a run in a folder is accepted."""
    _follow_whole(case.build())


@seeded
def check_observer_resume(case: ObserverCase) -> None:
    """A new observer accepts a run that another one followed halfway, and then a report and figures by themselves."""
    with TemporaryDirectory(prefix=PREFIX) as folder:
        _follow(case.build(), Path(folder), end=6)
        resumed = case.build()
        _follow(resumed, Path(folder), begin=STEPS)
        _follow(resumed, Path(folder), begin=EPOCHS * STEPS)


@seeded
def check_observer_memory(case: ObserverCase) -> str | None:
    """The calls of a run without a folder are accepted; returns the reason if `run_started` refuses it."""
    observer = case.build()
    try:
        _follow(observer, None)
    except ValueError as error:
        return f"refused: {error}"
    return None


@seeded
def check_observer_random_state(case: ObserverCase) -> None:
    """Torch's random state is left as it was."""
    before = torch.get_rng_state()
    _follow_whole(case.build())
    unmoved = torch.equal(torch.get_rng_state(), before)
    require(unmoved, "the observer moves torch's random state; draw from a torch.Generator of its own")


@seeded
def check_observer_output(case: ObserverCase) -> None:
    """Nothing is written to standard output, on which commands print results."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        _follow_whole(case.build())
    found = printed.getvalue().strip()
    require(not found, f"the observer writes to standard output: {found[:60]!r}; use standard error, or `logging`")


def _follow_whole(observer: Any) -> None:
    """The calls of a run in a folder of its own, from its start to its end."""
    with TemporaryDirectory(prefix=PREFIX) as folder:
        _follow(observer, Path(folder))


def _follow(observer: Any, folder: Path | None, *, begin: int = 0, end: int = EPOCHS * STEPS) -> None:
    """The calls of a run from one step to another, and of a report and figures after it."""
    steps = EPOCHS * STEPS
    _call(observer, "run_started", CONFIG, folder, steps, begin)
    for step in range(begin + 1, end + 1):
        losses = StepLosses(step, {"reconstruction": torch.tensor(1 / step), "generator/z": torch.tensor(0.7)})
        _call(observer, "stepped", step, losses)
        losses.close()
        if step % STEPS == 0:
            row = {"epoch": step // STEPS, "step": step, "reconstruction": 1 / step, "validation/reconstruction": 1.0}
            _call(observer, "epoch_ended", {**row, "seconds": 0.1, "steps_per_second": 40.0}, ["a sentence"])
            if folder is not None:
                _call(observer, "checkpoint_saved", folder / "checkpoints" / f"step-{step:08d}", step)
    if end < steps:  # as if the process had been killed: `run_ended` is not called
        return
    report = {"split": "validation", "step": end, "rows": 20, "blocks": {"z": {"wasserstein": 0.1}}, "names": ["a"]}
    _call(observer, "reported", "validation", report)
    _call(observer, "drawn", _figures(folder))
    _call(observer, "run_ended", True, "all epochs are done")


def _figures(folder: Path | None) -> Sequence[Path]:
    if folder is None:
        return []
    path = folder / "codes.png"
    Image.new("RGB", (12, 8)).save(path)
    return [path]


def _members(observer: Any) -> dict[str, Callable[..., object]]:
    try:
        return members_of("checked", observer)
    except BrokenComponent as error:
        raise AssertionError(str(error)) from error


def _call(observer: Any, member: str, *arguments: Any) -> None:
    """Call a member if there is one. AssertionError if it fails.

    A ValueError of `run_started` without a folder is raised as it is: so an observer refuses a run in memory.
    """
    call = _members(observer).get(member)
    if call is None:
        return
    try:
        call(*arguments)
    except StopRun:
        return
    except Exception as error:
        if member == "run_started" and arguments[1] is None and isinstance(error, ValueError):
            raise
        raise AssertionError(f"{member} fails: {type(error).__name__}: {error}") from error
