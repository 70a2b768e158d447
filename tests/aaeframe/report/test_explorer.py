from __future__ import annotations

import base64
import math

import numpy as np
import pytest
import torch
from reported_runs import LABELS, ROWS, subject_of, trained

from aaeframe.errors import PluginError
from aaeframe.report.decoding import decoding
from aaeframe.report.dense import NotDense
from aaeframe.report.explorer import REPRESENTATION, explorer
from aaeframe.report.maps import map_of
from aaeframe.report.pictures import MOST_POINTS

TWO = "y=categorical(classes=2)+z=gaussian(size=3)"


def unpacked(found):
    dtype = np.dtype(found["type"]).newbyteorder("<")
    return np.frombuffer(base64.b64decode(found["data"]), dtype).reshape(found["shape"])


def as_a_grid(*given):
    """The decoder of a page, as if no layers were dense."""

    def refused(*_):
        raise NotDense("it is a test")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aaeframe.report.decoding.dense_layers", refused)
        return decoding(*given)


def test_points_are_rows_of_the_split_with_their_codes(digits):
    found = explorer(subject_of(digits, "test", points=50))

    rows = digits.dataset().test
    assert found["rows"] == {"count": 50, "of": len(rows), "split": "test"}
    labels = next(it for it in found["colors"] if it["name"] == "class")
    assert unpacked(labels["values"]).tolist() == rows.labels[found["positions"]].tolist()
    error = unpacked(next(it for it in found["colors"] if it["name"] == "reconstruction error")["values"])
    x = torch.from_numpy(rows.rows(np.array(found["positions"])))
    x_hat = digits.decode({"swissroll": torch.from_numpy(unpacked(found["codes"]["swissroll"]).copy())})
    expected = 0.5 * (digits.model.scale(x) - digits.model.scale(x_hat)).flatten(1).square().sum(1)
    np.testing.assert_allclose(error, expected, rtol=1e-4)


def test_as_many_points_as_fit_are_shown(digits):
    assert explorer(subject_of(digits, "train"))["rows"]["count"] == len(digits.dataset().train) < MOST_POINTS


def test_a_roll_has_a_walk_along_it(digits):
    (path,) = explorer(subject_of(digits, points=5))["paths"]

    z = unpacked(path["codes"])
    assert path["label"] == "along the swissroll"
    radius, turned = np.hypot(*z.T), np.unwrap(np.arctan2(z[:, 1], z[:, 0])[1:])
    assert (np.diff(radius) > 0).all()
    assert turned[-1] - turned[0] == pytest.approx(2 * math.pi * 2, rel=0.1)


@pytest.mark.parametrize("bad", [torch.zeros(3, 2), torch.full((240, 2), math.nan), [[0.0, 0.0]]])
def test_a_curve_that_is_none_of_the_blocks_codes_is_refused(digits, monkeypatch, bad):
    prior = digits.model.priors["swissroll"]
    monkeypatch.setattr(type(prior), "curve", lambda self, count: bad)

    with pytest.raises(PluginError, match=r"block 'swissroll' .* must give a finite tensor of shape \(240, 2\)"):
        explorer(subject_of(digits, points=5))


def test_dense_decoders_come_with_the_page_and_others_as_a_grid(digits):
    conv = trained("digits", network="conv(channels=[4], hidden=8)", batch_size=200)

    dense, grid = (explorer(subject_of(it, points=5))["decoder"] for it in (digits, conv))

    assert (dense["kind"], len(dense["layers"])) == ("dense", 2)
    assert grid["kind"] == "grid"
    assert "dense layers only" in grid["reason"]
    (plane,) = grid["grids"]
    assert plane["pictures"]["count"] == plane["side"] ** 2


def test_a_grid_has_every_category_over_the_map():
    run = trained(prior=TWO, recipe="clustering", network="mlp(hidden=[8])")
    run.model.decoder[1] = torch.nn.GELU()

    found = explorer(subject_of(run, points=20))

    (grid,) = found["decoder"]["grids"]
    side, (plane,) = grid["side"], found["maps"]
    pictures = unpacked(grid["pictures"]["values"])
    assert (grid["key"], grid["categories"], len(pictures)) == ("z", 2, 2 * side**2)
    # the last picture: the second category at the upper right corner of the map
    corner = np.array(plane["mean"]) + np.array(plane["high"]) @ np.array(plane["axes"])
    code = {"y": torch.tensor([[0.0, 1.0]]), "z": torch.from_numpy(corner[None]).float()}
    np.testing.assert_allclose(pictures[-1], run.decode(code)[0], rtol=1e-4, atol=1e-5)


def test_categories_have_buttons_and_a_picture_each():
    run = trained(prior=TWO, recipe="clustering")
    clustering = {"names": [1, 0]}

    found = explorer(subject_of(run, points=20, evaluation={**subject_of(run).evaluation, "clustering": clustering}))

    assert found["categories"] == {"block": "y", "what": "cluster", "names": ["0", "1"], "meaning": ["1", "0"]}
    heads = unpacked(found["heads"]["values"])
    expected = run.decode({"y": torch.eye(2), "z": torch.zeros(2, 3)})
    np.testing.assert_allclose(heads, expected, rtol=1e-5)
    assert [(it["name"], it["one_hot"], it["size"]) for it in found["blocks"]] == [("y", True, 2), ("z", False, 3)]


