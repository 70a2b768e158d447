"""Rows that stay in their source: shards of .npy, objects with rows by number, their statistics, what is kept."""

from __future__ import annotations

import numpy as np
import pytest

from aaeframe.data import cache as kept
from aaeframe.data import from_arrays, load, load_rows, sources
from aaeframe.data.identity import identity
from aaeframe.data.readers.folders import find_parts
from aaeframe.data.sources import Remaining, RowSource, StoredRows
from aaeframe.data.statistics import mean, moments, value_range
from aaeframe.errors import DataError

RNG = np.random.default_rng(0)
X = RNG.normal(3, 2, size=(500, 6)).astype(np.float32)


class Chunks:
    """Rows of an array in chunks, which counts what is read."""

    def __init__(self, x, size=70, fingerprint="a"):
        self.x, self.shape, self.dtype, self.fingerprint = x, x.shape, x.dtype, fingerprint
        self.bounds = [*range(0, len(x), size), len(x)]
        self.asked = []

    def read(self, chunk):
        self.asked.append(chunk)
        return self.x[self.bounds[chunk] : self.bounds[chunk + 1]]


def write_shards(folder, x, sizes=(100, 250), names="part-{}.npy"):
    folder.mkdir(parents=True, exist_ok=True)
    for i, part in enumerate(np.split(x, np.cumsum(sizes))):
        np.save(folder / names.format(i), part)
    return folder


def test_rows_are_read_by_any_index():
    rows = StoredRows(Chunks(X))
    assert rows.shape == (500, 6)
    index = RNG.permutation(500)[:200]
    np.testing.assert_array_equal(rows[index], X[index])
    np.testing.assert_array_equal(rows[65:75], X[65:75])
    np.testing.assert_array_equal(rows.columns([4, 1])[index], X[index][:, [4, 1]])


def test_rows_in_order_read_each_chunk_once():
    source = Chunks(X)
    rows = StoredRows(source)
    for start in range(0, 500, 10):
        rows[start : start + 10]
    assert source.asked == list(range(8))


def test_the_remaining_numbers_are_those_not_held_out():
    held = np.sort(RNG.permutation(50)[:17])
    remaining, known = Remaining(50, held), np.setdiff1d(np.arange(50), held)
    np.testing.assert_array_equal(np.asarray(remaining), known)
    np.testing.assert_array_equal(remaining[np.array([5, 0, 32])], known[[5, 0, 32]])
    np.testing.assert_array_equal(remaining.places(np.array([0, 10, 50])), np.searchsorted(known, [0, 10, 50]))


@pytest.mark.parametrize(
    ("x", "options"),
    [
        (X, {}),
        (X.astype(np.float64) + 1e7, {}),
        (RNG.integers(0, 17, (500, 1, 5, 5), np.uint8), {}),
        (RNG.integers(0, 256, (500, 9, 8, 3), np.uint8), {}),
        (RNG.random((500, 5, 5)), {"channels": "none"}),
        (RNG.random((500, 7)) > 0.5, {"scale": "pixels"}),
        (X, {"held_out": (40, 0)}),
        (X, {"held_out": (0, 0)}),
    ],
)
def test_shards_are_the_data_set_of_their_rows(tmp_path, x, options):
    found, known = load(write_shards(tmp_path / "shards", x), **options), from_arrays(x, name="x", **options)
    assert found.train.is_stored
    assert {**identity(found), "name": ""} == {**identity(known), "name": ""}
    assert found.reading == known.reading
    assert found.spec.mean.equal(known.spec.mean)
    assert found.spec.std.equal(known.spec.std)
    for name in ("train", "validation", "test"):
        one, other = getattr(found, name), getattr(known, name)
        np.testing.assert_array_equal(one.array(), other.array())
        assert one.dtype == other.dtype
        if len(one):
            np.testing.assert_array_equal(one.spread(), other.spread())
            np.testing.assert_array_equal(mean(one), mean(other))
            if not one.is_single:  # else these are of the stored type: the scale is known by then
                np.testing.assert_array_equal(moments(one), moments(other))
                assert value_range(one) == value_range(other)
    np.testing.assert_array_equal(found.split("all").array(), known.split("all").array())


