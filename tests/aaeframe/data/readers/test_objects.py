"""Objects from Python: one data set, in every form that holds it."""

import re
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import sparse
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from aaeframe.data import from_arrays, load, load_rows
from aaeframe.data.columns import aligned
from aaeframe.data.identity import identity
from aaeframe.data.raw import RawData, RawPart
from aaeframe.data.sources import SparseRows
from aaeframe.errors import DataError

ROWS = np.random.default_rng(0).normal(size=(40, 3))
LABELS = np.array(["b", "a"])[np.arange(40) % 2]
COUNTS = np.random.default_rng(1).poisson(0.3, (40, 20)).astype(np.float64)
IMAGES = np.random.default_rng(2).integers(0, 256, (20, 8, 9, 3), dtype=np.uint8)


class Items(Dataset):
    """A map-style data set of the given items."""

    def __init__(self, items, **attributes):
        self.items = list(items)
        self.__dict__.update(attributes)

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


class ByLists:
    """Rows by lists of numbers alone, as a table of columns if `named`."""

    def __init__(self, named):
        if named:
            self.column_names = ["x", "label"]
        self.named = named

    def __len__(self):
        return len(ROWS)

    def __getitem__(self, index):
        if not isinstance(index, list):
            raise TypeError("lists alone")
        return {"x": ROWS[index].tolist(), "label": LABELS[index].tolist()} if self.named else ROWS[index]


@pytest.mark.parametrize(
    "rows",
    [
        np.asfortranarray(ROWS),
        ROWS.astype(">f8"),
        ROWS[::-1][::-1],
        ROWS.tolist(),
        list(ROWS),
        torch.from_numpy(ROWS),
        list(torch.from_numpy(ROWS)),
        TensorDataset(torch.from_numpy(ROWS)),
        Items(ROWS),
        Items((row,) for row in ROWS),
        Items({"x": row} for row in ROWS),
        ByLists(named=False),
        {"x": ROWS},
    ],
    ids=(
        *("columns first", "big-endian", "reversed", "lists", "arrays", "tensor", "tensors", "TensorDataset"),
        *("items", "items of one", "dictionaries", "by lists", "dictionary"),
    ),
)
def test_rows_are_the_same_in_every_form(rows):
    known, found = load(ROWS), load(rows)
    assert found.spec.shape == (3,)
    assert identity(found)["digests"] == identity(known)["digests"]
    assert torch.equal(found.spec.mean, known.spec.mean)


@pytest.mark.parametrize(
    "rows",
    [
        (ROWS, LABELS),
        (ROWS.tolist(), LABELS.tolist()),
        Items(zip(ROWS, LABELS == "b", strict=True), classes=["a", "b"]),
        Items({"data": x, "target": y} for x, y in zip(ROWS, LABELS, strict=True)),
        Subset(
            Items(zip(torch.from_numpy(ROWS), (LABELS == "b").tolist(), strict=True), classes=["a", "b"]), range(40)
        ),
        ByLists(named=True),
        {"x": ROWS, "y": LABELS},
    ],
    ids=["pair", "lists", "items", "dictionaries", "subset", "columns", "arrays"],
)
def test_labels_are_the_same_in_every_form(rows):
    known, found = from_arrays(ROWS, LABELS), load(rows)
    assert found.class_names == ("a", "b")
    assert identity(found)["digests"] == identity(known)["digests"]


@pytest.mark.parametrize(
    "make",
    [
        sparse.csr_matrix,
        sparse.csc_array,
        sparse.coo_array,
        lambda x: torch.from_numpy(x).to_sparse(),
        lambda x: torch.from_numpy(x).to_sparse_csr(),
        lambda x: torch.from_numpy(x).to_sparse(1),
        sparse.dia_array,
        sparse.dok_array,
    ],
    ids=["csr", "csc", "coo", "torch coo", "torch csr", "torch hybrid", "dia", "dok"],
)
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
def test_sparse_rows_become_dense_when_they_are_read(make):
    known, found = load(COUNTS), load(make(COUNTS))
    assert not isinstance(found.train.data, np.ndarray)
    assert identity(found)["digests"] == identity(known)["digests"]
    assert torch.equal(found.spec.std, known.spec.std)
    np.testing.assert_array_equal(load_rows(make(COUNTS)).rows.array(), COUNTS.astype(np.float32))


