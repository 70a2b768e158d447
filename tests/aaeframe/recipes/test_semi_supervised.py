"""Sections 5 and 6: which phase moves what, who sees which rows, and what labels and label-free terms are for."""

from __future__ import annotations

import math
import re

import pytest
import torch
from torch import nn

from aaeframe.configuration.schema import parse
from aaeframe.data import from_arrays
from aaeframe.errors import ConfigError, DataError
from aaeframe.losses.label_free import PROBE
from aaeframe.runs.start import start
from aaeframe.seeds import stream

SCHEDULES = ["alternating", "joint"]
TERMS = {"virtual_adversarial": 1.0, "mutual_information": 0.1}
PHASES = {
    "alternating": ["reconstruction", "discriminator", "generator", "classification", "consistency"],
    "joint": ["discriminator", "autoencoder"],
}


def under(names, *prefixes):
    return {name for name in names if name.startswith(prefixes)}


# What moves in which phase.


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_parameters_outside_a_phase_do_not_move(prepared, watch, schedule):
    training = prepared("semi-supervised", schedule, encoder="universal(hidden=[8])", label_free=TERMS)
    names = [name for name, _ in training.model.named_parameters()]
    encoder, style = under(names, "encoder."), under(names, "encoder.heads.linear.z.")
    assert len(style) == 2
    expected = {
        "reconstruction": under(names, "encoder.", "decoder."),
        "autoencoder": under(names, "encoder.", "decoder."),
        "discriminator": under(names, "discriminators."),
        "generator": encoder,
        "classification": encoder - style,
        "consistency": encoder - style,
    }
    moved = watch.moved(training)
    assert list(moved) == PHASES[schedule]
    assert moved == {phase: expected[phase] for phase in moved}


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_clustering_is_this_without_the_classification(prepared, watch, schedule):
    training = prepared("clustering", schedule)
    phases = [phase for phase in PHASES[schedule] if phase not in ("classification", "consistency")]
    assert list(training.optimizers) == [it for it in training.optimizers if it in phases]
    assert list(watch.moved(training)) == phases
    assert training.batches.next().labeled is None


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_without_labels_and_terms_a_step_is_that_of_the_unsupervised_recipe(prepared, schedule):
    """The clustering of section 6 is the autoencoding of section 2 under a product of priors."""

    def losses(recipe):
        training = prepared(recipe, schedule, prior="y=categorical+z=gaussian", training={"input_noise": 0.1})
        with stream(3, "steps"):
            return [training.recipe.step(training.batches.next()) for _ in range(3)]

    assert losses("clustering") == losses("unsupervised")


# Who sees which rows.


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_discriminators_see_the_codes_of_the_unlabeled_rows_alone_and_no_labels(prepared, watch, rows, schedule):
    training = prepared("semi-supervised", schedule, prior="y=categorical+z=mixture", label_free=TERMS)
    spies, encodings = watch.spied(training), watch.recorded(training.model.encoder)
    batch = training.batches.next()
    training.recipe.step(batch)
    n = rows.unlabeled
    (seen, *_), encoding = encodings[{"alternating": 1, "joint": 0}[schedule]]
    assert torch.equal(seen[:n], training.model.scale(batch.x))
    for name, spy in spies.items():
        assert all(labels is None for _, labels in spy.calls)
        (discriminated, _), (generated, _) = spy.calls
        code = encoding[name][:n].detach()
        assert torch.equal(generated, code)
        assert len(discriminated) == 2 * n, "as many prior samples as unlabeled rows, in one call"
        assert torch.equal(discriminated[n:], code)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_soft_class_and_the_style_of_the_unlabeled_rows_are_what_is_decoded(prepared, watch, rows, schedule):
    training = prepared("semi-supervised", schedule)
    encodings, decodings = watch.recorded(training.model.encoder), watch.recorded(training.model.decoder)
    training.recipe.step(training.batches.next())
    [((decoded,), _)] = decodings
    _, code = encodings[0]
    assert torch.equal(decoded, torch.cat([code["y"], code["z"]], dim=1)[: rows.unlabeled])
    soft = decoded[:, :10]
    assert torch.allclose(soft.sum(1), torch.ones(rows.unlabeled))
    assert soft.amax(1).max() < 0.9, "no corner of the simplex"


@pytest.mark.parametrize(("schedule", "encodings"), [("alternating", 3), ("joint", 1)])
def test_rows_are_encoded_no_more_often_than_the_schedule_says(prepared, watch, rows, schedule, encodings):
    training = prepared("semi-supervised", schedule)
    calls = watch.recorded(training.model.encoder)
    training.recipe.step(training.batches.next())
    n, m = rows.unlabeled, rows.labeled
    assert [len(seen) for (seen, *_), _ in calls] == {"alternating": [n, n, m], "joint": [n + m]}[schedule]
    assert len(calls) == encodings