def test_shards_are_in_the_order_of_their_numbers(tmp_path):
    x = np.arange(120, dtype=np.float32).reshape(60, 2)
    folder = write_shards(tmp_path, x, sizes=[5] * 11)
    np.testing.assert_array_equal(load_rows(folder).rows.array(), x)


def test_numbers_with_and_without_a_zero_have_one_order(tmp_path):
    for i, name in enumerate(("a-01", "a-1", "a-2")):
        np.save(tmp_path / f"{name}.npy", X[i * 10 : i * 10 + 10])
    np.testing.assert_array_equal(load_rows(tmp_path).rows.array(), X[:30])


def test_a_shard_may_be_empty_but_not_all(tmp_path):
    folder = write_shards(tmp_path / "some", X, sizes=(0, 200, 200, 300))
    np.testing.assert_array_equal(load_rows(folder).rows.array(), X)
    with pytest.raises(DataError, match=r"part-0.npy: the data is empty. Give at least one row"):
        load(write_shards(tmp_path / "all", X[:0], sizes=(0,)))


def test_other_files_are_counted(tmp_path):
    folder = write_shards(tmp_path, X)
    (folder / "notes.txt").touch()
    (folder / "old").mkdir()
    assert load(folder).reading.passed_over == ("1 folder", "1 other file")


@pytest.mark.parametrize("names", ["{}/part.npy", "{}-00.npy"])
def test_splits_are_folders_or_begin_the_names(tmp_path, names):
    for name, part in zip(("train", "test"), (X[:400], X[400:]), strict=True):
        file = tmp_path / names.format(name)
        file.parent.mkdir(exist_ok=True)
        np.save(file, part)
    found = load(tmp_path)
    np.testing.assert_array_equal(found.test.array(), X[400:])
    assert (len(found.train), len(found.validation)) == (360, 40)
    np.testing.assert_array_equal(np.sort(found.split("all").array(), axis=0), np.sort(X, axis=0))


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"x.npy": X, "labels.npy": X}, "names of shards differ by numbers alone, found labels.npy and x.npy"),
        ({"a-0.npy": X, "a-1.npy": X[:, :5]}, r"a-1.npy: holds \(500, 5\) float32, and a-0.npy \(500, 6\)"),
        ({"a-0.npy": X, "a-1.npy": X.astype(np.float64)}, "one shape and type"),
        ({"a-0.npy": np.asfortranarray(X)}, "Fortran order. Write it again from np.ascontiguousarray"),
        ({"train-0.npy": X, "part-0.npy": X}, "train-0.npy is named as a split, and part-0.npy is not"),
        ({"test-0.npy": X}, "no training rows. Add train"),
        ({"a_test.npy": X, "a_train.npy": X}, "a_test.npy and a_train.npy would be parts of one table, but are named"),
    ],
)
def test_what_is_no_set_of_shards_is_refused(tmp_path, files, words):
    for name, x in files.items():
        np.save(tmp_path / name, x)
    with pytest.raises(DataError, match=words):
        load(tmp_path)


@pytest.mark.parametrize("name", ["train/a_test", "train/test-0", "test/a_train", "val/crash-test-1"])
def test_a_file_that_is_named_as_another_split_than_its_folder_is_refused(tmp_path, name):
    for folder in ("train", "val", "test"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "part-0.parquet").touch()
    (tmp_path / f"{name}.parquet").touch()
    folder, file = name.split("/")
    with pytest.raises(DataError, match=rf"{folder}: holds \w+ rows, and {file}.parquet is named as \w+ rows. Move it"):
        find_parts(tmp_path, [".parquet"])


