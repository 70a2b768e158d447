"""What a generator was measured to be, in the folder of its cell: one file, there or not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from aaeframe import data as datasets
from aaeframe.errors import RunError
from aaeframe.evaluation.likelihood import Progress
from aaeframe.reproduce import rivals as generators
from aaeframe.reproduce.cells import Cell, Given
from aaeframe.reproduce.columns import ByGenerator
from aaeframe.reproduce.found import count_lines
from aaeframe.reproduce.rivals import Settings
from aaeframe.storage.atomic import write_atomically, writing
from aaeframe.storage.formats import loads_json
from aaeframe.storage.run_folder import RunFolder
from aaeframe.training.device import environment
from aaeframe.version import __version__

RESULT: Final = "result.json"


@dataclass(frozen=True)
class Measured:
    """A generator that was trained and judged."""

    log_likelihood: float
    epochs: int
    made_by: Mapping[str, Any]
    """The settings that make it what it is: all but where it was trained."""
    seconds: float
    """Of training."""
    data: Given
    environment: Mapping[str, str]
    """Where it was trained."""
    test_accesses: int
    """How often something was computed from test rows, for this result or for one that was not kept."""
    version: str
    """Of aaeframe, which made it."""


def comparable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """JSON-like: all of a generator's settings but the device, in which it may differ from its column."""
    return {name: value for name, value in settings.items() if name != "device"}


def settings(how: ByGenerator, seed: int) -> Settings:
    """What a generator with this seed is trained by, on the first GPU if there is one."""
    return replace(generators.DEFAULTS[how.kind], seed=seed, device="auto")


def measure(cell: Cell, how: ByGenerator, progress: Progress) -> None:
    """Train and judge the cell's generator, and keep what `generators.measure` tells of it, whole or not at all.

    Whatever `progress` raises ends it between two epochs, or two chunks of samples; then nothing is written but the
    access to test rows, if it came to that. Errors are those of `generators.generate` and of the data; RunError if the
    result cannot be written.
    """
    assert cell.row.samples is not None
    chosen, data = settings(how, cell.seed), cell.data or Given(how.data)
    dataset = datasets.load(data.source, held_out=data.held_out)
    logging = _logging(cell.folder, cell.row.samples, progress)
    report = generators.measure(how.kind, dataset, chosen, cell.row.samples, logging)
    made = {"held_out": data.held_out, "version": __version__, "environment": environment(chosen.place)}
    text = json.dumps({**report, **made}, indent=1, allow_nan=False)
    write_atomically(cell.folder / RESULT, f"{text}\n".encode())


def _logging(folder: Path, samples: int, progress: Progress) -> Progress:
    """Progress that logs the access right before the first samples meet the test rows."""

    def watch(doing: str, done: int, of: int) -> None:
        progress(doing, done, of)
        if (doing, done) == ("test", 0):
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
            RunFolder(folder).log_test_access({"purpose": f"likelihood, {samples} samples"})

    return watch


def read(folder: Path) -> Measured | None:
    """What was measured; None if nothing was. RunError if it cannot be read."""
    path = folder / RESULT
    if not path.is_file():
        return None
    try:
        report = loads_json(path.read_text("utf-8"))
        held_out = report["held_out"]
        return Measured(
            log_likelihood=report["likelihood"]["log_likelihood"],
            epochs=report["settings"]["epochs"],
            made_by=comparable(report["settings"]),
            seconds=report["seconds"],
            data=Given(report["dataset"], None if held_out is None else (held_out[0], held_out[1])).named,
            environment={name: report["environment"][name] for name in ("device", "threads")},
            test_accesses=count_lines(RunFolder(folder).test_accesses),
            version=report["version"],
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise RunError(f"{path} is no result: {error!r}; remove it, and it is measured anew") from error
