"""The table: records as text, Markdown, JSON and a figure of learning curves. It reads records and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from types import MappingProxyType
from typing import Any, Final, get_args

import numpy as np

from aaeframe import figures
from aaeframe.components.registry import Registry
from aaeframe.figures import Course
from aaeframe.reproduce import experiments, record
from aaeframe.reproduce.cell_status import CellStatus, State, status
from aaeframe.reproduce.cells import Cell, DataOverride, cells
from aaeframe.reproduce.experiments import COLUMNS, ByGenerator, Column, Experiment, Unit
from aaeframe.reproduce.published import Published
from aaeframe.reproduce.record import PRECISION, Curve, Record
from aaeframe.storage.atomic import write_atomically
from aaeframe.storage.locks import lock
from aaeframe.storage.output import Output

TITLES: Final[Mapping[Unit, str]] = MappingProxyType(
    {"%": "Error on test images, %", "nats": "Parzen log-likelihood of test images, nats"}
)
BASELINES: Final[Mapping[Unit, str]] = MappingProxyType({"%": "supervised only", "nats": "variational autoencoder"})
"""Titles of the baseline column."""
TUNED: Final = "†"
"""Marks numbers whose settings were tuned on held-out rows."""


@dataclass(frozen=True)
class Result:
    """One row and column with all its seeds on one data."""

    experiment: Experiment
    column: str
    data: DataOverride | None
    """None if it is the column's own."""
    done: tuple[tuple[Cell, Record], ...]
    unfinished: tuple[tuple[Cell, Record], ...]
    aside: tuple[CellStatus, ...]
    """Cells that are not counted: diverged, unreadable or of other settings."""

    @property
    def name(self) -> str:
        """The name of the row, with data that is not its own."""
        return f"{self.experiment.name}{self._on}"

    @property
    def title(self) -> str:
        """The title of the row, with data that is not its own."""
        return f"{self.experiment.title}{self._on}"

    @property
    def _on(self) -> str:
        return "" if self.data is None else f" on {self.data}"

    @property
    def filled_by(self) -> Column:
        """The preset or generator that fills the column."""
        return self.experiment.columns[self.column]

    @property
    def values(self) -> list[float]:
        """The numbers of all seeds that are done, whether they count or not."""
        return [it.value for _, it in self.done if it.value is not None]

    @property
    def mean(self) -> float | None:
        """The mean over seeds; None without any."""
        return mean(self.values) if self.values else None

    @property
    def spread(self) -> float | None:
        """The sample standard deviation over seeds; None for fewer than two."""
        return stdev(self.values) if len(self.values) > 1 else None

    @property
    def curves(self) -> list[Curve]:
        """The curves of runs that have one, done or not."""
        return [it.curve for _, it in (*self.done, *self.unfinished) if it.curve is not None]

    @property
    def diverged(self) -> int:
        """The number of seeds that diverged."""
        return sum(it.state is State.DIVERGED for it in self.aside)

    @property
    def best(self) -> tuple[Cell, Record] | None:
        """The best of several runs by a score that needs no label, whether it counts or not."""
        known = [(it.selection_score, cell, it) for cell, it in self.done if it.selection_score is not None]
        return min(known, key=lambda it: it[0])[1:] if self.experiment.best_of_seeds and len(known) > 1 else None