# What labels do.


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_labels_enter_the_classification_alone(prepared, schedule):
    def stepped(shift):
        training = prepared("semi-supervised", schedule)
        batch = training.batches.next()
        batch.labeled.labels.copy_((batch.labeled.labels + shift) % 10)
        entered = {}
        for phase, optimizer in training.optimizers.items():
            optimizer.register_step_pre_hook(
                lambda *_, phase=phase: entered.update({phase: [it.clone() for it in training.model.parameters()]})
            )
        with stream(1, "step"):
            losses = training.recipe.step(batch)
        return losses, entered

    (losses, entered), (others, other_entered) = stepped(0), stepped(1)
    assert {name for name in losses if not torch.equal(losses[name], others[name])} == {"classification"}
    for phase, parameters in entered.items():
        assert all(torch.equal(a, b) for a, b in zip(parameters, other_entered[phase], strict=True)), phase


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_classification_is_the_cross_entropy_of_the_labeled_rows(prepared, watch, schedule):
    training = prepared("semi-supervised", schedule)
    encodings = watch.recorded(training.model.encoder)
    batch = training.batches.next()
    losses = training.recipe.step(batch)
    labels = batch.labeled.labels
    _, code = encodings[-1]
    y = code["y"][-len(labels) :]
    expected = -sum(math.log(row[label]) for row, label in zip(y.tolist(), labels.tolist(), strict=True)) / len(labels)
    assert losses["classification"].item() == pytest.approx(expected, rel=1e-5)


def gradient(prepared, part, **table):
    """The gradient of the encoder, or the decoder, from the one backward of the joint step."""
    training = prepared("semi-supervised", "joint", training={"seed": 1, **table.pop("training", {})}, **table)
    with stream(1, "step"):
        training.recipe.step(training.batches.next())
    return torch.cat([it.grad.flatten() for it in getattr(training.model, part).parameters() if it.grad is not None])


def priors(y, z):
    return {"y": {"component": "categorical", "weight": y}, "z": {"component": "gaussian", "weight": z}}


@pytest.mark.slow
def test_the_joint_loss_is_the_weighted_sum(prepared):
    def weighed(reconstruction, y, z, classification, label_free=0.0):
        weights = {"reconstruction_weight": reconstruction, "classification_weight": classification}
        terms = {"mutual_information": label_free} if label_free else {}
        return gradient(prepared, "encoder", prior=priors(y, z), training=weights, label_free=terms)

    parts = [weighed(*row) for row in torch.eye(4).tolist()]
    parts.append(weighed(0.0, 0.0, 0.0, 0.0, 1.0))
    assert all(part.norm() > 1e-5 for part in parts)
    whole = sum(weight * part for weight, part in zip([2.0, 3.0, 0.5, 4.0, 0.25], parts, strict=True))
    assert torch.allclose(weighed(2.0, 3.0, 0.5, 4.0, 0.25), whole, atol=1e-5)


def test_with_every_other_weight_0_the_joint_schedule_is_a_classifier(prepared, watch):
    """The supervised-only network of the paper's comparisons: the decoder, and the style, stay as they are."""
    weights = {"reconstruction_weight": 0.0}
    training = prepared("semi-supervised", "joint", prior=priors(0.0, 0.0), training=weights)
    moved = watch.moved(training)["autoencoder"]
    assert moved == {
        name
        for name, _ in training.model.named_parameters()
        if name.startswith(("encoder.body", "encoder.heads.linear.y"))
    }


# Label-free terms.


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("encoder", ["deterministic", "universal(hidden=[8])", "gaussian"])
def test_the_virtual_adversary_moves_clean_rows_by_its_radius_and_keeps_the_noise(
    prepared, watch, rows, schedule, encoder
):
    terms = {"virtual_adversarial": 1.0, "radius": 0.7}
    training = prepared("semi-supervised", schedule, encoder=encoder, label_free=terms, training={"input_noise": 0.5})
    calls = watch.recorded(training.model.encoder)
    batch = training.batches.next()
    training.recipe.step(batch)
    x = training.model.scale(batch.x)
    (probed, first), (moved, second) = (given for given, _ in calls[-2:])
    assert torch.allclose((probed - x).norm(dim=1), torch.full((rows.unlabeled,), PROBE), rtol=1e-4)
    assert torch.allclose((moved - x).norm(dim=1), torch.full((rows.unlabeled,), 0.7), rtol=1e-4)
    assert (first is None) == (encoder == "deterministic")
    if first is not None:
        assert first.shape == (rows.unlabeled, *training.model.noise_shape)
        assert torch.equal(first, second)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(
    ("encoder", "noise"),
    [("deterministic", 0.0), ("deterministic", 0.5), ("universal(hidden=[8])", 0.0), ("gaussian", 0.0)],
)
def test_who_stands_still_is_consistent(prepared, schedule, encoder, noise):
    """As the radius goes to 0, so does the virtual adversarial loss: what is compared is one function of x."""
    terms = {"virtual_adversarial": 1.0, "radius": 1e-6}
    training = prepared("semi-supervised", schedule, encoder=encoder, label_free=terms, training={"input_noise": noise})
    losses = training.recipe.step(training.batches.next())
    assert abs(losses["virtual_adversarial"].item()) < 1e-5


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_who_stands_still_is_consistent_beside_labeled_rows_under_batch_norm(prepared, schedule):
    """Batch norm makes q(y|x) a function of the rows beside x; labeled ones are not beside the rows that are moved."""
    terms = {"virtual_adversarial": 1.0, "radius": 1e-6}
    network = "mlp(hidden=[16], batch_norm='encoder')"
    training = prepared("semi-supervised", schedule, network=network, label_free=terms)
    losses = training.recipe.step(training.batches.next())
    assert abs(losses["virtual_adversarial"].item()) < 1e-5


