"""Objects from Python: arrays, tensors, lists, sparse matrices, data frames, mappings and torch data sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import replace
from typing import Any, Final

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset
from torch.utils.data import Dataset as TorchDataset

from aaeframe.configuration.reading import ReadOptions
from aaeframe.data.raw import RawData, RawPart
from aaeframe.data.readers import frames, keys
from aaeframe.data.readers.image_file import PALETTES
from aaeframe.data.readers.table_columns import check_names, find_roles
from aaeframe.data.readers.table_dialect import LABELS
from aaeframe.data.sources import RowSource, SparseRows, StoredRows, foreign
from aaeframe.errors import DataError

CHUNK: Final = 1000
"""The number of items that are asked for at once, where lists are taken."""

ARRAYS: Final = frozenset({"channels"})
NAMED: Final = ARRAYS | {"label_key", "ids", "drop"}
TABLES: Final = frozenset({"label_key", "ids", "drop", "categories", "missing"})
"""The options that arrays, named arrays and tables use, in files, too."""

BESIDE: Final = "(labels)"
"""The column that labels beside a data frame become."""

TAKEN: Final = (
    "an array, a tensor, a sparse matrix, a list of rows, a pair of one of these and labels, a data frame of pandas or "
    "polars, a pyarrow.Table, an AnnData, a dictionary of arrays, a torch Dataset with a length, "
    "an aaeframe.data.RowSource, or a path"
)


def kind_of(values: Any) -> tuple[str, Set[str], Callable[[Any, ReadOptions], RawData]]:
    """The name of the kind of an object, the options that it uses, and the function that reads it.

    DataError, with the way out, for an object that is not taken.
    """
    name = name_of(values)
    if isinstance(values, RowSource) or _is_sparse(values):
        return name, ARRAYS, _pair
    if isinstance(values, tuple) and len(values) == 2 and frames.is_frame(values[0]):
        return name, TABLES - {"label_key"}, _labeled_frame
    if frames.is_frame(values):
        return name, TABLES, frames.read
    if isinstance(values, Mapping):
        _check_arrays(values, name)
        return name, NAMED | TABLES, _mapping
    if isinstance(values, DataLoader):
        return name, NAMED | TABLES, _loader
    if isinstance(values, IterableDataset) or _only_iterates(values):
        raise DataError(
            f"{name}: has no length and no rows by number. Collect it first, as in np.stack(list(...)), or write it to "
            f".parquet files; give {TAKEN}."
        )
    if isinstance(values, TorchDataset) or _has_columns(values):
        return name, NAMED | TABLES, _items
    if isinstance(values, str | bytes | type) or not (hasattr(values, "__array__") or hasattr(values, "__getitem__")):
        raise DataError(f"{name}: cannot be data. Give {TAKEN}.")
    if isinstance(values, tuple | list | torch.Tensor) or hasattr(values, "__array__"):
        return name, ARRAYS, _pair
    return name, NAMED | TABLES, _items


def _check_arrays(values: Mapping[Any, Any], where: str) -> None:
    """DataError for a mapping of data frames or data sets, whose columns would lose their names and roles."""
    for key, value in values.items():
        if frames.is_frame(value) or _has_columns(value) or isinstance(value, TorchDataset | DataLoader):
            raise DataError(
                f"{where}: {key!r} is a {name_of(value)}, and arrays are needed. Give it alone, or a data frame and "
                "its labels as a pair, or write each split to Parquet files in folders train, val and test."
            )


def name_of(values: Any) -> str:
    """The name of an object in messages: its type, as in "pandas.DataFrame"."""
    if isinstance(values, tuple):
        return "arrays"
    kind = values if isinstance(values, type) else type(values)
    module = kind.__module__.partition(".")[0]
    return kind.__qualname__ if module in ("builtins", "__main__") else f"{module}.{kind.__qualname__}"


def as_array(values: Any, where: str) -> np.ndarray | SparseRows | StoredRows:
    """An array of any layout, a tensor, a list or a sparse matrix as rows. DataError if it is none of these."""
    rows = values if isinstance(values, list | tuple) else [values]
    if any(isinstance(it, np.ma.MaskedArray) for it in rows):
        raise DataError(f"{where}: masked arrays would lose their masks. Give rows without masked values.")
    if isinstance(values, np.ndarray):
        return values if isinstance(values, np.memmap) else np.asarray(values)
    if isinstance(values, RowSource):
        return StoredRows(values)
    if isinstance(values, torch.Tensor):
        return _dense(values, where) if values.layout == torch.strided else _sparse_tensor(values, where)
    if _is_sparse(values):
        if len(values.shape) != 2:
            raise DataError(f"{where}: a sparse matrix is (N, D), found the shape {values.shape}.")
        return SparseRows(values)
    if isinstance(values, list | tuple):
        values = [_dense(it, where) if isinstance(it, torch.Tensor) else _pixels(it) for it in values]
    try:
        found = np.asarray(values)
    except (ValueError, TypeError) as error:
        raise DataError(f"{where}: is not an array: {error}. All rows need one shape.") from error
    if found.dtype.kind == "O" and found.size and all(isinstance(it, Mapping) for it in found.flat):
        raise DataError(f"{where}: holds dictionaries. Give pandas.DataFrame(rows), or {{name: values}}.")
    return found


def as_labels(values: Any, where: str) -> np.ndarray:
    """Labels (N,) as numpy has them; texts in a list that also holds None or NaN stay apart from these."""
    found = as_array(values, where)
    if not isinstance(found, np.ndarray):
        raise DataError(f"{where}: the labels are {name_of(values)}; give a class for each row, (N,).")
    if found.dtype.kind == "T":  # texts of any length
        return found.astype(object)
    if found.dtype.kind == "U" and isinstance(values, list | tuple):  # numpy has written NaN as a text
        return np.array(list(values), dtype=object)
    return keys.as_texts(found, where)


def _pair(values: Any, options: ReadOptions) -> RawData:
    where = name_of(values)
    if not isinstance(values, tuple):
        return RawData([_part(values, None, where)])
    if len(values) != 2:
        raise DataError(
            f"a tuple is a pair of rows and labels, found {len(values)} parts; pass (x, labels), or x alone"
        )
    return RawData([_part(*values, where)])


def _labeled_frame(values: tuple[Any, Any], options: ReadOptions) -> RawData:
    """A data frame and labels: they become a column of it, so that both lose the rows that are left out."""
    frame, labels = values
    where = frames.name_of(frame)
    if where == "anndata.AnnData":
        raw = frames.read(frame, options.model_copy(update={"label_key": ""}))
        return replace(raw, parts=[replace(raw.parts[0], labels=as_labels(labels, where))])
    held, index = frames.columns_of(frame)
    own = [name for name in held if name.lower() in LABELS and name not in (options.drop or ())]
    if own:
        raise DataError(
            f"{where}: column {own[0]!r} can hold the labels, and labels are given beside it. Give the data frame "
            f'alone, or leave the column out by drop=["{own[0]}"].'
        )
    found = {**held, BESIDE: as_labels(labels, where)}
    raw = frames.from_columns(found, options.model_copy(update={"label_key": BESIDE}), where, index)
    return replace(raw, labels_from=None)


def _part(x: Any, labels: Any, where: str) -> RawPart:
    rows: Any = as_array(x, where)
    return RawPart(rows, None if labels is None else as_labels(labels, where))


def _mapping(
    values: Mapping[Any, Any],
    options: ReadOptions,
    known: Callable[[str], tuple[str, ...] | None] = lambda label: None,
    where: str | None = None,
) -> RawData:
    """A dictionary of arrays: a table if each is one value a row, or named arrays as those of a .npz file.

    `known` gives the names of the classes 0, 1, ... of an array, if it has some.
    """
    where = where or name_of(values)
    names = [str(name).strip() for name in values]
    check_names(names, where)
    held: dict[str, Any] = {
        name: (as_array if _is_sparse(it) else as_labels)(it, f"{where}[{name!r}]")
        for name, it in zip(names, values.values(), strict=True)
    }
    if held and all(it.ndim == 1 for it in held.values()):
        raw, place = frames.from_columns(held, options, where), find_roles(names, options, where).label
        return raw if place is None or raw.class_names else replace(raw, class_names=known(names[place]))
    if unused := options.given.keys() & (TABLES - NAMED):
        raise DataError(f"{where}: {', '.join(sorted(unused))} is used for tables alone; leave it out.")
    shapes = {name: keys.Held(it.shape, texts=it.dtype.kind in "UO") for name, it in held.items()}
    choices = keys.pick(shapes, options, where)
    parts = [
        RawPart(
            held[it.data],
            None if it.labels is None else held[it.labels],
            None if it.ids is None else keys.as_ids(held[it.ids], where),
        )
        for it in choices
    ]
    over = keys.passed_over(shapes, keys.chosen(choices))
    label = choices[0].labels
    class_names = None if label is None else known(label)
    return RawData(parts, class_names=class_names, labels_from=keys.labels_from(choices), passed_over=over)


def _loader(loader: DataLoader[Any], options: ReadOptions) -> RawData:
    """The data set of a DataLoader, whose order and batches are not those of the training."""
    _, _, read = kind_of(loader.dataset)
    raw = read(loader.dataset, options)
    said = "order and batches of the DataLoader: its data set is read"
    return replace(raw, passed_over=(*raw.passed_over, said))


def _items(values: Any, options: ReadOptions) -> RawData:
    """A data set that gives rows by their number, or by lists of numbers. Each row is read once, into memory."""
    where = name_of(values)
    if isinstance(values, TensorDataset):
        return _columns(list(values.tensors), options, where, None)
    with foreign(where):
        names, found = _class_names(values), _collected(values, where)
    if isinstance(found, Mapping):
        return _mapping(found, options, lambda label: names or _names_of_feature(values, label), where)
    if isinstance(found, tuple):
        return _columns(list(found), options, where, names)
    return RawData([_part(found, None, where)])


def _collected(values: Any, where: str) -> Any:
    """All items: a dictionary of columns, a tuple of the parts of items, or a list of rows.

    DataError for dictionaries of different names.
    """
    count = len(values)
    if _has_columns(values):
        return _by_lists(values, count)
    try:
        items = [values[0]]
    except Exception:  # an object of somebody else's: it may take lists alone
        return _by_lists(values, count)
    items += [values[i] for i in range(1, count)]
    first = items[0]
    if isinstance(first, Mapping):
        if odd := [i for i, it in enumerate(items) if it.keys() != first.keys()]:
            raise DataError(
                f"{where}: item {odd[0]} has the names {', '.join(map(repr, items[odd[0]]))}, and the first has "
                f"{', '.join(map(repr, first))}. All items need the same."
            )
        return {name: [it[name] for it in items] for name in first}
    if isinstance(first, tuple | list) and not all(isinstance(it, float | int) for it in first):
        return tuple(list(it) for it in zip(*items, strict=True))
    return items


def _columns(found: list[Any], options: ReadOptions, where: str, names: tuple[str, ...] | None) -> RawData:
    """Rows alone, or rows and labels."""
    if len(found) > 2:
        raise DataError(
            f"{where}: each item has {len(found)} parts. Items are rows, or pairs of row and label; give a data set of "
            "these, or dictionaries with names."
        )
    if unused := options.given.keys() & ((NAMED | TABLES) - ARRAYS):
        raise DataError(f"{where}: {', '.join(sorted(unused))} needs items with names; leave it out.")
    part = _part(found[0], found[1] if len(found) == 2 else None, where)
    return RawData([part], class_names=names, labels_from="the second part of each item" if len(found) == 2 else None)


def _by_lists(values: Any, count: int) -> Any:
    """All rows, asked for by lists of numbers: a dictionary of columns, or rows."""
    found = [values[list(range(start, min(start + CHUNK, count)))] for start in range(0, count, CHUNK)]
    if isinstance(found[0], Mapping):
        return {name: [it for part in found for it in part[name]] for name in found[0]}
    return [it for part in found for it in part]


def _class_names(values: Any) -> tuple[str, ...] | None:
    """The names of the classes 0, 1, ... that a data set like torchvision's lists."""
    names = getattr(values, "classes", None)
    return _class_names(values.dataset) if names is None and hasattr(values, "dataset") else _texts(names)


