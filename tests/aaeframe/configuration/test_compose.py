from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaeframe.configuration import compose as layers
from aaeframe.configuration.compose import compose, without_none
from aaeframe.configuration.schema import Config
from aaeframe.errors import ConfigError

PRESET = {
    "prior": {"roll": {"component": "swissroll", "options": {"turns": 3.0}, "instance_noise": 0.5}},
    "encoder": "universal(noise_size=5)",
    "training": {"epochs": 2, "batch_size": 20, "seed": 2},
    "optimizers": {"generator": {"name": "sgd", "lr": 0.5, "momentum": 0.5}},
}


@pytest.fixture(autouse=True)
def preset(monkeypatch):
    monkeypatch.setattr(layers, "read_preset", lambda name, registry: {"paper": PRESET}[name])


def test_nothing_given_is_the_defaults():
    assert compose(None, None, {}) == Config()


def test_each_layer_overrides_those_below():
    file = {"training": {"batch_size": 30, "seed": 3, "ema": 0.3}}
    config = compose("paper", file, {"training": {"seed": 4, "ema": 0.4}}, ["training.ema=0.5"])
    assert config.training.epochs == 2
    assert config.training.batch_size == 30
    assert config.training.seed == 4
    assert config.training.ema == 0.5
    assert config.training.precision == "fp32"


