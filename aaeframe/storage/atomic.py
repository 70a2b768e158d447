"""Atomic writes, and checks for links that lead out of a folder."""

from __future__ import annotations

import errno
import io
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

from filelock import lock_descriptor

from aaeframe.errors import ReadOnly, RunError

_READ_ONLY: Final = (errno.EROFS, errno.EACCES, errno.EPERM)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError while writing into a RunError that names the path; ReadOnly where nothing may be written."""
    try:
        yield
    except OSError as error:
        kind = ReadOnly if error.errno in _READ_ONLY else RunError
        raise kind(f"cannot write {path}: {error.strerror or error}. {_advice(path, error)}") from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write to a temporary file, flush it to the disk and rename it. RunError if it cannot be written."""
    with written_atomically(path) as file:
        file.write(data)


@contextmanager
def written_atomically(path: Path) -> Iterator[IO[bytes]]:
    """Yield a temporary file to write into; then flush it to the disk and rename it.

    Temporary files that killed processes left of earlier writes are removed first. A living writer locks its own.

    RunError if the file cannot be written. An OSError of the code inside the block, for example from reading its input,
    is raised unchanged.
    """
    with ExitStack() as lock:
        with writing(path):
            _remove_abandoned(path)
            aside, raw = _new_aside(path, lock)
        try:
            with io.BufferedRandom(raw) as file:
                yield file
                file.flush()
                with writing(path):
                    os.fsync(file.fileno())
            with writing(path):
                aside.replace(path)
        finally:
            with writing(path):
                aside.unlink(missing_ok=True)


def _new_aside(path: Path, lock: ExitStack) -> tuple[Path, _Aside]:
    """A new temporary file next to a path. `lock` keeps it locked, also after it is closed, until it is renamed."""
    while True:
        # A random name: threads, and containers that share a folder, may have the same process number.
        aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        file = _Aside(aside, path)
        if os.name != "posix":  # elsewhere an open file cannot be renamed, and nothing is removed
            return aside, file
        held = os.dup(file.fileno())
        with suppress(OSError):  # a file system without locks, where nothing is removed
            lock_descriptor(held)
        if aside.exists():
            lock.callback(os.close, held)
            return aside, file
        os.close(held)  # another process took it for abandoned before it was locked
        file.close()


def _remove_abandoned(path: Path) -> None:
    """Remove the temporary files of earlier writes of a path whose process has ended, which released their lock."""
    form = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}\.tmp")
    if os.name != "posix" or not path.parent.is_dir():
        return
    for aside in [it for it in path.parent.iterdir() if form.fullmatch(it.name)]:
        with suppress(OSError):  # gone meanwhile, a link, or a file system without locks
            descriptor = os.open(aside, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                if lock_descriptor(descriptor, blocking=False):
                    aside.unlink()
            finally:
                os.close(descriptor)


class _Aside(io.FileIO):
    """A new file (never an existing link) whose errors name the path that it will replace."""

    def __init__(self, aside: Path, path: Path) -> None:
        super().__init__(aside, "x+b")
        self._path = path

    def write(self, data: Any, /) -> int:
        with writing(self._path):
            return super().write(data)


def append_whole(path: Path, data: bytes) -> None:
    """Append and flush to the disk. RunError if that fails; then none of the data stays in the file."""
    with writing(path):
        size = path.stat().st_size if path.exists() else 0
        try:
            with path.open("ab") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError:  # after the file is closed, because closing tries to write the rest again
            if path.exists():
                os.truncate(path, size)
            raise


def leads_out(path: Path, folder: Path) -> bool:
    """Whether a path in a folder is, or lies behind, a link that leads out of the folder or to nothing."""
    try:
        target = path.resolve()
        return target.is_symlink() or not target.is_relative_to(folder.resolve())  # a link still: a loop, from 3.13 on
    except (OSError, RuntimeError):  # a loop of links, up to 3.12
        return True


def contents(folder: Path) -> Iterator[tuple[Path, int]]:
    """Everything in a folder, at any depth, with its mode as of `os.lstat`; links are not followed."""
    for parent, folders, files in os.walk(folder):
        for path in (Path(parent, name) for name in sorted([*folders, *files])):
            try:
                mode = path.lstat().st_mode
            except FileNotFoundError:  # a temporary file of a run in progress, renamed meanwhile
                continue
            yield path, mode


def flush_folder(path: Path) -> None:
    """Make renames inside a folder durable, on systems that can open a folder."""
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _advice(path: Path, error: OSError) -> str:
    missing = [parent for parent in path.parents if not parent.exists()]
    if isinstance(error, FileNotFoundError) and missing:
        return f"There is no folder {missing[-1]}: if it was removed or moved meanwhile, bring it back, then try again"
    return "Existing files are unchanged; free space or fix the permissions, then try again"
