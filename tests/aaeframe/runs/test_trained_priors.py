"""Priors with parameters, trained in runs; priors bound to the encoder; those that nothing would train."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_runs import ROWS, SMALL, Telling, assert_same_model, trained
from torch import nn
from torch.distributions import (
    AffineTransform,
    Independent,
    MixtureSameFamily,
    Normal,
    TransformedDistribution,
    constraints,
)
from torch.distributions import Categorical as Choice

import aaeframe
from aaeframe.errors import ConfigError, TrainingDiverged
from aaeframe.protocols import Needs
from aaeframe.recipes import Recipe


class Untrained(nn.Module):
    """A Gaussian with parameters and a density."""

    event_shape, support = torch.Size([2]), constraints.independent(constraints.real, 1)

    def __init__(self):
        super().__init__()
        self.loc = nn.Parameter(torch.full((2,), 3.0))
        self.log_scale = nn.Parameter(torch.zeros(2))

    def distribution(self):
        return Independent(Normal(self.loc, self.log_scale.exp(), validate_args=False), 1)

    def sample(self, sample_shape=torch.Size()):
        return self.distribution().sample(sample_shape)

    def log_prob(self, value):
        return self.distribution().log_prob(value)


class Learned(Untrained):
    """... which are trained."""

    def loss(self, code):
        return -self.log_prob(code).mean()


class Vamp(nn.Module):
    """The encoder's density, averaged over inputs that are learned."""

    event_shape, support = torch.Size([2]), constraints.independent(constraints.real, 1)

    def bind(self, posterior, data, rows):
        self.posterior, self.given = posterior, rows
        self.inputs = nn.Parameter(torch.zeros(5, *data.shape) if rows is None else rows[:5].clone())

    def distribution(self):
        return MixtureSameFamily(Choice(torch.ones(5), validate_args=False), self.posterior(self.inputs))

    def sample(self, sample_shape=torch.Size()):
        with torch.no_grad():
            return self.distribution().sample(sample_shape)

    def log_prob(self, value):
        return self.distribution().log_prob(value)

    def loss(self, code):
        return -self.log_prob(code).mean()


def train(prior, *, out=None, **settings):
    return trained(out, prior=prior, **{"progress": False, "keep": out is not None, **settings})


RECIPES = pytest.mark.parametrize(
    ("recipe", "schedule"), [("unsupervised", "alternating"), ("unsupervised", "joint"), ("variational", "joint")]
)
PRIORS = pytest.mark.parametrize("prior", [Learned, Vamp])


@pytest.mark.slow
@RECIPES
@PRIORS
def test_a_prior_is_trained_and_resumed_to_the_same_bits(tmp_path, prior, recipe, schedule):
    settings = {"recipe": recipe, "schedule": schedule, "encoder": "gaussian", "epochs": 3, "ema": 0.9}
    before = {name: it.clone() for name, it in Learned().state_dict().items()}
    whole = train(prior(), **settings, out=tmp_path / "whole", keep=True)
    told = Telling(stop_after=6)
    train(prior(), **settings, out=tmp_path / "half", keep=True, callbacks=told.callbacks)
    end = aaeframe.resume(tmp_path / "half", data=ROWS, prior=prior(), progress=False)
    assert_same_model(end, whole)
    loaded = aaeframe.load(tmp_path / "whole", priors={"z": prior()})
    assert_same_model(loaded, whole)
    assert torch.equal(loaded.sample(5, seed=1), whole.sample(5, seed=1))
    assert ("prior/z" in whole.metrics[0]) == (recipe == "unsupervised")
    assert whole.config.optimizers["prior"].name == "adam"
    if prior is Learned:
        after = whole.model.priors["z"].state_dict()
        assert all(not torch.equal(after[name], it) for name, it in before.items())


@pytest.mark.slow
def test_a_loss_leads_the_prior_to_the_codes():
    run = train(Learned(), epochs=60, config={"optimizers": {"prior": {"lr": 0.03}}})
    codes, prior = run.encode(ROWS)["z"], run.model.priors["z"]
    torch.testing.assert_close(prior.loc.detach(), codes.mean(0), atol=0.3, rtol=0)  # codes move on, it follows
    torch.testing.assert_close(prior.log_scale.detach().exp(), codes.std(0), atol=0.3, rtol=0.3)


