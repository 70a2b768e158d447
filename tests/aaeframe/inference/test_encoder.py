"""`Encoder`: batches in, columns out, the same for a row whatever stands next to it, in any process."""

from __future__ import annotations

import pickle
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

import aaeframe
from aaeframe.errors import ConfigError, DataError, RunError
from aaeframe.inference import Encoder, encoder

SMALL = {"network": "mlp(hidden=[8])", "discriminator": "mlp(hidden=[8])", "device": "cpu", "progress": False}
RNG = np.random.default_rng(0)
FRAME = {
    "id": np.array([f"p{k}" for k in range(90)]),
    "age": RNG.normal(40, 9, 90),
    "height": RNG.normal(170, 9, 90).astype(np.float32),
    "kind": np.array([("cat", "dog", "owl")[k % 3] for k in range(90)]),
}


@pytest.fixture(scope="module")
def tabular(tmp_path_factory):
    """A run on a table with names of columns, and one with categories whose rows with empty cells are left out."""
    folder = tmp_path_factory.mktemp("runs")
    plain = {name: FRAME[name] for name in ("age", "height")}
    aaeframe.train(plain, epochs=2, out=folder / "plain", **SMALL).scores(plain)  # fits the density, which is kept
    table = {name: FRAME[name] for name in ("age", "height", "kind")}
    run = aaeframe.train(table, categories=["kind"], missing="drop", epochs=2, out=folder / "categories", **SMALL)
    run.scores(table)
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A supervised run on the digits, whose decoder takes labels."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    run = aaeframe.train("digits", recipe="supervised", epochs=1, out=folder, **SMALL)
    run.scores(run.dataset().test)
    return folder


def part(batch, index):
    return {name: it[index] for name, it in batch.items()}


def same(found, expected):
    assert list(found) == list(expected)
    for name, it in found.items():
        np.testing.assert_array_equal(it, expected[name])


def same_but_for_places(found, expected):
    """Equal for rows at other places: by AVX2, products of few columns round by where a row lies in memory."""
    assert list(found) == list(expected)
    for name, it in found.items():
        if it.dtype.kind == "f":
            np.testing.assert_allclose(it, expected[name], rtol=1e-6, atol=1e-6)
        else:
            np.testing.assert_array_equal(it, expected[name])


def test_columns_have_the_names_and_the_values_of_encode_and_score(tabular):
    run = aaeframe.load(tabular / "plain")
    found = Encoder(tabular / "plain", outputs=("codes", "score"), keep=("id",))(FRAME)
    assert list(found) == ["id", "gaussian_1", "gaussian_2", "score"]
    table = np.stack([FRAME["age"], FRAME["height"]], axis=1)
    codes = run.encode(table)["gaussian"].numpy()
    np.testing.assert_allclose(np.stack([found["gaussian_1"], found["gaussian_2"]], 1), codes, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["score"], run.scores(table), rtol=1e-5)
    assert found["id"] is FRAME["id"]
    only = Encoder(tabular / "plain", outputs=("score",), kind="reconstruction")(FRAME)
    np.testing.assert_allclose(only["score"], run.scores(table, kind="reconstruction"), rtol=1e-5)
    assert list(only) == ["score"]


@pytest.mark.parametrize("name", ["plain", "categories"])
def test_a_row_does_not_depend_on_the_other_rows_of_its_batch(tabular, name):
    """A batch may hold a single category."""
    encode = Encoder(tabular / name, outputs=("codes", "score"))
    batch = {it: np.concatenate([FRAME[it]] * 8)[: 90 * 8] for it in FRAME}
    whole = encode(batch)
    order = np.random.default_rng(1).permutation(720)
    same_but_for_places(encode(part(batch, order)), part(whole, order))
    for start, size in ((0, 1), (3, 7), (100, 513), (719, 1)):
        at = slice(start, start + size)
        same_but_for_places(encode(part(batch, at)), part(whole, at))


def test_rows_that_reading_leaves_out_are_nan_and_keep_their_places(tabular):
    encode = Encoder(tabular / "categories", outputs=("codes", "score"), keep=("id",))
    holes = {**FRAME, "age": FRAME["age"].copy()}
    holes["age"][[0, 5]] = np.nan
    found, whole = encode(holes), encode(FRAME)
    assert np.flatnonzero(np.isnan(found["score"])).tolist() == [0, 5]
    left = np.setdiff1d(np.arange(90), [0, 5])
    same_but_for_places(part(found, left), part(whole, left))
    alone = encode(part(holes, [5]))
    assert np.isnan([alone["gaussian_1"], alone["score"]]).all()


