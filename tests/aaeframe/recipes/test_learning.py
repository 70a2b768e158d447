"""Each recipe reaches its goal on the digits in seconds. Margins hold for the seeds 0, 1 and 2."""

from __future__ import annotations

import math

import pytest
import torch

import aaeframe
from aaeframe.data import load
from aaeframe.evaluation import leakage, sliced_wasserstein
from aaeframe.evaluation.class_reports import class_reports
from aaeframe.seeds import generator, stream
from aaeframe.storage.metrics_file import MetricsFile

SEED = 0
FAST = "adam(lr=0.003)"
APART = "sgd(lr=0.1, momentum=0.0)"
"""For cluster heads: each step pushes a pair that is too close apart by twice 0.1."""
NORMED = "mlp(hidden=[128, 128], batch_norm='encoder')"
TERMS = {"virtual_adversarial": 1.0, "radius": 1.0, "mutual_information": 0.1}


@pytest.fixture(scope="module")
def digits():
    return load("digits")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Trains on the digits, in minibatches of 100, by the joint schedule; a run of the same settings only once."""
    runs = {}

    def train(recipe, prior, *, epochs, labels=None, **table):
        key = repr((recipe, prior, epochs, labels, table))
        if key not in runs:
            whole = {
                "prior": prior,
                "encoder": "deterministic",
                "network": "mlp(hidden=[128, 128])",
                "discriminator": "mlp(hidden=[64, 64])",
                "optimizers": {"autoencoder": FAST},
                **table,
                "recipe": recipe,
                "training": {"schedule": "joint", "seed": SEED, **table.get("training", {})},
            }
            runs[key] = aaeframe.train(
                "digits",
                config=whole,
                labels=labels,
                epochs=epochs,
                batch_size=100,
                device="cpu",
                checkpoint_every=1000,
                out=tmp_path_factory.mktemp("run") / "run",
            )
        return runs[key]

    return train


def one_draw(run, rows, name="codes"):
    codes = run.model.encode(rows.array(), draws=1, generator=generator(SEED, name))
    return {block: z[0] for block, z in codes.items()}


def judged(run, digits):
    """The class block of held-out rows, as `evaluate` judges it."""
    judge = run.needs.class_metric(run.config.data.labels)
    return class_reports(run.model, digits, digits.test, one_draw(run, digits.test), SEED, judge)


def reconstruction(run):
    """The share of the mean image's error that is left."""
    last = MetricsFile(run.folder.metrics).rows()[-1]
    return last["validation/reconstruction"] / last["mean_image_error"]


def class_and_style(y, style, *, classes=10, size=5, noise=0.3):
    """A product prior; the weights of its adversaries, and noise on the input of y's."""
    return {
        "y": {"component": "categorical", "options": {"classes": classes}, "weight": y, "instance_noise": noise},
        "style": {"component": "gaussian", "options": {"size": size}, "weight": style},
    }


# Section 5.


def supervised_only(trained, labels):
    """The same network, that learns from the labels alone."""
    return trained(
        "semi-supervised",
        class_and_style(0.0, 0.0),
        labels=labels,
        epochs=30,
        training={"reconstruction_weight": 0.0, "input_noise": 0.2},
    )


@pytest.mark.slow
def test_semi_supervised_beats_the_supervised_network_with_the_same_labels(trained, digits):
    run = trained(
        "semi-supervised",
        class_and_style(1.0, 0.3),
        labels=20,
        epochs=30,
        training={"reconstruction_weight": 0.2, "input_noise": 0.2},
    )
    alone = judged(supervised_only(trained, 20), digits)["classification"]["error"]
    found = judged(run, digits)["classification"]
    assert found["error"] < alone - 0.04
    assert found["conditional_entropy"] < 0.3, "of at most log 10 = 2.3"
    assert reconstruction(run) < 0.5


@pytest.mark.slow
def test_label_free_terms_halve_the_error_again(trained, digits):
    run = trained(
        "semi-supervised",
        class_and_style(0.1, 0.3),
        labels=50,
        epochs=30,
        training={"reconstruction_weight": 0.02},
        label_free=TERMS,
    )
    alone = judged(supervised_only(trained, 50), digits)["classification"]["error"]
    assert judged(run, digits)["classification"]["error"] < 0.6 * alone


# Section 6.


def assert_confident_and_balanced(clustering, *, uncertain, unbalanced):
    """Categorical codes like their prior: each row of one category, all categories alike."""
    assert clustering["conditional_entropy"] < uncertain
    assert clustering["marginal_entropy"] > clustering["uniform_entropy"] - unbalanced
    assert clustering["uniform_entropy"] == pytest.approx(math.log(16))


