"""Section 4: the decoder is told the label, and nothing else is."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from aaeframe.errors import ConfigError, DataError
from aaeframe.seeds import stream

SCHEDULES = ["alternating", "joint"]
PHASES = {"alternating": ["reconstruction", "discriminator", "generator"], "joint": ["discriminator", "autoencoder"]}


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_parameters_outside_a_phase_do_not_move(prepared, watch, schedule):
    training = prepared("supervised", schedule, prior="z=gaussian+more=mixture", encoder="universal(hidden=[8])")
    names = [name for name, _ in training.model.named_parameters()]
    parts = {
        part: {name for name in names if name.startswith(part)} for part in ("encoder", "decoder", "discriminators")
    }
    expected = {
        "reconstruction": parts["encoder"] | parts["decoder"],
        "autoencoder": parts["encoder"] | parts["decoder"],
        "discriminator": parts["discriminators"],
        "generator": parts["encoder"],
    }
    moved = watch.moved(training)
    assert list(moved) == PHASES[schedule]
    assert moved == {phase: expected[phase] for phase in moved}


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_code_and_the_one_hot_label_are_what_is_decoded(prepared, watch, schedule):
    training = prepared("supervised", schedule)
    encodings, decodings = watch.recorded(training.model.encoder), watch.recorded(training.model.decoder)
    batch = training.batches.next()
    training.recipe.step(batch)
    [((decoded,), _)] = decodings
    assert torch.equal(decoded, torch.cat([encodings[0][1]["z"], one_hot(batch.labels, 10).float()], dim=1))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_adversary_sees_every_code_and_no_label_though_the_prior_knows_classes(prepared, watch, rows, schedule):
    training = prepared("supervised", schedule, prior="z=mixture")
    spies, encodings = watch.spied(training), watch.recorded(training.model.encoder)
    training.recipe.step(training.batches.next())
    (discriminated, told), (generated, pretended) = spies["z"].calls
    assert told is None
    assert pretended is None
    code = encodings[-1][1]["z"].detach()
    assert torch.equal(generated, code)
    assert torch.equal(discriminated[rows.unlabeled :], code)
    assert len(discriminated) == 2 * rows.unlabeled


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_code_does_not_depend_on_the_label_given(prepared, watch, schedule):
    def stepped(shift):
        training = prepared("supervised", schedule)
        spies = watch.spied(training)
        for phase in ("reconstruction", "autoencoder"):
            if phase in training.optimizers:
                training.optimizers[phase].param_groups[0]["lr"] = 0.0
        batch = training.batches.next()
        batch.labels.copy_((batch.labels + shift) % 10)
        with stream(1, "step"):
            return training.recipe.step(batch), spies["z"].calls

    (losses, calls), (others, other_calls) = stepped(0), stepped(1)
    assert {name for name in losses if not torch.equal(losses[name], others[name])} == {"reconstruction"}
    for (seen, _), (other, _) in zip(calls, other_calls, strict=True):
        assert torch.equal(seen, other)


def test_the_joint_loss_is_the_weighted_sum(prepared):
    def gradient(reconstruction, generator):
        prior = {"z": {"component": "gaussian", "weight": generator}}
        training = prepared("supervised", "joint", prior=prior, training={"reconstruction_weight": reconstruction})
        with stream(1, "step"):
            training.recipe.step(training.batches.next())
        return torch.cat([it.grad.flatten() for it in training.model.encoder.parameters()])

    reconstruction, generator = gradient(1.0, 0.0), gradient(0.0, 1.0)
    assert min(reconstruction.norm(), generator.norm()) > 1e-4
    assert torch.allclose(gradient(2.0, 3.0), 2 * reconstruction + 3 * generator, atol=1e-5)


# What the recipe needs.


def test_every_row_must_have_a_label(prepared, rows):
    with pytest.raises(
        DataError,
        match=r"recipe 'aaeframe:supervised' uses labels, but the data arrays has no labels; use a recipe without",
    ):
        prepared("supervised", data=(rows.x,))


def test_a_number_of_labels_is_refused(prepared):
    with pytest.raises(ConfigError, match="uses the label of every training row; leave --labels out"):
        prepared("supervised", labels=50)


# What the model is afterwards.


def test_a_code_is_decoded_with_the_label_it_is_given(prepared):
    model = prepared("supervised").model
    code = {"z": torch.randn(1, 2).expand(10, 2)}
    styles = model.decode(code, torch.arange(10))
    assert len(styles.unique(dim=0)) == 10
    assert torch.equal(model.decode(code, torch.full((10,), 3)), styles[3].expand(10, -1))


def test_reconstructions_are_with_the_label(prepared, rows):
    model = prepared("supervised").model
    x, labels = torch.from_numpy(rows.x[:10]), torch.from_numpy(rows.labels[:10])
    assert torch.equal(model.reconstruct(x, labels), model.decode(model.encode(x), labels))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "this model decodes a code together with the label of its class; give labels (N,)"),
        (torch.arange(3), "a label for each of 5 codes is needed, found labels of shape (3,)"),
        (
            torch.tensor([[0], [1], [2], [3], [4]]),
            "a label for each of 5 codes is needed, found labels of shape (5, 1)",
        ),
        (torch.full((5,), 10), "classes"),
        (torch.full((5,), -1), "classes"),
        (torch.full((5,), 1.0), "labels"),
        (list("abcde"), "labels are indices of classes, integers, found ['a', 'b',"),
    ],
)
def test_labels_that_cannot_be_are_refused_in_words(prepared, labels, message):
    model = prepared("supervised").model
    with pytest.raises(DataError, match=re.escape(message)):
        model.decode({"z": torch.zeros(5, 2)}, labels)


def test_class_indices_of_any_integer_type_will_do(prepared):
    model = prepared("supervised").model
    expected = model.decode({"z": torch.zeros(5, 2)}, torch.arange(5))
    assert torch.equal(model.decode({"z": torch.zeros(5, 2)}, torch.arange(5, dtype=torch.int32)), expected)
    assert torch.equal(model.decode({"z": torch.zeros(5, 2)}, [0, 1, 2, 3, 4]), expected)


def test_samples_are_of_the_class_asked_for_or_of_all(prepared):
    model = prepared("supervised").model
    code, labels = model.sample_code(500, seed=1)
    assert set(labels.tolist()) == set(range(10))
    assert np.bincount(labels).max() < 100, "uniform over the classes"
    same, again = model.sample_code(500, seed=1)
    assert torch.equal(code["z"], same["z"])
    assert torch.equal(labels, again)
    code, labels = model.sample_code(5, seed=1, label=7)
    assert labels.tolist() == [7] * 5
    assert torch.equal(model.sample(5, seed=1, label=7), model.decode(code, labels))


def test_sampling_with_a_seed_leaves_the_random_state_alone(prepared):
    model = prepared("supervised").model
    before = torch.get_rng_state()
    model.sample(5, seed=1)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("label", [-1, 10, "7", 2.5, torch.tensor(1.0), np.array([1, 2])])
def test_a_class_that_is_not_there_cannot_be_sampled(prepared, label):
    with pytest.raises(
        DataError, match=re.escape(f"samples of class {label!r} were requested; this model has the classes 0 to 9")
    ):
        prepared("supervised").model.sample(5, label=label)


def test_a_model_of_no_classes_has_none_to_sample(prepared):
    with pytest.raises(DataError, match="class 1 were requested; this model has no classes"):
        prepared("unsupervised").model.sample(5, label=1)


@pytest.mark.parametrize("label", [3, np.int64(3), torch.tensor(3)], ids=["int", "numpy", "torch"])
@pytest.mark.parametrize("recipe", ["semi-supervised", "clustering", "reduction"])
def test_samples_of_a_class_block_have_it_set(prepared, recipe, label):
    model = prepared(recipe).model
    code, labels = model.sample_code(5, seed=1, label=label)
    assert labels is None
    assert torch.equal(code["y"], one_hot(torch.full((5,), 3), 10).float())
    assert torch.equal(code["z"], model.sample_prior(5, seed=1)["z"])