def test_empty_cells_without_the_option_are_refused(tabular):
    with pytest.raises(DataError, match="age"):
        Encoder(tabular / "plain")({**FRAME, "age": np.full(90, np.nan)})


def test_images_and_labels_for_a_decoder_that_takes_them(images):
    run = aaeframe.load(images)
    test = run.dataset().test
    encode = Encoder(images, outputs=("codes", "score"))
    batch = {"x": test.array(), "y": test.labels}
    found = encode(batch)
    np.testing.assert_allclose(found["score"], run.scores(test), rtol=1e-5)
    assert found["gaussian_2"].shape == (360,)
    same_but_for_places(encode(part(batch, slice(7, 20))), part(found, slice(7, 20)))
    numbered = Encoder(images, ("score",), keep=("row",))({**batch, "row": np.arange(360)})
    same(numbered, {"row": np.arange(360), "score": found["score"]})
    named = Encoder(images, column="picture")({"picture": test.array(), "other": np.zeros((360, 3))})
    same(named, {name: found[name] for name in ("gaussian_1", "gaussian_2")})


def test_kinds_that_decode_nothing_need_no_labels(images):
    run = aaeframe.load(images)
    x = run.dataset().test.array()

    found = Encoder(images, ("score",), kind="prior")({"x": x})

    np.testing.assert_allclose(found["score"], run.scores(x, kind="prior"), rtol=1e-5)


def test_no_rows_give_empty_columns_of_the_same_types(tabular, images):
    for encode, batch in (
        (Encoder(tabular / "categories", outputs=("codes", "score")), FRAME),
        (Encoder(images, outputs=("codes", "score")), {"x": np.zeros((3, 1, 8, 8), np.uint8), "y": np.arange(3)}),
    ):
        some, none = encode(part(batch, slice(3))), encode(part(batch, slice(0)))
        assert {name: it.dtype for name, it in none.items()} == {name: it.dtype for name, it in some.items()}
        assert all(it.shape == (0,) for it in none.values())


