from __future__ import annotations

import pytest

from aaeframe.components.registry import Registry
from aaeframe.configuration import presets
from aaeframe.configuration.compose import compose
from aaeframe.configuration.resolve import resolve
from aaeframe.configuration.schema import Ramp
from aaeframe.errors import ConfigError

ABOUT = """
[about]
title = "A roll"
reproduces = "Figure 4."
deviates = ["Adam."]
takes = "a minute"
seeds = [3, 4]
"""
NAMES = presets.preset_names()


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """A folder of presets of our own."""
    monkeypatch.setattr(presets, "files", lambda package: tmp_path)
    return tmp_path


def test_a_preset_by_its_name(folder):
    (folder / "swissroll.toml").write_text(f"{ABOUT}\n[training]\nepochs = 3\n")
    (folder / "__init__.py").touch()
    assert presets.preset_names() == ["swissroll"]
    assert presets.read_preset("swissroll") == {"training": {"epochs": 3}}
    assert compose("swissroll", None, {}).training.epochs == 3


def test_what_a_preset_says_of_itself(folder):
    (folder / "swissroll.toml").write_text(ABOUT)
    assert presets.read_about("swissroll") == presets.About("A roll", "Figure 4.", ("Adam.",), "a minute", (3, 4))
    (folder / "silent.toml").write_text("[training]\nepochs = 3\n")
    with pytest.raises(ConfigError, match=r"'silent' does not say what it is; give it a table \[about\]"):
        presets.read_about("silent")


def test_an_unknown_preset_lists_the_nearest_and_all(folder):
    with pytest.raises(ConfigError, match="no preset is named 'x'; there are: none"):
        presets.read_preset("x")
    for name in ("mnist", "swissroll"):
        (folder / f"{name}.toml").touch()
    unknown = r"no preset is named 'swisroll'; did you mean 'swissroll'\?; there are: mnist, swissroll"
    for read in (presets.read_preset, presets.read_about, presets.preset_text):
        with pytest.raises(ConfigError, match=unknown):
            read("swisroll")


@pytest.mark.parametrize(
    "name", [f"{kind}figure-4-{prior}" for kind in ("", "paper-") for prior in ("mixture", "swissroll")]
)
def test_figure_4_without_labels_is_a_run(name):
    whole = resolve(compose(name, None, {"data": {"labels": 0}}), Registry.load()).config
    assert whole.data.labels == 0


@pytest.fixture(scope="module")
def resolved():
    """The whole configuration of every preset that comes with the package."""
    registry = Registry.load()
    return {name: resolve(compose(name, None, {}), registry).config for name in NAMES}


def test_every_preset_that_comes_with_the_package_resolves(resolved):
    assert len(resolved) == len(NAMES) > 40


@pytest.mark.parametrize("name", NAMES)
def test_every_preset_says_what_it_is_and_shows_all_it_uses(name):
    about = presets.read_about(name)
    assert about.seeds in (tuple(range(3)), tuple(range(10)))
    for sentence in (about.reproduces, about.takes, *about.deviates):
        assert sentence.endswith(".")
        assert "  " not in sentence
    assert about.deviates
    shown = presets.read_preset(name)
    recipe = shown["recipe"]["component"]
    assert {"data", "prior", "encoder", "network", "recipe", "training", "optimizers"} <= shown.keys()
    assert ("discriminator" in shown) == (recipe != "aaeframe:variational")
    assert {"schedule", "epochs", "batch_size"} <= shown["training"].keys()


def test_titles_tell_presets_apart():
    titles = [presets.read_about(name).title for name in NAMES]
    assert len(set(titles)) == len(titles)


def test_every_optimizer_of_a_run_is_in_its_preset(resolved):
    for name, config in resolved.items():
        assert presets.read_preset(name)["optimizers"].keys() == config.optimizers.keys(), name


def test_the_papers_settings_are_sgd_with_its_momenta_in_its_order(resolved):
    for name, config in resolved.items():
        if not name.startswith("paper-"):
            continue
        assert config.training.schedule == "alternating", name
        assert config.training.initial_std == 0.01, name
        assert not config.label_free.used, name
        assert config.training.ema == 0, name
        for phase, optimizer in config.optimizers.items():
            momentum = 0.1 if phase in ("discriminator", "generator") else 0.9
            assert (optimizer.name, optimizer.momentum) == ("sgd", momentum), (name, phase)


def test_only_the_modern_presets_have_label_free_terms(resolved):
    for name, config in resolved.items():
        classes = config.recipe.component.partition(":")[2] in ("semi-supervised", "clustering", "reduction")
        assert config.label_free.used == (name.startswith("modern-") and classes), name


def test_a_row_is_of_the_same_experiment_in_every_family(resolved):
    rows = [name.removeprefix("adversarial-") for name in NAMES if name.startswith("adversarial-")]
    assert len(rows) == 9
    for row in rows:
        family = [resolved[f"{kind}-{row}"] for kind in ("paper", "modern", "adversarial")]
        assert len({(it.data.source, it.data.labels, it.recipe.component) for it in family}) == 1
        sizes = [{name: next(iter(part.options.items())) for name, part in it.prior.items()} for it in family]
        assert sizes[0] == sizes[1] == sizes[2]


def test_baselines_learn_from_labels_alone(resolved):
    for name, config in resolved.items():
        if name.startswith("baseline-") and name.endswith("-labels"):
            assert config.training.reconstruction_weight == 0, name
            assert {part.weight for part in config.prior.values()} == {0}, name
            assert config.training.classification_weight == 1, name


