"""The variational autoencoder: its bound, term by term, and what it cannot be trained with."""

from __future__ import annotations

import math
import re

import pytest
import torch
from torch import distributions as D
from torch.distributions import constraints
from torch.nn.functional import binary_cross_entropy

from aaeframe.configuration.schema import parse
from aaeframe.data import from_arrays
from aaeframe.errors import ConfigError
from aaeframe.model.priors import checked_prior, on_device
from aaeframe.recipes.variational import divergence
from aaeframe.runs.start import start
from aaeframe.seeds import stream


def posterior(rows=50, size=3):
    noise = torch.Generator().manual_seed(0)
    loc = torch.randn(rows, size, generator=noise)
    return D.Independent(D.Normal(loc, 0.1 + torch.rand(rows, size, generator=noise)), 1)


class NoFormula:
    """The same density, of which torch knows nothing."""

    def __init__(self, prior):
        self.log_prob = prior.log_prob


# The divergence.


def test_between_gaussians_the_divergence_is_the_formula():
    q, scale = posterior(), 2.0
    prior = D.Independent(D.Normal(torch.zeros(3), scale), 1)
    mean, variance = q.mean, q.variance
    by_hand = 0.5 * (variance / scale**2 + mean**2 / scale**2 - 1 - (variance / scale**2).log()).sum(1).mean()
    found = divergence(q, prior, q.sample())
    assert torch.allclose(found, by_hand)
    assert torch.allclose(found, D.kl_divergence(q, prior).mean())
    assert torch.equal(found, divergence(q, prior, torch.full((50, 3), math.nan))), "no sample is looked at"


@pytest.mark.slow
@pytest.mark.parametrize(
    "prior",
    [
        NoFormula(D.Independent(D.Normal(torch.zeros(3), 2.0), 1)),
        D.MultivariateNormal(torch.zeros(3), 4.0 * torch.eye(3)),
    ],
    ids=["no formula", "no formula with an independent one"],
)
def test_without_a_formula_the_divergence_is_right_in_the_mean(prior):
    q = posterior()
    exact = D.kl_divergence(q, D.Independent(D.Normal(torch.zeros(3), 2.0), 1)).mean()
    with stream(0, "samples"):
        estimates = torch.stack([divergence(q, prior, q.sample()) for _ in range(2000)])
    error = estimates.std() / math.sqrt(2000)
    assert error > 1e-4, "an estimate it is"
    assert abs(estimates.mean() - exact) < 4 * error


def test_of_a_mixture_the_divergence_is_estimated():
    q = posterior(size=2)
    prior = D.MixtureSameFamily(
        D.Categorical(torch.ones(2)), D.Independent(D.Normal(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), 0.5), 1)
    )
    z = q.sample()
    assert torch.allclose(divergence(q, prior, z), (q.log_prob(z) - prior.log_prob(z)).mean())


def test_the_gradient_of_the_estimate_is_right_in_the_mean():
    """Through the samples: only so does the encoder learn where the prior is, and how wide."""
    loc, scale = torch.tensor([1.0, -2.0], requires_grad=True), torch.tensor([0.5, 2.0], requires_grad=True)
    prior = NoFormula(D.Independent(D.Normal(torch.zeros(2), 1.0), 1))
    with stream(0, "samples"):
        q = D.Independent(D.Normal(loc.expand(40_000, 2), scale.expand(40_000, 2)), 1)
        divergence(q, prior, q.rsample()).backward()
    assert torch.allclose(loc.grad, loc.detach(), atol=0.05), "d/dm KL(N(m, s) || N(0, 1)) = m"
    assert torch.allclose(scale.grad, (scale - 1 / scale).detach(), atol=0.05), "d/ds of it = s - 1/s"


# A step.


@pytest.mark.parametrize("prior", ["gaussian(size=3)", "mixture", "gaussian+mixture"])
def test_encoder_and_decoder_move_and_there_is_nothing_else(prepared, watch, prior):
    training = prepared("variational", prior=prior)
    assert not training.model.discriminators
    moved = watch.moved(training)
    assert moved == {"autoencoder": {name for name, _ in training.model.named_parameters()}}


def images(prepared, rows, **options):
    return prepared("variational", data=(rows.images,), options=options)


