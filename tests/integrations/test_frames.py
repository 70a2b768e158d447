"""Data frames of other libraries, with the rules of tables in files."""

import re
from decimal import Decimal

import numpy as np
import pytest
from scipy import sparse

import aaeframe
from aaeframe.data import load
from aaeframe.data.identity import identity
from aaeframe.errors import DataError

pd = pytest.importorskip("pandas", reason="no extra 'integrations'")
pl = pytest.importorskip("polars", reason="no extra 'integrations'")
pa = pytest.importorskip("pyarrow", reason="no extra 'integrations'")
ad = pytest.importorskip("anndata", reason="no extra 'integrations'")

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(RNG.normal(size=(60, 3)), columns=["p", "q", "r"]).assign(
    flag=RNG.random(60) > 0.5, count=np.arange(60) % 7, label=np.array(["b", "a", "c"])[np.arange(60) % 3]
)


@pytest.mark.parametrize(
    "form",
    [
        lambda frame: frame,
        lambda frame: frame.convert_dtypes(),
        lambda frame: frame.assign(label=frame.label.astype("category")),
        lambda frame: pl.from_pandas(frame),
        lambda frame: pl.from_pandas(frame).lazy(),
        lambda frame: pl.from_pandas(frame).with_columns(pl.col("label").cast(pl.Categorical)),
        lambda frame: pa.Table.from_pandas(frame),
        lambda frame: pa.RecordBatch.from_pandas(frame),
        lambda frame: pa.table({**frame, "label": pa.array(frame.label).dictionary_encode()}),
        lambda frame: dict(frame),
    ],
    ids=["pandas", "nullable", "category", "polars", "lazy", "categorical", "arrow", "batch", "dictionary", "dict"],
)
def test_a_frame_is_read_as_its_csv(form, tmp_path):
    FRAME.to_csv(tmp_path / "frame.csv", index=False)
    known, found = load(tmp_path / "frame.csv"), load(form(FRAME))
    assert found.columns == known.columns == ("p", "q", "r", "flag", "count")
    assert found.class_names == known.class_names == ("a", "b", "c")
    assert identity(found)["digests"] == identity(known)["digests"]


@pytest.mark.parametrize(
    "form", [lambda it: it, pl.from_pandas, pa.Table.from_pandas], ids=["pandas", "polars", "arrow"]
)
def test_missing_values_and_labels(form):
    holes = FRAME.assign(p=FRAME.p.where(FRAME.p > -1), label=FRAME.label.where(np.arange(60) > 9))
    count = int(holes.p.isna().sum())
    with pytest.raises(DataError, match=re.escape(f"{count} empty cells: 'p' {count}. Set data.missing")):
        load(form(holes))
    found = load(form(holes), missing="mean")
    assert (found.split("all").labels < 0).sum() == 10
    assert f"{count} empty cells, filled in" in found.reading.passed_over[-1]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pd.date_range("2020", periods=60), "column 'new' holds dates or times (datetime64[ns])"),
        (["x"] * 60, "row 0, column 'new' holds 'x', which is not a number. A column of texts is named by"),
        (["1,5"] * 60, "holds '1,5', which is not a number. It is a text: give numbers, as 1234.5, or leave it out by"),
        ([2**60 + 1] * 60, "column 'new' holds 1152921504606846977, which is beyond 2**53"),
    ],
    ids=["dates", "texts", "commas", "large"],
)
def test_columns_without_a_role_are_refused(column, message):
    with pytest.raises(DataError, match=re.escape(message)):
        load(FRAME.assign(new=column))
    assert load(FRAME.assign(new=column), drop=["new"]).columns == ("p", "q", "r", "flag", "count")


LARGE = [2**60 + i for i in range(60)]


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([None, *LARGE[1:]]),
        pd.array([None, *LARGE[1:]], dtype="Int64"),
        pd.array(LARGE, dtype="Int64"),
        np.array(LARGE, dtype=object),
        [str(it) for it in LARGE],
        [Decimal(it) for it in LARGE],
    ],
    ids=["polars", "nullable", "whole", "objects", "texts", "decimals"],
)
def test_large_whole_numbers_stay_apart(column):
    if isinstance(column, pl.Series):
        frame = pl.from_pandas(FRAME.drop(columns="label")).with_columns(column.alias("new"))
    else:
        frame = FRAME.drop(columns="label").assign(new=column)
    with pytest.raises(DataError, match=r"column 'new' holds \d+, which is beyond 2\*\*53"):
        load(frame, missing="drop")
    ids = load(frame, ids="new").split("all").ids
    assert len(set(ids)) == 60
    assert ids[-1] == str(LARGE[-1])


def test_large_whole_numbers_as_labels():
    classes = pd.array([LARGE[i % 2] for i in range(59)] + [None], dtype="Int64")
    found = load(FRAME.assign(label=classes))
    assert found.class_names == (str(LARGE[0]), str(LARGE[1]))
    assert found.split("all").labels[-1] == -1


@pytest.mark.parametrize("name", ["datetime64[ns]", "timedelta64[ns]"])
def test_dates_that_are_missing_are_no_labels(name):
    labels = pd.Series(np.arange(60) % 2).astype(name).where(np.arange(60) > 9)
    for frame in (FRAME.assign(label=labels), pl.from_pandas(FRAME.assign(label=labels))):
        found = load(frame)
        assert len(found.class_names) == 2
        assert (found.split("all").labels < 0).sum() == 10


