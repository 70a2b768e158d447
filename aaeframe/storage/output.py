"""Files that a user names for a result: the format by the suffix, and how each kind of path is written."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from aaeframe.errors import ConfigError
from aaeframe.storage.atomic import writing, written_atomically

STANDARD: Final = "-"
"""The name of standard output."""

_DESCRIPTOR: Final = re.compile(r"/dev/(?:stdout|stderr|fd/(\d+))|/proc/self/fd/(\d+)")


@dataclass(frozen=True)
class Output:
    """A result's destination, checked before the work that leads to it.

    A regular file is written completely or not at all; through a link, its target is. Standard output, open
    descriptors, devices and pipes are written through and never replaced.
    """

    path: Path
    """The path as the user named it; "-" is standard output."""
    suffix: str | None
    """The format, as ".csv"; None where neither a suffix nor an option decides: a stream of any format."""
    descriptor: int | None = None
    """The open descriptor to write to, if it is one."""
    follows: bool = True
    """Whether links are followed. A default file in a run's folder is not: the run may be a stranger's."""

    @classmethod
    def named(
        cls, text: str | Path, suffixes: Sequence[str], *, option: str = "--out", form: str | None = None
    ) -> Output:
        """The destination of this name, for one of these formats.

        Args:
            text: a path, or "-" for standard output.
            suffixes: the formats that the command writes, as ".csv".
            option: the option of the command line, for messages.
            form: the format asked for, as "csv"; only for what is not a regular file.

        Raises:
            ConfigError: the name is empty or a folder, or its suffix is none of these.
            RunError: the folder of the file cannot be written to.
        """
        given, path = str(text), Path(text)
        offered = _listed(suffixes)
        asked = None if form is None else f".{form.removeprefix('.').lower()}"
        if asked is not None and asked not in suffixes:
            raise ConfigError(f"--format {form} is not a format of this command; give {offered}")
        if not given:
            raise ConfigError(f"{option} is empty; give a file that ends in {offered}, or - for standard output")
        if given.endswith(("/", os.sep)) or path.is_dir():
            raise ConfigError(f"{option} {given} is a folder; give a file that ends in {offered}")
        suffix = path.suffix.lower()
        stream = asked or (suffixes[0] if len(suffixes) == 1 else None)
        if given == STANDARD:
            return cls(path, stream, 1)
        if found := _DESCRIPTOR.fullmatch(given):
            return cls(path, stream, int(found[1] or found[2] or (2 if given.endswith("err") else 1)))
        if is_stream(path):
            return cls(path, asked or (suffix if suffix in suffixes else stream))
        if suffix not in suffixes:
            what = f"ends in {suffix}" if suffix else "has no suffix"
            raise ConfigError(f"{option} {given} {what}, which is no format here; give a file that ends in {offered}")
        if asked not in (None, suffix):
            raise ConfigError(
                f"{option} {given} is {suffix} by its suffix, and --format {form} is for -, pipes and devices; leave "
                "one of them out"
            )
        _check_folder(path)
        return cls(path, suffix)

    @property
    def is_standard(self) -> bool:
        """Whether it is standard output, which then holds nothing else."""
        return self.descriptor == 1

    @contextmanager
    def writing(self) -> Iterator[IO[bytes]]:
        """Yield a binary file to write into. RunError if it cannot be written; a missing folder is made.

        A reader that closed its pipe raises BrokenPipeError.
        """
        if self.descriptor is None and not (self.follows and is_stream(self.path)):
            target = _target(self.path) if self.follows else self.path
            with writing(self.path):
                target.parent.mkdir(parents=True, exist_ok=True)
            with written_atomically(target) as file:
                yield file
            return
        with _closing_quietly(self.path), self._opened() as file:
            yield file

    def _opened(self) -> IO[bytes]:
        # Without O_CREAT: what was a device or a pipe a moment ago is never made anew as a file.
        opened = os.open(self.path, os.O_WRONLY) if self.descriptor is None else os.dup(self.descriptor)
        return io.BufferedWriter(_Through(opened, "wb"))

    def __str__(self) -> str:
        return "standard output" if str(self.path) == STANDARD else str(self.path)


def write_json(output: Output, value: Any) -> None:
    """Write a value as JSON. RunError if it cannot be written."""
    with output.writing() as file:
        file.write(f"{json.dumps(value, indent=1, allow_nan=False)}\n".encode())


class _Through(io.FileIO):
    """An open descriptor that is written from front to back: a device claims a position, and has none."""

    def seekable(self) -> bool:
        return False

    def seek(self, *position: int) -> int:
        raise io.UnsupportedOperation("seek")

    def tell(self) -> int:
        raise io.UnsupportedOperation("tell")


def is_stream(path: Path) -> bool:
    """Whether a path, or what a link leads to, exists and is no regular file: a device, a pipe or a socket."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):  # it does not exist, or cannot be reached; writing will say why
        return False


@contextmanager
def _closing_quietly(path: Path) -> Iterator[None]:
    """Turn an OSError of writing into a RunError, except that of a pipe whose reader has ended."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.filename not in (None, str(path)):  # of a file that is read meanwhile
            raise
        with writing(path):
            raise


def _target(path: Path) -> Path:
    """The file that a link leads to, which need not exist, or the path itself."""
    with writing(path):
        try:
            target = path.resolve() if path.is_symlink() else path
        except RuntimeError as error:  # a loop of links, in Python up to 3.12
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from error
        if target.is_symlink():  # the same from 3.13 on
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        return target


def _check_folder(path: Path) -> None:
    """RunError unless the nearest folder of a file that exists can be written to."""
    target = _target(path)
    with writing(path):
        folder = next(parent for parent in target.absolute().parents if parent.exists())
        problem = errno.ENOTDIR if not folder.is_dir() else errno.EACCES if not os.access(folder, os.W_OK) else None
        if problem is not None:
            raise OSError(problem, os.strerror(problem))


def _listed(suffixes: Sequence[str]) -> str:
    return " or ".join([", ".join(suffixes[:-1]), suffixes[-1]] if len(suffixes) > 1 else suffixes)
