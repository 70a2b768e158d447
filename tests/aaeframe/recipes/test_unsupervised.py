from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

import aaeframe
from aaeframe.assembly.training import prepare
from aaeframe.components.registry import Registry
from aaeframe.configuration.resolve import resolve
from aaeframe.configuration.schema import parse
from aaeframe.data import from_arrays
from aaeframe.losses.reconstruction import reconstruction_loss
from aaeframe.protocols import supports_head
from aaeframe.seeds import stream
from aaeframe.storage.metrics_file import MetricsFile
from aaeframe_kernels import dispatch

LABELS = np.arange(300) % 10
ROWS = np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32) + LABELS[:, None]
UNLABELED, LABELED = 30, 20
"""Rows in a batch."""
SCHEDULES = ["alternating", "joint"]
OPTIMIZERS = {
    "alternating": ["reconstruction", "discriminator", "generator"],
    "joint": ["discriminator", "autoencoder"],
}


@pytest.fixture(scope="module")
def registry():
    return Registry.load()


@pytest.fixture
def prepared(tmp_path, registry):
    """Makes a training on ROWS; its recipe steps under a fixed seed."""

    def make(labels=0, schedule="alternating", prior="gaussian", discriminator="mlp(hidden=[8])", **table):
        training = {"batch_size": UNLABELED, "schedule": schedule, "device": "cpu", **table.pop("training", {})}
        if labels:
            training["labeled_batch_size"] = LABELED
        whole = {
            "prior": prior,
            "network": "mlp(hidden=[16])",
            "discriminator": discriminator,
            "data": {"labels": labels},
            "training": training,
            **table,
        }
        return prepare(resolve(parse(whole), registry), from_arrays(ROWS, LABELS))

    with stream(0, "test"):
        yield make


class Spy(nn.Module):
    """A discriminator that remembers what it was shown."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.calls = inner, []

    def forward(self, z, labels=None):
        self.calls.append((z.detach().clone(), None if labels is None else labels.clone(), self.training))
        return self.inner(z, labels)


def spied(training):
    """Spies on every discriminator of a training."""
    spies = {name: Spy(inner) for name, inner in training.model.discriminators.items()}
    training.model.discriminators.update(spies)
    assert not any(supports_head(spy) for spy in spies.values())
    return spies


def recorded(module):
    """The (input, output) of every later call of a module."""
    calls = []
    module.register_forward_hook(lambda _, given, out: calls.append((given[0], out)))
    return calls


def snapshot(tensors):
    return {name: value.detach().clone() for name, value in tensors}


def changed(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


def moments(training, tensors):
    """(optimizer, tensors before its step, tensors after it) of every later step."""
    found = []
    for phase, optimizer in training.optimizers.items():
        optimizer.register_step_pre_hook(lambda *_, phase=phase: found.append([phase, snapshot(tensors())]))
        optimizer.register_step_post_hook(lambda *_: found[-1].append(snapshot(tensors())))
    return found


# What moves in which phase.


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("labels", [0, 50])
def test_parameters_outside_a_phase_do_not_move(prepared, schedule, labels):
    training = prepared(labels, schedule, prior="mixture+gaussian", encoder="universal(hidden=[8])")
    start = snapshot(training.model.named_parameters())
    found = moments(training, training.model.named_parameters)
    training.recipe.step(training.batches.next())
    assert [phase for phase, *_ in found] == OPTIMIZERS[schedule]
    autoencoder = {name for name in start if name.startswith(("encoder.", "decoder."))}
    expected = {
        "reconstruction": autoencoder,
        "autoencoder": autoencoder,
        "discriminator": {name for name in start if name.startswith("discriminators.")},
        "generator": {name for name in start if name.startswith("encoder.")},
    }
    before = start
    for phase, entered, left in found:
        assert not changed(before, entered), "nothing moves between the steps of optimizers"
        assert changed(entered, left) == expected[phase]
        before = left
    assert not changed(before, snapshot(training.model.named_parameters()))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_spectral_norm_iterates_only_in_the_discriminator_step(prepared, schedule):
    training = prepared(schedule=schedule, discriminator="spectral(hidden=[8])")
    buffers = training.model.discriminators.named_buffers
    start, found = snapshot(buffers()), moments(training, buffers)
    training.recipe.step(training.batches.next())
    seen = {phase: entered for phase, entered, _ in found}
    assert {name for name in changed(start, seen["discriminator"]) if ".body." in name}
    assert not changed(seen["discriminator"], snapshot(buffers()))
    if schedule == "alternating":
        assert not changed(start, seen["reconstruction"])


class Normed(nn.Module):
    """An encoder behind batch norm."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.norm, self.noise_shape = inner, nn.BatchNorm1d(6), inner.noise_shape

    def forward(self, x, noise=None):
        return self.inner(self.norm(x), noise)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("labels", [0, 50])
