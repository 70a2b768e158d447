"""The cells of the table: which exist, how each is trained, and in which order they are filled."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from aaeframe.configuration.compose import compose, without_none
from aaeframe.configuration.reading import ReadOptions, read_options
from aaeframe.configuration.schema import Config
from aaeframe.errors import ConfigError
from aaeframe.reproduce import experiments
from aaeframe.reproduce.experiments import COLUMNS, ByGenerator, ByPreset, Column, Experiment


@dataclass(frozen=True)
class DataOverride:
    """Data used instead of a column's own."""

    source: str
    held_out: tuple[int, int] | None = None
    """Validation and test rows, for a source without a split of its own; a tenth each if not given."""
    label_key: str | None = None
    """The column or array of the labels; found by its name if not given."""

    @property
    def reading(self) -> ReadOptions:
        """The options for reading it. ConfigError if one is wrong."""
        return read_options(held_out=self.held_out, label_key=self.label_key)

    @property
    def named(self) -> DataOverride:
        """The same data by its file name alone, which is the same on every machine, or by its short name."""
        return replace(self, source=Path(self.source).name.removeprefix("aaeframe:"))

    def __str__(self) -> str:
        rows = "" if self.held_out is None else f" with {self.held_out[0]} and {self.held_out[1]} rows held out"
        labels = "" if self.label_key is None else f" with the labels {self.label_key}"
        return f"{self.source}{rows}{labels}"


@dataclass(frozen=True)
class Cell:
    """An experiment, a column and a seed: one number of the table. Experiments may share the run behind it."""

    experiment: Experiment
    column: str
    seed: int
    """The seed of everything random in the run."""
    index: int
    """The position of the seed among those of the column, from 0."""
    out: Path
    """The folder of the table."""
    data: DataOverride | None = None
    precision: str | None = None
    """The arithmetic of the training, in place of the preset's."""

    @property
    def filled_by(self) -> Column:
        """The preset or generator that fills the column."""
        return self.experiment.columns[self.column]

    @property
    def actual_data(self) -> DataOverride:
        """The data by name, the column's own if none was given."""
        if self.data is not None:
            return self.data.named
        if isinstance(self.filled_by, ByGenerator):
            return DataOverride(self.filled_by.data)
        data = self.config().data
        return DataOverride(data.source, data.held_out, data.label_key).named

    @property
    def folder(self) -> Path:
        """The folder of the run."""
        return self.out / self.experiment.folder / self.column / f"seed-{self.seed}"

    @property
    def record(self) -> Path:
        """The file of the cell's record."""
        return self.out / "records" / self.experiment.name / self.column / f"seed-{self.seed}" / "record.json"

    @property
    def name(self) -> str:
        """The name for people."""
        return f"{self.experiment.name}, {self.column}, seed {self.seed}"

    @property
    def sharing(self) -> list[Cell]:
        """The cells that use the same run, this one among them."""
        return [
            replace(self, experiment=it)
            for it in experiments.EXPERIMENTS.values()
            if it.folder == self.experiment.folder and self.column in it.columns
        ]

    def made_with(self, data: DataOverride, precision: str | None) -> Cell:
        """The same cell on other data and in other arithmetic; the column's own are not named."""
        own = replace(self, data=None, precision=None)
        if isinstance(own.filled_by, ByPreset) and precision not in (None, own.config().training.precision):
            own = replace(own, precision=precision)
        return own if data == own.actual_data else replace(own, data=data)

    def config(self) -> Config:
        """The configuration of the run, for a column that is filled by a preset."""
        assert isinstance(self.filled_by, ByPreset)
        preset, overrides = self.filled_by.preset, self.filled_by.overrides
        table: dict[str, dict[str, Any]] = {"training": {"seed": self.seed}}
        if self.precision is not None:
            table["training"]["precision"] = self.precision
        if self.data is not None:
            table["data"] = without_none(asdict(self.data))
        return compose(preset, None, table, overrides)

    def commands(self) -> tuple[str, ...]:
        """Commands that train and evaluate the same run alone, in the folder of the table."""
        if isinstance(self.filled_by, ByGenerator):
            return (self._reproduce(),)
        return self._train(self.filled_by), self._evaluate()

    def _train(self, preset: ByPreset) -> str:
        settings, data = list(preset.overrides), []
        if self.data is not None:
            data = self._data(self.data)
            settings += [] if self.data.held_out is None else [f"data.held_out={list(self.data.held_out)}"]
        given = [part for setting in settings for part in ("--set", setting)]
        precision = [] if self.precision is None else ["--precision", self.precision]
        train = ["aaeframe", "train", "--preset", preset.preset, *given, *data, *precision, "--seed", str(self.seed)]
        return shlex.join([*train, "--out", self._relative])

    @staticmethod
    def _data(data: DataOverride) -> list[str]:
        return ["--data", data.source, *([] if data.label_key is None else ["--label-key", data.label_key])]

    def _evaluate(self) -> str:
        samples = self.experiment.samples
        likelihood = [] if samples is None else ["--likelihood", "--samples", str(samples)]
        return shlex.join(["aaeframe", "evaluate", self._relative, *likelihood])

    def _reproduce(self) -> str:
        """The only command for a generator; it also makes the seeds before this one."""
        data = [] if self.data is None else self._data(self.data)
        if self.data is not None and self.data.held_out is not None:
            data += ["--held-out", *map(str, self.data.held_out)]
        asked = [self.experiment.name, "--column", self.column, "--seeds", str(self.index + 1)]
        return shlex.join(["aaeframe", "reproduce", *asked, *data, "--out", "."])

    @property
    def _relative(self) -> str:
        return self.folder.relative_to(self.out).as_posix()