def test_the_prior_is_bound_to_scaled_rows_and_its_loss_leaves_the_encoder_alone():
    class Looking(Vamp):
        def bind(self, posterior, data, rows):
            super().bind(posterior, data, rows)
            self.seen = rows.clone(), data

        def loss(self, code):
            self.gradients = [it.requires_grad for it in self.posterior._encoder.parameters()]
            return super().loss(code)

    run = train(Looking(), encoder="gaussian", epochs=1)
    prior = run.model.priors["z"]
    rows, data = prior.seen
    assert rows.shape == (80, 4)  # the training rows
    assert abs(float(rows.mean())) < 1e-4
    assert data.shape == (4,)
    assert not any(prior.gradients)
    assert not any("encoder" in name for name in prior.state_dict())


def test_a_buffer_of_the_encoder_that_is_not_a_number_is_no_change():
    model = train(Vamp(), encoder="gaussian", epochs=1).model
    model.encoder.register_buffer("last_loss", torch.tensor(torch.nan))
    model.bind_priors(torch.zeros(80, 4))
    assert model.encoder.last_loss.isnan()


def test_a_prior_that_changes_the_encoder_in_bind_is_refused():
    class Spoiling(Vamp):
        def bind(self, posterior, data, rows):
            super().bind(posterior, data, rows)
            posterior._encoder.last_loss.fill_(torch.nan)

    model = train(Vamp(), encoder="gaussian", epochs=1).model
    model.encoder.register_buffer("last_loss", torch.zeros(()))
    model.priors["z"] = Spoiling()
    with pytest.raises(ConfigError, match=r"block 'z', of type Spoiling, changes the encoder in bind"):
        model.bind_priors(torch.zeros(80, 4))


def test_the_average_of_a_bound_prior_uses_the_averaged_encoder():
    run = train(Vamp(), encoder="gaussian", epochs=1, ema=0.9)
    assert run.model.priors["z"].posterior._encoder is run.model.encoder


def test_a_prior_bound_to_an_encoder_without_a_density_is_refused():
    with pytest.raises(ConfigError, match=r"block 'z' .*the density q\(z\|x\).*Deterministic has none; use --encoder"):
        train(Vamp(), encoder="deterministic")


def test_a_bound_prior_is_not_sampled_before_its_state_is_loaded(tmp_path):
    class Scaled(Vamp):
        def bind(self, posterior, data, rows):
            super().bind(posterior, data, rows)
            self.register_buffer("scale", torch.zeros(2) if rows is None else torch.ones(2))

        def sample(self, sample_shape=torch.Size()):
            return super().sample(sample_shape) + Normal(torch.zeros(2), self.scale).sample(sample_shape)

    run = train(Scaled(), encoder="gaussian", out=tmp_path / "run", keep=True)
    assert_same_model(aaeframe.load(tmp_path / "run", prior=Scaled()), run)


def test_each_prior_has_rows_of_its_own():
    class Keeping(Vamp):
        def bind(self, posterior, data, rows):
            self.posterior, self.inputs = posterior, nn.Parameter(rows[:5])

    run = train({"a": Keeping(), "b": Keeping()}, encoder="gaussian", epochs=1)
    first, second = (run.model.priors[name].inputs for name in ("a", "b"))
    assert first.data_ptr() != second.data_ptr()


def test_a_prior_that_is_bound_without_rows_is_moved_to_the_model(tmp_path):
    run = train(Vamp(), encoder="gaussian", epochs=1)
    model = run.model.to("meta")
    prior = Vamp()
    model.priors["z"] = prior
    model.bind_priors()
    assert prior.inputs.device.type == "meta"


def test_parameters_that_are_not_a_number_are_told_as_the_priors():
    class Exploding(Learned):
        def distribution(self):
            return Independent(Normal(self.loc, self.log_scale.exp()), 1)  # validated by torch

        def loss(self, code):
            return self.loc.sum() * torch.inf

    with pytest.raises(TrainingDiverged, match=r"prior of block 'z', of type Exploding, .*lower optimizers\.prior\.lr"):
        train(Exploding())