@dataclass(frozen=True)
class Section:
    """A table of texts."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def results(out: Path, registry: Registry) -> list[Result]:
    """The results of all records under `out`, row by row."""
    return [it for experiment in experiments.EXPERIMENTS.values() for it in _of_row(experiment, out, registry)]


def _of_row(experiment: Experiment, out: Path, registry: Registry) -> Iterator[Result]:
    for column in (it for it in COLUMNS if it in experiment.columns):
        every = [status(cell, registry) for cell in cells([(experiment, column)], out, seeds=None)]
        found = [it for it in every if it.state is not State.MISSING]
        for data in dict.fromkeys(it.cell.data for it in found):
            yield _result(experiment, column, data, [it for it in found if it.cell.data == data])


def _result(experiment: Experiment, column: str, data: DataOverride | None, found: Sequence[CellStatus]) -> Result:
    def of(state: State) -> tuple[tuple[Cell, Record], ...]:
        return tuple((it.cell, it.record) for it in found if it.state is state and it.record is not None)

    aside = tuple(it for it in found if it.reason)
    return Result(experiment, column, data, of(State.DONE), of(State.UNFINISHED), aside)


def sections(results: Sequence[Result]) -> list[Section]:
    """The paper's tables with our columns, then every seed, unfinished cells, and cells that are set aside."""
    tables = [_summary(unit, [it for it in results if it.experiment.unit == unit]) for unit in get_args(Unit)]
    return [section for section in (*tables, _seeds(results), _unfinished(results), _aside(results)) if section.rows]


def notes(results: Sequence[Result]) -> list[str]:
    """Notes on the numbers: what they are, when a run counts, how it was selected and tuned."""
    found = [
        "a ± b (n of N): mean and sample standard deviation over the n finished runs, of N seeds that were fixed "
        "beforehand. Published numbers are as they are reported",
        "a run counts if it meets three criteria. Two classifiers tell its real-valued codes from prior samples with "
        f"accuracies of at most {record.TWO_SAMPLE}. Its reconstruction error is at most {record.RECONSTRUCTION} of "
        f"the mean image's. The entropy of its categories is within {record.ENTROPY} nats of the uniform one. The mean "
        "is over all runs, whether they count or not. Excluded runs are not part of any mean",
    ]
    if any(it.best for it in results):
        found.append(
            "pick: the run with the least sum of weighted reconstruction and label-free terms. Without such terms, the "
            "mutual information of x and y on validation rows is subtracted instead. No label is used, and it does not "
            "matter whether the run counts"
        )
    if any(run.judged_formerly for it in results for _, run in it.done):
        found.append(
            "the former test: one small network in five folds, which is easier to pass than the two classifiers of "
            "now. What it judged is still to be made anew"
        )
    generators = {it.column: it.filled_by for it in results if isinstance(it.filled_by, ByGenerator)}
    found += [
        f"{COLUMNS[column]}: no adversarial autoencoder, judged by no criterion; {', '.join(by.overrides)}"
        for column, by in generators.items()
    ]
    tuned = dict.fromkeys(it.filled_by.tuned for it in results if it.filled_by.tuned)
    return [*found, *(f"{TUNED} settings tuned {how}" for how in tuned)]


def _summary(unit: Unit, results: Sequence[Result]) -> Section:
    """The rows of one unit with the columns that have anything."""
    columns = [it for it in COLUMNS if any(result.column == it for result in results)]
    titles = [BASELINES[unit] if it == "baseline" else COLUMNS[it] for it in columns]
    rows = []
    for line in {it.name: it for it in results}.values():
        filled = {it.column: _entry(it) for it in results if it.name == line.name}
        paper = "" if line.experiment.paper is None else _published(line.experiment.paper, unit)
        rows.append([line.title, paper, *(filled.get(it, "") for it in columns)])
    return Section(TITLES[unit], ["experiment", "the paper", *titles], rows)


def _entry(result: Result) -> str:
    unit, done = result.experiment.unit, f"{len(result.done)} of {len(result.filled_by.seeds)}"
    diverged = [f"{result.diverged} diverged"] if result.diverged else []
    if result.mean is None:
        return ", ".join([f"({done})", *diverged])
    spread = "" if result.spread is None else f" ± {_number(result.spread, unit)}"
    dagger = TUNED if result.filled_by.tuned else ""
    parts = [f"{_number(result.mean, unit)}{spread}{dagger} ({done})"]
    if result.best is not None:
        _, best = result.best
        parts.append(f"pick {_number(best.value, unit)}{'' if best.counts else ', which does not count'}")
    failing = sum(not it.counts for _, it in result.done)
    if failing:
        parts.append(f"{failing} {'does' if failing == 1 else 'do'} not count")
    return ", ".join([*parts, *diverged])


