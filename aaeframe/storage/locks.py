"""Locks between processes: only one trains a run, and only one at a time writes a table.

The system releases a lock when its process ends, even if it is killed. `try_lock` and `lock` use a file next to the
locked path, which need not exist. `training_lock` uses a file inside the run's folder. So every path to the folder
leads to the same lock, and a copy of the folder has its own. `creation_lock` locks a folder itself, which may be
renamed while it is locked. All use filelock's `lock_descriptor`: its FileLock locks no folders and leaves its file
behind.
"""

from __future__ import annotations

import errno
import json
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from filelock import lock_descriptor

from aaeframe.errors import RunError
from aaeframe.storage.atomic import write_atomically, writing
from aaeframe.storage.formats import loads_json, read_bounded

LOCK: Final = "training.lock"
"""The locked file in the folder of a run that is being trained."""
OWNER: Final = "training.owner.json"
"""Next to it: the process and the host that train the run."""

_NO_LOCKS: Final = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)
"""Error numbers of file systems without locks."""


@contextmanager
def try_lock(run: Path) -> Iterator[bool]:
    """Whether this process holds the lock of this path until the end of the block.

    Used by `reproduce`: only the holder trains a cell. It does not keep another process from training the run: that
    is `training_lock`. RunError if the file next to the path cannot be written or locked.
    """
    with _lock_file(run) as (path, descriptor):
        with writing(path):
            locked = lock_descriptor(descriptor, blocking=False)
        yield locked


@contextmanager
def lock(path: Path, *, required: bool = True) -> Iterator[None]:
    """Wait for the lock of this path and hold it until the end of the block. RunError as in `try_lock`.

    If it is not `required`, nothing is locked on a file system without locks.
    """
    with _lock_file(path) as (file, descriptor):
        with writing(file):
            try:
                lock_descriptor(descriptor)
            except OSError as error:
                if required or error.errno not in _NO_LOCKS:
                    raise
        yield


@contextmanager
def training_lock(folder: Path, warn: Callable[[str], None]) -> Iterator[None]:
    """Keep other processes from training the run in an existing folder. They may still read it.

    If the file system has no locks, `warn` is called and nothing is locked.

    Raises:
        RunError: The run is being trained, which names the process; or the folder cannot be written.
    """
    path = folder / LOCK
    with writing(path):
        descriptor = _locked(path, warn)
    if descriptor is None:
        raise RunError(
            f"{folder} is already being trained by {_owner(folder)}. Wait for it or stop it; only one process may "
            "train a run. Meanwhile the run can be evaluated, sampled and drawn as of its last checkpoint"
        )
    try:
        owner = {"process": os.getpid(), "host": platform.node()}
        write_atomically(folder / OWNER, json.dumps(owner).encode())
        yield
    finally:
        with suppress(OSError):  # the folder may be gone or read-only; files that stay do no harm
            if _is_at(path, descriptor):  # removed while the lock is held, so that nobody locks a removed file
                (folder / OWNER).unlink(missing_ok=True)
                path.unlink()
        os.close(descriptor)


@contextmanager
def creation_lock(folder: Path) -> Iterator[None]:
    """Mark an existing, empty folder as being filled: `is_abandoned` is false for it, even if it is renamed.

    Where folders cannot be locked, nothing is locked, and `is_abandoned` is false for every folder.
    """
    with _opened_folder(folder) as descriptor:
        if descriptor is not None:
            with suppress(OSError):
                lock_descriptor(descriptor)
        yield


@contextmanager
def is_abandoned(folder: Path) -> Iterator[bool]:
    """Whether the folder is not empty and no process is filling it, which holds until the end of the block."""
    with _opened_folder(folder) as descriptor:
        abandoned = False
        if descriptor is not None:
            with suppress(OSError):
                # An empty folder may be about to be locked by its creator.
                abandoned = lock_descriptor(descriptor, blocking=False) and any(folder.iterdir())
        yield abandoned


@contextmanager
def _opened_folder(folder: Path) -> Iterator[int | None]:
    """A descriptor; None if the path is not a folder or the system cannot open folders."""
    descriptor = None
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0))
    try:
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


@contextmanager
def _lock_file(locked: Path) -> Iterator[tuple[Path, int]]:
    """The lock file next to a path, with its descriptor."""
    path = locked.with_name(f".{locked.name}.lock")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _opened(path)
    try:
        yield path, descriptor
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    # A link is not followed: the folder may come from a stranger.
    return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _locked(path: Path, warn: Callable[[str], None]) -> int | None:
    """The descriptor of the locked file; None if another process holds the lock."""
    while True:
        descriptor = _opened(path)
        try:
            locked = _try_lock_or_warn(path, descriptor, warn)
            if locked and _is_at(path, descriptor):
                return descriptor
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if not locked:
            return None
        # The owner released the lock and removed the file after it was opened here.


def _try_lock_or_warn(path: Path, descriptor: int, warn: Callable[[str], None]) -> bool:
    try:
        return lock_descriptor(descriptor, blocking=False)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        warn(f"the file system of {path} has no locks: another process could train this run at the same time")
        return True


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether the path leads to the open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _owner(folder: Path) -> str:
    """The process that trains the run, as far as is known."""
    try:
        owner = loads_json(read_bounded(folder / OWNER, 2**16))
        return f"process {int(owner['process'])} on {str(owner['host'])!r}"
    except (OSError, ValueError, KeyError, TypeError):  # not written yet, or just removed
        return "another process"