def test_files_in_the_folder_of_a_split_may_be_named_as_it_or_not(tmp_path):
    names = ["train/train-test.parquet", "train/extra.parquet", "val/val-1.parquet", "val/validation-0.parquet"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_parts(tmp_path, [".parquet"]).files
    assert {split: len(files) for split, files in found.items()} == {"train": 2, "validation": 2}


def test_options_that_shards_do_not_have_are_refused(tmp_path):
    with pytest.raises(DataError, match="label_key is not used for shards; leave it out"):
        load(write_shards(tmp_path, X), label_key="y")


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e39])
def test_values_that_are_not_finite_are_counted(tmp_path, bad):
    x = X.astype(np.float64)
    x[[300, 310], 4] = bad
    with pytest.raises(DataError, match=r"2 of 3000 values are not finite in float32.*in row 300, feature 4"):
        load(write_shards(tmp_path, x))


def test_a_whole_number_that_float64_would_change_is_refused(tmp_path):
    x = X.astype(np.int64)
    x[300, 4] = 2**53 + 1
    with pytest.raises(DataError, match=r"holds 9007199254740993 in row 300, feature 4 .*beyond 2\*\*53"):
        load(write_shards(tmp_path, x))


def test_an_object_with_rows_by_number_is_data():
    source, labels = Chunks(X), np.arange(500) % 3
    assert isinstance(source, RowSource)
    found, known = load((source, labels)), from_arrays(X, labels)
    assert found.train.is_stored
    assert identity(found)["digests"] == identity(known)["digests"]


def test_iterables_without_numbers_are_refused():
    class Rows:
        def __iter__(self):
            return iter(X)

    with pytest.raises(DataError, match="no length and no rows by number"):
        load(Rows())


@pytest.mark.parametrize("bounds", [(0, 500, 400), (0, 400), (1, 500), (0, 0, 500)])
def test_bounds_that_do_not_rise_to_the_number_of_rows_are_refused(bounds):
    source = Chunks(X)
    source.bounds = bounds
    with pytest.raises(DataError, match="Chunks: has 500 rows, and bounds"):
        load(source)


def test_a_chunk_of_another_shape_is_refused():
    source = Chunks(X)
    source.x = X[:-1]
    with pytest.raises(DataError, match=r"chunk 7 has the shape \(9, 6\); its rows from 490 to 500 need \(10, 6\)"):
        load(source)


@pytest.mark.parametrize("error", [KeyError("lost"), OSError("no disk")])
def test_an_error_of_a_source_is_one_of_the_data(error):
    class Failing(Chunks):
        def read(self, chunk):
            raise error

    with pytest.raises(DataError, match=rf"Failing: chunk 0: cannot be read: {type(error).__name__}: .*(lost|disk)"):
        load(Failing(X))


@pytest.mark.parametrize(("declared", "given"), [(np.uint8, np.float32), (np.uint8, np.int64), (np.float32, np.int64)])
def test_rows_of_another_type_than_declared_are_refused(declared, given):
    source = Chunks(X.astype(given))
    source.dtype = np.dtype(declared)
    words = rf"chunk 0 is of type {np.dtype(given)}, and the source declares {np.dtype(declared)}, which would change"
    with pytest.raises(DataError, match=words):
        load(source)


def test_rows_of_a_longer_float_than_declared_are_rounded():
    source = Chunks(X.astype(np.float64))
    source.dtype = np.dtype(np.float32)
    assert identity(load(source))["digests"] == identity(from_arrays(X))["digests"]


def test_statistics_of_a_type_that_cannot_be_kept_are_told():
    x = X.astype(np.longdouble)
    with pytest.warns(UserWarning, match="the statistics cannot be kept"):
        found = load(Chunks(x))
    np.testing.assert_array_equal(found.train.array(), from_arrays(x).train.array())


def test_a_folder_of_images_with_an_array_is_one_of_images(tmp_path):
    from PIL import Image

    for i in range(12):
        Image.new("L", (8, 8), i).save(tmp_path / f"{i}.png")
    np.save(tmp_path / "mean.npy", X)
    found = load(tmp_path)
    assert found.train.shape == (1, 8, 8)
    assert found.reading.passed_over == ("1 file of .npy",)


