"""Following a training from the command line: how it goes on standard error, and how it is stopped."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from aaeframe.cli.progress import Bar, Lines
    from aaeframe.config import Config
    from aaeframe.runs import RunFolder

INTERRUPTED = 130
"""The exit code of what was asked to stop, as shells have it for SIGINT."""


class Stop:
    """Whether the user asked to stop."""

    asked = False

    def __call__(self) -> bool:
        """Whether to stop after this step."""
        return self.asked


@contextmanager
def stoppable(console: Console) -> Iterator[Stop]:
    """Inside, the first SIGINT or SIGTERM asks to stop after the step at hand; a second SIGINT stops at once."""
    stop = Stop()
    # Printed beside: the signal may have come in the middle of a line, which nothing else may print into.
    line = "stopping after this step; Ctrl-C again to stop at once"
    told = Thread(target=console.print, args=(line,))

    def ask(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if not stop.asked:
            stop.asked = True
            told.start()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if stop.asked:
            told.join()


@contextmanager
def shown(console: Console, stop_asked: Callable[[], bool]) -> Iterator[Any]:
    """Hooks that show one training on the console."""
    from aaeframe.cli.progress import Bar, Lines
    from aaeframe.run import Hooks

    opened: list[Bar | Lines] = []

    class Shown:
        def stepped(self, epoch: int, step: int) -> None:
            opened[0].stepped(epoch, step)

        def epoch_ended(self, row: dict[str, Any], warnings: list[str]) -> None:
            opened[0].epoch_ended(row, warnings)

    def started(config: Config, folder: RunFolder, steps: int) -> None:
        console.print(f"run {folder.path}: {_described(config)}", markup=False)
        opened.append((Bar if console.is_terminal else Lines)(console, config.training.epochs, steps))

    def noticed(sentence: str) -> None:
        console.print(f"note: {sentence}", markup=False)

    try:
        yield Hooks(Shown(), stop_asked, started, noticed)
    finally:
        for it in opened:
            it.close()


def _described(config: Config) -> str:
    priors = " + ".join(part.component for part in config.prior.values())
    labels = f", {config.data.labels} labels" if config.data.labels else ""
    return (
        f"{config.data.source}{labels}; prior {priors}; encoder {config.encoder.component}; network "
        f"{config.network.component}; {config.training.epochs} epochs, schedule {config.training.schedule}, "
        f"seed {config.training.seed}"
    )
