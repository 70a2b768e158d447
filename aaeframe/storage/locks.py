"""Claims between processes: of several, one trains a run, and one at a time writes a table.

The system lets go of a claim when its process ends, however it ends. The files of `try_lock` and `lock` stand beside
what is claimed, which need not be there yet. That of `training_lock` stands in the run's folder, so that it is one
file by whatever path the folder is reached; it tells who trains there and is removed at the end. A copy of it claims
nothing. `creation_lock` claims a folder itself, which may be renamed meanwhile.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from aaeframe.errors import RunError
from aaeframe.storage.atomic import writing
from aaeframe.storage.formats import loads_json

LOCK: Final = "training.lock"
"""In a run's folder: who trains there."""

_NO_LOCKS: Final = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)
"""How file systems tell that they have no locks."""

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        # Far behind what the file holds: others may not even read what is locked.
        os.lseek(descriptor, 1 << 30, os.SEEK_SET)
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
def try_lock(run: Path) -> Iterator[bool]:
    """Whether the run, which need not be there yet, is this process's until the end of the block.

    It is the claim of who fills a table with runs, and keeps nobody else from training one: that is `training_lock`.
    RunError if the file beside the run cannot be written or locked.
    """
    with _beside(run) as descriptor:
        with writing(_path_beside(run)):
            mine = _taken(descriptor)
        yield mine


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Wait until no other process is inside this for the same path, then be inside. RunError as of `try_lock`."""
    with _beside(path) as descriptor:
        with writing(_path_beside(path)):
            _wait(descriptor)
        yield


@contextmanager
def training_lock(folder: Path, warn: Callable[[str], None]) -> Iterator[None]:
    """Inside, nobody else trains the run in `folder`, which is there; reading it is free to all.

    RunError, naming who, if it is being trained already, or if the folder cannot be written. A file system without
    locks is told of to `warn`, and nothing is claimed.
    """
    path = folder / LOCK
    with writing(path):
        descriptor = _held(path, warn)
    if descriptor is None:
        raise RunError(
            f"{folder} is being trained by {_holder(path)}, and two would spoil it: wait for that one, or stop it; "
            "meanwhile the run can be evaluated, sampled and drawn as of its last checkpoint"
        )
    try:
        with writing(path):
            _sign(descriptor)
        yield
    finally:
        _let_go(path, descriptor)


@contextmanager
def creation_lock(folder: Path) -> Iterator[None]:
    """Inside, `is_abandoned` is false of the folder, which is there and still empty, whatever it is renamed to.

    Where the system or the file system locks no folders nothing is claimed, and `is_abandoned` is false of all.
    """
    with _opened_folder(folder) as descriptor:
        if descriptor is not None:
            with suppress(OSError):
                _wait(descriptor)
        yield


@contextmanager
def is_abandoned(folder: Path) -> Iterator[bool]:
    """Whether something is in the folder and nobody is making it any more, nor will until the end of the block."""
    with _opened_folder(folder) as descriptor:
        left = False
        if descriptor is not None:
            with suppress(OSError):
                # One that is empty may be about to be claimed.
                left = _taken(descriptor) and any(folder.iterdir())
        yield left


@contextmanager
def _opened_folder(folder: Path) -> Iterator[int | None]:
    """None if it is no folder, or the system opens none."""
    descriptor = None
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0))
    try:
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


@contextmanager
def _beside(locked: Path) -> Iterator[int]:
    path = _path_beside(locked)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _opened(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _path_beside(locked: Path) -> Path:
    return locked.with_name(f".{locked.name}.lock")


def _opened(path: Path) -> int:
    # Through no link: a run's folder may be a stranger's, and the file is written.
    return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _held(path: Path, warn: Callable[[str], None]) -> int | None:
    """The open, locked file; None if another process has it."""
    while True:
        descriptor = _opened(path)
        try:
            if not _taken_or_told(descriptor, path, warn):
                os.close(descriptor)
                return None
            if _is_at(path, descriptor):
                return descriptor
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)  # who had it ended in between, and removed it


def _taken_or_told(descriptor: int, path: Path, warn: Callable[[str], None]) -> bool:
    try:
        return _taken(descriptor)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        warn(f"the file system of {path} has no locks: nothing keeps another process from training this run too")
        return True


def _taken(descriptor: int) -> bool:
    try:
        _lock(descriptor)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether the open file is the one that the path leads to."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _sign(descriptor: int) -> None:
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, json.dumps({"process": os.getpid(), "host": platform.node()}).encode() + b"\n")


def _holder(path: Path) -> str:
    """Who holds the file, as far as it tells."""
    try:
        told = loads_json(path.read_text("utf-8"))
        return f"process {int(told['process'])} on {str(told['host'])!r}"
    except (OSError, ValueError, KeyError, TypeError):  # not signed yet, or gone this moment
        return "another process"


def _let_go(path: Path, descriptor: int) -> None:
    """Remove the file while it is still held, so that nobody holds a file that is gone, then let go of it."""
    with suppress(OSError):  # the folder may be gone or read-only by now; a file that stays does no harm
        if _is_at(path, descriptor):
            path.unlink()
    os.close(descriptor)
