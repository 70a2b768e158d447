"""The additions of a run to an export of its model: rows for the check, and its own entries of the manifest."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from aaeframe.data import Split
from aaeframe.data.dataset import row_type
from aaeframe.data.read import name_of
from aaeframe.errors import DataError
from aaeframe.export.check import ROWS

if TYPE_CHECKING:
    from aaeframe.runs.run import Run


def rows_for_check(run: Run, data: Any = None) -> tuple[np.ndarray, str]:
    """Rows (M, *shape) of the type of the data, and their origin in words.

    They are the first rows of `data`; by default validation rows of the run, or training rows if there are none.
    """
    if data is None:
        try:
            dataset = run.dataset()
        except DataError as error:
            raise DataError(f"{error}. Or check the files on other rows: --data, in Python data=") from error
        name = "validation" if len(dataset.validation) else "train"
        return _first(dataset.split(name)), f"{name} rows of {without_folders(dataset.name)}"
    rows, _ = run.rows_and_labels(data, None)
    if isinstance(rows, Split):
        return _first(rows), f"rows of {without_folders(name_of(data))}"
    rows = rows[:ROWS].cpu().numpy() if isinstance(rows, torch.Tensor) else np.asarray(rows[:ROWS])
    return rows.astype(row_type(rows.dtype)), f"rows of {without_folders(name_of(data))}"


def about(run: Run) -> dict[str, Any]:
    """The entries "run" and "data" of a manifest: components, step of the weights, columns and classes."""
    config = run.config
    return {
        "run": {
            "recipe": config.recipe.component,
            "prior": {block: part.component for block, part in config.prior.items()},
            "encoder": config.encoder.component,
            "network": config.network.component,
            "step": run.step,
            "raw_weights": run.raw_weights,
        },
        "data": {
            "name": without_folders(run.data["name"]),
            "columns": run.data["columns"],
            "classes": run.category_names,
        },
    }


def _first(split: Split) -> np.ndarray:
    return split.rows(np.arange(min(ROWS, len(split))))


def without_folders(name: str) -> str:
    """The name of a data set, or of a split of one, without the folders of this machine."""
    before, of, path = name.rpartition(" of ")
    return f"{before}{of}{PurePath(path).name if PurePath(path).is_absolute() else path}"
