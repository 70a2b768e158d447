"""A claim on a run: of several processes that fill one table, one works at it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aaeframe.files import writing

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def claimed(run: Path) -> Iterator[bool]:
    """Whether the run, which need not be there yet, is this process's until the end of the block.

    The system lets go of a claim when its process ends, however it ends; the file beside the run stays. RunError if
    that cannot be written.
    """
    path = run.with_name(f".{run.name}.lock")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        yield _taken(descriptor)
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        _lock(descriptor)
    except OSError:
        return False
    return True
