"""The epochs of a run as a table."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from aaeframe.errors import OptionError
from aaeframe.training.observers import Observer


class Table(Observer):
    """One row per epoch in a .csv file in the folder of the run, such as other programs read.

    The columns are those of `metrics.jsonl`. A resumed run keeps the rows of the steps that it keeps.
    """

    def __init__(
        self,
        *,
        file: Annotated[
            str, Field(pattern=r"^[\w-][\w.-]*\.csv$", description="its name in the folder")
        ] = "metrics.csv",
    ) -> None:
        self._name = file

    def run_started(self, config: Mapping[str, Any], folder: Path | None, steps: int, step: int) -> None:
        """Discard the rows of steps that will be repeated."""
        if folder is None:
            raise OptionError("the observer csv writes into the folder of a run; this one is in memory")
        self._path = folder / self._name
        if step < steps and self._path.exists():
            self._write(row for row in self._rows() if int(row["step"]) <= step)

    def epoch_ended(self, row: Mapping[str, Any], warnings: Sequence[str]) -> None:
        """Append a row. With a new column, all are written again."""
        if self._path.exists() and list(row) == self._columns():
            with self._path.open("a", newline="", encoding="utf-8") as file:
                csv.writer(file).writerow(row.values())
        else:
            self._write([*self._rows(), row])

    def _columns(self) -> list[str]:
        with self._path.open(newline="", encoding="utf-8") as file:
            return next(csv.reader(file), [])

    def _rows(self) -> list[dict[str, Any]]:
        if not self._path.exists():
            return []
        with self._path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def _write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Replace the file, or leave it as it is."""
        rows = list(rows)
        columns = dict.fromkeys(name for row in rows for name in row)
        aside = self._path.with_name(f".{self._path.name}.new")
        with aside.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            if columns:
                writer.writeheader()
            writer.writerows(rows)
        aside.replace(self._path)
