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
from aaeframe.configuration.resolve import resolve, resolve_stored
from aaeframe.configuration.schema import parse
from aaeframe.errors import AaeframeError, CheckpointError, ComponentError, ConfigError, OptionError
from aaeframe.protocols import DataSpec

RECIPES = {it.name: it.factory() for it in Registry.load().offers("recipe")}
SMALL = {"network": "mlp(hidden=[4])", "discriminator": "mlp(hidden=[4])"}
TABLE = DataSpec(torch.Size([3]), constraints.real, torch.zeros(3), torch.ones(3))


@pytest.fixture(scope="module")
def registry():
    return Registry.load()


def test_a_resolved_configuration_has_full_names_and_every_option(registry):
    config = resolve(
        compose(None, None, {"prior": "y=mixture+gaussian(size=3)", "encoder": "universal"}), registry
    ).config
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
        assert list(resolve(compose(None, None, table), registry).config.optimizers) == used


def test_phases_that_a_run_has_no_use_for_get_no_optimizer(registry):
    table = {"recipe": "reduction", "training": {"schedule": "alternating"}}
    phases = list(resolve(compose(None, None, table), registry).config.optimizers)
    assert phases == ["reconstruction", "discriminator", "generator", "heads"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_has_a_schedule_without_being_told(registry, recipe):
    table = {"recipe": recipe, "data": {"labels": 100 if RECIPES[recipe].needs.labels == "required" else 0}}
    schedule = resolve(compose(None, None, table), registry).config.training.schedule
    assert schedule == next(iter(RECIPES[recipe].phases))


def test_data_is_found_from_any_folder(registry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("rows.npy", "digits"):
        (tmp_path / name).touch()
    for source, found in [
        ("rows.npy", str(tmp_path / "rows.npy")),
        ("digits", "aaeframe:digits"),
        ("./digits", str(tmp_path / "digits")),
        ("none.npy", "none.npy"),
        ("n" * 5000, "n" * 5000),
        ("python:arrays", "python:arrays"),
    ]:
        assert resolve(compose(None, None, {"data": {"source": source}}), registry).config.data.source == found


def test_resolving_twice_or_through_toml_changes_nothing(registry):
    given = {"prior": {"y": "categorical", "z": {"component": "mixture", "discriminator": "spectral(hidden=[3])"}}}
    config = resolve(compose(None, None, given), registry).config
    assert resolve(config, registry).config == config
    again = resolve(parse(tomllib.loads(config.to_toml())), registry).config
    assert again == config


def test_a_block_may_have_a_discriminator_of_its_own(registry):
    prior = {"y": "categorical", "z": {"component": "gaussian", "discriminator": "spectral(hidden=[3])"}}
    resolved = resolve(compose(None, None, {**SMALL, "prior": prior}), registry)
    priors = build_priors(resolved)
    model = build_model(resolved, TABLE, None, priors)
    kinds = {name: type(module).__name__ for name, module in model.discriminators.items()}
    assert kinds == {"y": "MLP", "z": "Spectral"}


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"prior": "swisroll"}, ComponentError, "did you mean 'swissroll'?"),
        ({"encoder": "swissroll"}, ComponentError, "known encoders: deterministic"),
        ({"encoder": "python:Encoder"}, ConfigError, "the encoder was an object from Python (Encoder), which no file"),
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
    config = resolve(compose(None, None, given), registry).config
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
        has = staticmethod(registry.has)

        def find(self, kind, name):
            return Stub() if kind == "network" else registry.find(kind, name)

    none = compose(None, {"network": {"component": "net", "options": {"depth": None}}}, {})
    with pytest.raises(OptionError, match="depth=None cannot be stored with the run; leave it out for 3"):
        resolve(none, One())


def test_a_prior_from_python_is_asked_for_again(registry):
    config = parse({"prior": {"z": {"component": "python:Dirichlet"}}})
    with pytest.raises(ConfigError, match=re.escape("from Python (Dirichlet), which no file can hold: pass it again")):
        resolve(config, registry)
    prior = torch.distributions.Dirichlet(torch.ones(3))
    assert build_priors(resolve(config, registry, {"prior.z": prior})) == {"z": prior}