def test_a_sparse_value_that_is_not_finite():
    rows = sparse.csr_matrix(np.where(COUNTS.max() == COUNTS, np.inf, COUNTS))
    with pytest.raises(DataError, match=r"values are not finite in float32; the first is inf in row"):
        load(rows)


@pytest.mark.parametrize(
    "rows",
    [[Image.fromarray(it) for it in IMAGES], Items((Image.fromarray(it), 0) for it in IMAGES)],
    ids=["list", "items"],
)
def test_images_of_pillow(rows):
    found = load(rows)
    assert found.train.shape == (3, 8, 9)
    np.testing.assert_array_equal(found.split("all").array(), np.moveaxis(IMAGES, -1, 1))


def test_images_of_a_palette_have_its_colors():
    colors = np.random.default_rng(0).integers(0, 256, (8, 9, 3), np.uint8)
    images = [Image.fromarray(colors[::step]).quantize(8) for step in (1, -1)]
    found = load_rows(images).rows.array()
    np.testing.assert_array_equal(found, [np.asarray(it.convert("RGB")).transpose(2, 0, 1) for it in images])
    images[0].info["transparency"] = images[1].info["transparency"] = 0
    assert load_rows(Items((it, 0) for it in images)).rows.shape == (4, 8, 9)


@pytest.mark.parametrize("form", [torch.Tensor.to_sparse, torch.Tensor.to_dense, list], ids=["sparse", "dense", "list"])
def test_bfloat16_becomes_float32(form):
    found = load_rows(form(torch.from_numpy(COUNTS).bfloat16())).rows
    assert found.data.dtype == np.float32
    np.testing.assert_array_equal(found.array(), COUNTS)


def test_sparse_rows_beside_labels():
    found = load({"x": sparse.csr_matrix(COUNTS), "y": LABELS})
    assert found.class_names == ("a", "b")
    assert identity(found)["digests"] == identity(from_arrays(COUNTS, LABELS))["digests"]


def test_the_columns_of_sparse_rows_in_another_order():
    rows = RawData([RawPart(SparseRows(sparse.csr_matrix(COUNTS)))], columns=tuple(map(str, range(20))))
    wanted = rows.columns[::-1]
    np.testing.assert_array_equal(np.asarray(aligned(rows, wanted, (), "x").parts[0].x), COUNTS[:, ::-1])


def test_bytes_are_texts():
    found = load({"a": ROWS[:, 0], "b": ROWS[:, 1], "label": LABELS.astype("S1")})
    assert found.class_names == ("a", "b")


@pytest.mark.parametrize("kind", [float, np.float32])
def test_nan_of_any_type_is_no_label_of_a_table(kind):
    labels = [kind("nan"), *LABELS[1:].tolist()]
    found = load_rows({"a": ROWS[:, 0], "b": ROWS[:, 1], "label": labels})
    assert found.class_names == ("a", "b")
    assert found.rows.labels[0] == -1


def test_classes_that_do_not_occur_keep_the_names_of_the_others():
    items = Items(zip(ROWS, 2 * (LABELS == "b"), strict=True), classes=["cat", "dog", "eel"])
    assert load(items).class_names == ("cat", "eel")
    beyond = Items(zip(ROWS, 5 + (LABELS == "b"), strict=True), classes=["cat", "dog"])
    assert load(beyond).class_names == ("5", "6")


@pytest.mark.parametrize("columns", [{"x": ROWS}, {"a": ROWS[:, 0], "b": ROWS[:, 1]}], ids=["array", "table"])
def test_the_names_of_classes_of_a_hugging_face_data_set(columns):
    codes = np.arange(40) % 2

    class Feature:
        names = ("cat", "dog")

    class Columns:
        column_names, features = [*columns, "label", "kind"], {"label": Feature(), "a": None}

        def __len__(self):
            return len(ROWS)

        def __getitem__(self, rows):
            return {name: it[rows].tolist() for name, it in {**columns, "label": codes, "kind": codes}.items()}

    assert load(Columns(), drop=["kind"]).class_names == ("cat", "dog")
    assert load(Columns(), drop=["label"], label_key="kind").class_names == ("0", "1")


