"""The group of processes that train together, and the error that ends all of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from torch import distributed as dist

from aaeframe.errors import AaeframeError, ProcessError

if TYPE_CHECKING:
    from torch.distributed import Store  # type: ignore[attr-defined]

Failure = TypeVar("Failure", bound=BaseException)

TIMEOUT = "AAEFRAME_TIMEOUT"
"""The environment variable with the seconds that a process waits for the others."""


class Published(NamedTuple):
    """The error that was published first."""

    rank: int
    """The process that published it."""
    text: str
    guess: bool
    """Whether that process only saw an exchange fail, and cannot know why."""


@dataclass
class Group:
    """The processes of one launch."""

    rank: int
    size: int
    store: Store
    """Keeps the error that was raised first, which outlives the process that raised it."""
    launch: Store
    """Keeps the folders of the runs that this launch has begun. It outlives restarts, if the launcher keeps it."""
    seconds: float
    """The time limit of every exchange."""
    entered: int = 0
    """The number of times that the group was entered, each of which has its own error in the store."""
    trains: bool = False
    """Whether a training runs."""
    failed: bool = False
    """Whether an error of one process has ended an earlier training: processes may be at different exchanges."""
    of_all: BaseException | None = None
    """The last error that every process raised."""

    def begin(self, folder: Path) -> None:
        """Note that this training of the launch is the run of a folder, which is not there yet."""
        with exchanging():
            self.launch.set(self._training(folder), "begun")

    def began(self, folder: Path) -> bool:
        """Whether this training of the launch, maybe before a restart, began the run of a folder."""
        with exchanging():
            return self.launch.check([self._training(folder)])

    def _training(self, folder: Path) -> str:
        return f"{self.entered}/{folder}"

    def publish(self, text: str, *, guess: bool = False) -> Published:
        """Publish an error to the other processes; the one that was published first."""
        key, mine = f"aaeframe/failure/{self.entered}", Published(self.rank, text, guess)
        try:
            return Published(*json.loads(self.store.compare_set(key, "", json.dumps(mine))))
        except (RuntimeError, ValueError, TypeError):  # who kept the store has ended, or another version published
            return mine

    def prints(self, error: str, published: str) -> bool:
        """Whether this process prints an error: the first with it, or with one that repeats the published one."""
        try:
            key = hashlib.sha256((published if published in error else error).encode()).hexdigest()
            return self.store.add(f"aaeframe/printed/{self.entered}/{key}", 1) == 1
        except RuntimeError:  # the process that kept the store has ended
            return True

    def broken(self, error: RuntimeError) -> ProcessError:
        """The error of an exchange that failed: another process has failed, ended or is too slow."""
        late = "timed out" in str(error).lower() or "timeout" in str(error).lower()
        mine = f"another of the {self.size} processes has ended; its own output may say why"
        if late:
            mine = (
                f"another of the {self.size} processes has not answered for {self.seconds:g} seconds; look why it is "
                f"slow, or wait longer with the environment variable {TIMEOUT}=SECONDS"
            )
        rank, text, guess = self.publish(mine, guess=True)
        return ProcessError(text if guess else f"process {rank} of {self.size} failed: {text}")


_current: Group | None = None


def current() -> Group | None:
    """The group of the training that runs; None where there is a single process."""
    return _current


def rank() -> int:
    """The number of this process, from 0."""
    return 0 if _current is None else _current.rank


def size() -> int:
    """The number of processes."""
    return 1 if _current is None else _current.size


def is_first() -> bool:
    """Whether this process writes, prints and calls observers."""
    return rank() == 0


def raised_by_all(error: Failure) -> Failure:
    """The error, which every process raises: another training may follow it."""
    if _current is not None:
        _current.of_all = error
    return error


@contextmanager
def entered(group: Group) -> Iterator[None]:
    """Inside, this process is one of the group. An error is published to the others, so that one of them prints it.

    After an error of one process alone the connections are closed, and no training may follow.
    """
    global _current  # one training at a time, as torch has one default group
    if group.failed:
        raise ProcessError("an earlier training of this launch failed in one process; start the launch again")
    group.entered += 1
    _current = group
    try:
        yield
    except BaseException as error:
        published = group.publish(_as_published(error))
        if isinstance(error, AaeframeError):
            error.printed_elsewhere = not group.prints(str(error), published.text)
        if group.of_all is None or not any(it is group.of_all for it in _causes(error)):
            group.failed = True
            leave()
        raise
    finally:
        _current = None


def _as_published(error: BaseException) -> str:
    if isinstance(error, AaeframeError):
        return str(error)
    return (
        "it was interrupted"
        if isinstance(error, KeyboardInterrupt | SystemExit)
        else f"{type(error).__name__}: {error}"
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and those that it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__


def leave() -> None:
    """Close the connections to the other processes."""
    if dist.is_initialized():
        dist.destroy_process_group()


@contextmanager
def exchanging() -> Iterator[None]:
    """Inside, an exchange between processes. ProcessError if it fails."""
    try:
        yield
    except RuntimeError as error:
        assert _current is not None
        raise _current.broken(error) from error