def test_discriminators_of_blocks_that_know_classes_are_told_them(registry):
    resolved = resolve(compose(None, None, {**SMALL, "prior": "gaussian+mixture(components=4)"}), registry)
    priors = build_priors(resolved)
    told = build_model(resolved, TABLE, 4, priors).discriminators
    assert told["mixture"].body.num_classes == 4
    assert told["gaussian"].body.num_classes is None
    untold = build_model(resolved, TABLE, None, priors).discriminators
    assert untold["mixture"].body.num_classes is None
    with pytest.raises(ConfigError, match="knows 4 classes, but the data has 10"):
        build_model(resolved, TABLE, 10, priors)


def test_a_network_that_does_not_fit_the_data(registry):
    resolved = resolve(compose(None, None, {"network": "conv"}), registry)
    with pytest.raises(OptionError, match=r"conv takes images .* found data of shape"):
        build_model(resolved, TABLE, None, build_priors(resolved))


def test_optimizers_are_those_of_the_configuration():
    weights = [torch.nn.Parameter(torch.zeros(2))]
    optimizers = {"a": "sgd(lr=0.5, momentum=0.25)", "b": "adam(betas=[0.5, 0.75])", "c": "adamw(weight_decay=0.1)"}
    built = build_optimizers(parse({"optimizers": optimizers}), dict.fromkeys("abc", weights))
    assert [type(it).__base__ for it in built.values()] == [SGD, Adam, AdamW]  # each without guards of the compiler
    assert built["a"].defaults["lr"] == 0.5
    assert built["a"].defaults["momentum"] == 0.25
    assert built["b"].defaults["betas"] == (0.5, 0.75)
    assert built["c"].defaults["weight_decay"] == 0.1


def test_a_missing_plugin_of_a_saved_run_is_named_with_its_version(registry):
    stored = parse(
        {"prior": "aaeframe-torus:torus", "plugins": {"aaeframe": aaeframe.__version__, "aaeframe-torus": "2.1"}}
    )
    with pytest.raises(CheckpointError) as caught:
        resolve_stored(stored, registry)
    first, *_, last = str(caught.value).split("\n  ")
    assert first.startswith("this run needs what is not here: no active plugin offers a prior named")
    assert last == (
        'aaeframe-torus 2.1 is not installed: pip install "aaeframe-torus==2.1". A plugin is code: install it only if '
        "you trust who made it"
    )


def test_a_component_that_no_recorded_plugin_explains_is_described_whole(registry):
    stored = parse({"prior": "torus", "plugins": {"aaeframe": aaeframe.__version__}})
    with pytest.raises(CheckpointError, match=r"known priors: categorical") as caught:
        resolve_stored(stored, registry)
    assert str(caught.value).endswith("pip install the plugin that offers it")


def test_a_stored_run_keeps_the_versions_that_it_was_made_with(registry):
    stored = resolve(compose(None, None, SMALL), registry).config.model_copy(update={"plugins": {"aaeframe": "0.0.1"}})
    resolved = resolve_stored(stored, registry)
    assert resolved.config == stored
    assert resolved.versions["aaeframe"] == aaeframe.__version__


def test_components_are_resolved_once_and_built_as_often_as_asked(registry):
    resolved = resolve(compose(None, None, {"prior": "gaussian(size=3)"}), registry)
    first, second = (resolved.priors["gaussian"].build() for _ in range(2))
    assert first is not second
    assert first.event_shape == second.event_shape == (3,)


def test_a_removed_optimizer_of_a_stored_run_is_missed(registry):
    stored = resolve(compose(None, None, SMALL), registry).config
    left = {phase: it for phase, it in stored.optimizers.items() if phase != "generator"}
    with pytest.raises(ConfigError, match=r"phases reconstruction, discriminator, where .* has .*, generator; bring"):
        resolve_stored(stored.model_copy(update={"optimizers": left}), registry)
