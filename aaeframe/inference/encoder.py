"""A function of batches that can be sent to other processes: a run's path and options, and no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from threading import Lock
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np

from aaeframe.anomaly import KINDS, Density, Kind
from aaeframe.anomaly.scores import DECODED
from aaeframe.errors import ConfigError, DataError, RunError
from aaeframe.inference.columns import Columns
from aaeframe.runs.anomaly import AnomalyScorer
from aaeframe.runs.fixed_batches import codes, scores
from aaeframe.runs.loading import load
from aaeframe.runs.new_data import decoder_labels_of
from aaeframe.runs.run import Run, warn
from aaeframe.storage.checkpoint import latest
from aaeframe.storage.results import Results, header
from aaeframe.storage.run_folder import RunFolder

Output: TypeAlias = Literal["codes", "score"]
OUTPUTS: Final[tuple[Output, ...]] = get_args(Output)
RUNS: Final = 4
"""The number of runs that a process keeps in memory, those that were used last."""


class Encoder:
    """Codes and anomaly scores of batches of rows, by a trained run.

        encoder = Encoder("runs/roll", outputs=("codes", "score"))
        encoder({"x": images})  # {"swissroll_1": (N,), "swissroll_2": (N,), "score": (N,)}

    A batch is a mapping of names to arrays of N rows, or a pandas.DataFrame, for which a data frame with its index
    comes back. Columns of the result have the names that `aaeframe encode` gives to a table.

    The results of a row do not depend on the other rows of its batch. On some CPUs the last bit depends on the row's
    place in it: products of few columns round by where a row lies in memory. A row that `data.missing=drop` leaves out
    has NaN.

    The object holds a path and options: it can be pickled. The run is loaded when it is first called, once in a
    process; it must not be trained meanwhile. Only one thread computes at a time.

    Args:
        run: the folder of a run, or its archive, which every process must reach.
        outputs: "codes", "score" or both.
        keep: names of columns to return as they came, such as those that name the rows. Without names of columns in
            training, they are not data.
        column: the column or array with the rows, where the run was trained without names of columns. By default it is
            found as in a file.
        kind: the kind of score, as for `Run.scores`.
        device: see `aaeframe.training.device.pick`.
        raw_weights, best: as for `aaeframe.load`.

    Raises ConfigError for unknown outputs or kinds and for a text as `keep`, and RunError if there is no run.
    """

    def __init__(
        self,
        run: str | Path,
        outputs: Sequence[Output] = ("codes",),
        *,
        keep: Sequence[str] = (),
        column: str | None = None,
        kind: Kind = "density",
        device: str = "auto",
        raw_weights: bool = False,
        best: bool = False,
    ) -> None:
        unknown = [it for it in outputs if it not in OUTPUTS]
        if unknown or not outputs or isinstance(outputs, str):
            raise ConfigError(f'outputs are "codes", "score" or both, as in ("codes", "score"); found {outputs!r}')
        if isinstance(keep, str):
            raise ConfigError(f'keep= is a list of names of columns, as in ("id",); found {keep!r}')
        if kind not in KINDS:
            raise ConfigError(f"there is no kind of score {kind!r}; kinds are {', '.join(KINDS)}")
        self.path = Path(run).absolute()
        self._checkpoint = _checkpoint(self.path)
        self.outputs, self.keep, self.column, self.kind = tuple(outputs), tuple(keep), column, kind
        self._options = (device, raw_weights, best)

    def __call__(self, batch: Any) -> Any:
        """The results of a batch: arrays (N,) by name, or a data frame for a data frame.

        DataError for columns that are missing, and for rows that are not like those of the training.
        """
        if not isinstance(batch, Mapping):
            return self._of_frame(batch)
        held = {str(name): np.asarray(it) for name, it in batch.items()}  # some engines give lists
        count = _count(held)
        if lacking := [name for name in self.keep if name not in held]:
            raise DataError(f"the batch has no column {lacking[0]!r} of keep=; its columns are {', '.join(held)}")
        found = self._computed(held, count)
        if taken := [name for name in self.keep if name in found]:
            raise ConfigError(f"{taken[0]!r} of keep= is also the name of a result; rename the column")
        return {**{name: held[name] for name in self.keep}, **found}

    def _of_frame(self, frame: Any) -> Any:
        if not all(hasattr(frame, it) for it in ("columns", "index", "iloc")):
            kind = f"{type(frame).__module__}.{type(frame).__qualname__}"
            raise DataError(f"a batch is a mapping of names to arrays, or a pandas.DataFrame, found {kind}")
        found = self({name: frame[name].to_numpy() for name in frame.columns})
        return type(frame)(found, index=frame.index)

    def _computed(self, held: Mapping[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
        own = self.path, self._checkpoint, self._options
        fitted = "score" in self.outputs and self.kind == "density"
        with _LOCK:  # of two threads, the second waits for the run of the first
            run, density = _load(*own), _density(*own) if fitted else None
        decoded = "score" in self.outputs and self.kind in DECODED
        takes_labels = decoded and run.model.representation.takes_labels
        x, labels, places = _Rows(run, self.column, self.keep, takes_labels).read(held, count)
        arrays: dict[str, np.ndarray] = codes(run, x) if "codes" in self.outputs else {}
        if "score" in self.outputs:
            arrays["score"] = scores(run, x, self.kind, density=density, labels=labels)
        table = _table(run, arrays)
        if len(places) == count:
            return table
        return {name: _spread(it, places, count) for name, it in table.items()}


_LOCK = Lock()


def _checkpoint(path: Path) -> str:
    """The name of the newest checkpoint of a run, empty for an archive. RunError if there is no run."""
    if path.is_file():
        return ""
    folder = RunFolder(path)
    folder.check()
    return latest(folder.checkpoints).name


@lru_cache(RUNS)
def _load(path: Path, checkpoint: str, options: tuple[str, bool, bool]) -> Run:
    if _checkpoint(path) != checkpoint:
        raise RunError(
            f"{path} was at {checkpoint} when the Encoder was made, and is at {_checkpoint(path)} now; results of both "
            "would mix. Make the Encoder again"
        )
    device, raw_weights, best = options
    return load(path, device=device, raw_weights=raw_weights, best=best)


@lru_cache(RUNS)
def _density(path: Path, checkpoint: str, options: tuple[str, bool, bool]) -> Density:
    return AnomalyScorer(_load(path, checkpoint, options), warn).density()


def _count(held: Mapping[str, np.ndarray]) -> int:
    """The number of rows of a batch. DataError unless it is the length of every array."""
    sizes = {name: len(it) if it.ndim else None for name, it in held.items()}
    if None in sizes.values() or len(set(sizes.values())) > 1:
        found = ", ".join(f"{name!r} {'is one value' if it is None else f'has {it}'}" for name, it in sizes.items())
        raise DataError(f"the arrays of a batch must have one length, its number of rows; found: {found}")
    return next(iter(held.values())).shape[0] if held else 0


@dataclass(frozen=True)
class _Rows:
    """Reads the columns of a batch as the training data was read."""

    run: Run
    column: str | None
    keep: tuple[str, ...]
    takes_labels: bool
    """Whether the decoder is used, and takes labels."""

    def read(self, held: Mapping[str, np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """Rows (M, *shape), labels (M,) for a decoder that takes them, and the places (M,) of the rows in the batch."""
        every = np.arange(count)
        if not count:
            none = np.zeros((0, *self.run.model.data_shape), np.float32)
            return none, every if self.takes_labels else None, every
        if self.column is None and self.run.data["columns"] is not None:
            columns = Columns(self.run)
            x, empty = columns.read(held)
            classes = columns.labels(held, ~empty) if self.takes_labels else None
            return x[~empty], classes, every[~empty]
        if self.column is not None and self.column not in held:
            raise DataError(f"the batch has no column {self.column!r}; its columns are {', '.join(held)}")
        if self.column is not None:
            data = {self.column: held[self.column]}
        else:  # what names the rows is no feature of theirs
            data = {name: it for name, it in held.items() if name not in self.keep}
        found = self.run.new_rows(data)
        labels = decoder_labels_of(self.run, found, "the batch") if self.takes_labels else None
        return found.rows.array(), None if labels is None else labels.cpu().numpy(), every


def _table(run: Run, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Each column of a table of these arrays, by its name."""
    block, names = run.model.class_block, run.category_names
    named = {"score": ["score"]} if block is None or names is None else {"score": ["score"], block: names}
    columns = [it for array in arrays.values() for it in array.reshape(len(array), prod(array.shape[1:])).T]
    return dict(zip(header(Results(arrays, list(arrays), named)), columns, strict=True))


def _spread(values: np.ndarray, places: np.ndarray, count: int) -> np.ndarray:
    """Values of some rows at their places among all, NaN elsewhere."""
    found = np.full(count, np.nan, values.dtype)
    found[places] = values
    return found