@pytest.mark.parametrize("slack", [0.0, 1.0])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_mutual_information_is_of_the_unlabeled_rows(prepared, watch, rows, schedule, slack):
    terms = {"mutual_information": 0.5, "balance": 2.0, "slack": slack}
    training = prepared("semi-supervised", schedule, label_free=terms)
    encodings = watch.recorded(training.model.encoder)
    losses = training.recipe.step(training.batches.next())
    y = encodings[-1][1]["y"][: rows.unlabeled].detach().double()
    conditional, mean = -(y * y.log()).sum(1).mean(), y.mean(0)
    marginal = (-(mean * mean.log()).sum()).clamp(max=math.log(len(mean)) - slack)
    assert losses["mutual_information"].item() == pytest.approx(0.5 * (conditional - 2 * marginal).item(), rel=1e-5)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_images_may_be_warped_and_rows_may_not(prepared, rows, schedule):
    terms = {"augmentation": 1.0}
    training = prepared("clustering", schedule, data=(rows.images, rows.labels), label_free=terms)
    losses = training.recipe.step(training.batches.next())
    assert losses["augmentation"] > 0
    with pytest.raises(ConfigError, match=re.escape("this data has rows of shape (6,); leave it out")):
        prepared("clustering", schedule, label_free=terms)


def test_slack_that_allows_a_single_class_is_refused(prepared):
    prior = {"y": "categorical(classes=5)", "style": "gaussian"}
    terms = {"mutual_information": 0.5, "slack": 1.7}
    with pytest.raises(ConfigError, match=re.escape("with 5 classes it must be less than log 5 = 1.61")):
        prepared("clustering", "joint", prior=prior, label_free=terms)


def test_without_slack_one_class_is_enough(prepared):
    assert prepared("clustering", prior="y=categorical(classes=1)+z=gaussian").model.num_classes == 1


# What the recipe needs.


@pytest.mark.parametrize("recipe", ["semi-supervised", "clustering", "reduction"])
def test_a_class_is_one_block_of_one_hot_vectors(prepared, recipe):
    with pytest.raises(ConfigError, match=r"needs one block of one-hot vectors as the class, found \[\] among \['z'\]"):
        prepared(recipe, prior="z=gaussian")
    with pytest.raises(ConfigError, match=r"found \['a', 'b'\] among .*; name one with --set training.class_block="):
        prepared(recipe, prior="a=categorical+b=categorical+z=gaussian")
    with pytest.raises(ConfigError, match=r"class_block='z' is no block of one-hot vectors; there are: \['y'\]"):
        prepared(recipe, training={"class_block": "z"})


def test_of_several_blocks_the_named_one_is_the_class(prepared):
    training = prepared(
        "semi-supervised", prior="a=categorical(classes=3)+b=categorical+z=gaussian", training={"class_block": "b"}
    )
    assert training.recipe.class_block == "b"
    assert training.recipe.step(training.batches.next())["classification"].isfinite()


def test_the_class_block_has_a_place_for_each_label(prepared):
    with pytest.raises(
        ConfigError, match=re.escape("has 7 classes, but the labels have 10; set its option, as in --prior")
    ):
        prepared("semi-supervised", prior="y=categorical(classes=7)+z=gaussian")
    assert prepared("clustering", prior="y=categorical(classes=7)+z=gaussian").model.num_classes == 7


def test_data_without_labels_cannot_be_classified(prepared, rows):
    with pytest.raises(DataError, match="--labels 50 was asked for, but the data arrays has no labels"):
        prepared("semi-supervised", data=(rows.x,))


def test_a_one_hot_block_of_two_dimensions_is_no_class(tmp_path, registry, table, rows):
    prior = torch.distributions.Independent(torch.distributions.OneHotCategorical(torch.ones(2, 5)), 1)
    given = {"y": {"component": "python:Independent"}, "z": "gaussian"}
    config = parse(table("semi-supervised", None, given, training={"epochs": 1}))
    with pytest.raises(ConfigError, match=r"'y'"):
        start(
            config, registry, dataset=from_arrays(rows.x, rows.labels), objects={"prior.y": prior}, out=tmp_path / "run"
        )


def test_discriminators_and_normalization_come_back_to_training(prepared):
    training = prepared("semi-supervised", "joint", network='mlp(hidden=[16], batch_norm="encoder")', label_free=TERMS)
    training.recipe.step(training.batches.next())
    assert all(module.training for module in training.model.modules())
    assert all(it.track_running_stats for it in training.model.modules() if isinstance(it, nn.BatchNorm1d))
    assert all(parameter.requires_grad for parameter in training.model.parameters())