@pytest.mark.parametrize("kl_weight", [None, 0.25])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_losses_are_the_terms_of_the_bound_and_the_step_descends_their_sum(
    prepared, watch, rows, likelihood, kl_weight
):
    settings = {"likelihood": likelihood} | ({} if kl_weight is None else {"kl_weight": kl_weight})
    training = images(prepared, rows, **settings)
    decodings = watch.recorded(training.model.decoder)
    batch = training.batches.next()
    x = training.model.scale(batch.x)
    posteriors = training.model.encoder.posterior(x)
    losses = training.recipe.step(batch)
    [((z,), x_hat)] = decodings
    prior = D.Independent(D.Normal(torch.zeros(2), 1.0), 1)
    assert losses["divergence/z"].item() == pytest.approx(D.kl_divergence(posteriors["z"], prior).mean().item())
    assert losses["reconstruction"].item() == pytest.approx(0.5 * (x_hat - x).square().sum((1, 2, 3)).mean().item())
    if likelihood == "bernoulli":
        whole = binary_cross_entropy(x_hat.double(), x.double(), reduction="sum") / len(x)
    else:
        whole = -D.Normal(x_hat.double(), 1.0).log_prob(x.double()).sum() / len(x)
    assert losses["negative_log_likelihood"].item() == pytest.approx(whole.item(), rel=1e-6)

    # The gradient that was descended is that of the weighted sum, at the code that was drawn.
    heads = training.model.encoder.loc["z"].weight
    descended = heads.grad.clone()
    again = images(prepared, rows, **settings)
    noise = (z.detach() - posteriors["z"].mean) / posteriors["z"].stddev
    q = again.model.encoder.posterior(x)["z"]
    x_hat = again.model.decoder(q.mean + q.stddev * noise.detach())
    if likelihood == "bernoulli":
        loss = binary_cross_entropy(x_hat, x, reduction="sum") / len(x)
    else:
        loss = 0.5 * (x_hat - x).square().sum() / len(x)
    (loss + (1.0 if kl_weight is None else kl_weight) * D.kl_divergence(q, prior).mean()).backward()
    assert torch.allclose(descended, again.model.encoder.loc["z"].weight.grad, atol=1e-4, rtol=1e-4)


def test_no_prior_is_sampled(prepared):
    training = prepared("variational", prior="mixture")
    training.model.priors["mixture"].sample = None
    assert training.recipe.draw(training.batches.next()) == {}
    assert training.recipe.step(training.batches.next())["divergence/mixture"].isfinite()


@pytest.mark.parametrize("prior", ["gaussian", "mixture"])
def test_no_value_is_checked_on_the_device(prepared, watch, prior):
    """To look whether a standard deviation is positive is to wait for it, and cannot be captured."""
    training = prepared("variational", prior=prior)
    batch = training.batches.next()
    with watch.synchronizations() as found:
        training.recipe.step(batch)
    assert found.found == []


def test_the_likelihood_is_that_of_the_data_if_nothing_is_said(prepared, rows):
    assert images(prepared, rows).recipe.likelihood_of_data == "bernoulli"
    assert prepared("variational").recipe.likelihood_of_data == "gaussian"


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_in_bf16_a_confident_decoder_is_not_punished_for_the_rounding(prepared, rows, value):
    """The sigmoid of 7 is 1 in bfloat16, where a pixel of 0.3 would cost 61 nats and give no gradient."""
    training = images(prepared, rows)
    output = [it for it in training.model.decoder.modules() if isinstance(it, torch.nn.Linear)][-1]
    torch.nn.init.zeros_(output.weight)
    torch.nn.init.constant_(output.bias, 7.0)
    batch = training.batches.next()
    batch.x.fill_(round(255 * value))
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        losses = training.recipe.step(batch)
    x = training.model.scale(batch.x)
    exact = torch.nn.functional.binary_cross_entropy_with_logits(torch.full_like(x, 7.0), x).item() * 64
    assert losses["negative_log_likelihood"].item() == pytest.approx(exact, rel=0.05, abs=0.5)


# What it needs.


@pytest.mark.parametrize("encoder", ["deterministic", "universal(hidden=[8])"])
def test_an_encoder_without_density_is_refused(prepared, encoder):
    name = encoder.partition("(")[0].capitalize()
    with pytest.raises(ConfigError, match=f"q\\(z\\|x\\) has a density, and {name} has none; use --encoder gau"):
        prepared("variational", encoder=encoder)


def test_a_prior_without_density_is_refused(prepared):
    with pytest.raises(
        ConfigError,
        match=r"needs the density of every prior, and that of block 'z' \(SwissRoll\) has no log_prob",
    ):
        prepared("variational", prior="z=swissroll")


