"""Scores of models whose parts are known: what each kind is, and what has none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.covariance import EmpiricalCovariance
from torch import nn
from torch.distributions import Independent, Normal, OneHotCategorical, constraints

from aaeframe.anomaly import density as density_module
from aaeframe.anomaly import fit_density, reasons, scores
from aaeframe.anomaly.gaussian import fit_gaussian
from aaeframe.data import Split
from aaeframe.errors import ConfigError, DataError
from aaeframe.model.autoencoder import Autoencoder
from aaeframe.model.representation import Concatenate, WithLabel
from aaeframe.protocols import BlockSpec, DataSpec
from aaeframe_plugins.priors.swissroll import SwissRoll

RNG = np.random.default_rng(0)
ROWS = (RNG.normal(size=(120, 3)) @ RNG.normal(size=(3, 3)) + [5, 0, -2]).astype(np.float32)
NORMAL = Independent(Normal(torch.zeros(3), torch.full((3,), 2.0)), 1)


class Copying(nn.Module):
    """An encoder whose code is the row, and whose categories are always the first."""

    noise_shape = torch.Size([])

    def __init__(self, blocks):
        super().__init__()
        self.blocks = blocks

    def forward(self, x, noise=None):
        first = torch.eye(2)[:1].expand(len(x), 2)
        return {name: first if name == "y" else x[:, :size] for name, size in self.blocks.items()}


class Less(nn.Module):
    """A decoder whose reconstruction is the code, less one of the last feature."""

    def forward(self, z):
        return z[:, :3] - torch.tensor([0.0, 0.0, 1.0])


class Sum(nn.Module):
    """A discriminator whose logit is the sum of a code."""

    def forward(self, z, labels=None):
        return z.sum(1)


def model(priors=None, discriminators=(), labels=None):
    priors = priors or {"z": NORMAL}
    sizes = {name: prior.event_shape[0] for name, prior in priors.items()}
    blocks = {name: BlockSpec(prior.event_shape, prior.support) for name, prior in priors.items()}
    representation = Concatenate(blocks) if labels is None else WithLabel(blocks, labels)
    spec = DataSpec(torch.Size([3]), constraints.real, torch.tensor([5.0, 0.0, -2.0]), torch.tensor([1.0, 2.0, 3.0]))
    return Autoencoder(spec, Copying(sizes), Less(), representation, priors, {it: Sum() for it in discriminators})


def scaled(x):
    return (x - np.array([5, 0, -2])) / np.array([1, 2, 3])


def test_with_a_constant_residual_the_density_is_the_mahalanobis_distance_of_the_rows():
    it = model()

    found = scores(it, ROWS, "density", density=fit_density(it, Split(ROWS)))

    expected = EmpiricalCovariance().fit(ROWS)
    for _ in range(3):
        distances = expected.mahalanobis(ROWS)
        expected = EmpiricalCovariance().fit(ROWS[distances <= np.quantile(distances, 0.9)])
    np.testing.assert_allclose(found, expected.mahalanobis(ROWS), rtol=1e-3)  # the model computes in float32


def test_an_obvious_outlier_is_first_and_its_feature_is_the_reason():
    it, x = model(), ROWS.copy()
    density = fit_density(it, Split(x))
    x[17, 1] += 60

    found = scores(it, x, "density", density=density)

    assert found.argmax() == 17
    assert found.dtype == np.float64


def test_the_other_kinds_are_what_they_say():
    it = model(discriminators=["z"])

    np.testing.assert_allclose(scores(it, ROWS, "reconstruction"), np.full(120, 0.5), rtol=1e-5)
    expected = -NORMAL.log_prob(torch.from_numpy(scaled(ROWS).astype(np.float32))).numpy()
    np.testing.assert_allclose(scores(it, ROWS, "prior"), expected, rtol=1e-5)
    np.testing.assert_allclose(scores(it, ROWS, "discriminator"), -scaled(ROWS).sum(1), rtol=1e-4, atol=1e-5)


def test_one_hot_blocks_are_no_part_of_density_and_prior():
    it = model({"y": OneHotCategorical(torch.ones(2)), "z": NORMAL})
    it.decoder = nn.Sequential(nn.Linear(5, 3))

    density = fit_density(it, Split(ROWS))

    assert len(density.gaussian.mean) == 3 + 3
    np.testing.assert_allclose(scores(it, ROWS, "prior"), scores(model(), ROWS, "prior"), rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "priors", "words"),
    [
        (
            "prior",
            {"roll": SwissRoll()},
            r"no density \(log_prob\) in block 'roll' \(SwissRoll\); use --kind density",
        ),
        ("prior", {"y": OneHotCategorical(torch.ones(2))}, "all blocks are one-hot"),
        ("discriminator", None, "has no discriminator"),
        ("densty", None, "there is no kind of score 'densty'; kinds are density, reconstruction, prior, discriminator"),
    ],
)
def test_what_a_model_does_not_give_is_refused(kind, priors, words):
    with pytest.raises(ConfigError, match=words):
        scores(model(priors), ROWS, kind)


def test_rows_in_batches_have_the_scores_of_the_rows_alone(monkeypatch):
    it = model()
    density = fit_density(it, Split(ROWS))
    whole = scores(it, ROWS, "density", density=density)
    monkeypatch.setattr("aaeframe.model.autoencoder.MOST_AT_ONCE", 7)

    np.testing.assert_allclose(scores(it, Split(ROWS), "density", density=density), whole, rtol=1e-4)


def test_many_rows_are_thinned_evenly(monkeypatch):
    monkeypatch.setattr(density_module, "CELLS", 6 * 40)
    it = model()

    density = fit_density(it, Split(ROWS))

    at = np.linspace(0, 119, 40).astype(int)
    features = np.concatenate([*density_module.features(it, ROWS[at])])
    np.testing.assert_array_equal(density.training, np.sort(fit_gaussian(features).distances(features)))


def test_a_decoder_that_takes_labels_is_given_them():
    it, labels = model(labels=2), np.arange(120) % 2
    density = fit_density(it, Split(ROWS, labels=labels))

    assert len(scores(it, ROWS, "density", density=density, labels=torch.from_numpy(labels))) == 120
    assert len(scores(it, ROWS, "reconstruction", labels=labels.tolist())) == 120
    with pytest.raises(DataError, match="120 of 120 rows have no label"):
        fit_density(it, Split(ROWS))
    with pytest.raises(DataError, match="a label for each of 120 rows is needed, found labels of shape"):
        scores(it, ROWS, "reconstruction", labels=torch.zeros(5, dtype=torch.long))


def test_a_model_that_has_diverged_has_no_scores():
    it = model()
    it.decoder = nn.Linear(3, 3)
    nn.init.constant_(it.decoder.weight, float("nan"))

    with pytest.raises(DataError, match="hold numbers that are not finite"):
        fit_density(it, Split(ROWS))


class Expecting(nn.Module):
    """A decoder that expects zero everywhere, the mean of the training rows."""

    def forward(self, z):
        return 0 * z[:, :3]


def test_reasons_are_the_largest_standardized_residuals_with_their_sign():
    it, x = model(), ROWS.copy()
    it.decoder = Expecting()
    density = fit_density(it, Split(x))
    x[0] = x.mean(0) + np.array([100, 0, 0])
    x[1] = x.mean(0) - np.array([0, 80, 0])

    found = reasons(it, x[:2], density, ["a", "b", "c"], 2)

    assert found.columns[:, 0].tolist() == ["a", "b"]
    assert found.deviations[0, 0] > 20
    assert found.deviations[1, 0] < -20
    assert (np.abs(found.deviations[:, 0]) >= np.abs(found.deviations[:, 1])).all()
    assert reasons(it, x[:1], density, None, 1).columns.tolist() == [["x_1"]]
    with pytest.raises(ConfigError, match=r"4 reasons were asked for .* and a row has 3 columns; give 1 to 3"):
        reasons(it, x, density, None, 4)
