"""Folders of files of rows: which files hold rows, their splits and their order, and whether they change."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aaeframe.data import splits
from aaeframe.errors import DataError
from aaeframe.storage.text import plural

ARROW_SUFFIXES: Final = (".parquet", ".pq", ".arrow", ".feather", ".ipc")
"""The suffixes of Parquet and Arrow files."""

DESCRIPTIONS: Final = ("state.json", "dataset_info.json", "dataset_dict.json")
"""The files in which `datasets` of Hugging Face describes a data set."""
EDGE_BYTES: Final = 2**16
"""The size of the start and of the end of a file that are read to see whether it changed, in bytes."""
_WORD: Final = re.compile(r"[A-Za-z]+")
NUMBERS: Final = re.compile(r"(\d+)")
"""The numbers in the name of a file."""


@dataclass(frozen=True)
class Parts:
    """The files of a folder that hold rows."""

    files: dict[str | None, list[Path]]
    """The files by split, in the order training, validation, test; None is a folder without splits."""
    passed_over: tuple[str, ...] = ()


def holds(folder: Path, suffixes: Sequence[str]) -> bool:
    """Whether a folder, or a folder of a split in it, holds a file with one of these suffixes."""
    entries = [it for it in os.scandir(folder) if not it.name.startswith((".", "_"))]  # not sorted: images may be many
    if any(it.name.lower().endswith(tuple(suffixes)) and it.is_file() for it in entries):
        return True
    return any(_files(Path(it), suffixes) for it in entries if it.name.lower() in splits.WORDS and it.is_dir())


def find_parts(path: Path, suffixes: Sequence[str]) -> Parts:
    """The files of a folder by split, in the order of their names, numbers by their value; or the one file.

    Splits are subfolders `train`, `val` and `test`, or files whose names begin with these words, as the files
    `train-00000-of-00002.parquet` of a Hugging Face repository.

    Raises:
        DataError: some files of one table are named as a split and some are not, a file is named as another split than
            that of its folder, or there are no training rows.
    """
    if path.is_file():
        return Parts({None: [path]})
    own = _files(path, suffixes)
    inner = {it.name: it for it in _visible(path) if it.is_dir()}
    named = {
        name: found for name, it in inner.items() if name.lower() in splits.WORDS and (found := _files(it, suffixes))
    }
    if named and own:
        raise DataError(
            f"{path}: files lie in the folder itself ({own[0].name}) and in {next(iter(named))}. Move them together."
        )
    for folder, its in named.items():
        _check_of_split(its, splits.WORDS[folder.lower()], inner[folder])
    groups: dict[str | None, list[Path]] = {}
    for name, files in (named or _by_first_word(own, path)).items():
        split = None if name is None else splits.WORDS[name.lower()]
        if split in groups:
            raise DataError(f"{path}: {name!r} and another name are both {split} rows. Leave one of them.")
        groups[split] = files
    if None not in groups and "train" not in groups:
        raise DataError(f"{path}: holds {' and '.join(map(str, groups))} rows, and no training rows. Add train.")
    said = [plural(len(inner) - len(named), "folder")] if len(inner) > len(named) else []
    others = [it for it in _visible(path) if it.is_file() and it not in own and it.name not in DESCRIPTIONS]
    said += [plural(len(others), "other file")] if others else []
    return Parts({it: groups[it] for it in (*splits.NAMES, None) if it in groups}, tuple(said))


def fingerprint(files: Sequence[Path]) -> str:
    """A digest of the names, sizes and times of files, and of the start and the end of each."""
    found = hashlib.sha256()
    for file in files:
        stat = file.stat()
        found.update(f"{file.name}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode())
        with file.open("rb") as stream:
            found.update(stream.read(EDGE_BYTES))
            stream.seek(max(0, stat.st_size - EDGE_BYTES))
            found.update(stream.read(EDGE_BYTES))
    return found.hexdigest()


class Unchanged:
    """Files that must keep their sizes and times from now on, since their rows are read later."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files, self._stats = files, [_stat(file) for file in files]

    def check(self, number: int) -> None:
        """DataError if a file has changed. OSError if it is gone."""
        if _stat(self._files[number]) != self._stats[number]:
            raise DataError(
                f"{self._files[number]}: has changed while it was in use. Restore the file, and resume the run."
            )


def _stat(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _visible(folder: Path) -> Iterator[Path]:
    """The entries of a folder, without those that programs hide or keep for themselves."""
    return (it for it in sorted(folder.iterdir(), key=_natural) if not it.name.startswith((".", "_")))


def _files(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    return [it for it in _visible(folder) if it.suffix.lower() in suffixes and it.is_file()]


def _natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    """A key by which part-2 is before part-10, and part-01 before part-1."""
    return [(int(it), "") if it.isdecimal() else (-1, it) for it in NUMBERS.split(path.name)], path.name


def _by_first_word(files: Sequence[Path], path: Path) -> dict[str | None, list[Path]]:
    """The files by the split that begins their names; all under None if no name begins with one."""
    groups: dict[str | None, list[Path]] = {}
    for file in files:
        word = _WORD.match(file.name)
        known = word is not None and word[0].lower() in splits.WORDS
        groups.setdefault(word[0] if word and known else None, []).append(file)
    if None in groups and len(groups) > 1:
        split = next(name for name in groups if name is not None)
        raise DataError(
            f"{path}: {groups[split][0].name} is named as a split, and {groups[None][0].name} is not. Put the files of "
            "splits into folders train, val and test."
        )
    if None in groups:
        _check_one_table(groups[None], path)
    return groups


def _splits_in(file: Path) -> frozenset[str]:
    """The splits that words in a file's name mean."""
    return frozenset(splits.WORDS[word] for word in _WORD.findall(file.stem.lower()) if word in splits.WORDS)


def _check_one_table(files: Sequence[Path], path: Path) -> None:
    """DataError if files of one table are named as different splits, by words that do not begin their names."""
    found = {_splits_in(file): file.name for file in files}
    if len(found) > 1:
        names = " and ".join(list(found.values())[:2])
        raise DataError(
            f"{path}: {names} would be parts of one table, but are named as splits. Begin their names with the split, "
            "as in train-0.parquet, put them into folders train, val and test, or give one file by its path."
        )


def _check_of_split(files: Sequence[Path], split: str, folder: Path) -> None:
    """DataError if a file in the folder of a split is named as another one."""
    for file in files:
        others = _splits_in(file)
        if others and split not in others:
            raise DataError(
                f"{folder}: holds {split} rows, and {file.name} is named as {min(others)} rows. Move it to the folder "
                "of its split, or rename it."
            )