def test_cluster_heads_have_a_map_of_the_decoders_input():
    run = trained(prior=TWO, recipe="reduction", labels=20)

    found = explorer(subject_of(run, points=20))

    assert [it["key"] for it in found["maps"]] == [REPRESENTATION, "z"]
    weight = unpacked(found["representation"]["heads"])
    y, z = (unpacked(found["codes"][it]) for it in ("y", "z"))
    np.testing.assert_allclose(unpacked(found["codes"][REPRESENTATION]), y @ weight + z, rtol=1e-4, atol=1e-5)


def test_labels_of_a_decoder_are_its_categories():
    found = explorer(subject_of(trained(recipe="supervised"), points=20))

    assert found["categories"] == {"block": None, "what": "class", "names": ["0", "1"]}


@pytest.fixture(scope="module")
def many():
    """A run whose decoder takes labels of 100 classes."""
    return trained((np.repeat(ROWS, 2, axis=0), np.arange(400) % 100), recipe="supervised")


def test_many_labels_have_names_and_no_pictures_and_stay_labels_of_the_decoder(many):
    found = explorer(subject_of(many, points=20))

    assert (len(found["categories"]["names"]), found["heads"]) == (100, None)
    assert found["labels"]["count"] == 100
    expected = many.dataset().train.labels[found["positions"]]
    assert unpacked(found["labels"]["values"]).tolist() == expected.tolist()
    assert found["decoder"]["layers"][0]["weight"]["shape"][1] == found["blocks"][0]["size"] + 100


def test_a_grid_has_as_many_categories_as_fit(many, monkeypatch):
    monkeypatch.setattr("aaeframe.report.explorer.decoding", as_a_grid)
    monkeypatch.setattr("aaeframe.report.decoding.MOST_VALUES", 70 * 6 * 6**2)

    (grid,) = explorer(subject_of(many, points=20))["decoder"]["grids"]

    assert (grid["categories"], grid["of"], grid["side"]) == (70, 100, 6)
    assert len(unpacked(grid["pictures"]["values"])) == 70 * 6**2


def test_a_map_that_tells_the_category_has_one_finer_grid(monkeypatch):
    run = trained(prior=TWO, recipe="reduction", labels=20)
    monkeypatch.setattr("aaeframe.report.explorer.decoding", as_a_grid)
    monkeypatch.setattr("aaeframe.report.decoding.MOST_VALUES", 2 * 3200 * 2)

    whole, style = explorer(subject_of(run, points=20))["decoder"]["grids"]

    assert (whole["key"], whole["categories"], whole["of"]) == (REPRESENTATION, 1, 1)
    assert (style["key"], style["categories"], style["of"]) == ("z", 2, 2)
    assert whole["side"] == 32
    assert style["side"] == 23


def test_categories_are_decoded_at_a_code_that_the_prior_can_have(monkeypatch):
    run = trained(prior=TWO, recipe="clustering")
    uniform = torch.distributions.Uniform(torch.full((3,), 2.0), torch.full((3,), 4.0))
    monkeypatch.setitem(run.model.priors, "z", torch.distributions.Independent(uniform, 1))

    found = explorer(subject_of(run, points=20))

    samples = unpacked(found["prior"]["z"])
    assert samples.min() >= 2
    z = samples[np.linalg.norm(samples - samples.mean(0), axis=1).argmin()]
    expected = run.decode({"y": torch.eye(2), "z": torch.from_numpy(z.copy()).expand(2, 3)})
    np.testing.assert_allclose(unpacked(found["heads"]["values"]), expected, rtol=1e-5)


def test_the_same_run_gives_the_same_page(digits):
    assert explorer(subject_of(digits, points=9)) == explorer(subject_of(digits, points=9))


def test_rows_without_labels_have_colors_too():
    run = trained((ROWS, np.where(np.arange(200) % 3, LABELS, -1)))

    names = [it["name"] for it in explorer(subject_of(run, points=20))["colors"]]

    assert names[:2] == ["class", "reconstruction error"]
    assert explorer(subject_of(trained(ROWS), points=9))["colors"][0]["name"] == "reconstruction error"


def test_a_plane_keeps_two_dimensions_as_they_are():
    codes = torch.tensor([[0.0, 1.0], [2.0, -3.0]])

    found = map_of("z", codes, codes)

    np.testing.assert_array_equal(found.codes_at(codes.numpy()), codes)


def test_more_dimensions_are_projected_on_their_principal_axes():
    base = torch.randn(300, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * torch.tensor([5, 2])
    turn = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))[0]
    codes = torch.nn.functional.pad(base, (0, 2)) @ turn + 7

    found = map_of("z", codes, codes)

    np.testing.assert_allclose(found.axes @ found.axes.T, np.eye(2), atol=1e-12)
    places = (codes.numpy() - found.mean) @ found.axes.T
    np.testing.assert_allclose(found.codes_at(places), codes, atol=1e-9)
    assert found.names[0].startswith("first principal axis (8")


def test_one_dimension_lies_along_the_width():
    found = map_of("z", torch.tensor([[1.0], [3.0]]), torch.tensor([[2.0]]))

    assert found.codes_at(np.array([[2.5, 0.4]])).tolist() == [[2.5]]
    assert (found.low[1], found.high[1]) == (-1, 1)
