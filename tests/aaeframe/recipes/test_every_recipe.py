"""Properties of every recipe in each of its schedules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from aaeframe.components.registry import Registry
from aaeframe.configuration.schema import parse
from aaeframe.data import from_arrays
from aaeframe.losses.reconstruction import reconstruction_loss
from aaeframe.runs.start import NO_CALLBACKS, resume, start
from aaeframe.seeds import stream
from aaeframe.storage.checkpoint import latest
from aaeframe.storage.metrics_file import MetricsFile
from aaeframe.training.cuda_graph import WARM_UP, GraphedStep

RECIPES = {it.name: it.factory() for it in Registry.load().offers("recipe")}
CASES = [
    ("unsupervised", "alternating", 0),
    ("unsupervised", "joint", 0),
    ("supervised", "alternating", 0),
    ("supervised", "joint", 0),
    ("semi-supervised", "alternating", 50),
    ("semi-supervised", "joint", 50),
    ("clustering", "alternating", 0),
    ("clustering", "joint", 0),
    ("reduction", "alternating", 0),
    ("reduction", "alternating", 50),
    ("reduction", "joint", 0),
    ("reduction", "joint", 50),
    ("variational", "joint", 0),
]
every_case = pytest.mark.parametrize(("recipe", "schedule", "labels"), CASES)

ADVERSARIAL = ("discriminator", "accuracy", "generator")


def extras(recipe, **training):
    """Noise, dropout, and where there is a class, label-free terms."""
    terms = (
        {"label_free": {"virtual_adversarial": 1.0, "mutual_information": 0.1}}
        if RECIPES[recipe].needs.class_block
        else {}
    )
    return {"training": {"input_noise": 0.1, "input_dropout": 0.2, **training}, **terms}


def test_no_recipe_is_left_out():
    schedules = {(name, schedule) for name, info in RECIPES.items() for schedule in info.phases}
    assert {(recipe, schedule) for recipe, schedule, _ in CASES} == schedules


@every_case
def test_losses_are_detached_scalars_of_the_same_names_at_every_step(prepared, recipe, schedule, labels):
    training = prepared(recipe, schedule, labels, **extras(recipe))
    steps = [training.recipe.step(training.batches.next()) for _ in range(3)]
    blocks = training.model.priors
    if recipe == "variational":
        expected = {"reconstruction", "negative_log_likelihood", "divergence/z"}
    else:
        expected = {"reconstruction", *(f"{kind}/{block}" for kind in ADVERSARIAL for block in blocks)}
        expected |= {"virtual_adversarial", "mutual_information"} if RECIPES[recipe].needs.class_block else set()
        expected |= {"classification"} if labels else set()
        expected |= {"repulsion"} if recipe == "reduction" else set()
    for losses in steps:
        assert set(losses) == expected
        for name, loss in losses.items():
            assert loss.shape == (), name
            assert loss.dtype == torch.float32, name
            assert not loss.requires_grad, name
            assert loss.isfinite(), name


@every_case
def test_each_optimizer_holds_the_parameters_of_its_phase_and_each_once(prepared, recipe, schedule, labels):
    training = prepared(recipe, schedule, labels, **extras(recipe))
    model = training.model
    encoder, decoder = list(model.encoder.parameters()), list(model.decoder.parameters())
    heads = list(model.representation.parameters())
    expected = {
        "reconstruction": [*encoder, *decoder, *heads],
        "autoencoder": [*encoder, *decoder, *heads],
        "discriminator": list(model.discriminators.parameters()),
        "generator": encoder,
        "classification": encoder,
        "consistency": encoder,
        "heads": heads,
    }
    for phase, optimizer in training.optimizers.items():
        held = [id(it) for group in optimizer.param_groups for it in group["params"]]
        assert sorted(held) == sorted(map(id, expected[phase])), phase


@every_case
def test_the_input_is_corrupted_and_the_target_clean(prepared, watch, rows, recipe, schedule, labels):
    training = prepared(recipe, schedule, labels, training={"input_noise": 3.0})
    body, decoder = (watch.recorded(it) for it in (training.model.encoder.body, training.model.decoder))
    batch = training.batches.next()
    losses = training.recipe.step(batch)
    x = training.model.scale(batch.x)
    for (seen,), _ in body:
        if len(seen) >= rows.unlabeled:
            assert (seen[: rows.unlabeled] - x).std().item() == pytest.approx(3.0, rel=0.2)
    [(_, x_hat)] = decoder
    assert losses["reconstruction"].item() == pytest.approx(reconstruction_loss(x_hat, x).item(), rel=1e-6)


@every_case
def test_batch_norm_statistics_move_once_a_step(prepared, watch, recipe, schedule, labels):
    head_norm = {} if recipe == "variational" else {"encoder": "deterministic(batch_norm=true)"}
    network = 'mlp(hidden=[16], batch_norm="everywhere")'
    training = prepared(recipe, schedule, labels, network=network, **head_norm, **extras(recipe))
    norms = {name: it for name, it in training.model.named_modules() if isinstance(it, nn.BatchNorm1d)}
    assert any(name.startswith("encoder.body") for name in norms)
    assert any(name.startswith("decoder") for name in norms)
    assert any(name.startswith("encoder.heads") for name in norms) == (recipe != "variational")
    seen = {name: watch.recorded(it) for name, it in norms.items()}
    training.recipe.step(training.batches.next())
    assert {name: it.num_batches_tracked.item() for name, it in norms.items()} == dict.fromkeys(norms, 1)
    for name, norm in norms.items():
        (first,), _ = seen[name][0]
        assert torch.allclose(norm.running_mean, 0.1 * first.mean(0), atol=1e-6), name
        # Up to the bias, which a phase before it may have moved by a rate of 0.001.
        assert all(out.mean(0).abs().max() < 0.01 for _, out in seen[name]), "each batch is normalized by itself"


@every_case
def test_a_step_against_samples_drawn_before_is_the_same_step(prepared, recipe, schedule, labels):
    def step(apart):
        training = prepared(recipe, schedule, labels, **extras(recipe))
        batch = training.batches.next()
        with stream(4, "step"):
            return training.recipe.step(batch, training.recipe.draw(batch)) if apart else training.recipe.step(batch)

    assert step(True) == step(False)


@every_case
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_step_waits_for_nothing(prepared, watch, recipe, schedule, labels, precision):
    encoder = "gaussian" if recipe == "variational" else "universal(hidden=[8])"
    training = prepared(recipe, schedule, labels, encoder=encoder, **extras(recipe))
    batch = training.batches.next()
    draws = training.recipe.draw(batch)
    with watch.synchronizations() as expected:
        if recipe == "supervised":  # on a GPU, one_hot does not look whether its labels are in range
            nn.functional.one_hot(batch.labels, 10)
    bf16 = precision == "bf16"
    with watch.synchronizations() as found, torch.autocast("cpu", torch.bfloat16, enabled=bf16, cache_enabled=False):
        training.recipe.step(batch, draws)
    assert found.found == expected.found


@every_case
def test_precision_bf16_gives_losses_in_float32_and_near_those_of_float32(prepared, recipe, schedule, labels):
    def losses(bf16):
        training = prepared(recipe, schedule, labels)
        batch = training.batches.next()
        with stream(2, "step"), torch.autocast("cpu", torch.bfloat16, enabled=bf16, cache_enabled=False):
            return training.recipe.step(batch)

    half, full = losses(True), losses(False)
    assert {loss.dtype for loss in half.values()} == {torch.float32}
    for name, loss in full.items():
        slack = 0.1 if name.startswith("accuracy") else 0.03
        assert half[name].item() == pytest.approx(loss.item(), rel=slack, abs=slack), name


ENCODERS = ["deterministic", "gaussian", "universal(hidden=[8])"]


@pytest.mark.parametrize("network", ["mlp(hidden=[16])", "conv(channels=[4], hidden=8)"])
@pytest.mark.parametrize(
    ("recipe", "schedule", "labels", "encoder"),
    [(*case, it) for case in CASES for it in (ENCODERS if RECIPES[case[0]].needs.adversarial else ["gaussian"])],
)
def test_every_encoder_and_network_will_do(prepared, rows, recipe, schedule, labels, encoder, network):
    training = prepared(
        recipe, schedule, labels, data=(rows.images, rows.labels), encoder=encoder, network=network, **extras(recipe)
    )
    before = [it.detach().clone() for it in training.model.parameters()]
    for _ in range(2):
        losses = training.recipe.step(training.batches.next())
    assert all(loss.isfinite() for loss in losses.values())
    after = list(training.model.parameters())
    assert all(it.isfinite().all() for it in after)
    assert all(not torch.equal(old, new) for old, new in zip(before, after, strict=True))


# A captured step, as in test_graph.py: there is no GPU here.


def played(step):
    """As a CUDA graph: nothing is computed at first, and each replay writes over the results of the last."""
    results = {}

    def replay():
        for name, value in step().items():
            results[name] = results[name].copy_(value) if name in results else value.clone()

    return replay, results


@every_case
def test_a_captured_step_trains_to_the_same_bits(prepared, recipe, schedule, labels):
    def trained(graphed):
        training = prepared(recipe, schedule, labels, **extras(recipe))
        step = training.recipe.step
        if graphed:
            step = GraphedStep(training.recipe, warm_up=lambda it: it(), capture=played)
        with stream(0, "training"):
            losses = [
                {name: float(loss) for name, loss in step(training.batches.next()).items()} for _ in range(WARM_UP + 3)
            ]
        return losses, [it.detach().clone() for it in training.model.parameters()]

    (losses, weights), (expected_losses, expected) = trained(True), trained(False)
    assert losses == expected_losses
    assert all(torch.equal(one, other) for one, other in zip(weights, expected, strict=True))


# A run that is killed and goes on.


class Killed(Exception):
    """Kills a training; nothing is saved on the way out."""


class Killing:
    """A display that kills the training after a step."""

    def __init__(self, at):
        self.at = at

    def stepped(self, epoch, step):
        if step == self.at:
            raise Killed

    def epoch_ended(self, row, warnings):
        pass


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "schedule", "labels"),
    [
        ("semi-supervised", "joint", 50),
        ("semi-supervised", "alternating", 50),
        ("supervised", "joint", 0),
        ("reduction", "joint", 50),
        ("variational", "joint", 0),
    ],
)
def test_killed_and_resumed_it_ends_with_the_same_bits(tmp_path, registry, rows, table, recipe, schedule, labels):
    """With noise, dropout, label-free terms, a moving average, batch norm, ramps and a precision of its own."""
    run = {"epochs": 4, "checkpoint_every": 2, "ema": 0.9, "schedule": schedule, "precision": "bf16"}
    encoder = {"encoder": "gaussian"} if recipe == "variational" else {"encoder": "universal(hidden=[8])"}
    whole = table(recipe, labels, None, network='mlp(hidden=[16], batch_norm="everywhere")', **extras(recipe, **run))
    whole |= encoder
    if schedule == "joint" and recipe != "variational":
        ramp = {"begin": 0.03, "end": 0.5, "after": 0.25, "until": 0.75}
        whole["training"]["reconstruction_weight"] = ramp
        whole["prior"] = {"z": {"component": "gaussian", "weight": ramp, "instance_noise": 0.3}}
        if RECIPES[recipe].needs.class_block:
            whole["prior"]["y"] = {"component": "categorical", "weight": ramp, "softening": 0.1}
    config, data = parse(whole), from_arrays(rows.x, rows.labels)

    start(config, registry, dataset=data, out=tmp_path / "whole")
    callbacks = replace(NO_CALLBACKS, display=Killing(at=27))
    with pytest.raises(Killed):
        start(config, registry, dataset=data, out=tmp_path / "killed", callbacks=callbacks)
    assert len(MetricsFile(tmp_path / "killed" / "metrics.jsonl").rows()) == 3, "past the last checkpoint"
    assert resume(tmp_path / "killed", registry, dataset=data).finished

    mine, theirs = (latest(tmp_path / name / "checkpoints") for name in ("killed", "whole"))
    assert mine.name == theirs.name
    for file in ("model.safetensors", "optimizer.safetensors"):
        first, second = load_file(mine / file), load_file(theirs / file)
        assert first.keys() == second.keys()
        assert [name for name in first if not torch.equal(first[name], second[name])] == []
    assert _rows_of(tmp_path / "killed") == _rows_of(tmp_path / "whole")


def _rows_of(run):
    times = ("seconds", "steps_per_second")
    return [
        {key: value for key, value in row.items() if key not in times}
        for row in MetricsFile(run / "metrics.jsonl").rows()
    ]


# What the batches are.


@pytest.mark.parametrize(("recipe", "labels"), [("semi-supervised", None), ("reduction", 50)])
def test_labels_are_balanced_and_those_of_their_rows_which_are_reconstructed_too(prepared, recipe, labels):
    batches = prepared(recipe, labels=labels).batches
    assert np.bincount(batches.labels, minlength=10).tolist() == [5] * 10
    means = batches.rows[batches.labeled].mean(1)  # a row is its class and noise
    assert (means - batches.labels).abs().max() < 2
    assert torch.equal(batches.unlabeled, torch.arange(240)), "all training rows"


def test_supervised_batches_come_with_the_labels_of_their_rows(prepared):
    batch = prepared("supervised").batches.next()
    assert batch.labeled is None
    assert (batch.x.mean(1) - batch.labels).abs().max() < 2
