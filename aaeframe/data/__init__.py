"""Data sets: the named ones that plugins offer, and the user's own files and arrays.

    data_sets()
    data = load("digits")
    data = load("faces.npz")
    rows = load_rows("new.npy").rows
    points = load_table("points.csv")
    data = from_arrays(x, labels)
    data.train.rows(np.array([3, 1, 4]))

All input is checked here, once; users of a `Dataset` can rely on it.
"""

from __future__ import annotations

from aaeframe.configuration.data_sets import data_sets
from aaeframe.data.assemble import from_arrays
from aaeframe.data.dataset import AllRows, Dataset, Split
from aaeframe.data.few_labels import labeled_subset
from aaeframe.data.read import load, load_rows, load_table
from aaeframe.data.sources import RowSource

__all__ = [
    "AllRows",
    "Dataset",
    "RowSource",
    "Split",
    "data_sets",
    "from_arrays",
    "labeled_subset",
    "load",
    "load_rows",
    "load_table",
]
