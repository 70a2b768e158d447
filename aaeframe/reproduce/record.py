"""Records: one `record.json` for each cell, the only thing that the table reads.

A record holds everything that the table shows about a cell. `work` makes it from the folder of a run or generator.
Copied to the folder of another table, it fills the same cell there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from aaeframe.components.registry import Registry
from aaeframe.configuration.changes import as_saved
from aaeframe.configuration.resolve import resolve
from aaeframe.configuration.schema import Config, weight_at
from aaeframe.errors import AaeframeError, RunError
from aaeframe.reproduce import rivals
from aaeframe.reproduce.cells import Cell, DataOverride
from aaeframe.reproduce.experiments import TEST, ByGenerator
from aaeframe.reproduce.rivals import GeneratorSettings
from aaeframe.runs.run import read_config
from aaeframe.storage import checkpoint as checkpoints
from aaeframe.storage.atomic import write_atomically, writing
from aaeframe.storage.formats import loads_json, read_bounded
from aaeframe.storage.metrics_file import MetricsFile, MetricsRow
from aaeframe.storage.problems import problems
from aaeframe.storage.run_folder import RunFolder

TWO_SAMPLE: Final = 0.65
"""Accuracy up to which a classifier hardly distinguishes codes from prior samples; 0.5 is chance."""
RECONSTRUCTION: Final = 0.5
"""Held-out reconstruction error, relative to the mean image's."""
ENTROPY: Final = 0.1
"""Nats by which the marginal of a categorical block may miss the uniform one's entropy."""
POINTS: Final = 20
"""Largest number of points of a stored curve, evenly spread over the epochs."""
LARGEST: Final = 1e12
"""Wide enough for any measurement, and narrow enough to be added and squared."""
MOST: Final = 2**53
"""Whole numbers below this are exact as floats."""
RESULT: Final = "result.json"
"""The measurements of a generator, in its folder."""
TERMS: Final = ("virtual_adversarial", "mutual_information", "augmentation")
"""The label-free terms as named in metrics, where each is multiplied by its weight."""
_FREE: Final = ("data.source", "data.held_out", "data.label_key", "training.device", "evaluation.metrics")
"""Settings in which a run may differ from its preset; the versions of plugins are free, too."""
_READ: Final = ("epoch", "step", "seconds", "reconstruction", "validation/reconstruction")
"""Entries that every row of metrics must have."""


def _printable(text: str) -> str:
    """The text, which goes into tables: one line without control characters."""
    if not text.isprintable():
        raise ValueError("it has characters that cannot be printed")
    return text