def _seeds(results: Iterable[Result]) -> Section:
    columns = ("run", "value", "counts", "epochs", "minutes", "where", "data", "test accesses")
    return Section("Every seed", columns, [_seed(*it) for result in results for it in result.done])


def _seed(cell: Cell, run: Record) -> list[str]:
    counts = "yes" if cell.filled_by.has_criteria else "not judged"
    if run.judged_formerly:
        counts = "yes, by the former test"
    return [
        cell.name,
        f"{_number(run.value, cell.experiment.unit)} {cell.experiment.unit}",
        counts if run.counts else f"no: {'; '.join(run.remarks)}",
        str(run.epochs),
        f"{run.seconds / 60:.1f}",
        ", ".join([*filter(None, [cell.precision, run.where]), *(["recorded"] if run.recorded else [])]),
        run.data.source,
        str(run.test_accesses),
    ]


def _unfinished(results: Iterable[Result]) -> Section:
    rows = [
        [cell.name, f"{run.epochs} of {run.planned_epochs}", "" if run.curve is None else _last(run.curve)]
        for result in results
        for cell, run in result.unfinished
    ]
    return Section("Not done", ("run", "epoch", "so far, on validation rows"), rows)


def _last(curve: Curve) -> str:
    value = curve.values[-1]
    return f"error {value:.2%}" if curve.measure == "validation/error" else f"reconstruction {value:.3g}"


def _aside(results: Iterable[Result]) -> Section:
    rows = [[it.cell.name, it.state.value, it.reason] for result in results for it in result.aside]
    return Section("Set aside", ("run", "it is", "why, and what to do"), rows)


def _published(number: Published, unit: Unit) -> str:
    """A published number as it is printed, with its note."""
    form = ".2f" if unit == "%" else "g"
    spread = "" if number.spread is None else f" ± {number.spread:{form}}"
    note = f" ({number.note})" if number.note else ""
    return f"{number.value:{form}}{spread}{note}"


def _number(value: float | None, unit: Unit) -> str:
    return "" if value is None else f"{value:.2f}" if unit == "%" else f"{value:.1f}"


def markdown(results: Sequence[Result]) -> str:
    """All sections and notes, what others published, and the commands that make each run."""
    parts = [_markdown(section) for section in (*sections(results), _cited(results))]
    parts.append("\n".join(f"- {note}" for note in notes(results)))
    commands = dict.fromkeys(command for it in results for cell, _ in it.done for command in cell.commands())
    if commands:
        parts.append("\n".join(["```sh", *commands, "```"]))
    return "\n\n".join(parts) + "\n"


def _cited(results: Iterable[Result]) -> Section:
    rows = []
    for it in {it.experiment.name: it.experiment for it in results}.values():
        numbers = [*it.cited, *([] if it.paper is None else [it.paper])]
        if numbers:
            rows.append([it.title, "; ".join(f"{one.name} {_published(one, it.unit)}" for one in numbers)])
    return Section("What is published", ("experiment", "numbers"), rows)


def _markdown(section: Section) -> str:
    lines = [section.columns, ["---"] * len(section.columns), *section.rows]
    table = "\n".join(f"| {' | '.join(part.replace('|', chr(92) + '|') for part in line)} |" for line in lines)
    return f"### {section.title}\n\n{table}"


def as_json(results: Sequence[Result]) -> dict[str, Any]:
    """The results by row, named with data that is not its own, and column; the same for the same records."""
    by_row: dict[str, Any] = {}
    for it in results:
        row = by_row.setdefault(it.name, {**_row_json(it), "columns": {}})
        row["columns"][it.column] = _column_json(it)
    return {"rows": by_row}


def _row_json(it: Result) -> dict[str, Any]:
    paper = None if it.experiment.paper is None else asdict(it.experiment.paper)
    return {
        "name": it.experiment.name,
        "title": it.title,
        **it.experiment.measure,
        "paper": paper,
        "cited": [asdict(cited) for cited in it.experiment.cited],
    }