def test_an_encoder_inside_the_prior_is_refused():
    class Absorbing(Vamp):
        def bind(self, posterior, data, rows):
            super().bind(posterior, data, rows)
            self.encoder = posterior._encoder

    with pytest.raises(ConfigError, match=r"block 'z', of type Absorbing, has modules of the encoder as its own"):
        train(Absorbing(), encoder="gaussian")


@pytest.mark.parametrize("recipe", ["unsupervised", "variational"])
def test_parameters_that_nothing_would_train_are_refused(recipe):
    class Silent(Untrained):
        log_prob = None

    prior = Untrained() if recipe == "unsupervised" else Silent()
    message = r"parameters that nothing would train \(loc, log_scale\).*no loss.*loss\(code\).*make them buffers"
    with pytest.raises(ConfigError, match=message if recipe == "unsupervised" else "no log_prob"):
        train(prior, recipe=recipe, encoder="gaussian")


def test_fixed_parameters_are_no_matter():
    run = train(Untrained().requires_grad_(False), epochs=1)
    assert "prior" not in run.config.optimizers


def test_a_recipe_that_trains_no_priors_refuses_them():
    assert Needs(adversarial=False).prior_objective is None
    assert Needs().prior_objective == Recipe.needs.prior_objective == "loss"


@pytest.mark.parametrize(
    "prior",
    [
        Independent(Normal(torch.zeros(2, requires_grad=True), 1.0), 1),
        TransformedDistribution(
            Independent(Normal(torch.zeros(2), 1.0), 1), [AffineTransform(torch.ones(2, requires_grad=True), 1.0, 1)]
        ),
    ],
    ids=["parameter", "transform"],
)
def test_a_distribution_with_tensors_to_train_is_refused(prior):
    with pytest.raises(ConfigError, match=r"tensors that require a gradient.*neither trained nor saved"):
        train(prior)


def test_an_optimizer_of_priors_that_are_fixed_is_refused():
    with pytest.raises(ConfigError, match=r"optimizers\.prior is not used: no prior has parameters"):
        train("gaussian", config={"optimizers": {"prior": {"lr": 0.1}}})


def test_an_optimizer_that_was_removed_from_a_run_is_missed(tmp_path):
    told = Telling(stop_after=2)
    train(Learned(), out=tmp_path / "run", keep=True, callbacks=told.callbacks)
    stored = tmp_path / "run/config.toml"
    text = stored.read_text()
    at = text.index("[optimizers.prior]")
    stored.write_text(text[:at] + text[text.index("\n[", at) :])
    with pytest.raises(ConfigError, match=r"optimizers\.prior is missing; bring config\.toml back"):
        aaeframe.resume(tmp_path / "run", data=ROWS, prior=Learned(), progress=False)


def test_samples_that_are_not_finite_are_told_with_the_name_of_the_prior():
    class Breaking:
        event_shape, support, calls = torch.Size([2]), Untrained.support, 0

        def sample(self, sample_shape=torch.Size()):
            self.calls += 1
            return torch.randn(*sample_shape, 2) / float(self.calls <= 2)

    with pytest.raises(TrainingDiverged, match=r"prior of block 'z', of type Breaking, gives samples .*not finite"):
        train(Breaking())
    broken = Breaking()
    broken.calls = 5
    with pytest.raises(ConfigError, match=r"block 'z', of type Breaking, gave samples that are not finite"):
        train(broken)


def test_rows_are_spaced_evenly():
    rows = np.arange(30_000, dtype=np.float32)[:, None] * np.ones((1, 4), np.float32)
    seen = []

    class Looking(Untrained):
        def bind(self, posterior, data, rows):
            seen.append(rows)
            self.requires_grad_(False)

    aaeframe.train(rows, prior=Looking(), epochs=1, batch_size=8000, keep=False, progress=False, **SMALL)
    assert seen[0].shape == (10_000, 4)
    spread = seen[0][:, 0].std()
    assert 0.98 < spread < 1.02