@pytest.mark.slow
def test_a_pickle_holds_the_path_and_options_and_gives_the_same_bits_in_another_process(tabular, tmp_path, monkeypatch):
    monkeypatch.chdir(tabular)
    encode = Encoder("plain", outputs=("codes", "score"))
    expected = encode(FRAME)
    content = pickle.dumps(encode)
    assert len(content) < 1000
    (tmp_path / "encoder.pkl").write_bytes(content)
    np.savez(tmp_path / "rows.npz", **FRAME)
    code = (
        "import pickle, numpy as np\n"
        "encode = pickle.load(open('encoder.pkl', 'rb'))\n"
        "np.savez('found.npz', **encode(dict(np.load('rows.npz'))))\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=300)
    with np.load(tmp_path / "found.npz") as found:
        same(dict(found), expected)


def test_the_run_is_loaded_when_first_called_and_once_in_a_process(tabular, monkeypatch):
    loaded = []
    monkeypatch.setattr(encoder, "load", lambda *a, **k: loaded.append(a) or aaeframe.load(*a, **k))
    encoder._load.cache_clear()
    first = Encoder(tabular / "plain")
    assert loaded == []
    first(FRAME)
    first(FRAME)
    pickle.loads(pickle.dumps(first))(FRAME)
    Encoder(tabular / "plain", outputs=("score",))(FRAME)
    assert len(loaded) == 1


def test_a_run_that_was_trained_meanwhile_is_refused(tmp_path):
    """In a process that has not loaded it: one that has goes on with the weights it has."""
    rows = np.stack([FRAME["age"], FRAME["height"]], axis=1)
    first = aaeframe.train(rows, epochs=2, out=tmp_path / "run", **SMALL)
    stale, old = Encoder(tmp_path / "run"), Encoder(tmp_path / "run")
    before = old({"x": rows})
    shutil.copytree(first.folder.checkpoints / "step-00000002", first.folder.checkpoints / "step-00000009")
    same(old({"x": rows}), before)
    encoder._load.cache_clear()
    with pytest.raises(RunError, match="was at step-00000002 when the Encoder was made, and is at step-00000009 now"):
        stale({"x": rows})


def test_a_data_frame_gives_a_data_frame_with_its_index(tabular):
    pd = pytest.importorskip("pandas", reason="no extra 'integrations'")
    frame = pd.DataFrame(FRAME).set_index("id")
    found = Encoder(tabular / "plain", outputs=("codes", "score"))(frame)
    assert list(found.index) == list(FRAME["id"])
    same({name: it.to_numpy() for name, it in found.items()}, Encoder(tabular / "plain", ("codes", "score"))(FRAME))


def test_a_cell_is_read_for_itself(tabular):
    """An unknown category and a text are refused; a number that stands for a known category is that one."""
    encode = Encoder(tabular / "categories")
    with pytest.raises(DataError, match="column 'kind' holds 'cow', which the training data has not; it has cat, dog"):
        encode({**FRAME, "kind": np.array([*FRAME["kind"][:-1], "cow"])})
    with pytest.raises(DataError, match="column 'age' holds 'old', which is not a number"):
        encode({**FRAME, "age": np.array([*FRAME["age"][:-1].astype(object), "old"])})
    blank = {**FRAME, "kind": np.array([*FRAME["kind"][:-1], " "])}
    assert np.flatnonzero(np.isnan(encode(blank)["gaussian_1"])).tolist() == [89]


def test_numbers_next_to_empty_cells_are_categories_and_labels(tmp_path):
    """Data frames make floats of whole numbers next to empty cells."""
    number = np.arange(90) % 3
    table = {"age": FRAME["age"], "room": number, "class": number[::-1]}
    run = aaeframe.train(
        table, categories=["room"], missing="drop", recipe="supervised", epochs=1, out=tmp_path / "run", **SMALL
    )
    whole = run.scores(table)  # fits the density, which is kept
    holes = {name: it.astype(np.float64) for name, it in table.items()}
    holes["room"][[4, 7]] = np.nan
    holes["class"][7] = np.nan

    found = Encoder(tmp_path / "run", ("score",))(holes)["score"]

    assert np.flatnonzero(np.isnan(found)).tolist() == [4, 7]
    left = ~np.isnan(found)
    np.testing.assert_allclose(found[left], whole[left], rtol=1e-5)
    holes["class"][8] = np.nan
    with pytest.raises(DataError, match="column 'class' has empty cells"):
        Encoder(tmp_path / "run", ("score",))(holes)


def test_lists_are_taken(tabular):
    """Engines of rows give lists, such as datasets.map(batched=True)."""
    encode = Encoder(tabular / "plain")
    table = {name: FRAME[name].astype(np.float64) for name in ("age", "height")}
    same(encode({name: it.tolist() for name, it in table.items()}), encode(table))


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda at: Encoder(at / "plain", outputs=("code",)), ConfigError, 'outputs are "codes", "score" or both'),
        (lambda at: Encoder(at / "plain", outputs="score"), ConfigError, 'outputs are "codes", "score" or both'),
        (lambda at: Encoder(at / "plain", kind="odd"), ConfigError, "kinds are density, reconstruction"),
        (lambda at: Encoder(at / "absent"), RunError, "absent"),
        (lambda at: Encoder(at / "plain", keep="id"), ConfigError, "keep= is a list of names of columns"),
        (lambda at: Encoder(at / "plain", keep=("no",))(FRAME), DataError, "no column 'no' of keep="),
        (lambda at: Encoder(at / "plain", column="no")(FRAME), DataError, "no column 'no'; its columns are id, age"),
        (lambda at: Encoder(at / "plain")({"age": FRAME["age"]}), DataError, "missing: height"),
        (lambda at: Encoder(at / "plain")([FRAME]), DataError, "a mapping of names to arrays, or a pandas.DataFrame"),
        (
            lambda at: Encoder(at / "plain")({**FRAME, "age": FRAME["age"][:-1]}),
            DataError,
            "must have one length, its number of rows; found: 'id' has 90, 'age' has 89",
        ),
        (lambda at: Encoder(at / "plain")({"age": 4.0, "height": FRAME["height"]}), DataError, "'age' is one value"),
        (
            lambda at: Encoder(at / "plain")({**FRAME, "age": np.where(np.arange(90) == 7, np.inf, FRAME["age"])}),
            DataError,
            "the batch: 1 of 180 values are not finite in float32; the first is inf in row 7, feature 0",
        ),
        (
            lambda at: Encoder(at / "plain", ("score",), keep=("score",))({**FRAME, "score": FRAME["age"]}),
            ConfigError,
            "is also the name of a result",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(tabular, make, error, words):
    with pytest.raises(error, match=re.escape(words)):
        make(tabular)