def test_labels_of_half_precision_are_whole_numbers(recwarn):
    assert load(FRAME.assign(label=(np.arange(60) % 2).astype(np.float16))).class_names == ("0", "1")
    assert not recwarn.list


def test_the_index_names_rows_unless_a_column_does():
    shuffled = FRAME.assign(ids=[f"row {i}" for i in range(60)]).sample(frac=1, random_state=0)
    assert load(shuffled).split("all").ids.tolist() == shuffled.ids.tolist()
    named = FRAME.set_index(pd.Index([f"row {i}" for i in range(60)]))
    holes = named.assign(p=FRAME.p.where(FRAME.p > 0).to_numpy())
    assert load(holes, missing="drop").split("all").ids.tolist() == holes.index[holes.p.notna()].tolist()


def test_categories_and_names_as_in_a_csv(tmp_path):
    frame = FRAME.drop(columns="label").assign(**{"site": ["NA", "u", "v"] * 20, " label ": ["x", "y"] * 30})
    frame.to_csv(tmp_path / "frame.csv", index=False)
    known, found = (load(it, categories=["site"], missing="drop") for it in (tmp_path / "frame.csv", frame))
    assert found.columns == known.columns
    assert found.class_names == known.class_names == ("x", "y")
    assert identity(found)["digests"] == identity(known)["digests"]


def test_a_pair_of_a_frame_and_labels():
    holes = FRAME.drop(columns="label").assign(p=FRAME.p.where(FRAME.p > 0))
    labels = FRAME.label.to_numpy()
    found = load((holes, labels), missing="drop")
    kept = holes.p.notna().to_numpy()
    assert [found.class_names[i] for i in found.split("all").labels] == labels[kept].tolist()
    with pytest.raises(DataError, match="column 'label' can hold the labels, and labels are given beside it"):
        load((FRAME, labels))


@pytest.mark.parametrize(
    "column",
    [pl.Series([[1.0, 2.0]] * 60), pl.Series([{"a": 1}] * 60), pl.Series([[1, 2]] * 60, dtype=pl.Array(int, 2))],
)
def test_columns_of_several_values_are_refused(column):
    frame = pl.from_pandas(FRAME).with_columns(column.alias("new"))
    with pytest.raises(DataError, match=r"column 'new' holds more than one value a row.*data.drop=\[\"new\"\]"):
        load(frame)
    assert load(frame, drop=["new"]).columns == ("p", "q", "r", "flag", "count")


@pytest.mark.parametrize("form", [lambda it: it, pl.from_pandas, pa.Table.from_pandas])
def test_a_dictionary_of_frames_is_refused(form):
    with pytest.raises(DataError, match=r"dict: 'train' is a \w+\.\w+, and arrays are needed. Give it alone"):
        load({"train": form(FRAME.drop(columns="label"))})


def test_a_lazy_frame_that_fails():
    with pytest.raises(DataError, match=r"polars.LazyFrame: cannot be read: ColumnNotFoundError"):
        load(pl.from_pandas(FRAME).lazy().select("nothing"))


def test_names_of_rows_and_categories():
    named = FRAME.set_index(pd.Index([f"row {i}" for i in range(60)]))
    data = load(named)
    assert data.split("all").ids.tolist() == [f"row {i}" for i in range(60)]
    assert data.reading.passed_over == ("the index, which names the rows",)
    assert load(FRAME).train.ids is None
    found = load(FRAME.assign(key=range(500, 560), site=["x", "y"] * 30), ids="key", categories=["site"])
    assert found.split("all").ids[0] == "500"
    assert found.columns[-2:] == ("site=x", "site=y")


def test_anndata():
    counts = sparse.random(60, 12, 0.3, format="csr", random_state=0)
    obs = pd.DataFrame({"cell": FRAME.label.to_numpy(), "depth": 1}, index=[f"cell {i}" for i in range(60)])
    data = ad.AnnData(counts, obs=obs)
    found = load(data, label_key="cell")
    assert found.class_names == ("a", "b", "c")
    assert found.split("all").ids[1] == "cell 1"
    assert found.reading.passed_over == ("1 column of obs",)
    np.testing.assert_allclose(found.split("all").array(), counts.toarray().astype(np.float32))
    with pytest.raises(DataError, match=r"there is no column 'type'. The columns are cell, depth"):
        load(data, label_key="type")
    run = aaeframe.train(data, label_key="cell", epochs=1, batch_size=20, keep=False, progress=False)
    assert run.encode(data[:, ::-1])["gaussian"].equal(run.encode(data)["gaussian"])


def test_a_run_takes_frames_whatever_the_order_of_their_columns():
    run = aaeframe.train(FRAME, epochs=1, batch_size=20, keep=False, progress=False)
    code = run.encode(FRAME)["gaussian"]
    assert code.equal(run.encode(pl.from_pandas(FRAME.iloc[:, ::-1]))["gaussian"])
    assert code.equal(run.encode(FRAME.drop(columns="label"))["gaussian"])
    with pytest.raises(DataError, match="the columns are not those of the training; missing: q"):
        run.encode(FRAME.drop(columns="q"))