def test_baselines_learn_nothing_of_unlabeled_rows_by_the_statistics_of_batch_norm(resolved):
    for name, config in resolved.items():
        if name.startswith("baseline-mnist-"):
            assert config.network.options["batch_norm"] == "none", name


def test_the_baseline_of_street_numbers_has_the_network_and_the_steps_it_stands_beside(resolved):
    ours, other = resolved["modern-svhn-1000-labels"], resolved["baseline-svhn-1000-labels"]
    assert other.network == ours.network
    assert (other.training.epochs, other.training.batch_size) == (ours.training.epochs, ours.training.batch_size)
    assert other.optimizers["autoencoder"] == ours.optimizers["autoencoder"]


def test_the_variational_baseline_differs_from_the_likelihoods_preset_in_its_recipe_alone(resolved):
    ours, other = resolved["modern-mnist-likelihood"], resolved["baseline-mnist-vae"]
    for part in ("data", "network", "encoder"):
        assert getattr(ours, part) == getattr(other, part)
    assert (ours.prior["z"].component, ours.prior["z"].options) == (
        other.prior["z"].component,
        other.prior["z"].options,
    )
    for name in ("epochs", "batch_size", "precision", "ema", "input_noise", "initial_std"):
        assert getattr(ours.training, name) == getattr(other.training, name), name
    assert ours.optimizers["autoencoder"] == other.optimizers["autoencoder"]


def test_how_settings_were_chosen_is_said_where_held_out_rows_had_a_part():
    told = {name: presets.read_about(name).tuned for name in NAMES}
    assert (told["modern-mnist-likelihood"] or "").startswith("on validation rows; ")
    assert (told["modern-mnist-100-labels"] or "").startswith("with validation labels; ")
    silent = ("baseline-", "paper-", "figure-", "modern-svhn-styles", "modern-mnist-styles")
    for name in NAMES:
        assert (told[name] is None) == name.startswith(silent), name


@pytest.mark.parametrize("name", NAMES)
def test_epochs_and_arithmetic_that_are_not_the_papers_are_told(name, resolved):
    told, training = " ".join(presets.read_about(name).deviates), resolved[name].training
    assert ("bfloat16" in told) == (training.precision == "bf16")
    kind, _, rest = name.partition("-")
    papers = resolved.get(f"paper-{rest.replace('faces', 'tfd')}")
    if kind in ("modern", "adversarial"):
        assert f"{training.epochs} epochs in place of {papers.training.epochs}" in told


def test_every_weight_that_is_not_1_is_told(resolved):
    for name, config in resolved.items():
        weight = config.training.reconstruction_weight
        if name.startswith(("modern-", "adversarial-")) and weight is not None:
            told = " ".join(presets.read_about(name).deviates)
            if isinstance(weight, Ramp):
                grows = f"weight of the reconstruction loss grows from {weight.begin:g} to {weight.end:g} after "
                assert f"{grows}{weight.after:.0%}".replace("%", " %") in told, name
            else:
                assert f"{weight:g} (reconstruction)" in told or "50 times" in told, name


def test_what_the_paper_has_not_is_named_in_the_adversarial_presets(resolved):
    for name in NAMES:
        if name.startswith("adversarial-"):
            told = presets.read_about(name).deviates
            assert told[0].startswith("No label-free terms: the losses are reconstruction"), name
            config = resolved[name]
            for words, is_set in (
                ("Noise on the input of y's discriminator", any(it.instance_noise for it in config.prior.values())),
                ("A moving average of the weights", config.training.ema > 0),
            ):
                sentences = [it for it in told if it.startswith(words)]
                assert len(sentences) == is_set, (name, words)
                assert all("which the paper has not" in it for it in sentences), name


def test_the_papers_figures_have_the_experiments_of_ours(resolved):
    for name in ("figure-4-mixture", "figure-4-swissroll"):
        ours, papers = resolved[name], resolved[f"paper-{name}"]
        assert (ours.data, ours.prior.keys()) == (papers.data, papers.prior.keys())
        assert [it.component for it in ours.prior.values()] == [it.component for it in papers.prior.values()]
    ours, papers = resolved["modern-svhn-styles"], resolved["paper-svhn-styles"]
    assert (ours.data, ours.recipe) == (papers.data, papers.recipe)
    assert ours.prior["style"].options == papers.prior["style"].options


def test_what_is_told_of_ramps_heads_and_balance_is_what_is_set(resolved):
    for name, config in resolved.items():
        told = " ".join(presets.read_about(name).deviates)
        for block, part in config.prior.items():
            if isinstance(part.weight, Ramp):
                assert (
                    f"The weight of {block}'s generator loss grows from {part.weight.begin:g} to {part.weight.end:g},"
                    in told
                )
        distance = config.recipe.options.get("head_distance")
        if distance and not name.startswith("paper-"):
            assert f"Heads are kept {distance:g} apart" in told, name
        if "weighs 3 in place of IMSAT's 4" in told or config.label_free.balance not in (None, 4.0):
            assert f"The entropy of the mean y weighs {config.label_free.balance:g} in place of IMSAT's 4" in told, name
        if slack := config.label_free.slack:
            assert f"may lack {slack:g} nats of log {config.prior['y'].options['classes']}" in told, name
