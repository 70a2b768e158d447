"""Tables in Parquet and Arrow files, Hugging Face data sets and .h5ad files, whose rows stay in them."""

from __future__ import annotations

import json
from decimal import Decimal

import numpy as np
import pytest

import aaeframe
from aaeframe.data import from_arrays, load, load_rows, sources, summary
from aaeframe.data.identity import identity
from aaeframe.errors import DataError

pa = pytest.importorskip("pyarrow", reason="no extra 'integrations'")
pd = pytest.importorskip("pandas", reason="no extra 'integrations'")
ad = pytest.importorskip("anndata", reason="no extra 'integrations'")
feather = pytest.importorskip("pyarrow.feather", reason="no extra 'integrations'")
parquet = pytest.importorskip("pyarrow.parquet", reason="no extra 'integrations'")

RNG = np.random.default_rng(0)
X = RNG.normal(3, 2, size=(600, 4)).astype(np.float32)
NAMES = ("p", "q", "r", "s")
LABELS = np.array(["b", "a", "c"])[np.arange(600) % 3]
TABLE = pa.table({**dict(zip(NAMES, X.T, strict=True)), "label": LABELS})


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path_factory):
    import pooch

    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(pooch, "os_cache", lambda project: folder / project)
    return folder / "aaeframe"


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(sources, "CHUNK_BYTES", 16 * 50)


def write_parquet(path, table=TABLE):
    parquet.write_table(table, path, row_group_size=32)
    return path


def write_folder(path, table=TABLE):
    path.mkdir()
    for i, start in enumerate(range(0, table.num_rows, 250)):
        write_parquet(path / f"part-{i}.parquet", table.slice(start, 250))
    (path / "_SUCCESS").touch()
    return path


def write_feather(path, table=TABLE):
    feather.write_feather(table, path, chunksize=40)
    return path


def write_file(path, table=TABLE):
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=45)
    return path


