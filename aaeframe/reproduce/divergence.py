"""That a run diverged, in its folder: one file, there or not, so that it is neither trained again nor forgotten."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aaeframe.errors import RunError, TrainingDiverged
from aaeframe.storage.atomic import write_atomically, writing
from aaeframe.storage.formats import loads_json

DIVERGED: Final = "diverged.json"


@dataclass(frozen=True)
class Divergence:
    """When a run diverged, and what was said of it."""

    step: int | None
    """Of the run; None of a generator, which tells epochs."""
    sentence: str


def write(folder: Path, error: TrainingDiverged) -> None:
    """Keep a divergence. RunError if it cannot be written."""
    sentence = str(error)
    step = re.match(r"step (\d+)", sentence)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    told = {"step": None if step is None else int(step[1]), "sentence": sentence}
    write_atomically(folder / DIVERGED, f"{json.dumps(told, indent=1)}\n".encode())


def read(folder: Path) -> Divergence | None:
    """The divergence that is kept; None if there is none. RunError if it cannot be read."""
    path = folder / DIVERGED
    if not path.is_file():
        return None
    try:
        told = loads_json(path.read_text("utf-8"))
        return Divergence(told["step"], told["sentence"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} cannot be read: {error!r}; remove it, and the run is tried again") from error
