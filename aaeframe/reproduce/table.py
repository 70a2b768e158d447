"""The table as texts: sections of rows, and what is to be known of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, get_args

from aaeframe.reproduce import criteria
from aaeframe.reproduce.columns import COLUMNS, ByGenerator
from aaeframe.reproduce.curve import Curve
from aaeframe.reproduce.published import Published
from aaeframe.reproduce.results import Judged, Result, Unfinished
from aaeframe.reproduce.rows import Unit

TITLES: Final[Mapping[Unit, str]] = MappingProxyType(
    {"%": "Error on test images, %", "nats": "Parzen log-likelihood of test images, nats"}
)
BASELINES: Final[Mapping[Unit, str]] = MappingProxyType({"%": "supervised only", "nats": "variational autoencoder"})
"""What the column of baselines is called."""
TUNED: Final = "†"
"""Stands beside numbers of settings that were tuned on held-out rows."""


@dataclass(frozen=True)
class Section:
    """A table of texts."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def sections(results: Sequence[Result]) -> list[Section]:
    """The paper's tables with our columns, then every seed, then what is not done, and what is set aside."""
    tables = [_summary(unit, [it for it in results if it.row.unit == unit]) for unit in get_args(Unit)]
    return [section for section in (*tables, _seeds(results), _unfinished(results), _aside(results)) if section.rows]


def notes(results: Sequence[Result]) -> list[str]:
    """What is to be known of the numbers."""
    told = [
        "a ± b (n of N): mean and sample standard deviation over the n runs that are done, of the N seeds that were "
        "fixed beforehand; published numbers are as they are reported",
        "a run counts if a classifier tells its real-valued codes from prior samples with an accuracy of at most "
        f"{criteria.TWO_SAMPLE}, its reconstruction error is at most {criteria.RECONSTRUCTION} of the mean image's, "
        f"and the entropy of its categories is within {criteria.ENTROPY} nats of the uniform one; the mean is over all "
        "runs, whether they count or not; those that are set aside are in no number",
    ]
    if any(it.pick for it in results):
        told.append(
            "pick: the run with the least sum of weighted reconstruction and label-free terms, or, where there are "
            "none, of reconstruction and minus the mutual information of x and y on validation rows; found by no "
            "label, whether it counts or not"
        )
    generators = {it.column: it.how for it in results if isinstance(it.how, ByGenerator)}
    told += [
        f"{COLUMNS[column]}: no adversarial autoencoder, judged by no criterion; {', '.join(how.settings)}"
        for column, how in generators.items()
    ]
    tuned = dict.fromkeys(it.how.tuned for it in results if it.how.tuned)
    return [*told, *(f"{TUNED} settings tuned {how}" for how in tuned)]


def _summary(unit: Unit, results: Sequence[Result]) -> Section:
    """The rows of one unit against the columns that have anything."""
    columns = [it for it in COLUMNS if any(result.column == it for result in results)]
    titles = [BASELINES[unit] if it == "baseline" else COLUMNS[it] for it in columns]
    rows = []
    for line in {it.name: it for it in results}.values():
        filled = {it.column: _cell(it) for it in results if it.name == line.name}
        paper = "" if line.row.paper is None else published(line.row.paper, unit)
        rows.append([line.title, paper, *(filled.get(it, "") for it in columns)])
    return Section(TITLES[unit], ["experiment", "the paper", *titles], rows)


def _cell(result: Result) -> str:
    done = f"{len(result.judged)} of {len(result.how.seeds)}"
    diverged = [f"{result.diverged} diverged"] if result.diverged else []
    if result.mean is None:
        return ", ".join([f"({done})", *diverged])
    spread = "" if result.spread is None else f" ± {_number(result.spread, result.row.unit)}"
    dagger = TUNED if result.how.tuned else ""
    parts = [f"{_number(result.mean, result.row.unit)}{spread}{dagger} ({done})"]
    if result.pick is not None:
        but = "" if result.pick.counts else ", which does not count"
        parts.append(f"pick {_number(result.pick.value, result.row.unit)}{but}")
    failing = sum(not it.counts for it in result.judged)
    if failing:
        parts.append(f"{failing} {'does' if failing == 1 else 'do'} not count")
    return ", ".join([*parts, *diverged])


def _seeds(results: Iterable[Result]) -> Section:
    columns = ("run", "value", "counts", "epochs", "minutes", "where", "data", "test accesses")
    return Section("Every seed", columns, [_seed(it) for result in results for it in result.judged])


def _seed(run: Judged) -> list[str]:
    if not run.cell.how.judged and run.counts:
        counts = "not judged"
    else:
        counts = "yes" if run.counts else f"no: {'; '.join(run.remarks)}"
    return [
        run.cell.name,
        f"{_number(run.value, run.cell.row.unit)} {run.cell.row.unit}",
        counts,
        str(run.epochs),
        f"{run.seconds / 60:.1f}",
        ", ".join([*filter(None, [run.where]), *(["recorded"] if run.recorded else [])]),
        run.data.source,
        str(run.test_accesses),
    ]


def _unfinished(results: Iterable[Result]) -> Section:
    rows = [_so_far(it) for result in results for it in result.unfinished]
    return Section("Not done", ("run", "epoch", "so far, on validation rows"), rows)


def _aside(results: Iterable[Result]) -> Section:
    rows = [[it.cell.name, it.state.value, it.told] for result in results for it in result.aside]
    return Section("Set aside", ("run", "it is", "why, and what to do"), rows)


def _so_far(run: Unfinished) -> list[str]:
    return [run.cell.name, f"{run.epoch} of {run.epochs}", "" if run.curve is None else _last(run.curve)]


def _last(curve: Curve) -> str:
    value = curve.values[-1]
    return f"error {value:.2%}" if curve.measure == "validation/error" else f"reconstruction {value:.3g}"


def published(number: Published, unit: Unit) -> str:
    """A published number as it is printed, with its note."""
    form = ".2f" if unit == "%" else "g"
    spread = "" if number.spread is None else f" ± {number.spread:{form}}"
    note = f" ({number.note})" if number.note else ""
    return f"{number.value:{form}}{spread}{note}"


def _number(value: float, unit: Unit) -> str:
    return f"{value:.2f}" if unit == "%" else f"{value:.1f}"
