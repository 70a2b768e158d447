from __future__ import annotations

import re
import tomllib

import pytest
import torch
from torch.distributions import constraints
from torch.optim import SGD, Adam, AdamW

import aaeframe
from aaeframe.assembly.model import build_model, build_priors
from aaeframe.assembly.optimizers import build_optimizers
from aaeframe.components.registry import Registry
from aaeframe.configuration.compose import compose
from aaeframe.configuration.resolve import recipe_of, resolve
from aaeframe.configuration.schema import parse
from aaeframe.errors import AaeframeError, ComponentError, ConfigError, OptionError
from aaeframe.protocols import DataSpec

RECIPES = {it.name: it.factory() for it in Registry.load().offers("recipe")}
SMALL = {"network": "mlp(hidden=[4])", "discriminator": "mlp(hidden=[4])"}
TABLE = DataSpec(torch.Size([3]), constraints.real, torch.zeros(3), torch.ones(3))


@pytest.fixture(scope="module")
def registry():
    return Registry.load()


def test_a_resolved_configuration_has_full_names_and_every_option(registry):
    config = resolve(compose(None, None, {"prior": "y=mixture+gaussian(size=3)", "encoder": "universal"}), registry)
    assert config.prior["y"].component == "aaeframe:mixture"
    assert config.prior["y"].options.keys() == {
        "components",
        "radius",
        "radial_scale",
        "tangential_scale",
        "means",
        "scales",
    }
    assert config.prior["gaussian"].options == {"size": 3, "scale": 1.0}
    assert config.encoder.options == {"noise_size": 10, "hidden": [256, 256], "batch_norm": False}
    assert config.network.component == "aaeframe:mlp"
    assert config.plugins == {"aaeframe": aaeframe.__version__}


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_phase_of_a_schedule_gets_an_optimizer(registry, recipe):
    info = RECIPES[recipe]
    for schedule, phases in info.phases.items():
        table = {
            "recipe": recipe,
            "training": {"schedule": schedule},
            "data": {"labels": 100 if info.needs.labels in ("required", "optional") else 0},
            "label_free": {"mutual_information": 0.1 if info.needs.class_block else 0.0},
        }
        used = [it for it in phases if it != "classification" or info.needs.labels in ("required", "optional")]
        assert list(resolve(compose(None, None, table), registry).optimizers) == used


