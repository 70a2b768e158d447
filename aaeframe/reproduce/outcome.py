"""The outcome of a cell: the record of what the folder of its run or generator holds now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, get_args

from aaeframe.components.registry import Registry
from aaeframe.configuration.schema import Config, weight_at
from aaeframe.errors import RunError
from aaeframe.reproduce.cell_status import comparable, comparable_generator, settings_of
from aaeframe.reproduce.cells import Cell, DataOverride
from aaeframe.reproduce.experiments import TEST, ByGenerator
from aaeframe.reproduce.record import LARGEST, MOST, POINTS, Criterion, Curve, Measure, Record, parse
from aaeframe.runs.reading import read_config
from aaeframe.storage import checkpoint as checkpoints
from aaeframe.storage.formats import loads_json, read_bounded
from aaeframe.storage.metrics_file import MetricsFile, MetricsRow
from aaeframe.storage.run_folder import RunFolder

RESULT: Final = "result.json"
"""The measurements of a generator, in its folder."""
TERMS: Final = ("virtual_adversarial", "mutual_information", "augmentation")
"""The label-free terms as named in metrics, where each is multiplied by its weight."""
_READ: Final = ("epoch", "step", "seconds", "reconstruction", "validation/reconstruction")
"""Entries that every row of metrics must have."""


def of_cell(cell: Cell) -> Record | None:
    """The record of what the cell's folder holds now; None if it holds nothing.

    Raises:
        RunError, ConfigError: the folder cannot be read.
    """
    return _of_generator(cell) if isinstance(cell.filled_by, ByGenerator) else _of_run(cell)


def of_nothing(cell: Cell, registry: Registry) -> Record:
    """The record of a cell whose folder holds nothing, as before the first epoch."""
    settings = settings_of(cell, registry)
    planned = settings["epochs" if isinstance(cell.filled_by, ByGenerator) else "training.epochs"]
    return _made(cell, cell.actual_data, settings=settings, version="", where="", epochs=0, planned_epochs=planned)


def _of_run(cell: Cell) -> Record | None:
    folder = RunFolder(cell.folder)
    if not folder.config.is_file():
        return None
    config, metrics = read_config(folder), metrics_of(folder)
    return _made(
        cell,
        DataOverride(config.data.source, config.data.held_out, config.data.label_key),
        settings=comparable(config),
        version=config.plugins.get("aaeframe", ""),
        where=_where(_environment(folder.checkpoints)),
        epochs=len(metrics),
        planned_epochs=config.training.epochs,
        seconds=float(sum(row["seconds"] for row in metrics)),
        curve=learning_curve(metrics),
        **_evaluated(cell, config, metrics, evaluations_of(folder, config, metrics)),
    )


def _evaluated(
    cell: Cell, config: Config, metrics: Sequence[MetricsRow], evaluations: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    """The fields that a run has once it is evaluated; none before."""
    if not {TEST, cell.experiment.evaluation} <= evaluations.keys():
        return {}
    try:
        found = tuple(criteria(evaluations[TEST]))
        return {
            "value": cell.experiment.value(evaluations),
            "criteria": found if cell.filled_by.has_criteria else (),
            "selection_score": selection_score(config, metrics[-1]),
        }
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"evaluation.json in {cell.folder} is no evaluation of this row: {error!r}; remove the file, and the run "
            "is evaluated anew"
        ) from error


def _of_generator(cell: Cell) -> Record | None:
    path = cell.folder / RESULT
    if not path.is_file():
        return None
    with reading_result(path) as report:
        held_out, settings = report["held_out"], report["settings"]
        return _made(
            cell,
            DataOverride(
                report["dataset"],
                None if held_out is None else (held_out[0], held_out[1]),
                report.get("label_key"),  # older results have none
            ),
            settings=comparable_generator(settings),
            version=report["version"],
            where=_where({name: report["environment"][name] for name in ("device", "threads")}),
            epochs=settings["epochs"],
            planned_epochs=settings["epochs"],
            seconds=report["seconds"],
            value=report["likelihood"]["log_likelihood"],
        )


@contextmanager
def reading_result(path: Path) -> Iterator[dict[str, Any]]:
    """The content of a generator's result. RunError if it cannot be read, or if the block misses something in it."""
    try:
        yield loads_json(path.read_text("utf-8"))
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise RunError(f"{path} is no result: {error!r}; remove it, and it is measured anew") from error


def _made(cell: Cell, data: DataOverride, **fields: Any) -> Record:
    try:
        return parse(
            {
                "measure": cell.experiment.measure,
                "source": data.named.source,
                "held_out": data.held_out,
                "label_key": data.label_key,
                "test_accesses": count_lines(RunFolder(cell.folder).test_accesses),
                "seconds": 0.0,
                "curve": None,
                **fields,
            }
        )
    except ValueError as error:
        raise RunError(f"{cell.folder} cannot be recorded: {error}") from error


def _where(environment: Mapping[str, str]) -> str:
    if not environment:
        return ""
    threads = environment["threads"]
    return f"{environment['device']}, {threads} thread{'' if threads == '1' else 's'}"


def count_lines(path: Path) -> int:
    """The number of lines of a file; 0 if it does not exist."""
    return len(path.read_bytes().splitlines()) if path.exists() else 0