def test_a_file_is_read_from_its_path(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('prior = "mixture"\n[training]\nepochs = 7\n')
    config = compose("paper", path, {})
    assert list(config.prior) == ["mixture"]
    assert config.training.epochs == 7


def test_a_component_named_anew_brings_its_own_options():
    assert compose("paper", None, {"encoder": "gaussian"}).encoder.options == {}
    assert compose("paper", None, {}, ["encoder.component=gaussian"]).encoder.options == {}
    assert compose("paper", None, {}, ["encoder.options.noise_size=6"]).encoder.options == {"noise_size": 6}


def test_an_optimizer_named_anew_brings_its_own_options():
    assert compose("paper", None, {}, ["optimizers.generator.lr=0.1"]).optimizers["generator"].momentum == 0.5
    assert compose("paper", None, {}, ["optimizers.generator=sgd(lr=0.1)"]).optimizers["generator"].momentum == 0.9
    assert compose("paper", None, {}, ["optimizers.generator.name=adam"]).optimizers["generator"].lr == 1e-3


@pytest.mark.parametrize("over", [{"prior": "y=categorical"}, {"prior": {"y": {"component": "categorical"}}}])
def test_a_prior_named_anew_replaces_the_product(over):
    assert list(compose("paper", None, over).prior) == ["y"]
    assert list(compose("paper", over, {}).prior) == ["y"]


def test_a_layer_reaches_inside_a_prior_that_is_named_below():
    config = compose("paper", {"prior": {"roll": {"options": {"radius": 2.0}}}}, {})
    assert config.prior["roll"].options == {"turns": 3.0, "radius": 2.0}
    assert config.prior["roll"].instance_noise == 0.5


def test_a_setting_replaces_one_factor_or_the_whole_product():
    product = {"prior": "y=categorical(classes=3)+z=gaussian"}
    one = compose(None, None, product, ["prior.z.component=mixture"])
    assert [part.component for part in one.prior.values()] == ["categorical", "mixture"]
    assert list(compose(None, None, product, ["prior=mixture"]).prior) == ["mixture"]
    assert compose(None, None, product, ["prior.y.options.classes=4"]).prior["y"].options == {"classes": 4}


def test_an_option_may_be_called_as_the_keys_that_replace_tables_are():
    below = {"encoder": {"component": "e", "options": {"component": "a", "name": "b", "size": 1}}}
    config = compose(None, below, {}, ["encoder.options.name=c", "encoder.options.component=d"])
    assert config.encoder.options == {"component": "d", "name": "c", "size": 1}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("3.5", 3.5),
        ("1e-3", 1e-3),
        ("true", True),
        ('"3"', "3"),
        ("'a b'", "a b"),
        ("[1, 2]", [1, 2]),
        ("[[1.0], [2.0]]", [[1.0], [2.0]]),
        ("{a = 1}", {"a": 1}),
        ("[island,sex]", ["island", "sex"]),  # a shell removes the quotes of ["island","sex"]
        ("[Body Mass (g), 2, a-b]", ["Body Mass (g)", 2, "a-b"]),
        ("[a]", ["a"]),
        ("[a,,b]", "[a,,b]"),
        ("[[a],[b]]", "[[a],[b]]"),
        ('["a, b", c]', '["a, b", c]'),
        ("plain text", "plain text"),
        ("a=b", "a=b"),
        ("", ""),
        ("1\nb = 2", "1\nb = 2"),
        ("9" * 5000, "9" * 5000),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_setting_is_a_toml_value_or_else_its_text(text, value):
    options = compose(None, None, {}, [f"encoder.options.x={text}"]).encoder.options
    assert options == {"x": value}
    assert type(options["x"]) is type(value)


def in_any_order(arguments, settings):
    """The configuration, the same whatever the order of the settings."""
    first, *others = [compose(None, None, arguments, list(order)) for order in permutations(settings)]
    assert all(other == first for other in others)
    return first


def test_a_factor_named_anew_keeps_what_is_said_of_its_block():
    block = in_any_order(
        {"prior": "z=swissroll(turns=3.0)"},
        [
            "prior.z.instance_noise=0.3",
            "prior.z.weight=2.0",
            "prior.z.discriminator=spectral",
            "prior.z.component=mixture",
        ],
    ).prior["z"]
    assert (block.component, block.options, block.instance_noise, block.weight) == ("mixture", {}, 0.3, 2)
    assert block.discriminator.component == "spectral"


def test_settings_of_one_optimizer_belong_together():
    config = in_any_order({}, ["optimizers.reconstruction.lr=0.1", "optimizers.reconstruction.name=sgd"])
    assert (config.optimizers["reconstruction"].name, config.optimizers["reconstruction"].lr) == ("sgd", 0.1)


def test_a_longer_path_reaches_into_what_a_shorter_one_sets():
    config = in_any_order(
        {"prior": "gaussian"}, ["prior.z.options.turns=3.0", "prior=z=swissroll(thickness=0.5)", "prior.z.weight=2.0"]
    )
    assert list(config.prior) == ["z"]
    assert config.prior["z"].options == {"turns": 3.0, "thickness": 0.5}
    options = ["encoder.options.noise_size=6", "encoder=universal(hidden=[8])"]
    assert in_any_order({}, options).encoder.options == {"hidden": [8], "noise_size": 6}


@pytest.mark.parametrize("name", ["name", "component", "options", "discriminator", "prior"])
def test_a_block_may_be_called_as_keys_are(name):
    below = {"prior": f"{name}=gaussian(size=3)+other=mixture"}
    prior = compose(None, below, {}, [f"prior.{name}.weight=2.0"]).prior
    assert list(prior) == [name, "other"]
    assert (prior[name].component, prior[name].options, prior[name].weight) == ("gaussian", {"size": 3}, 2)
    assert list(compose("paper", {"prior": f"{name}=gaussian"}, {}).prior) == [name]


def test_a_factors_discriminator_named_anew_brings_its_own_options():
    below = {"prior": {"z": {"component": "gaussian", "discriminator": "mlp(hidden=[8])"}}}
    for setting, options in (("component=spectral", {}), ("options.depth=2", {"hidden": [8], "depth": 2})):
        found = compose(None, below, {}, [f"prior.z.discriminator.{setting}"]).prior["z"].discriminator
        assert found.options == options


OWN = {"prior": {"y": {"component": "gaussian", "discriminator": "spectral"}}}


@pytest.mark.parametrize("given", ["arguments", "settings"])
def test_a_discriminator_that_stands_against_no_block_is_refused(given):
    layers = {"arguments": ({"discriminator": "mlp"}, []), "settings": ({}, ["discriminator.options.hidden=[8]"])}
    with pytest.raises(ConfigError, match=r"the discriminator '(aaeframe:)?mlp' is not used: every block \(y\)"):
        compose(None, OWN, *layers[given])
    shared = {"prior": {**OWN["prior"], "z": {"component": "gaussian"}}}
    assert compose(None, shared, *layers[given]).prior["z"].discriminator is None


def test_the_configuration_of_a_run_may_be_given_again():
    kept = compose(None, OWN, {})
    assert compose(None, kept.model_dump(exclude_none=True), {}) == kept


def test_of_one_key_the_last_setting_counts():
    assert compose(None, None, {}, ["training.epochs=1", " training . epochs = 2"]).training.epochs == 2


@pytest.mark.parametrize("text", ["training.epochs", "=3", "training..epochs=3", ".=1", ""])
def test_what_is_no_setting(text):
    with pytest.raises(ConfigError, match=r"--set takes key\.path=value, found .*for example"):
        compose(None, None, {}, [text])


@pytest.mark.slow
@given(st.text())
def test_any_setting_is_taken_or_a_config_error(text):
    for setting in (text, f"training.{text}", f"encoder={text}", f"prior.z={text}", f"data.source={text}"):
        try:
            compose(None, None, {}, [setting])
        except ConfigError:
            continue


def test_layers_below_are_not_changed():
    below = {"prior": {"z": {"component": "gaussian", "options": {"size": 3}}}}
    compose(None, below, {}, ["prior.z.options.size=4"])
    assert below == {"prior": {"z": {"component": "gaussian", "options": {"size": 3}}}}


def test_what_was_not_given_is_left_out():
    assert without_none({"a": None, "b": {"c": None}, "d": {"e": 0, "f": None}, "g": []}) == {"d": {"e": 0}, "g": []}


def test_a_path_that_is_too_deep_is_refused():
    with pytest.raises(ConfigError, match="nested more than 64 tables and lists deep"):
        compose(None, None, {}, ["prior.z.options" + ".a" * 3000 + "=1", "prior.z.options" + ".a" * 3000 + "=2"])