def _names_of_feature(values: Any, label: str) -> tuple[str, ...] | None:
    """The names of the classes that a Hugging Face data set gives for a column."""
    features = getattr(values, "features", None)
    return _texts(getattr(features.get(label), "names", None)) if isinstance(features, Mapping) else None


def _texts(names: Any) -> tuple[str, ...] | None:
    """Names that are texts. Other objects have `names`, too, as tensors of earlier versions of torch had for axes."""
    found = isinstance(names, list | tuple) and names and all(isinstance(it, str) for it in names)
    return tuple(names) if found else None


def _only_iterates(values: Any) -> bool:
    """Whether an object gives rows one after another, and none by its number."""
    if isinstance(values, Iterator):
        return not isinstance(values, TorchDataset)
    known = hasattr(values, "__getitem__") or hasattr(values, "__array__")
    return hasattr(values, "__iter__") and not known and not isinstance(values, type)


def _has_columns(values: Any) -> bool:
    return hasattr(values, "column_names") and hasattr(values, "__getitem__")


def _pixels(item: Any) -> Any:
    """An image of Pillow as an array of its colors. In a list, numpy would keep it as an object."""
    if getattr(item, "mode", None) in PALETTES and hasattr(item, "convert"):  # else the array is of palette indices
        item = item.convert("RGBA" if item.has_transparency_data else "RGB")
    return np.asarray(item) if hasattr(item, "__array_interface__") and not isinstance(item, np.generic) else item


