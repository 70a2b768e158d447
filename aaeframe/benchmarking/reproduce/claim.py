"""A claim on a run: of several processes that fill one table, one works at it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aaeframe.files import writing

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _wait(descriptor: int) -> None:
        while not _taken(descriptor):
            time.sleep(0.05)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _wait(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)


@contextmanager
def claimed(run: Path) -> Iterator[bool]:
    """Whether the run, which need not be there yet, is this process's until the end of the block.

    The system lets go of a claim when its process ends, however it ends; the file beside the run stays. RunError if
    that cannot be written.
    """
    with _opened(run) as descriptor:
        yield _taken(descriptor)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Wait until no other process is inside this for the same path, then be inside. RunError as of `claimed`."""
    with _opened(path) as descriptor:
        _wait(descriptor)
        yield


@contextmanager
def _opened(claimed: Path) -> Iterator[int]:
    path = claimed.with_name(f".{claimed.name}.lock")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        _lock(descriptor)
    except OSError:
        return False
    return True
