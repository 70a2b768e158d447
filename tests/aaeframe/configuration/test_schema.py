from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaeframe.configuration.optimizers import optimizer
from aaeframe.configuration.schema import Config, Ramp, parse, read, weight_at
from aaeframe.errors import ConfigError

FULL = {
    "data": {"source": "faces.npz", "label_key": "age", "labels": 100, "max_resident_mib": 1.5},
    "prior": {
        "y": {"component": "p:categorical", "options": {"classes": 3}, "weight": 0.5},
        "z": {"component": "p:z", "discriminator": {"component": "d"}, "instance_noise": 0.1},
    },
    "encoder": {"component": "e", "options": {"hidden": [1, 2], "name": "ä\n", "nested": {"a": 1.0}, "none": None}},
    "training": {"schedule": "joint", "seed": 2**62, "ema": 0.999, "labeled_batch_size": 5},
    "optimizers": {"discriminator": {"name": "sgd", "lr": 0.1, "milestones": [3, 5]}, "autoencoder": "adamw(lr=0.25)"},
    "plugins": {"aaeframe": "0.1.0"},
}


def test_toml_and_back_is_the_same_configuration_less_what_is_unset():
    config = parse(FULL)
    again = parse(tomllib.loads(config.to_toml()))
    assert again.encoder.options == {"hidden": [1, 2], "name": "ä\n", "nested": {"a": 1.0}}
    assert again.model_copy(update={"encoder": config.encoder}) == config


def test_defaults_round_trip():
    assert parse(tomllib.loads(Config().to_toml())) == Config()


@given(lr=st.floats(1e-300, 1e300), seed=st.integers(0, 2**63 - 1), source=st.text())
def test_numbers_and_texts_survive_toml_exactly(lr, seed, source):
    table = {"data": {"source": source}, "training": {"seed": seed}, "optimizers": {"generator": {"lr": lr}}}
    config = parse(table)
    assert parse(tomllib.loads(config.to_toml())) == config


def test_none_inside_a_list_has_no_form_in_toml():
    config = parse({"encoder": {"component": "e", "options": {"x": [1, None]}}})
    with pytest.raises(ConfigError, match="cannot be written as TOML"):
        config.to_toml()


