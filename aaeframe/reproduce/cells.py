"""The cells of the table: which are asked for, how each is trained, and in which order they are filled."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aaeframe.configuration.compose import compose, without_none
from aaeframe.configuration.schema import Config
from aaeframe.errors import ConfigError
from aaeframe.reproduce import rows
from aaeframe.reproduce.columns import COLUMNS, ByGenerator, ByPreset, Column
from aaeframe.reproduce.rows import Row


@dataclass(frozen=True)
class Given:
    """Data in place of a column's."""

    source: str
    held_out: tuple[int, int] | None = None
    """Validation and test rows, where the source has no split of its own and a tenth each is not wanted."""

    @property
    def named(self) -> Given:
        """The same by the name of its file alone, which is the same everywhere."""
        return Given(Path(self.source).name, self.held_out)

    def __str__(self) -> str:
        rows = "" if self.held_out is None else f" with {self.held_out[0]} and {self.held_out[1]} rows held out"
        return f"{self.source}{rows}"


@dataclass(frozen=True)
class Cell:
    """A row, a column and a seed: one number of the table. Rows may share the run behind it."""

    row: Row
    column: str
    seed: int
    """Of everything random in the run."""
    place: int
    """Of the seed among those of the column, from 0."""
    out: Path
    """The folder of the table."""
    data: Given | None = None
    """In place of the column's data."""

    @property
    def how(self) -> Column:
        """How the column is filled."""
        return self.row.columns[self.column]

    @property
    def of(self) -> Given:
        """The data, the column's if none was given, by name."""
        if self.data is not None:
            return self.data.named
        if isinstance(self.how, ByGenerator):
            return Given(self.how.data)
        data = self.config().data
        return Given(data.source, data.held_out).named

    @property
    def folder(self) -> Path:
        """The run's."""
        return self.out / self.row.folder / self.column / f"seed-{self.seed}"

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.row.name}, {self.column}, seed {self.seed}"

    def config(self) -> Config:
        """The run's configuration, of a column by a preset."""
        assert isinstance(self.how, ByPreset)
        seeded = {"training": {"seed": self.seed}}
        if self.data is None:
            return compose(self.how.preset, None, seeded, self.how.settings)
        given = {"data": without_none({"source": self.data.source, "held_out": self.data.held_out})}
        return compose(self.how.preset, None, {**given, **seeded}, self.how.settings)

    def commands(self) -> tuple[str, ...]:
        """What trains and judges the same by itself, in the folder of the table."""
        if isinstance(self.how, ByGenerator):
            return (self._reproduce(),)
        return self._train(self.how), self._evaluate()

    def _train(self, how: ByPreset) -> str:
        settings, data = list(how.settings), []
        if self.data is not None:
            data = ["--data", self.data.source]
            settings += [] if self.data.held_out is None else [f"data.held_out={list(self.data.held_out)}"]
        given = [part for setting in settings for part in ("--set", setting)]
        train = ["aaeframe", "train", "--preset", how.preset, *given, *data, "--seed", str(self.seed)]
        return shlex.join([*train, "--out", self._relative])

    def _evaluate(self) -> str:
        samples = [] if self.row.samples is None else ["--likelihood", "--samples", str(self.row.samples)]
        return shlex.join(["aaeframe", "evaluate", self._relative, *samples])

    def _reproduce(self) -> str:
        """There is no other command for a generator; it makes the seeds before this one, too."""
        data = [] if self.data is None else ["--data", self.data.source]
        if self.data is not None and self.data.held_out is not None:
            data += ["--held-out", *map(str, self.data.held_out)]
        asked = [self.row.name, "--column", self.column, "--seeds", str(self.place + 1)]
        return shlex.join(["aaeframe", "reproduce", *asked, *data, "--out", "."])

    @property
    def _relative(self) -> str:
        return self.folder.relative_to(self.out).as_posix()


def selected(names: Sequence[str], columns: Sequence[str]) -> list[tuple[Row, str]]:
    """The rows and columns asked for, each once; of what is not named, what is filled by default.

    ConfigError if a row or a column is not known, or a row that is named has none of the columns.
    """
    for name in names:
        _check(name, rows.ROWS, "row")
    for column in columns:
        _check(column, COLUMNS, "column")
    asked = [row for row in rows.ROWS.values() if row.name in names or (not names and not row.by_name_only)]
    chosen = [
        (row, column) for row in asked for column in dict.fromkeys(columns) or row.default if column in row.columns
    ]
    for row in asked:
        if names and all(row is not it for it, _ in chosen):
            raise ConfigError(
                f"the row {row.name!r} has no column {' or '.join(map(repr, columns))}; it has: "
                f"{', '.join(row.columns)}"
            )
    return chosen


def cells(chosen: Iterable[tuple[Row, str]], out: Path, *, seeds: int | None, data: Given | None = None) -> list[Cell]:
    """The cells of rows and columns, in the order in which they are filled; `seeds` of each, or all it has.

    ConfigError if more seeds are asked for than a column has.
    """
    found = []
    for row, column in chosen:
        how = row.columns[column]
        fixed = how.seeds
        if seeds is not None and seeds > len(fixed):
            raise ConfigError(
                f"{seeds} seeds were asked for, but {how} fixes {len(fixed)}, "
                f"which are {', '.join(map(str, fixed))}: seeds are not added once runs are judged"
            )
        found += [Cell(row, column, seed, place, out, data) for place, seed in enumerate(fixed[:seeds])]
    return in_order(found)


def in_order(cells: Iterable[Cell]) -> list[Cell]:
    """As a budget is best spent: column after column, in each one seed of every row before the next seed.

    Seeds beyond those that a column fills early come when all else is done. Generators, which cannot be resumed, are
    the last among either.
    """
    turns, lines = list(COLUMNS), list(rows.ROWS)

    def turn(cell: Cell) -> tuple[bool, bool, int, int, int]:
        late = cell.place >= cell.how.early
        return late, isinstance(cell.how, ByGenerator), turns.index(cell.column), cell.place, lines.index(cell.row.name)

    return sorted(cells, key=turn)


def _check(name: str, known: Mapping[str, object], kind: str) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"no {kind} is named {name!r}{hint}; there are: {', '.join(known)}")
