"""Which checkpoint a run goes on from: the newest that is whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aaeframe.errors import CheckpointError, UnusableCheckpoint
from aaeframe.storage.checkpoint import Checkpoint, latest, paths, read


@dataclass(frozen=True)
class Newest:
    """The newest whole checkpoint of a run."""

    path: Path
    checkpoint: Checkpoint
    passed_over: dict[Path, str]
    """Those that are newer and cannot be used, and of each why."""


def newest_whole(folder: Path, require: Callable[[Checkpoint], None] = lambda checkpoint: None) -> Newest:
    """The newest checkpoint under `folder` that is whole, and for which `require` raises no UnusableCheckpoint.

    CheckpointError if there is none, telling of each what is wrong with it, or if one that would be used is of a newer
    format.
    """
    while True:
        latest(folder)
        found, passed_over = paths(folder), dict[Path, str]()
        newest = _search(found, require, passed_over)
        if passed_over and paths(folder) != found:
            continue  # what was removed under us was so by a training, which has written others
        if newest is None:
            raise CheckpointError(_none_of(folder, passed_over))
        return newest


def newest_if_whole(folder: Path) -> Checkpoint:
    """The newest checkpoint under `folder`, for who computes numbers from it: those of an older one would be others.

    CheckpointError if it is not whole, telling which one is and what can be done, or as of `newest_whole`.
    """
    newest = newest_whole(folder)
    if not newest.passed_over:
        return newest.checkpoint
    unusable = " and ".join(path.name for path in newest.passed_over)
    raise CheckpointError(
        f"{'; '.join(newest.passed_over.values())}. {newest.path.name} is whole, and would give other numbers: go on "
        f"from it, to the same bits, with aaeframe train --resume {folder.parent}; or remove {unusable} to use it as "
        "it is"
    )


def _search(found: list[Path], require: Callable[[Checkpoint], None], passed_over: dict[Path, str]) -> Newest | None:
    for path in reversed(found):
        try:
            checkpoint = read(path)
            require(checkpoint)
        except UnusableCheckpoint as error:
            passed_over[path] = str(error)
        else:
            return Newest(path, checkpoint, passed_over)
    return None


def _none_of(folder: Path, passed_over: dict[Path, str]) -> str:
    listed = "".join(f"\n  {why}" for why in passed_over.values())
    return (
        f"no checkpoint in {folder} can be used; restore one of them, or what it lacks, from a copy, or train anew:"
        f"{listed}"
    )
