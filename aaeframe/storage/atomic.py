"""Files written whole or not at all, and folders that no link leaves."""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from aaeframe.errors import RunError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write into a RunError that names the path."""
    try:
        yield
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}. {_advice(path, error)}") from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write aside, flush to the disk, rename. RunError if the disk is full or the folder cannot be written."""
    with written_atomically(path) as file:
        file.write(data)


@contextmanager
def written_atomically(path: Path) -> Iterator[IO[bytes]]:
    """Inside, a file aside to write into; then flush to the disk and rename. RunError as of `write_atomically`.

    An OSError of what is read to be written is not one of writing, and stays what it is.
    """
    # Process numbers are told apart neither by threads nor by containers that share a folder.
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with writing(path):
        file = io.BufferedRandom(_Aside(aside, path))
    try:
        with file:
            yield file
            file.flush()
            with writing(path):
                os.fsync(file.fileno())
        with writing(path):
            aside.replace(path)
    finally:
        with writing(path):
            aside.unlink(missing_ok=True)


class _Aside(io.FileIO):
    """A new file, nobody's link, that tells the path it is in place of when it cannot be written."""

    def __init__(self, aside: Path, path: Path) -> None:
        super().__init__(aside, "x+b")
        self._path = path

    def write(self, data: Any, /) -> int:
        with writing(self._path):
            return super().write(data)


def append_whole(path: Path, data: bytes) -> None:
    """Append, and flush to the disk. RunError if the disk refuses it, in which case no part of the data stays."""
    with writing(path):
        size = path.stat().st_size if path.exists() else 0
        try:
            with path.open("ab") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError:  # after the file is closed, which tries once more to write what is left
            if path.exists():
                os.truncate(path, size)
            raise


def leads_out(path: Path, folder: Path) -> bool:
    """Whether a path in a folder is a link, or lies behind one, that leads out of the folder, or nowhere."""
    try:
        return not path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # links that lead to each other
        return True


def contents(folder: Path) -> Iterator[tuple[Path, int]]:
    """All that is in a folder, at any depth, and the mode of each as `os.lstat` has it; no link is followed."""
    for parent, folders, files in os.walk(folder):
        for path in (Path(parent, name) for name in sorted([*folders, *files])):
            try:
                mode = path.lstat().st_mode
            except FileNotFoundError:  # written aside by a run in progress, and in its place by now
                continue
            yield path, mode


def flush_folder(path: Path) -> None:
    """Make renames inside a folder durable, where the system lets one open a folder."""
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
    return "What was there before stands; free space or fix the permissions, then try again"