# Statistics are computed once.


def test_the_second_time_no_row_is_read(cache):
    first, second = Chunks(X), Chunks(X)
    known, found = load(first), load(second)
    assert len(first.asked) == 8  # each chunk, once
    assert second.asked == []
    assert identity(found) == identity(known)
    assert found.spec.std.equal(known.spec.std)
    np.testing.assert_array_equal(found.validation.spread(), known.validation.spread())
    assert len(list(cache.rglob("*.safetensors"))) == 1


@pytest.mark.parametrize(
    "other",
    [lambda: Chunks(X, fingerprint="b"), lambda: Chunks(X, fingerprint=None), lambda: (Chunks(X), np.arange(500) % 2)],
    ids=["changed", "without a fingerprint", "with labels"],
)
def test_other_data_is_read(other):
    load(Chunks(X))
    given = other()
    load(given)
    source = given[0] if isinstance(given, tuple) else given
    assert source.asked


def test_a_changed_file_is_noticed(tmp_path):
    folder = write_shards(tmp_path, X)
    before = load(folder)
    changed = X.copy()
    changed[3, 2] = 100
    write_shards(tmp_path, changed)
    after = load(folder)
    assert not after.spec.mean.equal(before.spec.mean)
    assert identity(after)["digests"] != identity(before)["digests"]


def test_a_file_that_changes_in_use_is_refused(tmp_path):
    found = load(write_shards(tmp_path, X))
    found.train.release()
    write_shards(tmp_path, X + 100)
    with pytest.raises(DataError, match=r"part-0.npy: has changed while it was in use"):
        found.train.rows(np.arange(2))


def test_statistics_of_a_source_that_changes_meanwhile_are_not_kept(cache):
    class Changing(Chunks):
        def read(self, chunk):
            self.fingerprint = f"{chunk}"
            return super().read(chunk)

    load(Changing(X))
    assert not list(cache.rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"channels": "first"}, {"channels": "last"}),
        ({"channels": "first", "held_out": (20, 30)}, {"channels": "first", "held_out": (30, 20)}),
    ],
)
def test_statistics_are_of_rows_as_they_are_read(tmp_path, one, other):
    x = RNG.random((200, 5, 5, 5)) * np.arange(5)
    folder = write_shards(tmp_path, x, sizes=(90,))
    load(folder, scale="standardize", **one)
    found, known = (load(it, scale="standardize", **other) for it in (folder, x))
    assert found.spec.std.equal(known.spec.std)
    assert identity(found)["digests"] == identity(known)["digests"]


def test_statistics_are_of_the_columns_of_a_run():
    first = load(Chunks(X, fingerprint="c"))
    swapped = sources.StoredRows(Chunks(X, fingerprint="c")).columns([1, 0, 2, 3, 4, 5])
    assert swapped.fingerprint != first.train.data.fingerprint
    assert sources.StoredRows(Chunks(X, fingerprint=None)).columns([0]).fingerprint is None


def test_damaged_statistics_are_computed_again(cache):
    known = load(Chunks(X))
    (file,) = cache.rglob("*.safetensors")
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    source = Chunks(X)
    found = load(source)
    assert source.asked
    assert found.spec.mean.equal(known.spec.mean)
    assert kept.read(file.stem) is not None


def test_a_cache_that_cannot_be_written_is_told(cache):
    cache.parent.mkdir(exist_ok=True)
    cache.write_text("no folder")
    with pytest.warns(UserWarning, match="statistics cannot be kept, so each run reads all rows first"):
        load(Chunks(X))


def test_small_pieces_are_read_together(monkeypatch):
    monkeypatch.setattr(sources, "CHUNK_BYTES", 100)
    assert list(sources.grouped([3, 3, 3, 30, 1], row_bytes=20)) == [(0, 2), (2, 4), (4, 5)]
