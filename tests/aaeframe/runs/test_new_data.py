"""Rows that a run has not seen: columns, classes and scale are those of its training, or the rows are refused."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import aaeframe
from aaeframe.errors import DataError

RNG = np.random.default_rng(0)
X = np.concatenate([RNG.normal(-3, 1, (40, 3)), RNG.normal(0, 1, (40, 3)), RNG.normal(3, 1, (40, 3))])
NAMES = np.repeat(["bird", "cat", "dog"], 40)
SMALL = {"network": "mlp(hidden=[8])", "discriminator": "mlp(hidden=[8])", "epochs": 1, "keep": False}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Writes a table of rows and columns by name."""
    folder = tmp_path_factory.mktemp("tables")

    def write(name, **columns):
        path = folder / name
        lines = [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
        path.write_text("\n".join([",".join(columns), *lines]) + "\n")
        return path

    return write


@pytest.fixture(scope="module")
def classified(table):
    source = table("train.csv", a=X[:, 0], b=X[:, 1], c=X[:, 2], label=NAMES)
    given = {**SMALL, "epochs": 3, "batch_size": 20}
    return aaeframe.train(
        source, recipe="semi-supervised", prior="y=categorical(classes=3)+z=gaussian(size=2)", labels="all", **given
    )


def test_columns_in_another_order_are_the_same_rows_in_every_split(classified, table):
    straight = table("straight.csv", a=X[:, 0], b=X[:, 1], c=X[:, 2], label=NAMES)
    turned = table("turned.csv", label=NAMES, c=X[:, 2], a=X[:, 0], b=X[:, 1])
    for rows in (lambda path: classified.new_rows(path).rows, lambda path: classified.new_data(path).train):
        np.testing.assert_array_equal(rows(straight).array(), rows(turned).array())


def test_classes_are_compared_by_their_names(classified):
    some = aaeframe.data.from_arrays(X[40:], NAMES[40:])
    found = classified.encode(some.train.array())["y"].argmax(1).numpy()
    wrong = np.array(classified.class_names)[found] != NAMES[40:][some.train.index]
    assert classified.evaluate(some, split="train")["classification"]["error"] == pytest.approx(wrong.mean())
    with pytest.raises(DataError, match="the run has the classes bird, cat, dog, but these rows have cow too"):
        classified.evaluate(aaeframe.data.from_arrays(X[:40], np.repeat(["bird", "cow"], 20)))


def test_a_class_that_the_run_does_not_have_is_no_matter_where_no_label_is_used(classified):
    rows = (X[:40], np.repeat(["bird", "cow"], 20))
    for use in (lambda x: classified.encode(x)["z"], lambda x: classified.scores(x, kind="reconstruction")):
        np.testing.assert_array_equal(use(rows), use(X[:40]))


def test_only_what_is_not_there_is_left_out(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, klass=NAMES, extra=X)
    config = {"data": {"label_key": "klass", "drop": ["extra"]}}
    run = aaeframe.train(tmp_path / "a.npz", prior="gaussian(size=2)", config=config, **SMALL)
    np.savez(tmp_path / "b.npz", x=X[:5], klass=NAMES[:5])
    found = run.new_rows(tmp_path / "b.npz")
    assert found.rows.labels.tolist() == [0] * 5
    assert found.reading.passed_over[-1] == "'extra', which the training data has and this lacks"


def test_one_new_row_is_filled_in_by_the_means_of_the_training(table):
    source = table("holes.csv", a=X[:, 0], b=[*X[:-1, 1], ""])
    run = aaeframe.train(source, prior="gaussian(size=2)", config={"data": {"missing": "mean"}}, **SMALL)
    new = run.new_rows(table("one.csv", a=[1.5], b=[""])).rows.array()
    assert new[0, 0] == 1.5
    assert new[0, 1] == pytest.approx(float(run.model.mean[1]))
    with pytest.raises(DataError, match=r"data\.missing=mean goes with data.scale=standardize alone"):
        aaeframe.data.load(source, missing="mean", scale="none")


def test_a_feature_y_is_one_in_new_rows_whatever_its_values(table, tmp_path):
    run = aaeframe.train(table("fractions.csv", x1=X[:, 0], Y=X[:, 1]), prior="gaussian(size=2)", **SMALL)
    counts = np.arange(120) % 3
    new = table("counts.csv", x1=X[:, 0], Y=counts)
    with pytest.raises(DataError, match="can hold the labels"):
        aaeframe.data.load(new)
    found = run.new_rows(new)
    np.testing.assert_allclose(found.rows.array()[:, 1], counts)
    assert found.rows.labels is None
    labeled = aaeframe.train(table("both.csv", Y=X[:, 1], label=NAMES), prior="gaussian(size=2)", **SMALL)
    assert labeled.new_rows(table("few.csv", Y=counts, label=NAMES)).class_names == ("bird", "cat", "dog")
    np.save(tmp_path / "counts.npy", np.stack([X[:, 0], counts], axis=1))
    np.testing.assert_allclose(run.new_rows(tmp_path / "counts.npy").rows.array(), found.rows.array())
    np.testing.assert_allclose(run.new_rows({"x1": X[:, 0], "Y": counts}).rows.array(), found.rows.array())
    for name, classes in (("text.csv", NAMES), ("codes.csv", counts)):
        assert run.new_rows(table(name, x1=X[:, 0], Y=X[:, 1], label=classes)).rows.labels.max() == 2
    np.savez(tmp_path / "named.npz", x=X[:, :2], y=counts)
    named = run.new_rows(tmp_path / "named.npz")
    assert named.rows.labels.tolist() == counts.tolist()
    assert named.reading.passed_over == ()
    unlabeled = labeled.new_rows(table("unlabeled.csv", Y=counts))
    assert unlabeled.rows.labels is None
    np.testing.assert_allclose(unlabeled.rows.array()[:, 0], counts)


def test_results_of_fewer_rows_than_were_given_come_with_a_warning(table):
    source = table("gaps.csv", a=X[:, 0], b=["", *X[1:-1, 1], ""])
    run = aaeframe.train(source, prior="gaussian(size=2)", config={"data": {"missing": "drop"}}, **SMALL)
    said = "gaps.csv: 2 of 120 rows have empty cells and are left out; the results are those of the other 118, in order"
    for use in (run.encode, run.reconstruct, run.scores, lambda x: run.reasons(x, 1)):
        with pytest.warns(UserWarning, match=said) as caught:
            use(source)
        assert caught[0].filename == __file__
    assert len(run.scores(X[:, :2])) == 120  # and no warning, which would be an error


def test_gray_images_are_read_by_a_run_of_colors(tmp_path):
    colors = RNG.integers(0, 256, (30, 6, 5, 3), dtype=np.uint8)
    for i, color in enumerate(colors):
        for name, pixels in (("colors", color), ("gray", color[..., 0])):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / name / f"{i:02}.png")
    run = aaeframe.train(tmp_path / "colors", prior="gaussian(size=2)", **SMALL)
    found = run.new_rows(tmp_path / "gray")
    np.testing.assert_array_equal(found.rows.array(), np.stack([colors[..., 0]] * 3, axis=1))
    assert found.reading.passed_over == ("lack of color in 30 images, whose gray is in each channel",)
    assert run.evaluate(run.new_data(tmp_path / "gray"))["rows"] == 3