def metrics_of(folder: RunFolder) -> list[MetricsRow]:
    """The rows of metrics of a run, one for each finished epoch. RunError if one is incomplete."""
    rows = MetricsFile(folder.metrics).rows()
    for row in rows:
        missing = [name for name in _READ if name not in row]
        if missing:
            raise RunError(
                f"a row of {folder.metrics} lacks {', '.join(missing)}; restore it, or remove the run's folder"
            )
    return rows


def evaluations_of(folder: RunFolder, config: Config, metrics: Sequence[MetricsRow]) -> dict[str, dict[str, Any]]:
    """The evaluations of the finished run with the weights that the table uses, by the present two-sample test.

    Others were made by hand or by an older version.
    """
    if not folder.evaluation.exists():
        return {}
    try:
        reports = {name: dict(report) for name, report in dict(loads_json(read_bounded(folder.evaluation))).items()}
    except (ValueError, TypeError) as error:
        raise RunError(f"{folder.evaluation} is not JSON: {error}; remove it, and the run is evaluated anew") from error
    if not metrics or len(metrics) < config.training.epochs:
        return {}
    wanted = metrics[-1]["step"], config.training.ema == 0
    return {
        name: it
        for name, it in reports.items()
        if (it.get("step"), it.get("raw_weights")) == wanted and not _judged_formerly(it)
    }


def _judged_formerly(report: Mapping[str, Any]) -> bool:
    """Whether a report has an accuracy of the former two-sample test."""
    return any("two_sample_by" not in it for it in report.get("blocks", {}).values())


def _environment(folder: Path) -> dict[str, str]:
    """The environment in the newest readable checkpoint, which is not verified: nothing is computed from it."""
    unreadable = []
    for checkpoint in reversed(checkpoints.paths(folder)):
        path = checkpoint / "state.json"
        try:
            environment = loads_json(read_bounded(path))["environment"]
            return {name: environment[name] for name in ("device", "threads")}
        except (OSError, ValueError, KeyError, TypeError) as error:
            unreadable.append(f"{path} cannot be read: {error!r}; remove {checkpoint}, or the run's folder")
    if unreadable:
        raise RunError(unreadable[0])
    return {}


def selection_score(config: Config, last: MetricsRow) -> float:
    """The score of a run that needs no label, from its last row of metrics; less is better.

    It is the sum of the weighted reconstruction loss and of the label-free terms, which measure how confident, balanced
    and smooth q(y|x) is. Without such terms, the mutual information of x and y on validation rows replaces them.
    Reconstruction alone would select runs whose soft y is one more continuous code.
    """
    training = config.training
    terms = [last[name] for name in TERMS if name in last] or [-_information(last)]
    weight = weight_at(training.reconstruction_weight, training.epochs - 1, training.epochs)
    return float(sum(terms) + weight * last["reconstruction"])


def _information(row: MetricsRow) -> float:
    """I(x; y) = H(mean q(y|x)) - mean H(q(y|x)) in nats, summed over class blocks."""
    blocks = [key.partition("/")[2] for key in row if key.startswith("uncertainty/")]
    return sum((row[f"entropy/{name}"] - row[f"uncertainty/{name}"] for name in blocks), 0.0)


def criteria(report: Mapping[str, Any]) -> Iterator[Criterion]:
    """The criteria of a run, from the evaluation of its test rows: does it match its prior, and reconstruct?"""
    yield Criterion(of="reconstruction error over the mean image's", found=report["reconstruction"]["ratio"])
    for name, block in report["blocks"].items():
        if block["entropy"] is None:  # a block of real numbers
            yield Criterion(of=f"larger two-sample accuracy of {name}", found=block["two_sample"])
        elif "clustering" not in report:
            # Reports older than the entry are of uniform priors.
            yield _entropy(name, block.get("uniform_entropy", block["prior_entropy"]), block["entropy"])
    if "clustering" in report:
        clusters = report["clustering"]
        yield _entropy("clusters", clusters["uniform_entropy"], clusters["marginal_entropy"])


def _entropy(name: str, uniform: float, found: float) -> Criterion:
    return Criterion(of=f"entropy missing from {name}", found=uniform - found)


def learning_curve(metrics: Sequence[Mapping[str, Any]]) -> Curve | None:
    """The curve of a run's error or, if it has none, of its reconstruction; None if there are no numbers."""
    measures: tuple[Measure, ...] = get_args(Measure)
    for measure in measures:
        kept = _thinned([row for row in metrics if _is_point(row.get("epoch"), row.get(measure))])
        if kept:
            values = (float(row[measure]) for row in kept)
            return Curve(measure=measure, epochs=tuple(row["epoch"] for row in kept), values=tuple(values))
    return None


def _is_point(epoch: Any, value: Any) -> bool:
    """Whether an epoch and a value are numbers that a curve may have."""
    return type(epoch) is int and 0 < epoch < MOST and type(value) in (int, float) and abs(value) <= LARGEST


def _thinned(rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """At most POINTS of the rows, evenly spread, including the last."""
    if len(rows) <= POINTS:
        return rows
    return [rows[-1 - len(rows) * point // POINTS] for point in reversed(range(POINTS))]
