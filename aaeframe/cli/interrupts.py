"""Show the progress of a training on standard error, and stop it on SIGINT or SIGTERM."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from aaeframe.cli.progress import Bar, Lines
    from aaeframe.configuration.schema import Config
    from aaeframe.data import Dataset
    from aaeframe.evaluation.likelihood import Progress
    from aaeframe.storage.run_folder import RunFolder


class Stop:
    """A request to stop by the user or a scheduler, and how the current work follows it."""

    number: int | None = None
    """The signal that was received, if any."""
    gently = True
    """Whether the current work polls this flag and can stop at a resumable point. If not, it is interrupted."""
    message = "stopped"
    """The message that is printed then."""

    def __call__(self) -> bool:
        """Whether to stop after this step."""
        return self.asked

    @property
    def asked(self) -> bool:
        """Whether a signal was received."""
        return self.number is not None

    @property
    def exit_code(self) -> int:
        """128 plus the number of the signal, as in shells: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + (self.number or signal.SIGINT)

    def obey(self) -> None:
        """Raise KeyboardInterrupt if a signal was received."""
        if self.asked:
            raise KeyboardInterrupt

    @contextmanager
    def between(self, progress: Progress, message: str) -> Iterator[Progress]:
        """Inside, work that calls the yielded progress stops there on request and prints `message`."""

        def show(doing: str, done: int, of: int) -> None:
            progress(doing, done, of)
            if done < of:
                self.obey()

        before, self.gently, self.message = self.message, True, message
        yield show
        self.gently, self.message = False, before


@contextmanager
def stoppable(console: Console, *, after: str = "this step") -> Iterator[Stop]:
    """Inside, SIGINT or SIGTERM asks to stop. A second SIGINT raises KeyboardInterrupt.

    If the work cannot stop gently, the first signal raises it too. A second SIGTERM is ignored, as schedulers send it
    to a process and again to its group.
    """
    stop = Stop()
    # Printed by a thread: the signal may arrive while the console prints, and its lock is not reentrant.
    line = f"stopping after {after}; Ctrl-C again to stop at once"
    printer = Thread(target=console.print, args=(line,))
    heard = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal heard
        again, stop.number = stop.asked, stop.number or number
        if not stop.gently or (heard and number == signal.SIGINT):
            raise KeyboardInterrupt
        if not again:
            printer.start()
            heard = True  # from here on: two at one moment, to a process and to its group, are one

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if heard:
            printer.join()


@contextmanager
def leaving(console: Console, message: str, *, after: str = "this step") -> Iterator[Stop]:
    """Inside, a signal stops the work as in `stoppable`; then the message is printed and the command exits.

    At first the work cannot stop gently. `message` is printed until the work sets another.
    """
    with stoppable(console, after=after) as stop:
        stop.gently, stop.message = False, message
        try:
            yield stop
            return
        except KeyboardInterrupt:
            if not stop.asked:
                raise
    console.print(stop.message, markup=False)
    raise typer.Exit(stop.exit_code)


@contextmanager
def shown(
    console: Console,
    stop_asked: Callable[[], bool],
    begun: Callable[[RunFolder], None] = lambda folder: None,
    stopped_elsewhere: Callable[[], None] = lambda: None,
) -> Iterator[Any]:
    """Callbacks that show a training on the console.

    `begun` is called with its folder before the first step, `stopped_elsewhere` if another process was asked to stop.
    """
    from aaeframe.cli.progress import Bar, Lines
    from aaeframe.data.summary import lines, summary
    from aaeframe.runs.start import Callbacks
    from aaeframe.storage.text import plain

    opened: list[Bar | Lines] = []

    class Shown:
        def stepped(self, epoch: int, step: int) -> None:
            opened[0].stepped(epoch, step)

        def epoch_ended(self, row: dict[str, Any], warnings: list[str]) -> None:
            opened[0].epoch_ended(row, warnings)

    def started(config: Config, folder: RunFolder | None, steps: int) -> None:
        where = "in memory" if folder is None else folder.path
        console.print(plain(f"run {where}: {_described(config)}"), markup=False)
        opened.append((Bar if console.is_terminal else Lines)(console, config.training.epochs, steps))
        if folder is not None:
            begun(folder)

    def loaded(dataset: Dataset) -> None:
        for line in lines(summary(dataset)):
            console.print(plain(line), markup=False)

    def warn(sentence: str) -> None:
        console.print(plain(f"note: {sentence}"), markup=False)

    try:
        yield Callbacks(Shown(), stop_asked, started, warn, loaded, stopped_elsewhere)
    finally:
        for it in opened:
            it.close()


def _described(config: Config) -> str:
    from aaeframe.storage.text import plural

    priors = " + ".join(part.component for part in config.prior.values())
    labels = f", {config.data.labels} labels" if config.data.labels else ""
    return (
        f"{config.data.source}{labels}; prior {priors}; encoder {config.encoder.component}; network "
        f"{config.network.component}; {plural(config.training.epochs, 'epoch')}, schedule {config.training.schedule}, "
        f"seed {config.training.seed}"
    )