def test_batch_norm_statistics_move_once_a_step_and_every_encoding_is_by_its_batch(prepared, schedule, labels):
    training = prepared(labels, schedule, prior="mixture", training={"input_noise": 0.5})
    training.model.encoder = Normed(training.model.encoder)
    norm = training.model.encoder.norm
    seen = recorded(norm)
    training.recipe.step(training.batches.next())
    assert norm.num_batches_tracked == 1
    assert torch.allclose(norm.running_mean, 0.1 * seen[0][0].mean(0), atol=1e-6)
    assert all(torch.allclose(out.mean(0), torch.zeros(6), atol=1e-5) for _, out in seen)


def test_parameters_that_encoder_and_decoder_share_are_optimized_once(prepared):
    training = prepared()
    model = training.model
    before = training.recipe.parameters(model)
    model.encoder.network = nn.ModuleDict({"decoder": model.decoder})
    after = training.recipe.parameters(model)
    for phase in ("reconstruction", "autoencoder"):
        assert len(after[phase]) == len({id(parameter) for parameter in after[phase]})
        assert {id(parameter) for parameter in after[phase]} == {id(parameter) for parameter in before[phase]}


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_discriminators_train_in_training_mode_and_judge_as_fixed_functions(prepared, schedule):
    training = prepared(schedule=schedule)
    [spy] = spied(training).values()
    training.model.train()
    training.recipe.step(training.batches.next())
    assert [mode for *_, mode in spy.calls] == [True, False]
    assert all(module.training for module in training.model.modules())
    assert all(parameter.requires_grad for parameter in training.model.discriminators.parameters())


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_only_the_discriminator_step_makes_gradients_of_discriminators(prepared, schedule):
    training = prepared(schedule=schedule)
    parameters = training.model.discriminators.named_parameters
    found = moments(training, lambda: [(name, it.grad) for name, it in parameters() if it.grad is not None])
    training.recipe.step(training.batches.next())
    [made] = [entered for phase, entered, _ in found if phase == "discriminator"]
    assert made
    assert not changed(made, snapshot((name, it.grad) for name, it in parameters()))


# What each part is shown.


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_both_adversarial_steps_see_the_codes_of_one_forward(prepared, schedule):
    training = prepared(schedule=schedule, prior="mixture+gaussian", encoder="universal(hidden=[8])")
    spies, encodings = spied(training), recorded(training.model.encoder)
    training.recipe.step(training.batches.next())
    assert len(encodings) == {"alternating": 2, "joint": 1}[schedule]
    for name, spy in spies.items():
        code = encodings[-1][1][name].detach()
        (discriminated, *_), (generated, *_) = spy.calls
        assert torch.equal(generated, code)
        assert len(discriminated) == 2 * UNLABELED
        assert any(torch.equal(half, code) for half in discriminated.split(UNLABELED))


def test_the_discriminator_learns_to_tell_prior_samples_from_codes(prepared):
    training = prepared(
        prior="mixture(means=[[50.0, 50.0]], scales=[[0.1, 0.1]])", optimizers={"discriminator": "adam(lr=0.01)"}
    )
    for phase in ("generator", "reconstruction"):
        training.optimizers[phase].param_groups[0]["lr"] = 0.0
    losses = [training.recipe.step(training.batches.next()) for _ in range(100)][-1]
    assert losses["discriminator/mixture"] < 0.1
    assert losses["accuracy/mixture"] > 0.95
    assert losses["generator/mixture"] > 2.0