Measure: TypeAlias = Literal["validation/error", "validation/reconstruction"]
_Number: TypeAlias = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
_Count: TypeAlias = Annotated[int, Field(ge=0, lt=MOST)]
_Rows: TypeAlias = Annotated[int, Field(ge=1, lt=MOST)]
_Text: TypeAlias = Annotated[str, Field(max_length=1000), AfterValidator(_printable)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class Curve(_Part):
    """A measurement on validation rows at up to POINTS epochs of a run; nothing is extrapolated."""

    measure: Measure
    """The share of misclassified rows, or half the squared error per row."""
    epochs: tuple[_Count, ...] = Field(strict=False, min_length=1, max_length=POINTS)
    """Counted from 1."""
    values: tuple[_Number, ...] = Field(strict=False)

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if len(self.values) != len(self.epochs):
            raise ValueError(f"{len(self.epochs)} epochs have {len(self.values)} values")
        return self


class Criterion(_Part):
    """A measurement that decides whether a run counts. Its limit is the current one, whenever the run was made."""

    of: _Text
    found: _Number | None
    """None if it could not be measured."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        if not any(self.of.startswith(begin) for begin in _LIMITS):
            raise ValueError(f"no criterion is named {self.of!r}")
        return self

    @property
    def at_most(self) -> float:
        """The limit."""
        return next(limit for begin, limit in _LIMITS.items() if self.of.startswith(begin))

    @property
    def met(self) -> bool:
        """Whether it was measured and is within the limit."""
        return self.found is not None and self.found <= self.at_most

    def __str__(self) -> str:
        if self.found is None:
            return f"{self.of} could not be measured"
        return f"{self.of} is {self.found:.3g}, at most {self.at_most:g}"


FORMER: Final = "two-sample accuracy of "
"""The beginning of the criterion of older records: the accuracy of one small network, in five folds."""
_LIMITS: Final = {
    "reconstruction error over the mean image's": RECONSTRUCTION,
    "larger two-sample accuracy of ": TWO_SAMPLE,
    FORMER: TWO_SAMPLE,
    "entropy missing from ": ENTROPY,
}
"""Limits by the beginning of a criterion's name."""


class Record(_Part):
    """A cell that is done, has diverged or is unfinished; of an unfinished one, its state after the last epoch."""

    settings: Mapping[str, JsonValue]
    """All settings that define the run, by dotted keys, its seed among them; empty in records of older tables."""
    measure: Mapping[str, JsonValue]
    """The meaning of the value: see `Experiment.measure`."""
    source: _Text
    """The name of the data, or of its file."""
    held_out: tuple[_Rows, _Rows] | None = Field(strict=False)
    label_key: _Text | None = None
    """The column or array of the labels, if it was named."""
    version: _Text
    """The version of aaeframe that made it."""
    where: _Text
    """The device and its threads."""
    epochs: _Count
    """Finished epochs."""
    planned_epochs: _Count
    seconds: Annotated[_Number, Field(ge=0)]
    """Seconds of training."""
    test_accesses: _Count
    """Number of times that something was computed from test rows, including results that were not kept."""
    curve: Curve | None
    value: _Number | None = None
    """The number in the experiment's unit; None unless the cell is done."""
    criteria: tuple[Criterion, ...] = Field(strict=False, default=())
    """Empty where there is no autoencoder."""
    selection_score: _Number | None = None
    """The score that selects the best of several runs without labels, less being better; None of a generator."""
    diverged: _Text | None = None
    """The error, if training diverged."""
    recorded: bool = False
    """Whether the record was copied from another table."""

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if self.value is not None and self.diverged is not None:
            raise ValueError("it has a value and has diverged")
        return self

    @property
    def data(self) -> DataOverride:
        """The data by name."""
        return DataOverride(self.source, self.held_out, self.label_key).named

    @property
    def precision(self) -> str | None:
        """The arithmetic of the training; None of a generator."""
        found = self.settings.get("training.precision")
        return found if isinstance(found, str) else None

    @property
    def finished(self) -> bool:
        """Whether the cell is done or has diverged."""
        return self.value is not None or self.diverged is not None

    @property
    def remarks(self) -> tuple[str, ...]:
        """Reasons why the run does not count."""
        return tuple(str(it) for it in self.criteria if not it.met)

    @property
    def counts(self) -> bool:
        """Whether the run meets all criteria."""
        return not self.remarks

    @property
    def judged_formerly(self) -> bool:
        """Whether the match was judged by the test of older records, which was easier to meet."""
        return any(it.of.startswith(FORMER) for it in self.criteria)


def parse(content: Any) -> Record:
    """Check the content of a record. ValueError, with every problem, if it is none."""
    try:
        return Record.model_validate(content)
    except ValidationError as error:
        raise ValueError("; ".join(problems(error))) from error


def read(path: Path) -> Record | None:
    """Read a record; None if there is none. RunError if it cannot be read."""
    if not path.is_file():
        return None
    try:
        return parse(loads_json(path.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is no record: {error}; remove it, and the cell is made anew") from error


def write(path: Path, record: Record) -> None:
    """Write a record, whole or not at all. RunError if it cannot be written."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, f"{record.model_dump_json(indent=1)}\n".encode())


class State(StrEnum):
    """The state of a cell."""

    MISSING = "missing"
    UNFINISHED = "unfinished"
    DONE = "done"
    DIVERGED = "diverged"
    OTHER_SETTINGS = "of other settings"
    OTHER_DATA = "of other data"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class CellStatus:
    """A cell, on the data of its record, and its state."""

    cell: Cell
    state: State
    record: Record | None = None
    reason: str = ""
    """Why the cell is neither worked on nor counted, and what to do; empty if it is."""


def status(cell: Cell, registry: Registry) -> CellStatus:
    """The status by the cell's record alone. Whatever cannot be read is a reason, never an exception."""
    try:
        record = read(cell.record)
        return CellStatus(cell, State.MISSING) if record is None else compare(cell, record, cell.record, registry)
    except AaeframeError as error:
        return CellStatus(cell, State.UNREADABLE, reason=str(error))


def compare(cell: Cell, record: Record, place: Path, registry: Registry) -> CellStatus:
    """The status by a record, found at `place`, if its settings are still the column's."""
    here = CellStatus(cell.made_with(record.data, record.precision), State.UNFINISHED, record)
    changed = changed_settings(here.cell, record, registry)
    if changed:
        reason = f"{place} is of other settings than the column's now: {', '.join(changed)}; "
        return replace(here, state=State.OTHER_SETTINGS, reason=f"{reason}remove it, or take another --out")
    if record.diverged is not None:
        reason = f"{cell.folder} diverged: {record.diverged}; to try again, remove {place}"
        return replace(here, state=State.DIVERGED, reason=reason)
    if record.value is None:
        return here
    if cell.filled_by.has_criteria and not record.criteria:
        raise RunError(f"{place} has no criteria; remove it, and the cell is made anew")
    return replace(here, state=State.DONE)


def changed_settings(cell: Cell, record: Record, registry: Registry) -> list[str]:
    """The dotted keys of settings in which a record differs from the cell's column now.

    "measure" is among them if its value measures something else. A setting that is newer than the record was at its
    default.
    """
    if not record.settings:
        return ["the record does not list its settings"]
    wanted = settings_of(cell, registry)
    defaults = {} if isinstance(cell.filled_by, ByGenerator) else comparable(Config())
    settings = {**{key: defaults[key] for key in wanted if key in defaults}, **record.settings}
    changed = [key for key in sorted({*settings, *wanted}) if settings.get(key) != wanted.get(key)]
    return changed if record.measure == cell.experiment.measure else [*changed, "measure"]


def settings_of(cell: Cell, registry: Registry) -> dict[str, Any]:
    """The settings that a record of the cell must have."""
    if isinstance(cell.filled_by, ByGenerator):
        return comparable_generator(generator_settings(cell.filled_by, cell.seed).as_dict())
    return comparable(resolve(cell.config(), registry).config)


def comparable(config: Config) -> dict[str, Any]:
    """JSON-like, by dotted keys: a resolved configuration without what may differ from the preset."""
    return {k: it for k, it in as_saved(config).items() if k not in _FREE and not k.startswith("plugins.")}


def generator_settings(column: ByGenerator, seed: int) -> GeneratorSettings:
    """The settings of a generator with this seed, on the first GPU if there is one."""
    return replace(rivals.DEFAULTS[column.kind], seed=seed, device="auto")


def comparable_generator(settings: Mapping[str, Any]) -> dict[str, Any]:
    """JSON-like: the settings of a generator without the device."""
    return {name: value for name, value in settings.items() if name != "device"}


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
        found = criteria(evaluations[TEST])
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
    try:
        report = loads_json(path.read_text("utf-8"))
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


def criteria(report: Mapping[str, Any]) -> tuple[Criterion, ...]:
    """The criteria of a run, from the evaluation of its test rows: does it match its prior, and reconstruct?"""
    return tuple(_criteria(report))


def _criteria(report: Mapping[str, Any]) -> Iterator[Criterion]:
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
    measure: Measure = "validation/error"
    if not any(_is_point(row, measure) for row in metrics):
        measure = "validation/reconstruction"
    kept = _thinned([row for row in metrics if _is_point(row, measure)])
    if not kept:
        return None
    return Curve(
        measure=measure,
        epochs=tuple(row["epoch"] for row in kept),
        values=tuple(float(row[measure]) for row in kept),
    )


def _is_point(row: Mapping[str, Any], measure: Measure) -> bool:
    epoch, value = row.get("epoch"), row.get(measure)
    numbers = type(epoch) is int and isinstance(value, int | float) and not isinstance(value, bool)
    return numbers and 0 < row["epoch"] < MOST and abs(row[measure]) <= LARGEST


def _thinned(rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """At most POINTS of the rows, evenly spread, including the last."""
    if len(rows) <= POINTS:
        return rows
    return [rows[-1 - len(rows) * point // POINTS] for point in reversed(range(POINTS))]