def test_clusters_are_classes_by_far_and_codes_become_confident_and_balanced(trained, digits):
    """The paper's means: an adversary, batch norm on the heads too, dropout of the input."""
    run = trained(
        "clustering",
        class_and_style(1.0, 0.3, classes=16),
        epochs=30,
        encoder="deterministic(batch_norm=true)",
        network=NORMED,
        training={"reconstruction_weight": 0.05, "input_dropout": 0.2},
    )
    found = judged(run, digits)["clustering"]
    assert found["error"] < 0.4, "chance is 0.9"
    assert found["clusters_used"] == 16
    assert_confident_and_balanced(found, uncertain=0.6, unbalanced=0.1)
    assert reconstruction(run) < 0.5


@pytest.mark.slow
def test_clusters_are_better_with_label_free_terms(trained, digits):
    run = trained(
        "clustering",
        class_and_style(0.1, 0.3, classes=16),
        epochs=30,
        network=NORMED,
        training={"reconstruction_weight": 0.02},
        label_free=TERMS,
    )
    found = judged(run, digits)["clustering"]
    assert found["error"] < 0.15
    assert_confident_and_balanced(found, uncertain=0.4, unbalanced=0.25)


# Section 7.


def assert_reduced(run, digits, labels_or_clusters, most):
    assert judged(run, digits)[labels_or_clusters]["error"] < most
    assert torch.pdist(run.model.representation.weight).min() > 5.9, "of a distance of 6"
    assert run.model.represent(one_draw(run, digits.test)).shape == (len(digits.test), 2)
    assert reconstruction(run) < 0.7


@pytest.mark.slow
def test_reduction_with_labels_separates_classes_in_the_plane(trained, digits):
    run = trained(
        "reduction",
        class_and_style(1.0, 0.3, size=2),
        labels=50,
        epochs=25,
        optimizers={"autoencoder": FAST, "heads": APART},
        training={"reconstruction_weight": 0.2, "input_noise": 0.2},
    )
    assert_reduced(run, digits, "classification", most=0.2)
    y = one_draw(run, digits.test)["y"]
    nearest = torch.cdist(run.model.represent(one_draw(run, digits.test)), run.model.representation.weight).argmin(1)
    assert (nearest == y.argmax(1)).double().mean() > 0.8, "and a row lies by the head of its class"


@pytest.mark.slow
def test_reduction_without_labels_separates_classes_in_the_plane(trained, digits):
    run = trained(
        "reduction",
        class_and_style(0.1, 0.3, classes=12, size=2),
        epochs=25,
        network=NORMED,
        optimizers={"autoencoder": FAST, "heads": APART},
        training={"reconstruction_weight": 0.1},
        label_free=TERMS,
    )
    assert_reduced(run, digits, "clustering", most=0.25)


# Section 4.


@pytest.mark.slow
def test_where_the_decoder_is_told_the_label_the_code_forgets_it(trained, digits):
    def code_of(recipe):
        return trained(
            recipe,
            {"style": "gaussian"},
            epochs=30,
            optimizers={"autoencoder": FAST, "discriminator": FAST},
            training={"gradient_penalty": 0.1},
        )

    told, untold = code_of("supervised"), code_of("unsupervised")
    assert reconstruction(told) < 0.45
    assert reconstruction(told) < 0.9 * reconstruction(untold), "two numbers and the class say more than two numbers"
    leaked = judged(told, digits)["leakage"]["style"]["accuracy"]
    codes = one_draw(untold, digits.test), one_draw(untold, digits.train, "probe")
    assert leaked < 0.4
    assert leaked < 0.6 * probe(codes, digits)


def probe(codes, digits):
    """The accuracy of a linear probe on codes of held-out and of training rows."""
    held_out, known = (code["style"] for code in codes)
    train, test = (torch.from_numpy(part.labels) for part in (digits.train, digits.test))
    return leakage(known, train, held_out, test, num_classes=10).accuracy


# The variational autoencoder.


@pytest.mark.slow
@pytest.mark.parametrize("prior", ["gaussian", "mixture"])
def test_the_variational_autoencoder_reconstructs_and_meets_its_prior(trained, digits, prior):
    recipe = 'variational(likelihood="gaussian", kl_weight=0.05)'
    run = trained(recipe, prior, epochs=30, encoder="gaussian")
    rows = MetricsFile(run.folder.metrics).rows()
    assert reconstruction(run) < 0.65
    assert rows[-1]["negative_log_likelihood"] < rows[0]["negative_log_likelihood"] - 1
    # In the first epochs the codes spread to tell rows apart, in which one most is chance; then the prior draws them.
    mismatch = [row[f"mismatch/{prior}"] for row in rows]
    assert sum(mismatch[-5:]) / 5 < 0.75 * max(mismatch[:5])
    code = one_draw(run, digits.test)[prior]
    with stream(SEED, "prior"):
        samples = run.model.priors[prior].sample(torch.Size([len(code)]))
    assert sliced_wasserstein(code, samples, generator=generator(SEED, "directions")) < 0.4
