"""Files written whole or not at all, and folders that no link leaves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aaeframe.errors import RunError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write into a RunError that names the path."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"cannot write {path}: {error.strerror or error}. What was there before stands; free space or fix the "
            "permissions, then try again"
        ) from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write aside, flush to the disk, rename. RunError if the disk is full or the folder cannot be written."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        aside.unlink(missing_ok=True)  # of a killed process of this number, or a link that someone laid there
        try:
            with aside.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)


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