def test_pixels_of_another_scale_are_refused(tmp_path):
    images = RNG.random((60, 6, 6))
    run = aaeframe.train(images, prior="gaussian(size=2)", **SMALL)
    np.save(tmp_path / "bytes.npy", (images * 255).astype(np.uint8))
    for read in (run.new_rows, run.new_data):
        with pytest.raises(DataError, match=r"reach from .* in units in which those of the training are from 0 to 1"):
            read(tmp_path / "bytes.npy")
    np.save(tmp_path / "wide.npy", RNG.random((5, 7, 7)))
    with pytest.raises(DataError, match=r"rows of shape \(1, 6, 6\) are expected"):
        run.new_rows(tmp_path / "wide.npy")


def test_pixels_of_fewer_bits_than_those_of_the_training_are_refused():
    images = RNG.integers(0, 256, (60, 6, 6), dtype=np.uint8)
    given = {"prior": "gaussian(size=2)", **SMALL}
    of_8, of_16 = aaeframe.train(images, **given), aaeframe.train(images.astype(np.uint16) * 257, **given)
    with pytest.raises(DataError, match=r"within 0\.\.1, where those of the training are within 0\.\.255; .*x \* 255$"):
        of_8.new_rows(images / 255)
    with pytest.raises(DataError, match=r"within 0\.\.255, where those of the training are within 0\.\.65535; .*257$"):
        of_16.new_rows(images)
    dark = images[:3] // 128
    for rows in (dark, dark.astype(np.float32), images * 1.0, images / 2 - 0.25, images.astype(np.uint16)):
        assert of_8.new_rows(rows).rows.shape == (1, 6, 6)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.array([[np.nan, 1, 2]]), "not finite"),
        (np.ma.masked_array(np.ones((1, 3)), mask=[[True, False, False]]), "masked arrays would lose their masks"),
        (np.array([["a", "b", "c"]]), "rows are real numbers"),
    ],
    ids=["nan", "masked", "texts"],
)
def test_arrays_are_checked_as_in_training(classified, rows, message):
    with pytest.raises(DataError, match=message):
        classified.encode(rows)


@pytest.mark.parametrize("make", [lambda x: x.astype(">f4"), lambda x: x.tolist(), lambda x: x[:, ::-1][:, ::-1]])
def test_arrays_of_any_make_are_encoded(classified, make):
    wanted = classified.encode(X[:4].astype(np.float32).astype(np.float64))["z"]
    np.testing.assert_allclose(classified.encode(make(X[:4].astype(np.float32)))["z"], wanted, atol=1e-5)


def test_a_few_rows_without_a_label_take_no_row_from_training():
    few = np.where(np.arange(120) < 3, "", NAMES)
    steps = [
        aaeframe.train((X, labels), prior="mixture(components=3)", labels="all", batch_size=20, **SMALL).step
        for labels in (NAMES, few)
    ]
    assert steps[0] == steps[1]