def test_optimizers_by_name_and_by_default():
    config = parse({"optimizers": {"a": "sgd(lr=0.01, momentum=0.5)", "b": {"lr": 0.5}, "c": {"name": "adamw"}}})
    assert config.optimizers["a"] == optimizer({"name": "sgd", "lr": 0.01, "momentum": 0.5})
    assert config.optimizers["b"] == optimizer({"name": "Adam", "lr": 0.5})
    assert config.optimizers["c"] == optimizer({"name": "adamw"})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"trainig": {}}, "unknown key 'trainig'; did you mean 'training'?"),
        ({"training": {"epoch": 3}}, "training: unknown key 'epoch'; did you mean 'epochs'?"),
        (
            {"data": {"zzz": 1}},
            "data: unknown key 'zzz'; known: source, labels, max_resident_mib, window_mib, label_key, ids, drop",
        ),
        ({"prior": {"z": {"component": "p", "wieght": 1}}}, "prior.z: unknown key 'wieght'; did you mean 'weight'?"),
        (
            {"prior": {"z": {"component": "p", "discriminator": {"component": "d", "option": {}}}}},
            "prior.z.discriminator: unknown key 'option'; did you mean 'options'?",
        ),
        (
            {"optimizers": {"generator": "adam(momentum=0.9)"}},
            "optimizers.generator: unknown key 'momentum'; known: lr, ",
        ),
        ({"optimizers": {"g": "sgd(lrs=1)"}}, "optimizers.g: unknown key 'lrs'; did you mean 'lr'?"),
        (
            {"optimizers": {"g": "swift"}},
            "optimizers.g: there is no 'swift'; there are adadelta, adafactor, adagrad, adam, ",
        ),
        ({"optimizers": {"g": 3}}, "optimizers.g: must be a table, found 3"),
        ({"optimizers": {"g": {"lr": "x"}}}, "optimizers.g.lr: should be a valid number, found 'x'"),
        ({"optimizers": {"g": {"lr": 0}}}, "optimizers.g.lr: should be greater than 0, found 0"),
        ({"optimizers": {"g": {"betas": [0.9]}}}, "optimizers.g.betas.1: is missing"),
        ({"optimizers": {"g": {"betas": [0.9, "0.5"]}}}, "optimizers.g.betas.1: should be a valid number"),
        ({"optimizers": {"g": {"betas": [0.9, 1.0]}}}, "optimizers.g.betas.1: should be less than 1"),
        ({"optimizers": {"g": {"milestones": [0]}}}, "optimizers.g.milestones.0: should be greater than or equal to 1"),
        ({"training": 3}, "training: must be a table, found 3"),
        ({"data": {"drop": "c"}}, "data.drop: must be a list, as in [a, b], found 'c'"),
        ({"training": {"epochs": 0}}, "training.epochs: should be greater than or equal to 1, found 0"),
        ({"training": {"epochs": "3"}}, "training.epochs: should be a valid integer, found '3'"),
        ({"training": {"epochs": 3.0}}, "training.epochs: should be a valid integer, found 3.0"),
        ({"training": {"epochs": True}}, "training.epochs: should be a valid integer, found True"),
        ({"training": {"seed": -1}}, "training.seed: should be greater than or equal to 0, found -1"),
        ({"training": {"seed": 2**63}}, "training.seed: should be less than"),
        ({"training": {"ema": 1.0}}, "training.ema: should be less than 1, found 1.0"),
        ({"training": {"ema": float("nan")}}, "training.ema: should be a finite number, found nan"),
        ({"training": {"precision": "fp16"}}, "training.precision: should be 'fp32', 'tf32' or 'bf16', found 'fp16'"),
        ({"prior": {}}, "prior: "),
        ({"prior": {"Z": "gaussian"}}, "prior.Z: 'Z' is no name of a block"),
        ({"prior": {"1z": "gaussian"}}, "prior.1z: '1z' is no name of a block"),
        ({"prior": {"z": {"weight": 1.0}}}, "prior.z.component: is missing"),
        ({"prior": {"z": 3}}, "prior.z: must be a table, found 3"),
        ({"encoder": {"component": 3}}, "encoder.component: should be a valid string, found 3"),
        ({"encoder": {"component": "e", "options": 3}}, "encoder.options: must be a table, found 3"),
    ],
)
def test_a_wrong_configuration_says_where_and_what(table, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        parse(table)


def test_a_list_of_any_class_is_a_list():
    class Listed(list):  # as of a library that keeps the comments of TOML
        def __init__(self, values, comment):
            super().__init__(values)

    assert parse({"data": {"drop": Listed(["a"], "#")}}).data.drop == ("a",)


def test_every_problem_is_listed():
    with pytest.raises(ConfigError) as caught:
        parse({"training": {"epochs": 0, "batch_size": 0}, "data": {"labels": -1}})
    assert str(caught.value).count("\n") == 3


def test_a_long_or_deep_value_is_not_printed_whole():
    deep: list = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(ConfigError) as caught:
        parse({"training": {"epochs": deep, "seed": "9" * 100_000}})
    assert len(str(caught.value)) < 500


def test_the_rate_falls_at_milestones_and_towards_the_end():
    rate = optimizer({"name": "sgd", "lr": 1.0, "milestones": [2, 4], "gamma": 0.5})
    assert [rate.at(epoch, 6) for epoch in range(6)] == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    annealed = optimizer({"name": "adam", "lr": 1.0, "anneal_from": 0.5})
    assert [annealed.at(epoch, 4) for epoch in range(4)] == [1.0, 1.0, 1.0, 0.5]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"epochs = ", "is not TOML"),
        (b"\xff\xfe", "is not TOML"),
        (b"a = " + b"[" * 5000, "is not TOML"),
        (b"a = " + b"9" * 5000, "is not TOML"),
        (b"a" + b".a" * 64 + b" = 1", "a key has more than 64 parts"),
        (b"#" * 2**21, "is longer than the 1048576 characters that are read"),
    ],
)
def test_a_file_that_is_not_toml(tmp_path, content, message):
    path = tmp_path / "run.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match=r"none.toml cannot be read: No such file"):
        read(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read(tmp_path)
    with pytest.raises(ConfigError, match="is longer than"):
        read(Path("/dev/zero"))


# Weights that change.

RAMP = {"begin": 0.01, "end": 1.0, "after": 0.25, "until": 0.75}


def test_a_ramp_is_geometric_between_its_shares_of_the_epochs():
    ramp = Ramp(**RAMP)
    expected = [0.01, 0.01, 0.01, 10**-1.5, 0.1, 10**-0.5, 1.0, 1.0]
    assert [ramp.at(epoch, 8) for epoch in range(8)] == pytest.approx(expected)
    assert ramp.at(1, 2) == pytest.approx(0.1), "the same share of another number of epochs"


def test_a_ramp_may_fall_and_last_the_whole_run():
    assert [Ramp(begin=8.0, end=0.5).at(epoch, 4) for epoch in range(4)] == pytest.approx([8.0, 4.0, 2.0, 1.0])


def test_a_ramp_of_equal_ends_stays():
    assert [Ramp(begin=0.3, end=0.3).at(epoch, 3) for epoch in range(3)] == pytest.approx([0.3] * 3)


def test_a_weight_is_a_number_a_ramp_or_1():
    assert weight_at(None, 3, 8) == 1.0
    assert weight_at(0.0, 3, 8) == 0.0
    assert weight_at(2.5, 3, 8) == 2.5
    assert weight_at(Ramp(**RAMP), 4, 8) == pytest.approx(0.1)


@pytest.mark.parametrize("weight", [0, 0.5, RAMP, {"begin": 1, "end": 2}])
def test_weights_go_through_toml(weight):
    written = {"prior": {"z": {"component": "p", "weight": weight}}, "training": {"reconstruction_weight": weight}}
    config = parse(written)
    assert parse(tomllib.loads(config.to_toml())) == config
    expected = weight if isinstance(weight, int | float) else Ramp(**weight)
    assert config.prior["z"].weight == config.training.reconstruction_weight == expected


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (-1.0, "prior.z.weight: should be greater than or equal to 0, found -1.0"),
        ("x", "prior.z.weight: should be a valid number"),
        ([1.0], "prior.z.weight: should be a valid number"),
        ({"begin": 0.0, "end": 1.0}, "prior.z.weight.begin: should be greater than 0, found 0.0"),
        ({"begin": 0.1}, "prior.z.weight.end: is missing"),
        ({"begn": 0.1, "end": 1.0}, "prior.z.weight: unknown key 'begn'; did you mean 'begin'?"),
        ({**RAMP, "until": 0.25}, "prior.z.weight: after=0.25 must be less than until=0.25"),
        ({**RAMP, "until": 1.5}, "prior.z.weight.until: should be less than or equal to 1, found 1.5"),
    ],
)
def test_a_wrong_weight_says_where_and_what_once(weight, message):
    key = "training.reconstruction_weight"
    tables = ({"prior": {"z": {"component": "p", "weight": weight}}}, {"training": {"reconstruction_weight": weight}})
    for table, told in zip(tables, (message, message.replace("prior.z.weight", key)), strict=True):
        with pytest.raises(ConfigError, match=re.escape(told)) as caught:
            parse(table)
        assert str(caught.value).count("\n") == 1, "one line for one problem"
        assert "function-after" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"label_free": {"radius": 0}}, "label_free.radius: should be greater than 0"),
        (
            {"label_free": {"virtual_adversarial": -1}},
            "label_free.virtual_adversarial: should be greater than or equal",
        ),
        ({"label_free": {"vat": 1}}, "label_free: unknown key 'vat'; known: virtual_adversarial, radius"),
        ({"training": {"input_dropout": 1.0}}, "training.input_dropout: should be less than 1"),
        ({"training": {"initial_std": 0}}, "training.initial_std: should be greater than 0"),
        ({"prior": {"y": {"component": "p", "softening": 1.0}}}, "prior.y.softening: should be less than 1"),
    ],
)
def test_a_wrong_option_of_a_recipe_says_where_and_what(table, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        parse(table)


@pytest.mark.parametrize("term", ["virtual_adversarial", "mutual_information", "augmentation"])
def test_label_free_terms_are_used_where_one_has_a_weight(term):
    assert not parse({"label_free": {"radius": 3.0, "balance": 1.0}}).label_free.used
    assert parse({"label_free": {term: 0.1}}).label_free.used