def test_names_that_are_no_texts_are_no_names_of_classes():
    items = [{"x": row, "label": i % 2} for i, row in enumerate(ROWS)]
    assert load(Items(items, features={"label": SimpleNamespace(names=(None, None))})).class_names == ("0", "1")


def test_a_decimal_of_thousands_of_digits_is_not_finite():
    with pytest.raises(DataError, match="not finite"):
        load({"a": np.array([Decimal("1E+5000"), Decimal(1)] * 20), "b": ROWS[:, 0]})


def test_labels_are_texts_of_any_length_of_numpy():
    assert load((ROWS, LABELS.astype(np.dtypes.StringDType()))).class_names == ("a", "b")


@pytest.mark.parametrize("held", [TensorDataset(torch.zeros(20, 3)), DataLoader(TensorDataset(torch.zeros(20, 3)))])
def test_a_dictionary_of_data_sets_is_refused(held):
    with pytest.raises(DataError, match=r"dict: 'train' is a torch\.\w+, and arrays are needed"):
        load({"train": held, "test": held})


def test_a_loader_is_read_by_its_data_set_and_says_so():
    found = load(DataLoader(TensorDataset(torch.from_numpy(ROWS), torch.arange(40) % 2), batch_size=7, shuffle=True))
    assert identity(found)["digests"] == identity(from_arrays(ROWS, np.arange(40) % 2))["digests"]
    assert found.reading.passed_over == ("order and batches of the DataLoader: its data set is read",)


class Stream(IterableDataset):
    """Rows in an order alone."""

    def __iter__(self):
        return iter(ROWS)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (Stream(), "Stream: has no length and no rows by number. Collect it first"),
        ((row for row in ROWS), "generator: has no length"),
        (torch.distributions.Normal, "torch.Normal: cannot be data. Give an array, a tensor"),
        (None, "NoneType: cannot be data"),
        ([{"a": 1.0}, {"a": 2.0}], "list: holds dictionaries. Give pandas.DataFrame(rows)"),
        (np.ma.masked_array(ROWS, ROWS > 0), "numpy.MaskedArray: masked arrays would lose their masks"),
        (Items((x, 0, 0) for x in ROWS), "Items: each item has 3 parts"),
        (torch.zeros(2, 3, 4).to_sparse(), "a sparse tensor is (N, D), found the shape (2, 3, 4)"),
        ({"a": [1.0, 2.0], "b": [1.0]}, "columns are of different lengths"),
        ({"a": [1.0, 2.0], " a": [3.0, 4.0]}, "columns 1 and 2 are both named 'a'"),
        (Items([{"x": ROWS[0]}, {"z": ROWS[0]}]), "Items: item 1 has the names 'z', and the first has 'x'"),
        (Items([{"x": ROWS[0]}, {"x": ROWS[0], "z": 0}]), "item 1 has the names 'x', 'z', and the first has 'x'"),
        (Items([(ROWS[0], 0), (ROWS[1],)]), "Items: cannot be read: ValueError"),
        ([np.ma.masked_array(row, row > 0) for row in ROWS], "list: masked arrays would lose their masks"),
        (np.matrix(np.eye(3, dtype=complex)), "the data is of type complex128"),
    ],
    ids=[
        *("stream", "generator", "class", "none", "records", "masked", "triples", "sparse", "lengths", "names"),
        *("keys", "more keys", "uneven", "masks", "matrix"),
    ],
)
def test_what_cannot_be_data_is_named_with_the_way_out(rows, message):
    with pytest.raises(DataError, match=re.escape(message)):
        load(rows)


def test_options_of_another_kind_are_refused():
    with pytest.raises(DataError, match=r"numpy.ndarray: label_key is not used for numpy.ndarray"):
        load(ROWS, label_key="a")
    with pytest.raises(DataError, match="missing is used for tables alone"):
        load({"x": ROWS, "y": LABELS}, missing="mean")
