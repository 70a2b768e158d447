"""Figures of tables: which columns are shown, by which names and with which numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import aaeframe
from aaeframe import figures
from aaeframe.data import from_arrays
from aaeframe.errors import DataError
from aaeframe.figures import gallery, table_figures
from aaeframe.figures.table_statistics import column_statistics

WIDE = [f"a column with the long name of number {k:03d}" for k in range(765)]
SMALL = {"network": "mlp(hidden=[8])", "discriminator": "mlp(hidden=[8])", "epochs": 1, "device": "cpu"}


def ticks(axis):
    return [text.get_text() for text in axis.get_ticklabels()]


def overlaps(texts, figure):
    boxes = [text.get_window_extent(figure.canvas.get_renderer()) for text in texts if text.get_text()]
    return [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]


def inside(figure):
    figure.draw_without_rendering()
    whole = figure.bbox
    extents = [axes.get_tightbbox(figure.canvas.get_renderer()) for axes in figure.axes]
    return all(whole.x0 <= it.x0 and it.x1 <= whole.x1 and whole.y0 <= it.y0 and it.y1 <= whole.y1 for it in extents)


def test_the_largest_errors_are_shown_by_name_and_a_long_name_loses_its_middle():
    errors = np.arange(765) / 765
    errors[700] = np.nan
    figure = figures.column_errors(errors, WIDE)
    [axes] = figure.axes
    assert [bar.get_width() for bar in axes.patches] == pytest.approx(sorted(np.delete(errors, 700))[:-21:-1])
    assert ticks(axes.yaxis)[0] == "a column with th…me of number 764"
    assert "the 20 largest of 765 columns" in figure.get_suptitle()
    assert inside(figure)
    assert not overlaps(axes.yaxis.get_ticklabels(), figure)


def test_the_columns_that_follow_each_code_are_shown_in_groups():
    r = np.random.default_rng(0).uniform(-0.3, 0.3, (3, 765))
    r[0, 5], r[1, 9], r[2, 700], r[2, 4] = -0.9, 0.8, 0.7, np.nan
    figure = figures.correlations(r, WIDE)
    axes = figure.axes[0]
    assert ticks(axes.xaxis) == ["$z_{1}$", "$z_{2}$", "$z_{3}$"]
    shown = axes.get_images()[0].get_array()
    assert shown.shape == (24, 3)
    strongest = np.abs(shown).argmax(1)
    assert (np.diff(strongest) >= 0).all()
    assert [shown[np.flatnonzero(strongest == k)[0], k] for k in range(3)] == pytest.approx([-0.9, 0.8, 0.7])
    assert "24 of 765 columns" in figure.get_suptitle()
    assert inside(figure)
    assert not overlaps(axes.yaxis.get_ticklabels(), figure)


def test_classes_have_their_names_and_many_codes_are_cut_to_those_with_the_strongest():
    r = np.array([[0.5, 0.1], [-0.5, -0.1]])
    assert ticks(figures.correlations(r, ["a", "b"], ["cat", "$dog"]).axes[0].xaxis) == ["cat", r"\$dog"]
    many = np.linspace(0, 1, 40)[:, None] * np.ones((40, 2))
    figure = figures.correlations(many, ["a", "b"], [f"class {k}" for k in range(40)])
    assert ticks(figure.axes[0].xaxis) == [f"class {k}" for k in range(24, 40)]
    assert "16 of 40 codes" in figure.get_suptitle()
    assert inside(figure)


@pytest.mark.slow
def test_reconstructions_have_a_panel_for_columns_from_the_largest_error_to_the_smallest():
    x = np.random.default_rng(0).normal(size=(50, 30))
    errors = np.arange(30) / 30
    figure = figures.column_reconstructions(x, x + 1, errors, WIDE[:30])
    assert len(figure.axes) == 9
    assert figure.axes[0].get_title(loc="left") == "a column wit…f number 029"
    assert [text.get_text() for text in figure.axes[-1].texts] == ["error 0.00"]
    dots = figure.axes[0].collections[0].get_offsets()
    np.testing.assert_allclose(dots, np.stack([x[:, 29], x[:, 29] + 1], axis=1))
    assert inside(figure)
    assert len(figures.column_reconstructions(x[:, :1], x[:, :1], errors[:1], ["a"]).axes) == 1


def test_samples_are_compared_by_column_in_its_standard_deviations():
    x = np.random.default_rng(0).normal(size=(400, 2)) * [1, 1000]
    figure = figures.column_samples(x, x + np.array([2 * x[:, 0].std(), 0]), ["moved", "same"])
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["moved", "same"]
    assert [axes.texts[0].get_text() for axes in figure.axes] == ["difference 2.00", "difference 0.00"]
    two = figures.column_samples(np.array([[0.0], [9.0]]), np.full((2000, 1), 4.0), ["few"]).axes[0]
    assert sum(bar.get_height() for bar in two.patches[:-1]) > 0
    constant = figures.column_samples(np.ones((9, 1)), np.ones((9, 1)), ["c"])
    assert constant.axes[0].texts[0].get_text() == "constant"


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: figures.column_errors(np.ones(3), ["a"]), r"1 names and errors \(3,\)"),
        (lambda: figures.column_errors(np.full(1, np.nan), ["a"]), "no column has a finite error"),
        (lambda: figures.correlations(np.ones((2, 3)), ["a"]), r"correlations \(2, 3\) and 1 columns"),
        (lambda: figures.column_reconstructions(np.ones((2, 1)), np.ones((3, 1)), [1], ["a"]), "differ in shape"),
        (lambda: figures.column_samples(np.ones((2, 1)), np.ones((3, 2)), ["a"]), "differ in their columns"),
    ],
)
def test_what_does_not_fit_is_refused(draw, words):
    with pytest.raises(DataError, match=words):
        draw()


@pytest.fixture(scope="module")
def trained():
    """A run on a table of six columns, one far from zero and one constant."""
    x = np.random.default_rng(0).normal(size=(200, 6)) * [1, 1, 100, 1, 1, 0] + [0, 0, 0, 1e6, 0, 7]
    data = from_arrays(x, np.arange(200) % 2)
    return aaeframe.train(data, keep=False, **SMALL), data


def test_statistics_are_those_of_all_rows_at_once(trained, monkeypatch):
    run, data = trained
    x = data.train
    codes = run.encode(x)
    found = column_statistics(run.model, x, codes)
    rows, z = x.array(), codes["gaussian"].numpy().astype(np.float64)
    errors = ((rows - run.reconstruct(x).numpy()) ** 2).mean(0)[:5] / rows.var(0)[:5]
    np.testing.assert_allclose(found.errors[:5], errors, rtol=1e-6)
    expected = np.corrcoef(z.T, rows[:, :5].T)[: z.shape[1], z.shape[1] :]
    np.testing.assert_allclose(found.correlations["gaussian"][:, :5], expected, atol=1e-9)
    assert np.isnan(found.errors[5])


@pytest.mark.slow
def test_a_table_gets_its_figures_and_a_part_of_many_rows_is_said(trained, monkeypatch):
    run, data = trained
    monkeypatch.setattr(gallery, "MOST_CODES", 50)

    def drawn(split):
        drawn = gallery._figures(run.model, data, split, [], 0, (), "bce", None)
        return {name: figure.get_suptitle() for name, figure in drawn}

    found = drawn("train")
    assert found.keys() == {"codes-gaussian", "reconstructions", "errors", "correlations-gaussian", "samples"}
    assert found["codes-gaussian"] == "Codes of 50 of 160 train rows (drawn at random), block 'gaussian'"
    assert drawn("test")["codes-gaussian"] == "Codes of 20 test rows, block 'gaussian'"


def test_codes_are_of_all_rows_up_to_ten_thousand():
    assert gallery.MOST_CODES == 10_000
    assert table_figures.SHOWN == 20


def test_the_decoded_plane_has_the_coordinates_of_its_codes():
    z = np.stack(np.meshgrid(np.linspace(-2, 2, 9), np.linspace(1, -1, 5)), axis=-1)
    [axes] = figures.decoded_plane(torch.zeros(5, 9, 1, 4, 6), title="t", codes=z).axes
    minus = "\N{MINUS SIGN}"
    assert ticks(axes.xaxis) == [f"{minus}2.0", f"{minus}1.0", "0.0", "1.0", "2.0"]
    assert axes.get_xticks().tolist() == [2.5 + 7 * place for place in (0, 2, 4, 6, 8)]
    assert ticks(axes.yaxis) == ["1.0", "0.5", "0.0", f"{minus}0.5", f"{minus}1.0"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("$z_1$", "$z_2$")
    with pytest.raises(DataError, match=r"5 x 9 images have codes \(5, 9, 2\), found \(9, 5, 2\)"):
        figures.decoded_plane(torch.zeros(5, 9, 1, 4, 6), title="t", codes=z.swapaxes(0, 1))
