"""Options that a run would not use, or lacks, are refused before anything is built; used options are accepted."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from aaeframe.components.registry import Registry
from aaeframe.configuration.resolve import resolve
from aaeframe.configuration.schema import parse
from aaeframe.configuration.unused import phases_of, refuse_unused
from aaeframe.errors import ConfigError, OptionError

REGISTRY = Registry.load()
RECIPES = {it.name: it.factory() for it in REGISTRY.offers("recipe")}
CLASSES = ["semi-supervised", "clustering", "reduction"]
ADVERSARIAL = [name for name, info in RECIPES.items() if info.needs.adversarial]


def config_of(recipe, *, labels=None, schedule=None, training=None, **table):
    info = RECIPES[recipe]
    labels = 50 * (info.needs.labels == "required") if labels is None else labels
    settings = {"schedule": schedule or next(iter(info.phases)), **(training or {})}
    return parse({"data": {"labels": labels}, "recipe": recipe, "training": settings, **table})


def checked(recipe, **table):
    refuse_unused(config_of(recipe, **table), RECIPES[recipe])


def refused(recipe, message, **table):
    with pytest.raises(ConfigError, match=re.escape(message)):
        checked(recipe, **table)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("schedule", ["alternating", "joint"])
def test_a_recipe_with_what_it_needs_and_no_more_is_taken(recipe, schedule):
    if schedule in RECIPES[recipe].phases:
        checked(recipe, schedule=schedule)


# Labels.


@pytest.mark.parametrize(
    ("recipe", "labels", "message"),
    [
        ("semi-supervised", 0, "'semi-supervised' learns from labels; give --labels N, or use a recipe without"),
        ("supervised", 50, "'supervised' uses the label of every training row; leave --labels out"),
        ("clustering", 50, "'clustering' uses no labels; leave --labels out"),
        ("variational", 50, "'variational' uses no labels; leave --labels out"),
    ],
)
def test_labels_that_are_missing_or_would_not_be_used(recipe, labels, message):
    refused(recipe, message, labels=labels)


@pytest.mark.parametrize("recipe", ["unsupervised", "reduction"])
@pytest.mark.parametrize("labels", [0, 50])
def test_labels_are_an_option_of_some(recipe, labels):
    checked(recipe, labels=labels)


def test_the_size_of_labeled_batches_goes_with_labels():
    refused("clustering", "labeled_batch_size is not used without labels", training={"labeled_batch_size": 10})
    checked("semi-supervised", training={"labeled_batch_size": 10})


# Weights.

WEIGHTS = {
    "prior.z.weight": {"prior": {"z": {"component": "p", "weight": 1.0}}},
    "training.reconstruction_weight": {"training": {"reconstruction_weight": 1.0}},
    "training.classification_weight": {"training": {"classification_weight": 1.0}, "labels": 50},
}


@pytest.mark.parametrize("weight", WEIGHTS)
def test_the_alternating_schedule_weighs_nothing(weight):
    refused("reduction", f"{weight} is not used: only schedule 'joint' of adversarial", **WEIGHTS[weight])
    checked("reduction", schedule="joint", **WEIGHTS[weight])


def test_a_ramp_is_a_weight_too_and_so_is_0():
    for weight in ({"begin": 0.1, "end": 1.0}, 0.0):
        refused("unsupervised", "prior.z.weight is not used", prior={"z": {"component": "p", "weight": weight}})


@pytest.mark.parametrize("recipe", ["unsupervised", "supervised", "clustering"])
def test_where_nothing_is_classified_classification_weighs_nothing(recipe):
    training = {"classification_weight": 1.0}
    refused(recipe, "classification_weight is not used: nothing is classified", schedule="joint", training=training)


def test_the_variational_recipe_has_one_weight_of_its_own():
    refused("variational", "training.reconstruction_weight is not used", training={"reconstruction_weight": 1.0})
    refused("variational", "prior.z.weight is not used", prior={"z": {"component": "p", "weight": 1.0}})


# What belongs to some recipes.


@pytest.mark.parametrize("recipe", [it for it in RECIPES if it not in CLASSES])
def test_what_is_about_a_class_goes_with_a_class(recipe):
    refused(recipe, f"label_free is not used: recipe {recipe!r} has no class", label_free={"augmentation": 1.0})
    refused(recipe, f"training.class_block is not used: recipe {recipe!r} has no class", training={"class_block": "y"})


@pytest.mark.parametrize("recipe", CLASSES)
def test_a_class_has_use_for_both(recipe):
    checked(recipe, label_free={"augmentation": 1.0}, training={"class_block": "y"})


@pytest.mark.parametrize(
    ("key", "value", "owner"),
    [
        ("entropy_weight", 0.5, "unsupervised"),
        ("head_distance", 2.0, "reduction"),
        ("likelihood", "gaussian", "variational"),
        ("kl_weight", 0.5, "variational"),
    ],
)
def test_what_belongs_to_one_recipe_is_refused_elsewhere(key, value, owner):
    for recipe in RECIPES:
        config = config_of(recipe)
        config = config.model_copy(update={"recipe": config.recipe.model_copy(update={"options": {key: value}})})
        if recipe == owner:
            assert resolve(config, REGISTRY).recipe.options[key] == value
        else:
            with pytest.raises(OptionError, match=f"the recipe '{recipe}' of aaeframe .* has no option '{key}'"):
                resolve(config, REGISTRY)


@pytest.mark.parametrize("recipe", ADVERSARIAL)
def test_labels_are_smoothed_for_the_bce_alone(recipe):
    message = "label_smoothing is not used: only the loss 'bce' has labels to smooth, this run's is 'hinge'"
    refused(recipe, message, training={"label_smoothing": 0.1, "loss": "hinge"})
    checked(recipe, training={"label_smoothing": 0.1})


@pytest.mark.parametrize(
    ("key", "table"),
    [
        ("training.loss", {"training": {"loss": "hinge"}}),
        ("training.label_smoothing", {"training": {"label_smoothing": 0.1}}),
        ("training.gradient_penalty", {"training": {"gradient_penalty": 0.1}}),
        ("prior.z.instance_noise", {"prior": {"z": {"component": "p", "instance_noise": 0.1}}}),
        ("prior.z.softening", {"prior": {"z": {"component": "p", "softening": 0.1}}}),
        ("prior.z.discriminator", {"prior": {"z": {"component": "p", "discriminator": {"component": "d"}}}}),
    ],
)
def test_without_an_adversary_there_is_nothing_for_it(key, table):
    refused("variational", f"{key} is not used: recipe 'variational' has no discriminators", **table)
    for recipe in ADVERSARIAL:
        checked(recipe, **table)


# Phases.


@pytest.mark.parametrize(
    ("recipe", "labels", "terms", "alternating", "joint"),
    [
        ("unsupervised", 50, {}, "reconstruction discriminator generator", "autoencoder discriminator"),
        ("supervised", 0, {}, "reconstruction discriminator generator", "autoencoder discriminator"),
        ("clustering", 0, {}, "reconstruction discriminator generator", "autoencoder discriminator"),
        (
            "semi-supervised",
            50,
            {"virtual_adversarial": 1.0},
            "reconstruction discriminator generator classification consistency",
            "autoencoder discriminator",
        ),
        (
            "clustering",
            0,
            {"mutual_information": 1.0},
            "reconstruction discriminator generator consistency",
            "autoencoder discriminator",
        ),
        (
            "reduction",
            50,
            {},
            "reconstruction discriminator generator classification heads",
            "autoencoder discriminator heads",
        ),
        ("variational", 0, {}, None, "autoencoder"),
    ],
)
def test_a_run_has_the_phases_it_has_a_use_for(recipe, labels, terms, alternating, joint):
    for schedule, phases in [("alternating", alternating), ("joint", joint)]:
        if phases is not None:
            config = config_of(recipe, labels=labels, schedule=schedule, label_free=terms)
            assert phases_of(config, RECIPES[recipe]) == tuple(phases.split())


def test_an_optimizer_of_no_phase_is_refused_with_the_phases_there_are():
    refused(
        "clustering",
        "optimizers.classification is not used: schedule 'alternating' of recipe 'clustering' has the phases "
        "reconstruction, discriminator, generator",
        optimizers={"classification": {}},
    )


@pytest.mark.parametrize(
    ("key", "term"),
    [("radius", "virtual_adversarial"), ("balance", "mutual_information"), ("slack", "mutual_information")],
)
def test_how_a_term_is_is_of_no_use_without_the_term(key, term):
    refused("clustering", f"label_free.{key} is not used without", label_free={key: 2.0})
    config_of("clustering", label_free={key: 2.0, term: 1.0})


def test_it_imports_no_torch():
    code = "import sys, aaeframe.configuration.unused; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