def _column_json(it: Result) -> dict[str, Any]:
    best = it.best
    shared = it.done[0][1].settings if it.done else {}
    return {
        **it.filled_by.as_dict(),
        "settings": {key: value for key, value in shared.items() if key not in (it.filled_by.seed_key, PRECISION)},
        "tuned": it.filled_by.tuned,
        "mean": it.mean,
        "standard_deviation": it.spread,
        "done": len(it.done),
        "of": len(it.filled_by.seeds),
        "seeds": [_seed_json(*run) for run in it.done],
        "pick": None if best is None else {"seed": best[0].seed, "value": best[1].value, "counts": best[1].counts},
        "unfinished": [
            {"seed": cell.seed, "epoch": run.epochs, "epochs": run.planned_epochs, "curve": _curve_json(run)}
            for cell, run in it.unfinished
        ],
        "aside": [{"seed": one.cell.seed, "state": one.state.value, "reason": one.reason} for one in it.aside],
    }


def _seed_json(cell: Cell, run: Record) -> dict[str, Any]:
    return {
        "seed": cell.seed,
        "value": run.value,
        "counts": run.counts if cell.filled_by.has_criteria else None,
        "remarks": list(run.remarks),
        "criteria": [{**it.model_dump(), "at_most": it.at_most, "met": it.met} for it in run.criteria],
        "selection_score": run.selection_score,
        "epochs": run.epochs,
        "seconds": round(run.seconds, 1),
        "where": run.where,
        "precision": run.precision,
        "recorded": run.recorded,
        "data": run.data.source,
        "held_out": run.held_out,
        "label_key": run.label_key,
        "version": run.version,
        "test_accesses": run.test_accesses,
        "curve": _curve_json(run),
        "commands": list(cell.commands()),
    }


def _curve_json(run: Record) -> dict[str, Any] | None:
    return None if run.curve is None else run.curve.model_dump(mode="json")


def write(out: Path, results: Sequence[Result]) -> None:
    """Write results.json and results.md, each whole or not at all. RunError if they cannot be written."""
    text = json.dumps(as_json(results), indent=1, sort_keys=True, allow_nan=False)
    write_atomically(out / "results.json", f"{text}\n".encode())
    write_atomically(out / "results.md", markdown(results).encode())


def refresh(out: Path, registry: Registry) -> list[Result]:
    """Write the table of all records that exist now. RunError if it cannot be written.

    One process at a time does so, so that none replaces a newer table by an older one.
    """
    with lock(out / "results"):
        found = results(out, registry)
        write(out, found)
    return found


def draw_curves(results: Sequence[Result], to: Output) -> bool:
    """Draw a panel for each row that is an error: its runs, done or not, next to the paper's number.

    Returns:
        False if no run has errors by epoch; then nothing is drawn.

    Raises:
        RunError: the picture cannot be written.
    """
    errors = [it for it in results if it.experiment.error is not None]
    titles = dict.fromkeys(it.title for it in errors)
    courses = {title: _course([it for it in errors if it.title == title]) for title in titles}
    if not any(course.runs for course in courses.values()):
        return False
    figure = figures.learning_curves(courses, title="Learning curves", ylabel="watched validation rows wrong, %")
    figures.save(figure, to)
    return True


def _course(columns: Sequence[Result]) -> Course:
    """The learning curves of one row."""
    runs = {COLUMNS[it.column]: errors for it in columns if (errors := _errors(it))}
    paper = columns[0].experiment.paper
    return Course(runs, None if paper is None else ("the paper, test rows", paper.value))


def _errors(result: Result) -> list[tuple[np.ndarray, np.ndarray]]:
    """Epochs and errors in percent of each run that has them."""
    return [
        (np.array(curve.epochs), 100 * np.array(curve.values))
        for curve in result.curves
        if curve.measure == "validation/error"
    ]