def write_hugging_face(path, table=TABLE, features=None):
    """A data set as `datasets` of Hugging Face saves it: streams, their list, and the features in the schema."""
    path.mkdir()
    if features is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    files = []
    for i, start in enumerate(range(0, table.num_rows, 200)):
        files.append({"filename": f"data-{i:05d}-of-00003.arrow"})
        name = str(path / files[-1]["filename"])
        with pa.OSFile(name, "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table.slice(start, 200), max_chunksize=60)
    (path / "state.json").write_text(json.dumps({"_data_files": files}))
    (path / "dataset_info.json").write_text("{}")
    return path


FORMS = {
    "rows.parquet": write_parquet,
    "folder": write_folder,
    "rows.feather": write_feather,
    "rows.arrow": write_file,
    "hf": write_hugging_face,
}


@pytest.mark.parametrize("name", FORMS)
def test_a_table_in_files_is_the_data_set_of_its_rows(name, tmp_path):
    found, known = load(FORMS[name](tmp_path / name)), from_arrays(X, LABELS, columns=NAMES)
    assert found.train.is_stored
    assert len(found.train.data.bounds) > 3
    assert identity(found)["digests"] == identity(known)["digests"]
    assert found.columns == NAMES
    assert found.class_names == ("a", "b", "c")
    assert found.spec.mean.equal(known.spec.mean)
    assert found.spec.std.equal(known.spec.std)
    assert found.reading.labels == "column 'label'"
    np.testing.assert_array_equal(load_rows(tmp_path / name).rows.array(), X)


def test_a_model_learns_the_same_from_both(tmp_path):
    """The weights and the metrics are the same to the bit, as one window spans the rows."""
    np.save(tmp_path / "x.npy", X)
    given = {"prior": "gaussian(size=2)", "network": "mlp(hidden=[4])", "discriminator": "mlp(hidden=[4])"}
    runs = [
        aaeframe.train(tmp_path / "x.npy", **given, epochs=2, keep=False),
        aaeframe.train(write_folder(tmp_path / "f", TABLE.drop(["label"])), **given, epochs=2, keep=False),
    ]
    assert runs[0].weights_digest() == runs[1].weights_digest()
    times = ("seconds", "steps_per_second")
    rows = [[{k: v for k, v in row.items() if k not in times} for row in run.metrics] for run in runs]
    assert rows[0] == rows[1]
    first, second = (run.evaluate() for run in runs)
    assert first == second


@pytest.mark.parametrize(
    ("values", "names", "labels"),
    [
        (["x", None, " ", "y "], ("x", "y"), [0, -1, -1, 1]),
        ([2, 10, None, 2], ("2", "10"), [0, 1, -1, 0]),
        ([0, 1, -1, 1], ("0", "1"), [0, 1, -1, 1]),
        (["10", "9", "9", ""], ("9", "10"), [1, 0, 0, -1]),
        ([0.0, 1.0, float("nan"), 1.0], ("0", "1"), [0, 1, -1, 1]),
        ([True, False, False, True], ("False", "True"), [1, 0, 0, 1]),
        (pa.array(["n", "m", "m", "n"]).dictionary_encode(), ("m", "n"), [1, 0, 0, 1]),
        (
            pa.array(["n", "m", None, "n"]).dictionary_encode().cast(pa.dictionary(pa.uint8(), pa.string())),
            ("m", "n"),
            [1, 0, -1, 1],
        ),
        ([-1.0, 10.0, float("nan"), 2.0], ("-1", "2", "10"), [0, 2, -1, 1]),
    ],
)
def test_labels_are_those_of_a_table_in_memory(values, names, labels, tmp_path):
    column = values if isinstance(values, pa.Array) else pa.array(values)
    table = pa.table({"p": X[:4, 0], "label": column})
    found = load_rows(write_parquet(tmp_path / "a.parquet", table))
    known = load_rows(table)
    assert found.class_names == known.class_names == names
    assert found.rows.labels.tolist() == known.rows.labels.tolist() == labels


def test_entries_of_a_dictionary_that_no_row_has_are_no_classes(tmp_path):
    values = pa.DictionaryArray.from_arrays(np.arange(600) % 2, [f"name {i}" for i in range(20_000)])
    table = pa.table({"p": X[:, 0], "label": values})
    assert load(write_feather(tmp_path / "a.feather", table)).class_names == ("name 0", "name 1")


def test_names_of_classes_of_hugging_face(tmp_path):
    table = TABLE.drop(["label"]).append_column("label", pa.array(np.arange(600) % 2))
    features = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    assert load(write_hugging_face(tmp_path / "hf", table, features)).class_names == ("cat", "dog")


def test_spaces_around_names_are_left_out(tmp_path):
    found = load(write_parquet(tmp_path / "a.parquet", TABLE.rename_columns([" p", "q ", "r", "s", " label"])))
    assert found.columns == NAMES
    assert identity(found)["digests"] == identity(from_arrays(X, LABELS))["digests"]


@pytest.mark.parametrize(
    "described", ["no json", "[1]", '{"index_columns": null}', '{"index_columns": [{"kind": "range"}]}']
)
def test_a_description_of_pandas_that_is_none(described, tmp_path):
    path = write_parquet(tmp_path / "a.parquet", TABLE.replace_schema_metadata({"pandas": described}))
    if described == "no json":
        with pytest.raises(DataError, match=r"a.parquet: the description by pandas cannot be read"):
            load(path)
    else:
        assert load(path).columns == NAMES


@pytest.mark.parametrize("kind", [pa.list_(pa.float32(), 4), pa.list_(pa.float32())])
def test_lists_of_one_length_are_the_features(kind, tmp_path):
    table = pa.table({"embedding": pa.array(list(X), kind), "label": LABELS})
    found = load(write_parquet(tmp_path / "a.parquet", table))
    assert identity(found)["digests"] == identity(from_arrays(X, LABELS))["digests"]


@pytest.mark.parametrize(
    "columns",
    [
        {"a": np.arange(600, dtype=np.int16), "b": X[:, 0]},
        {"a": X[:, 0] > 3, "b": X[:, 1] > 3},
        {"a": np.arange(600) % 9, "b": X[:, 0].astype(np.float64)},
        {"a": 2**60 + np.arange(600) * 2**20, "b": np.arange(600)},
        {"a": (np.arange(600) % 200).astype(np.uint8), "b": (np.arange(600) % 5).astype(np.uint8)},
    ],
)
def test_the_type_holds_every_column(columns, tmp_path):
    found = load(write_parquet(tmp_path / "a.parquet", pa.table(columns)))
    known = from_arrays(np.column_stack([*columns.values()]))
    assert found.train.dtype == known.train.dtype
    assert identity(found)["digests"] == identity(known)["digests"]


def test_the_index_of_pandas_names_the_rows(tmp_path):
    frame = pd.DataFrame(X[:50], columns=NAMES, index=[f"row {i}" for i in range(50)])
    frame.to_parquet(tmp_path / "a.parquet")
    found = load_rows(tmp_path / "a.parquet")
    assert found.columns == NAMES
    assert found.rows.ids[:2].tolist() == ["row 0", "row 1"]


def test_an_index_of_pandas_is_no_feature(tmp_path):
    frame = pd.DataFrame(X[:50], columns=NAMES).assign(name=[f"r{i}" for i in range(50)], v=3)
    frame["u"] = [i * i for i in range(50)]  # pandas keeps no column of a range
    frame.drop(columns="v").set_index("u").to_parquet(tmp_path / "a.parquet")
    found = load(tmp_path / "a.parquet", ids="name")
    assert found.columns == NAMES
    assert found.reading.passed_over == ("column 'u', the index of pandas, as data.ids names the rows",)
    assert load(tmp_path / "a.parquet", drop=["name"], label_key="u").columns == NAMES
    frame.set_index(["u", "v"]).to_parquet(tmp_path / "b.parquet")
    for options, left in (({}, "'u', 'v'"), ({"ids": "name"}, "'u', 'v'"), ({"ids": "v"}, "'u'")):
        with pytest.raises(DataError, match=f"index of pandas has 2 columns, of which {left} can name the rows or be"):
            load(tmp_path / "b.parquet", **options)
    for options in ({"drop": ["name", "v"]}, {"drop": ["name", "v"], "ids": "u"}):
        found = load(tmp_path / "b.parquet", **options)
        assert (found.columns, found.train.ids[0]) == (NAMES, "0")


def test_columns_that_are_left_out_may_be_of_any_type(tmp_path):
    table = TABLE.append_column("image", pa.array([{"bytes": b"x"}] * 600))
    for options in ({}, {"missing": "mean"}):
        assert load(write_parquet(tmp_path / "a.parquet", table), drop=["image"], **options).columns == NAMES


@pytest.mark.parametrize("values", [np.arange(600) * 7, pa.array([f"r{i}" for i in range(600)]).dictionary_encode()])
def test_names_of_rows_take_the_memory_of_the_longest(values, tmp_path):
    ids = load_rows(
        write_feather(tmp_path / "a.feather", TABLE.append_column("id", pa.array(values))), ids="id"
    ).rows.ids
    assert ids.tolist() == [str(it) for it in (values if isinstance(values, np.ndarray) else values.to_pylist())]
    assert ids.dtype == "U4"


def test_an_index_of_numbers_that_is_too_large_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr("aaeframe.data.readers.arrow_labels.MOST_IDS", 4 * 3 * 600 - 1)
    frame = pd.DataFrame(X, columns=NAMES, index=pd.Index(np.arange(600)[::-1], name="place"))
    frame.to_parquet(tmp_path / "a.parquet")
    found = load(tmp_path / "a.parquet")
    assert found.train.ids is None
    assert found.reading.passed_over == ("column 'place', the index of pandas, of more than 0 MiB",)
    with pytest.raises(DataError, match=r"the names of the rows in column 'place' take more than 0 MiB"):
        load(tmp_path / "a.parquet", ids="place")


@pytest.mark.parametrize(
    ("columns", "options", "words"),
    [
        ({"a": X[:, 0], "t": LABELS}, {}, "column 't' holds 'b', which is not a number. A column of texts is named by"),
        ({"a": X[:, 0], "t": ["1.5"] * 600}, {}, "column 't' is of type string, which is not a number type"),
        ({"a": X[:, 0], "id": np.arange(600)}, {}, "'id' holds a different whole number in each row.*data.ids=id"),
        (
            {"a": X[:, 0], "b": [*range(599), None]},
            {},
            "column 'b', of type int64, has empty cells.*data.missing=\"mean\"",
        ),
        ({"a": X[:, 0], "b": [2**60 + 1, *range(599)]}, {}, "'b' holds 1152921504606846977, which is beyond 2"),
        (
            {"a": X[:, 0], "b": [Decimal(2**60 + 1), *map(Decimal, range(599))]},
            {},
            "'b' holds 1152921504606846977, which is beyond 2",
        ),
        (
            {"a": X[:, 0], "b": pa.array([Decimal(3), Decimal(2**60 + 1)] * 300).dictionary_encode()},
            {},
            "'b' holds 1152921504606846977, which is beyond 2",
        ),
        ({"a": X[:, 0], "v": list(X)}, {}, r"column 'v' holds lists, .*data.drop=\[\"a\"\]"),
        ({"v": [[1.0]] * 599 + [[1.0, 2.0]]}, {}, "'v' holds 2 numbers in row 599, and 1 in the first"),
        ({"v": [{"bytes": b"x"}] * 600}, {}, "column 'v' is of type struct<bytes: binary>, which is not read"),
        ({"a": X[:, 0]}, {"label_key": "z"}, "there is no column 'z'"),
        ({"a": X[:, 0]}, {"channels": "first"}, "channels is not used for Parquet and Arrow"),
        (
            {"a": X[:, 0], "label": np.arange(600) + 0.5},
            {},
            "'label' is taken for the labels, but they are not classes",
        ),
    ],
)
def test_what_is_no_table_of_numbers_is_refused(columns, options, words, tmp_path):
    with pytest.raises(DataError, match=words):
        load(write_parquet(tmp_path / "a.parquet", pa.table(columns)), **options)


def test_statistics_are_of_the_columns_that_are_used(tmp_path):
    path = write_parquet(tmp_path / "a.parquet")
    without = [load(path, drop=[name]) for name in ("p", "q")]
    assert [it.columns for it in without] == [("q", "r", "s"), ("p", "r", "s")]
    for columns, found in zip(([1, 2, 3], [0, 2, 3]), without, strict=True):
        assert identity(found)["digests"] == identity(from_arrays(X[:, columns], LABELS))["digests"]


def test_rules_for_columns_are_of_more_than_a_small_row_group(tmp_path):
    table = pa.table({"y": np.arange(600) % 4, "a": X[:, 0]})
    for source in (table, tmp_path / "a.parquet"):
        parquet.write_table(table, tmp_path / "a.parquet", row_group_size=4)
        with pytest.raises(DataError, match=r"column 'y' can hold the labels \(4 different whole numbers\)"):
            load(source)
    parquet.write_table(pa.table({"id": np.arange(600) // 2, "a": X[:, 0]}), tmp_path / "a.parquet", row_group_size=1)
    assert load(tmp_path / "a.parquet").columns == ("id", "a")


def test_the_second_time_only_the_head_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("aaeframe.data.readers.arrow.HEAD", 32)
    from aaeframe.data.readers.arrow_files import TableFiles  # it imports pyarrow

    folder, asked, read = write_folder(tmp_path / "f"), [], TableFiles.read
    monkeypatch.setattr(TableFiles, "read", lambda self, *which: asked.append(which) or read(self, *which))
    known = load(folder)
    assert len(asked) > 20
    asked.clear()
    found = load(folder)
    assert asked == [(0, 0, 1, [*NAMES, "label"])]
    assert identity(found) == identity(known)
    assert found.class_names == known.class_names
    asked.clear()
    assert load(folder, label_key="", drop=["label"]).class_names is None
    write_parquet(folder / "part-1.parquet", TABLE.slice(260, 250))
    assert identity(load(folder))["digests"] != identity(known)["digests"]


def test_labels_are_read_again_after_a_file_has_changed(tmp_path, monkeypatch):
    from aaeframe.data.readers.arrow_files import TableFiles  # it imports pyarrow

    folder, asked, tables = write_folder(tmp_path / "f"), [], TableFiles.tables
    monkeypatch.setattr(TableFiles, "tables", lambda self, names: asked.append(names) or tables(self, names))
    changed = np.where(np.arange(600) == 300, "new", LABELS)
    for labels, reads in ((LABELS, 1), (LABELS, 0), (changed, 1), (changed, 0)):
        if labels is changed and reads:
            write_parquet(folder / "part-1.parquet", TABLE.set_column(4, "label", pa.array(labels)).slice(250, 250))
        found = load_rows(folder)
        assert asked.count(["label"]) == reads
        assert np.array(found.class_names)[found.rows.labels].tolist() == labels.tolist()
        asked.clear()


def test_each_column_has_labels_of_its_own(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", TABLE.append_column("other", pa.array(np.arange(600) % 2)))
    for name, classes in (("label", ("a", "b", "c")), ("other", ("0", "1"))):
        other = {"label": "other", "other": "label"}[name]
        assert load_rows(path, label_key=name, drop=[other]).class_names == classes


def test_empty_cells_are_counted_by_column(tmp_path):
    x = X.copy()
    x[[3, 40, 500], 1] = np.nan
    x[7, 2] = np.nan
    table = pa.table(dict(zip(NAMES, x.T, strict=True)))
    path = write_parquet(tmp_path / "a.parquet", table)
    with pytest.raises(DataError, match=r"4 empty cells: 'q' 3, 'r' 1\. Fill them in, .*data.missing="):
        load(path)
    found, known = load(path, missing="mean"), load(table, missing="mean")
    assert identity(found)["digests"] == identity(known)["digests"]
    assert len(load_rows(path, missing="drop").rows) == 596


def test_categories_are_those_of_a_table_in_memory(tmp_path):
    path = write_folder(tmp_path / "f", TABLE.rename_columns([*NAMES, "kind"]))
    found = load(path, categories=["kind"])
    assert found.columns == (*NAMES, "kind=a", "kind=b", "kind=c")


def test_options_for_memory_are_refused_for_more_than_it_holds(tmp_path, monkeypatch):
    monkeypatch.setattr("aaeframe.data.readers.arrow.LARGEST", 1000)
    with pytest.raises(DataError, match=r"data.missing needs all rows in memory, 0.0 GiB; at most"):
        load(write_parquet(tmp_path / "a.parquet"), missing="mean")


def test_files_of_other_columns_are_refused(tmp_path):
    folder = write_folder(tmp_path / "f")
    write_parquet(folder / "part-9.parquet", TABLE.drop(["q"]))
    with pytest.raises(DataError, match=r"part-9.parquet: column 'q' is missing, and float in part-0.parquet"):
        load(folder)


def test_files_whose_columns_may_and_may_not_be_empty_are_one_table(tmp_path):
    for i, nullable in enumerate((True, False)):
        schema = pa.schema([pa.field(name, pa.float32(), nullable=nullable) for name in NAMES])
        write_parquet(tmp_path / f"a-{i}.parquet", TABLE.drop(["label"]).cast(schema))
    np.testing.assert_array_equal(load_rows(tmp_path).rows.array(), np.concatenate([X, X]))


@pytest.mark.parametrize("rows", [X[:, 0], list(X)], ids=["numbers", "lists"])
def test_a_first_batch_without_rows(rows, tmp_path):
    table = pa.table({"v": rows})
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_batch(pa.RecordBatch.from_pylist([], table.schema))
        writer.write_table(table)
    np.testing.assert_array_equal(load_rows(tmp_path / "a.arrow").rows.array(), np.reshape(rows, (600, -1)))


def test_a_split_without_rows_is_named(tmp_path):
    write_parquet(tmp_path / "train.parquet")
    write_parquet(tmp_path / "test.parquet", TABLE.slice(0, 0))
    with pytest.raises(DataError, match=r"the test rows \(test.parquet\) are none\. Give at least one row"):
        load(tmp_path)


def test_a_file_that_is_cut_off(tmp_path):
    path = write_parquet(tmp_path / "a.parquet")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"a.parquet: the file cannot be read: .*restore it"):
        load(path)


@pytest.mark.parametrize("most", [1, 4])
@pytest.mark.parametrize("name", ["rows.parquet", "rows.feather", "rows.arrow"])
def test_a_file_that_changes_in_use_is_refused(name, most, tmp_path, monkeypatch):
    monkeypatch.setattr("aaeframe.data.readers.arrow_files.MOST_OPEN", most)
    path = FORMS[name](tmp_path / name)
    found = load(path)
    found.train.release()
    other = pa.table({**dict(zip(NAMES, X.T + 100, strict=True)), "label": LABELS})
    FORMS[name](path, other)
    with pytest.raises(DataError, match=rf"{name}: has changed while it was in use"):
        found.train.array()


@pytest.mark.parametrize("names", [("a_train", "a_test"), ("rows", "rows.test"), ("2-val", "1-Training")])
def test_files_that_a_later_word_names_as_splits_are_refused(names, tmp_path):
    for name in names:
        write_parquet(tmp_path / f"{name}.parquet")
    with pytest.raises(DataError, match=r"would be parts of one table, but are named as splits\. Begin"):
        load(tmp_path)


def test_files_that_all_have_such_a_word_are_one_table(tmp_path):
    for name in ("crash-test-0", "crash-test-1"):
        write_parquet(tmp_path / f"{name}.parquet")
    assert len(load(tmp_path).split("all")) == 1200


def test_the_summary_counts_the_files(tmp_path):
    said = list(summary.lines(summary.summary(load(write_folder(tmp_path / "f")))))
    assert "          they stay in 3 files, and are read in 10 chunks" in said


@pytest.mark.parametrize("name", ["a.png", "plots/a.png"])
def test_tables_and_images_in_one_folder_are_refused(name, tmp_path):
    from PIL import Image

    image = write_folder(tmp_path / "f") / name
    image.parent.mkdir(exist_ok=True)
    Image.new("L", (8, 8)).save(image)
    with pytest.raises(DataError, match=r"holds images and files of Parquet or Arrow\. Leave one kind"):
        load(tmp_path / "f")


def test_images_in_hidden_folders_are_no_data(tmp_path):
    from PIL import Image

    hidden = write_folder(tmp_path / "f") / ".thumbnails"
    hidden.mkdir()
    Image.new("L", (8, 8)).save(hidden / "a.png")
    assert load(tmp_path / "f").columns == NAMES


@pytest.mark.parametrize("folder", ["data", "label=0"])
def test_folders_below_are_named(folder, tmp_path):
    (tmp_path / "f" / folder).mkdir(parents=True)
    write_parquet(tmp_path / "f" / folder / "train-00000-of-00001.parquet")
    with pytest.raises(DataError, match=rf"holds no rows itself; 1 folder in it do. Give one of these, as .*/{folder}"):
        load(tmp_path / "f")


@pytest.mark.parametrize("log", ["_delta_log", ".hoodie"])
def test_a_table_whose_log_says_which_files_count_is_refused(log, tmp_path):
    (write_folder(tmp_path / "f") / log).mkdir()
    with pytest.raises(DataError, match=rf"f: is a table with a log \({log}\), which says which files count"):
        load(tmp_path / "f")


def test_both_kinds_in_one_folder_are_refused(tmp_path):
    np.save(write_folder(tmp_path / "f") / "x-0.npy", X)
    with pytest.raises(DataError, match="Leave one kind"):
        load(tmp_path / "f")


def test_splits_of_a_hugging_face_repository(tmp_path):
    write_parquet(tmp_path / "train-00000-of-00001.parquet", TABLE.slice(0, 450))
    write_parquet(tmp_path / "validation-00000-of-00001.parquet", TABLE.slice(450, 50))
    write_parquet(tmp_path / "test-00000-of-00001.parquet", TABLE.slice(500))
    found = load(tmp_path)
    assert [len(it) for it in (found.train, found.validation, found.test)] == [450, 50, 100]
    np.testing.assert_array_equal(found.test.array(), X[500:])
    assert found.split("all").labels.tolist() == from_arrays(X, LABELS).split("all").labels.tolist()


def write_h5ad(path, x):
    """An AnnData of rows x, with labels; returns it. Its texts are objects, which any version writes."""
    cells, genes = ([f"{it}{i}" for i in range(n)] for it, n in zip("cg", x.shape, strict=True))
    cell = pd.Categorical.from_codes(np.arange(600) % 3, pd.Index(["b", "a", "c"], dtype=object))
    obs = pd.DataFrame({"cell": cell}, index=pd.Index(cells, dtype=object))
    data = ad.AnnData(x, obs=obs, var=pd.DataFrame(index=pd.Index(genes, dtype=object)))
    data.write_h5ad(path)
    return data


@pytest.mark.parametrize("sparse", [False, True])
def test_h5ad(sparse, tmp_path):
    from scipy.sparse import csr_matrix

    counts = RNG.poisson(0.5, (600, 9)).astype(np.float32)
    data = write_h5ad(tmp_path / "a.h5ad", csr_matrix(counts) if sparse else counts)
    found, known = load(tmp_path / "a.h5ad", label_key="cell"), load(data, label_key="cell")
    assert found.train.is_stored
    assert identity(found) == {**identity(known), "name": str(tmp_path / "a.h5ad")}
    np.testing.assert_array_equal(found.train.ids, known.train.ids)
    assert found.spec.std.equal(known.spec.std)


def test_h5ad_by_columns_is_refused(tmp_path):
    from scipy.sparse import csc_matrix

    write_h5ad(tmp_path / "a.h5ad", csc_matrix(X))
    with pytest.raises(DataError, match=r"X is sparse by columns \(csc\).*tocsr"):
        load(tmp_path / "a.h5ad")