def test_phases_that_a_run_has_no_use_for_get_no_optimizer(registry):
    table = {"recipe": "reduction", "training": {"schedule": "alternating"}}
    phases = list(resolve(compose(None, None, table), registry).optimizers)
    assert phases == ["reconstruction", "discriminator", "generator", "heads"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_has_a_schedule_without_being_told(registry, recipe):
    table = {"recipe": recipe, "data": {"labels": 100 if RECIPES[recipe].needs.labels == "required" else 0}}
    schedule = resolve(compose(None, None, table), registry).training.schedule
    assert schedule == next(iter(RECIPES[recipe].phases))


def test_data_is_found_from_any_folder(registry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("rows.npy", "digits"):
        (tmp_path / name).touch()
    for source, found in [
        ("rows.npy", str(tmp_path / "rows.npy")),
        ("digits", "digits"),
        ("./digits", str(tmp_path / "digits")),
        ("none.npy", "none.npy"),
        ("n" * 5000, "n" * 5000),
        ("python:arrays", "python:arrays"),
    ]:
        assert resolve(compose(None, None, {"data": {"source": source}}), registry).data.source == found


def test_resolving_twice_or_through_toml_changes_nothing(registry):
    given = {"prior": {"y": "categorical", "z": {"component": "mixture", "discriminator": "spectral(hidden=[3])"}}}
    config = resolve(compose(None, None, given), registry)
    assert resolve(config, registry) == config
    again = resolve(parse(tomllib.loads(config.to_toml())), registry)
    assert again == config


def test_a_block_may_have_a_discriminator_of_its_own(registry):
    prior = {"y": "categorical", "z": {"component": "gaussian", "discriminator": "spectral(hidden=[3])"}}
    config = resolve(compose(None, None, {**SMALL, "prior": prior}), registry)
    priors = build_priors(config, registry, {})
    model = build_model(config, registry, recipe_of(config, registry), TABLE, None, priors)
    kinds = {name: type(module).__name__ for name, module in model.discriminators.items()}
    assert kinds == {"y": "MLP", "z": "Spectral"}


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"prior": "swisroll"}, ComponentError, "did you mean 'swissroll'?"),
        ({"encoder": "swissroll"}, ComponentError, "known encoders: deterministic"),
        ({"encoder": "python:Encoder"}, ComponentError, "named 'python:Encoder'"),
        ({"prior": "gaussian(sizes=3)"}, OptionError, "has no option 'sizes'; did you mean 'size'?"),
        ({"prior": "gaussian(size=0)"}, OptionError, "size=0 does not fit"),
        ({"prior": 'gaussian(size="3")'}, OptionError, 'size="3" does not fit'),
        ({"prior": {"z": {"component": "gaussian", "discriminator": "mlpp"}}}, ComponentError, "did you mean 'mlp'?"),
        ({"recipe": "unsupervisd"}, ComponentError, "did you mean 'unsupervised'?"),
        (
            {"recipe": "reduction(head_distanc=2.0)"},
            OptionError,
            "no option 'head_distanc'; did you mean 'head_distance'?",
        ),
        ({"recipe": "reduction(head_distance=0)"}, OptionError, "head_distance=0 does not fit"),
        ({"recipe": 'variational(likelihood="poisson")'}, OptionError, 'likelihood="poisson" does not fit'),
        (
            {"training": {"schedule": "jont"}},
            ConfigError,
            "has no schedule 'jont'; did you mean 'joint'?; there are: alternating, joint",
        ),
        (
            {"training": {"schedule": "joint"}, "optimizers": {"generator": {}}},
            ConfigError,
            "schedule 'joint' of recipe 'aaeframe:unsupervised' has the phases autoencoder, discriminator",
        ),
        (
            {"prior": {"z": {"component": "gaussian", "weight": 2.0}}},
            ConfigError,
            "prior.z.weight is not used: only schedule 'joint' of adversarial recipes weighs losses",
        ),
        ({"training": {"reconstruction_weight": 2.0}}, ConfigError, "training.reconstruction_weight is not used"),
        ({"training": {"labeled_batch_size": 10}}, ConfigError, "labeled_batch_size is not used without labels"),
        (
            {"data": {"source": "python:arrays", "label_key": "y"}},
            ConfigError,
            "data.label_key='y' is not used for data from Python; pass a pair (x, labels)",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_built(registry, given, error, message):
    with pytest.raises(error, match=re.escape(message)) as caught:
        resolve(compose(None, None, given), registry)
    assert isinstance(caught.value, AaeframeError)


def test_weights_and_labeled_batches_are_taken_where_they_are_used(registry):
    given = {
        "prior": {"z": {"component": "mixture", "weight": 2.0}},
        "training": {"schedule": "joint", "reconstruction_weight": 3.0, "labeled_batch_size": 5},
        "data": {"labels": 100},
    }
    config = resolve(compose(None, None, given), registry)
    assert config.prior["z"].weight == 2.0


def test_none_in_place_of_a_default_cannot_be_stored(registry):
    def with_radius(value):
        return compose(None, {"prior": {"z": {"component": "gaussian", "options": {"scale": value}}}}, {})

    with pytest.raises(OptionError, match="does not fit"):
        resolve(with_radius(None), registry)

    def network(data, code_size, *, depth: int | None = 3):
        raise AssertionError("resolving builds nothing")

    class Stub:
        distribution, version, full_name = "stub", "1", "stub:net"

        def factory(self):
            return network

    class One:
        def find(self, kind, name):
            return Stub() if kind == "network" else registry.find(kind, name)

    none = compose(None, {"network": {"component": "net", "options": {"depth": None}}}, {})
    with pytest.raises(OptionError, match="depth=None cannot be stored with the run; leave it out for 3"):
        resolve(none, One())


def test_a_prior_from_python_is_asked_for_again(registry):
    config = parse({"prior": {"z": {"component": "python:Dirichlet"}}})
    with pytest.raises(ConfigError, match=re.escape("from Python (Dirichlet), which no file can hold: pass it again")):
        build_priors(config, registry, {})
    prior = torch.distributions.Dirichlet(torch.ones(3))
    assert build_priors(config, registry, {"z": prior}) == {"z": prior}


def test_discriminators_of_blocks_that_know_classes_are_told_them(registry):
    config = resolve(compose(None, None, {**SMALL, "prior": "gaussian+mixture(components=4)"}), registry)
    priors = build_priors(config, registry, {})
    told = build_model(config, registry, recipe_of(config, registry), TABLE, 4, priors).discriminators
    assert told["mixture"].body.num_classes == 4
    assert told["gaussian"].body.num_classes is None
    untold = build_model(config, registry, recipe_of(config, registry), TABLE, None, priors).discriminators
    assert untold["mixture"].body.num_classes is None
    with pytest.raises(ConfigError, match="knows 4 classes, but the data has 10"):
        build_model(config, registry, recipe_of(config, registry), TABLE, 10, priors)


def test_a_network_that_does_not_fit_the_data(registry):
    config = resolve(compose(None, None, {"network": "conv"}), registry)
    with pytest.raises(OptionError, match=r"conv takes images .* found data of shape"):
        build_model(config, registry, recipe_of(config, registry), TABLE, None, build_priors(config, registry, {}))


def test_optimizers_are_those_of_the_configuration():
    weights = [torch.nn.Parameter(torch.zeros(2))]
    optimizers = {"a": "sgd(lr=0.5, momentum=0.25)", "b": "adam(betas=[0.5, 0.75])", "c": "adamw(weight_decay=0.1)"}
    built = build_optimizers(parse({"optimizers": optimizers}), dict.fromkeys("abc", weights))
    assert [type(it) for it in built.values()] == [SGD, Adam, AdamW]
    assert built["a"].defaults["lr"] == 0.5
    assert built["a"].defaults["momentum"] == 0.25
    assert built["b"].defaults["betas"] == (0.5, 0.75)
    assert built["c"].defaults["weight_decay"] == 0.1