def test_before_training_the_losses_are_those_of_guessing(prepared):
    training = prepared()
    for parameter in training.model.discriminators.parameters():
        nn.init.zeros_(parameter)
    losses = training.recipe.step(training.batches.next())
    assert losses["discriminator/gaussian"].item() == pytest.approx(2 * math.log(2))
    assert losses["accuracy/gaussian"].item() == pytest.approx(0.5)


@pytest.mark.parametrize("loss", ["bce", "hinge", "least-squares", "wasserstein"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_both_adversarial_steps_are_left_to_the_fused_loss(prepared, schedule, loss):
    training = prepared(schedule=schedule, prior="mixture+gaussian", training={"loss": loss})
    before = dispatch.launches["cpu/discriminator_loss"]
    training.recipe.step(training.batches.next())
    assert dispatch.launches["cpu/discriminator_loss"] - before == 2 * 2


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["bce", "hinge", "least-squares", "wasserstein"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_loss_brings_the_codes_to_the_prior(prepared, schedule, loss):
    training = prepared(
        prior="mixture(means=[[3.0, -3.0]], scales=[[0.5, 0.5]])",
        schedule=schedule,
        training={"loss": loss, "gradient_penalty": 1.0},
        optimizers={phase: "adam(lr=0.005)" for phase in OPTIMIZERS[schedule]},
    )
    means = []
    for _ in range(300):
        training.recipe.step(training.batches.next())
        means.append(training.model.encode(ROWS[:50])["mixture"].mean(0))
    center = torch.tensor([3.0, -3.0])
    late = torch.stack(means[150:]).mean(0)  # such games circle around their solution
    assert (late - center).norm() < 0.3 * (means[0] - center).norm()


@pytest.mark.slow
def test_the_gradient_penalty_flattens_the_discriminator_at_prior_samples(prepared):
    def slope(weight):
        training = prepared(
            training={"gradient_penalty": weight, "seed": 3}, optimizers={"discriminator": "adam(lr=0.01)"}
        )
        for phase in ("generator", "reconstruction"):
            training.optimizers[phase].param_groups[0]["lr"] = 0.0
        losses = [training.recipe.step(training.batches.next()) for _ in range(60)]
        assert ("penalty/gaussian" in losses[-1]) == bool(weight)
        z = torch.randn(500, 2, requires_grad=True)
        discriminator = training.model.discriminators["gaussian"]
        return torch.autograd.grad(discriminator(z).sum(), z)[0].square().sum(1).mean().item()

    with stream(5, "slopes"):
        assert slope(100.0) < 0.3 * slope(0.0)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_step_against_samples_drawn_before_is_the_same_step(prepared, schedule):
    def step(apart):
        training = prepared(50, schedule, prior="mixture+gaussian", encoder="universal(hidden=[8])")
        batch = training.batches.next()
        with stream(4, "step"):
            return training.recipe.step(batch, training.recipe.draw(batch)) if apart else training.recipe.step(batch)

    assert step(True) == step(False)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_input_is_noisy_and_the_target_clean(prepared, schedule):
    training = prepared(schedule=schedule, training={"input_noise": 3.0})
    inputs, outputs = recorded(training.model.encoder), recorded(training.model.decoder)
    batch = training.batches.next()
    losses = training.recipe.step(batch)
    x = training.model.scale(batch.x)
    for noisy, _ in inputs:
        assert (noisy - x).std().item() == pytest.approx(3.0, rel=0.2)
    [(_, x_hat)] = outputs
    assert losses["reconstruction"].item() == pytest.approx(0.5 * ((x_hat - x) ** 2).sum(1).mean().item(), rel=1e-5)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_instance_noise_reaches_nothing_but_the_discriminators_input(prepared, schedule):
    def block(noise):
        return prepared(
            schedule=schedule,
            prior={"z": {"component": "gaussian", "instance_noise": noise}},
            training={"batch_size": 200},
        )

    noisy, quiet = block(0.5), block(0.0)
    [spy] = spied(noisy).values()
    encodings, decodings = recorded(noisy.model.encoder), recorded(noisy.model.decoder)
    batch = noisy.batches.next()
    losses = noisy.recipe.step(batch)
    code = encodings[-1][1]["z"].detach()
    for z, *_ in spy.calls:
        assert (z[-200:] - code).std().item() == pytest.approx(0.5, rel=0.2)
    assert torch.equal(decodings[0][0], encodings[0][1]["z"])
    assert torch.equal(losses["reconstruction"], quiet.recipe.step(batch)["reconstruction"])


# Labels.

TIGHT = "mixture(radial_scale=1e-4, tangential_scale=1e-4)"
"""Ten components so narrow that a sample shows its class."""


def nearest(z, prior):
    return torch.cdist(z, prior.loc).argmin(1)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_discriminator_is_told_classes_of_labeled_rows_and_that_the_rest_has_none(prepared, schedule):
    training = prepared(50, schedule, prior=TIGHT)
    spies, encodings = spied(training), recorded(training.model.encoder)
    batch = training.batches.next()
    training.recipe.step(batch)
    prior, code = training.model.priors["mixture"], encodings[-1][1]["mixture"].detach()
    (discriminated, told, _), (generated, pretended, _) = spies["mixture"].calls

    of_codes = torch.cat([torch.full((UNLABELED,), 10), batch.labeled.labels])
    assert torch.equal(generated, code)
    assert torch.equal(pretended, of_codes)

    is_code = (discriminated[:, None] == code).all(2).any(1)
    assert torch.equal(discriminated[is_code], code)
    assert torch.equal(told[is_code], of_codes)

    samples, classes = discriminated[~is_code], told[~is_code]
    assert len(samples) == UNLABELED + LABELED
    known = classes < 10
    assert known.sum() == LABELED
    assert torch.equal(nearest(samples[known], prior), classes[known])
    assert len(nearest(samples[~known], prior).unique()) > 5, "the unlabeled samples are of the whole prior"


def test_blocks_whose_prior_knows_no_classes_are_told_none(prepared):
    training = prepared(50, prior="mixture+gaussian")
    spies = spied(training)
    training.recipe.step(training.batches.next())
    assert all(labels is None for _, labels, _ in spies["gaussian"].calls)
    assert all(labels is not None for _, labels, _ in spies["mixture"].calls)


def test_without_labels_no_discriminator_is_told_any(prepared):
    training = prepared(prior="mixture")
    spies = spied(training)
    training.recipe.step(training.batches.next())
    assert all(labels is None for _, labels, _ in spies["mixture"].calls)


@pytest.mark.slow
@pytest.mark.parametrize("exchanged", [False, True])
def test_labels_pull_codes_into_the_component_of_their_class(tmp_path, exchanged):
    """Two classes that a code could lay out either way: only the labels decide which goes where."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 1250)
    x = (generator.normal(size=(1250, 4)) * 0.3 + np.where(labels, 1.0, -1.0)[:, None]).astype(np.float32)
    told = 1 - labels if exchanged else labels
    run = aaeframe.train(
        (x, told),
        prior="mixture(means=[[-1.0, 0.0], [1.0, 0.0]], scales=[[0.3, 0.3]])",
        network="mlp(hidden=[64])",
        discriminator="mlp(hidden=[64])",
        labels=100,
        config={"optimizers": {"autoencoder": {"lr": 0.003}, "discriminator": {"lr": 0.003}}},
        epochs=30,
        batch_size=100,
        schedule="joint",
        device="cpu",
        out=tmp_path / "run",
    )
    code = run.encode(x)["mixture"]
    assert ((code[:, 0] > 0).numpy() == told).mean() > 0.95


# Losses and weights.


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("prior", ["gaussian", "mixture+categorical", "swissroll"])
def test_losses_are_detached_scalars_by_phase_and_block(prepared, schedule, prior):
    training = prepared(schedule=schedule, prior=prior)
    losses = training.recipe.step(training.batches.next())
    phases = ("discriminator", "generator", "accuracy")
    blocks = prior.split("+")
    assert set(losses) == {"reconstruction", *(f"{phase}/{block}" for phase in phases for block in blocks)}
    for loss in losses.values():
        assert loss.shape == ()
        assert loss.dtype == torch.float32
        assert not loss.requires_grad


class Drawn:
    """The samples of a prior, drawn before: priors draw on the host, where there is nothing to wait for."""

    def __init__(self, prior):
        self.event_shape, self.support, self.samples = prior.event_shape, prior.support, prior.sample((64 * UNLABELED,))

    def sample(self, sample_shape):
        return self.samples[: sample_shape[0]]


def test_waiting_for_the_device_would_be_noticed(watch):
    with watch.synchronizations() as synchronizations:
        float(torch.ones(()))
        bool(torch.ones(()) > 0)
        torch.ones(3)[torch.ones(3) > 0]
    assert synchronizations.found == ["_local_scalar_dense", "_local_scalar_dense", "index"]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("prior", ["gaussian", "categorical"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_step_waits_for_nothing(prepared, watch, schedule, prior, precision):
    training = prepared(schedule=schedule, prior=prior, encoder="universal(hidden=[8])", training={"input_noise": 0.1})
    training.model.priors = {name: Drawn(it) for name, it in training.model.priors.items()}
    batch = training.batches.next()
    bf16 = precision == "bf16"
    with watch.synchronizations() as synchronizations, torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        training.recipe.step(batch)
    assert synchronizations.found == []


def test_the_joint_loss_is_weighted(prepared):
    def gradient(reconstruction, generator):
        prior = {"z": {"component": "gaussian", "weight": generator}}
        training = prepared(
            schedule="joint", prior=prior, training={"reconstruction_weight": reconstruction, "seed": 1}
        )
        with stream(1, "step"):
            training.recipe.step(training.batches.next())
        return torch.cat([it.grad.flatten() for it in training.model.encoder.parameters()])

    only_reconstruction, both = gradient(1.0, 0.0), gradient(1.0, 1.0)
    only_generator = both - only_reconstruction
    assert only_generator.norm() > 1e-4
    assert torch.allclose(gradient(2.0, 3.0), 2 * only_reconstruction + 3 * only_generator, atol=1e-5)


def test_generators_loss_pulls_codes_towards_the_prior(prepared):
    """One step of the generator makes the discriminator take the same rows for prior samples more often."""
    training = prepared(optimizers={"generator": {"name": "sgd", "lr": 0.01, "momentum": 0.0}})
    training.optimizers["reconstruction"].param_groups[0]["lr"] = 0.0
    training.optimizers["discriminator"].param_groups[0]["lr"] = 0.0
    batch = training.batches.next()
    first, second = (training.recipe.step(batch)["generator/gaussian"] for _ in range(2))
    assert second < first


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_precision_bf16_computes_losses_in_float32(prepared, schedule):
    training = prepared(schedule=schedule)
    outputs = recorded(training.model.decoder)
    batch = training.batches.next()
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        losses = training.recipe.step(batch)
    [(_, x_hat)] = outputs
    assert x_hat.dtype == torch.bfloat16
    expected = reconstruction_loss(x_hat.detach().float(), training.model.scale(batch.x))
    assert losses["reconstruction"].item() == pytest.approx(expected.item(), rel=1e-6)
    assert {loss.dtype for loss in losses.values()} == {torch.float32}


# Learning.


@pytest.mark.parametrize("prior", ["gaussian", "mixture(components=4)"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_it_learns_to_match_and_to_reconstruct(tmp_path, prior, schedule):
    """300 steps on a curved sheet in four dimensions."""
    generator = np.random.default_rng(0)
    u, v = generator.uniform(-2, 2, size=(2, 1250)).astype(np.float32)
    x = np.stack([u, v, np.sin(2 * u), u * v], axis=1)
    run = aaeframe.train(
        x,
        prior=prior,
        network="mlp(hidden=[64])",
        discriminator="mlp(hidden=[64])",
        epochs=30,
        batch_size=100,
        schedule=schedule,
        device="cpu",
        out=tmp_path / "run",
    )
    first, *_, last = MetricsFile(run.folder.metrics).rows()
    block = prior.partition("(")[0]
    assert last["step"] == 300
    assert last["validation/reconstruction"] < 0.5 * last["mean_image_error"]
    assert last["validation/reconstruction"] < 0.6 * first["validation/reconstruction"]
    assert last[f"mismatch/{block}"] < 0.6 * first[f"mismatch/{block}"]