def test_a_prior_off_the_real_line_is_refused(prepared):
    with pytest.raises(
        ConfigError,
        match=r"needs priors on real numbers, and block 'y' \(OneHotCategorical\) lives on OneHot.*; use an",
    ):
        prepared("variational", prior="y=categorical+z=gaussian")


class Unsaid(D.Distribution):
    """A distribution that one can sample, and whose author left the density out."""

    arg_constraints, support = {}, constraints.independent(constraints.real, 1)

    def __init__(self):
        super().__init__(event_shape=torch.Size([2]), validate_args=False)

    def rsample(self, sample_shape=torch.Size()):
        return torch.randn(*sample_shape, 2)

    def sample(self, sample_shape=torch.Size()):
        return self.rsample(sample_shape)


def from_python(tmp_path, registry, table, rows, prior):
    given = {"z": {"component": f"python:{type(prior).__name__}"}}
    config = parse(table("variational", None, given, training={"epochs": 1}))
    return start(config, registry, dataset=from_arrays(rows.x), objects={"prior.z": prior}, out=tmp_path / "run")


def test_a_distribution_that_leaves_its_density_out_is_refused_before_it_is_trained(tmp_path, registry, table, rows):
    with pytest.raises(ConfigError, match=re.escape("the density of every prior")):
        from_python(tmp_path, registry, table, rows, Unsaid())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "prior",
    [
        D.MultivariateNormal(torch.zeros(2), torch.eye(2)),
        D.Independent(D.Laplace(torch.zeros(2), 1.0), 1),
        D.Independent(D.StudentT(torch.full((2,), 5.0)), 1),
        D.Independent(D.Normal(torch.zeros(2, 3), 1.0), 2),
        D.TransformedDistribution(
            D.Independent(D.Normal(torch.zeros(2), 1.0), 1),
            [D.AffineTransform(1.0, torch.full((2,), 2.0), event_dim=1)],
        ),
        D.MixtureSameFamily(D.Categorical(torch.ones(2)), D.MultivariateNormal(torch.zeros(2, 2), torch.eye(2))),
    ],
    ids=lambda prior: type(getattr(prior, "base_dist", prior)).__name__,
)
def test_distributions_on_real_numbers_are_taken(tmp_path, registry, table, rows, prior):
    run = from_python(tmp_path, registry, table, rows, prior)
    assert run.finished
    assert run.encode(rows.x[:5])["z"].shape == (5, *prior.event_shape)


def test_a_distribution_elsewhere_is_refused(tmp_path, registry, table, rows):
    with pytest.raises(ConfigError, match="needs priors on real numbers, and block 'z'"):
        from_python(tmp_path, registry, table, rows, D.Independent(D.Beta(torch.ones(2), torch.ones(2)), 1))


def test_bernoulli_is_for_data_between_0_and_1(prepared):
    with pytest.raises(
        ConfigError, match=re.escape("'bernoulli' is for data in [0, 1]; this data is standardized: 'gaussian'")
    ):
        prepared("variational", options={"likelihood": "bernoulli"})


# Priors on a device. There is no GPU here; the device "meta" tells where a tensor is as well.

META = torch.device("meta")


@pytest.mark.parametrize(
    "prior",
    [
        D.Independent(D.Normal(torch.zeros(2), 1.0), 1),
        D.MultivariateNormal(torch.zeros(2), torch.eye(2)),
        D.MixtureSameFamily(D.Categorical(torch.ones(2)), D.Independent(D.Normal(torch.zeros(2, 2), 1.0), 1)),
        D.TransformedDistribution(
            D.Independent(D.Normal(torch.zeros(2), 1.0), 1), [D.AffineTransform(torch.ones(2), 2.0, event_dim=1)]
        ),
    ],
    ids=lambda prior: type(prior).__name__,
)
def test_every_tensor_of_a_prior_is_moved_and_the_prior_itself_left(prior):
    before = prior.log_prob(torch.ones(2))
    moved = on_device(checked_prior("z", prior), META)
    assert {it.device for it in _tensors(moved)} == {META}
    assert {it.device for it in _tensors(prior)} == {torch.device("cpu")}
    assert torch.equal(prior.log_prob(torch.ones(2)), before)


def test_on_the_cpu_nothing_is_copied():
    prior = D.MultivariateNormal(torch.zeros(2), torch.eye(2))
    assert on_device(prior, torch.device("cpu")) is prior


def _tensors(value, seen=()):
    """Every tensor that a distribution, or a transform of one, holds."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, D.Distribution | D.Transform) and not any(value is it for it in seen):
        for part in vars(value).values():
            yield from _tensors(part, (*seen, value))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part, seen)