def _is_sparse(values: Any) -> bool:
    from scipy.sparse import issparse

    return bool(issparse(values))


def _dense(values: torch.Tensor, where: str) -> np.ndarray:
    """A tensor as an array; types that numpy lacks as float32."""
    values = values.detach().cpu()
    if values.is_floating_point() and values.dtype not in (torch.float16, torch.float32, torch.float64):
        values = values.float()
    try:
        return np.asarray(values.resolve_conj().resolve_neg().numpy())
    except TypeError as error:
        raise DataError(f"{where}: a tensor of type {values.dtype} is not an array: {error}. Give .float().") from error


def _sparse_tensor(values: torch.Tensor, where: str) -> SparseRows:
    from scipy.sparse import coo_array, csr_array

    if values.ndim != 2:
        raise DataError(f"{where}: a sparse tensor is (N, D), found the shape {tuple(values.shape)}. Pass .to_dense().")
    values, shape = values.detach().cpu(), tuple(values.shape)
    if values.dtype in (torch.float16, torch.bfloat16):  # scipy has neither
        values = values.float()
    if values.layout == torch.sparse_csr:
        parts = (values.values().numpy(), values.col_indices().numpy(), values.crow_indices().numpy())
        return SparseRows(csr_array(parts, shape=shape))
    if values.layout != torch.sparse_coo or values.sparse_dim() != 2:
        values = values.to_dense().to_sparse()
    whole = values.coalesce()
    return SparseRows(coo_array((whole.values().numpy(), tuple(whole.indices().numpy())), shape=shape))
