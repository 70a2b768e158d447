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
from aaeframe.runs.new_data import has_model_form

if TYPE_CHECKING:
    from aaeframe.runs.run import Run


def rows_for_check(run: Run, data: Any = None, label_key: str | None = None) -> tuple[np.ndarray, str]:
    """Rows (M, *shape) of the type of the data, and their origin in words.

    They are the first rows of `data`; by default validation rows of the run, or training rows if there are none.
    `label_key` names the labels of `data`, which are not used.
    """
    if data is None:
        try:
            dataset = run.dataset()
        except DataError as error:
            raise DataError(f"{error}. Or check the files on other rows: --data, in Python data=") from error
        name = "validation" if len(dataset.validation) else "train"
        return _first(dataset.split(name)), f"{name} rows of {without_folders(dataset.name)}"
    origin = f"rows of {without_folders(name_of(data))}"
    if not has_model_form(run, data):
        return _first(run.new_rows(data, label_key=label_key).rows), origin
    rows = next(run.model.batches(data, ROWS)).detach().cpu()
    rows = rows.float() if rows.dtype == torch.bfloat16 else rows  # which numpy does not have
    return rows.numpy().astype(row_type(rows.numpy().dtype)), origin


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
    """The name of a data set without the folders of this machine: the last part of a path."""
    return PurePath(name).name


def split_without_folders(name: str) -> str:
    """The name of a split in reports, as "test of cells.npz", without the folders of this machine."""
    split, of, data = name.partition(" of ")  # the name of a split has no such word, that of a folder may have
    return f"{split}{of}{without_folders(data)}"