def selected(names: Sequence[str], columns: Sequence[str]) -> list[tuple[Experiment, str]]:
    """The experiments and columns asked for, each once; the default ones where none is named.

    Raises:
        ConfigError: a row or a column is unknown, or a named row has none of the columns.
    """
    for name in names:
        _check(name, experiments.EXPERIMENTS, "row")
    for column in columns:
        _check(column, COLUMNS, "column")
    asked = [it for it in experiments.EXPERIMENTS.values() if it.name in names or (not names and not it.opt_in)]
    chosen = [(it, column) for it in asked for column in dict.fromkeys(columns) or it.default if column in it.columns]
    for experiment in asked:
        if names and all(experiment is not it for it, _ in chosen):
            raise ConfigError(
                f"the row {experiment.name!r} has no column {' or '.join(map(repr, columns))}; it has: "
                f"{', '.join(experiment.columns)}"
            )
    return chosen


def cells(
    chosen: Iterable[tuple[Experiment, str]],
    out: Path,
    *,
    seeds: int | None,
    data: DataOverride | None = None,
    precision: str | None = None,
) -> list[Cell]:
    """The first `seeds` cells, or all, of each experiment and column, in the order in which they are filled.

    `precision` is that of the trainings by presets; generators have their own.

    Raises:
        ConfigError: a column has fewer seeds than asked for.
    """
    found = []
    for experiment, column in chosen:
        filled_by = experiment.columns[column]
        fixed = filled_by.seeds
        if seeds is not None and seeds > len(fixed):
            raise ConfigError(
                f"{seeds} seeds were asked for, but {filled_by} fixes {len(fixed)}, "
                f"which are {', '.join(map(str, fixed))}: seeds are not added once runs are evaluated"
            )
        own = None if isinstance(filled_by, ByGenerator) else precision
        found += [Cell(experiment, column, seed, index, out, data, own) for index, seed in enumerate(fixed[:seeds])]
    return in_order(found)


def in_order(cells: Iterable[Cell]) -> list[Cell]:
    """Sort cells as a budget is best spent: column by column, one seed of every row before the next seed.

    Seeds beyond a column's priority seeds come last. Generators, which cannot be resumed, end either part.
    """
    columns, rows = list(COLUMNS), list(experiments.EXPERIMENTS)

    def turn(cell: Cell) -> tuple[bool, bool, int, int, int]:
        late = cell.index >= cell.filled_by.priority_seeds
        generator = isinstance(cell.filled_by, ByGenerator)
        return late, generator, columns.index(cell.column), cell.index, rows.index(cell.experiment.name)

    return sorted(cells, key=turn)


def find(row: str, column: str, seed: str, out: Path) -> Cell | None:
    """The cell of these names; None if there is none."""
    experiment = experiments.EXPERIMENTS.get(row)
    if experiment is None or column not in experiment.columns:
        return None
    every = cells([(experiment, column)], out, seeds=None)
    return next((it for it in every if it.folder.name == seed), None)


def _check(name: str, known: Mapping[str, object], kind: str) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"no {kind} is named {name!r}{hint}; there are: {', '.join(known)}")
