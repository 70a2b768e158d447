"""Components that are objects from Python: trained as plugins are, stored by name, and passed to a run again."""

from __future__ import annotations

import functools
import re
import threading

import numpy as np
import pytest
import torch
from small_runs import ROWS, assert_same_model, command
from torch import nn
from torch.distributions import constraints

import aaeframe
from aaeframe.errors import AaeframeError, BrokenComponent, ConfigError, OptionError
from aaeframe.recipes.clustering import Clustering
from aaeframe.recipes.reduction import Reduction
from aaeframe.recipes.unsupervised import Unsupervised
from aaeframe_plugins.discriminators.mlp import MLP as Critic
from aaeframe_plugins.encoders.deterministic import Deterministic
from aaeframe_plugins.networks.mlp import MLP

SMALL = {"epochs": 1, "batch_size": 40, "device": "cpu"}
NAMES = {
    "encoder": "deterministic",
    "network": "mlp(hidden=[8])",
    "discriminator": "mlp(hidden=[8])",
    "recipe": "unsupervised",
}
OBJECTS = {
    "encoder": Deterministic,
    "network": functools.partial(MLP, hidden=(8,)),
    "discriminator": lambda block, num_classes: Critic(block, num_classes, hidden=[8]),
    "recipe": Unsupervised,
}


def trained(out=None, **options):
    kept = {"keep": False} if out is None else {"out": out}
    return aaeframe.train(ROWS, **{**SMALL, **NAMES, "prior": "gaussian", **kept, **options})


class Half(nn.Module):
    """An encoder that was built elsewhere, for one block of two numbers."""

    noise_shape = torch.Size()

    def __init__(self, block="gaussian"):
        super().__init__()
        self.block, self.linear = block, nn.Linear(4, 2)

    def forward(self, x, noise=None):
        return {self.block: self.linear(x)}


class Plain(nn.Module):
    """A network for rows of four numbers and two of code."""

    num_features = 3

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(4, 3), nn.Linear(2, 4)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A run of objects, in a folder."""
    return trained(tmp_path_factory.mktemp("objects") / "run", **OBJECTS)


def test_objects_train_to_the_bits_of_the_same_components_by_name(kept):
    assert_same_model(kept, trained())


def test_a_configuration_names_objects_and_their_options(kept):
    config = aaeframe.load(kept.folder.path, **OBJECTS).config
    assert config == kept.config
    assert [getattr(config, kind).component for kind in NAMES] == [
        *("python:Deterministic", "python:MLP", "python:lambda", "python:Unsupervised"),
    ]
    assert config.network.options["hidden"] == [8]
    assert list(config.plugins) == ["aaeframe"]


def test_a_run_of_objects_is_loaded_and_resumed_with_them(kept, tmp_path):
    assert_same_model(aaeframe.load(kept.folder.path, **OBJECTS), kept)

    class Stopping:
        def stepped(self, step, losses):
            raise aaeframe.StopRun

    with pytest.warns(UserWarning, match="the observer 'Stopping' ended the run, at step 1"):
        assert not trained(tmp_path / "run", **OBJECTS, observers=[Stopping()]).finished
    with pytest.raises(ConfigError, match=re.escape("encoder=..., network=..., discriminator=..., recipe=...")):
        aaeframe.resume(tmp_path / "run", data=ROWS)
    assert_same_model(aaeframe.resume(tmp_path / "run", data=ROWS, **OBJECTS), kept)


def test_what_a_run_needs_again_is_named(kept):
    with pytest.raises(ConfigError) as caught:
        aaeframe.load(kept.folder.path, encoder=Deterministic)
    message = str(caught.value)
    assert "the network was an object from Python (MLP)" in message
    assert "the encoder" not in message
    assert message.endswith("network=..., discriminator=..., recipe=...")


def test_the_command_line_says_what_a_run_of_objects_needs(kept, monkeypatch, capsys):
    code, err = command(monkeypatch, capsys, "evaluate", kept.folder.path)
    assert code == 2
    assert err.startswith("error: the encoder was an object from Python (Deterministic), ")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"network": functools.partial(MLP, hidden=(9,))}, "was trained with hidden=[8], but has hidden=[9]"),
        ({"encoder": "deterministic"}, "encoder='deterministic' is the name of a component, which the run has stored"),
        ({"prior": torch.distributions.Dirichlet(torch.ones(3))}, "prior={'z': ...} is not used"),
        ({"priors": {}, "prior": {}}, "give one of them"),
    ],
)
def test_other_objects_than_those_of_the_training_are_refused(kept, changed, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        aaeframe.load(kept.folder.path, **{**OBJECTS, **changed})


def test_an_object_of_a_new_name_needs_the_name_in_the_configuration(tmp_path):
    def built(network, blocks):
        return Deterministic(network, blocks)

    run = trained(tmp_path / "run", encoder=lambda network, blocks: built(network, blocks))
    with pytest.raises(
        ConfigError, match=re.escape("found built; pass the same, or if it has a new name, set encoder.")
    ):
        aaeframe.load(tmp_path / "run", encoder=built)
    run.folder.config.write_text(run.folder.config.read_text().replace("python:lambda", "python:built"))
    with pytest.warns(UserWarning, match="was changed since the checkpoint was written: encoder.component"):
        assert_same_model(aaeframe.load(tmp_path / "run", encoder=built), run)


def test_a_run_trains_copies_of_instances_from_the_weights_they_have():
    torch.manual_seed(5)
    parts = {"encoder": Half(), "network": Plain(), "discriminator": Squeezed(nn.Linear(2, 1))}
    before = {name: [it.clone() for it in part.parameters()] for name, part in parts.items()}
    first, second = trained(**parts), trained(**parts)
    assert_same_model(first, second)
    for name, part in parts.items():
        assert all(map(torch.equal, before[name], part.parameters()))
    moved = first.model.encoder.linear.weight - parts["encoder"].linear.weight
    assert 0 < moved.abs().max() < 0.1, "two steps of Adam from the weights of the instance"


class Squeezed(nn.Module):
    def __init__(self, linear):
        super().__init__()
        self.linear = linear

    def forward(self, z, labels=None):
        return self.linear(z)[:, 0]


def test_weights_that_instances_share_stay_shared():
    network, encoder = Plain(), Half()
    encoder.extra = network.decoder
    model = trained(encoder=encoder, network=network).model
    assert model.encoder.extra is model.decoder
    assert model.decoder is not network.decoder


def test_a_discriminator_for_each_block():
    made = []

    def critic(block, num_classes):
        made.append(tuple(block.event_shape))
        return Critic(block, num_classes, hidden=[4])

    blocks = {"a": critic, "b": "spectral(hidden=[4])"}
    model = trained(prior="a=gaussian(size=3)+b=gaussian+c=gaussian", discriminator=blocks).model
    assert [type(it).__name__ for it in model.discriminators.values()] == ["MLP", "Spectral", "MLP"]
    assert made == [(3,)]


def test_a_recipe_with_options():
    run = trained(prior="y=categorical(classes=3)+z=gaussian", recipe=functools.partial(Reduction, head_distance=2.5))
    assert run.config.recipe.options["head_distance"] == 2.5
    with pytest.raises(
        OptionError, match=re.escape("head_distance=0 does not fit the recipe (Reduction, from Python)")
    ):
        trained(prior="y=categorical+z=gaussian", recipe=functools.partial(Reduction, head_distance=0))
    with pytest.raises(ConfigError, match="needs one block of one-hot vectors"):
        trained(recipe=Clustering)


class Curved(Plain):
    """A network whose option is a class, which no configuration holds."""

    def __init__(self, data, code_size, *, activation=nn.ReLU, depth: int = 1):
        super().__init__()
        self.decoder = nn.Sequential(self.decoder, *(activation() for _ in range(depth)))


def test_an_option_that_is_an_object_is_passed_as_it_is(tmp_path):
    curved = functools.partial(Curved, activation=nn.Tanh)
    run = trained(tmp_path / "run", network=curved)
    assert isinstance(run.model.decoder[1], nn.Tanh)
    assert run.config.network.options == {"depth": 1}
    assert_same_model(aaeframe.load(tmp_path / "run", network=curved), run)


class Locked(Half):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


def broken(*run):
    raise RuntimeError("no such luck")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"encoder": 3}, ConfigError, "encoder=3 is of type int; pass a name, a class or function f(network, blocks)"),
        ({"network": nn.Linear(2, 2)}, ConfigError, "an instance with encoder, decoder and num_features"),
        ({"recipe": nn.Linear(2, 2)}, ConfigError, "pass a name, a subclass of aaeframe.recipes.Recipe"),
        ({"recipe": nn.Linear}, BrokenComponent, "the recipe (Linear, from Python) has no needs"),
        ({"encoder": nn.Linear(4, 2)}, BrokenComponent, "needs noise_shape, but Linear has no noise_shape"),
        ({"encoder": lambda network, blocks: Half}, BrokenComponent, "must be a torch.nn.Module, is the class Half"),
        ({"encoder": lambda network: 1}, BrokenComponent, "cannot be called as encoder(network, blocks): too many"),
        ({"encoder": Half("z")}, BrokenComponent, "the encoder must give a code with the blocks ['gaussian']"),
        ({"encoder": Locked()}, ConfigError, "the encoder, of type Locked, cannot be copied: TypeError"),
        (
            {"network": lambda data, size: nn.Identity()},
            BrokenComponent,
            "Identity has no encoder, decoder, num_features",
        ),
        ({"network": broken}, BrokenComponent, "the network (broken, from Python) fails: RuntimeError: no such luck"),
        ({"discriminator": nn.Linear(2, 1)}, BrokenComponent, "the discriminator of block 'gaussian' (Linear) fails"),
        ({"discriminator": {"z": Critic}}, ConfigError, "names the blocks z, but the prior has gaussian"),
        ({"discriminator": {}}, ConfigError, "the discriminator is empty"),
        (
            {"discriminator": {"gaussian": broken}},
            BrokenComponent,
            "the discriminator of block 'gaussian' (broken, from",
        ),
        (
            {"discriminator": Critic, "recipe": "variational", "encoder": "gaussian"},
            ConfigError,
            "has no discriminators",
        ),
        (
            {"prior": "gaussian+gaussian", "discriminator": nn.Linear(2, 1)},
            ConfigError,
            "one instance is the discrimin",
        ),
        (
            {"encoder": Half(), "config": {"training": {"initial_std": 0.1}}},
            ConfigError,
            "training.initial_std would replace the weights of the encoder (Half, from Python)",
        ),
    ],
)
def test_objects_that_cannot_be(options, error, message):
    with pytest.raises(error, match=re.escape(message)) as caught:
        trained(**options)
    assert isinstance(caught.value, AaeframeError)


def test_one_instance_for_two_blocks_is_refused():
    critic = Squeezed(nn.Linear(2, 1))
    with pytest.raises(ConfigError, match="one instance is the discriminator of the blocks a, b, which train one each"):
        trained(prior="a=gaussian+b=gaussian", discriminator={"a": critic, "b": critic})


class Square:
    event_shape, support = torch.Size([2]), constraints.independent(constraints.unit_interval, 1)

    def sample(self, sample_shape=()):
        return torch.rand(*sample_shape, 2)


def square(n):
    return torch.rand(n, 2)


square.support = Square.support


def test_a_function_that_returns_samples_is_a_prior(tmp_path):
    run = trained(tmp_path / "run", prior=square)
    assert_same_model(run, trained(prior=Square()))
    assert run.config.prior["z"].component == "python:square"
    assert ((run.encode(ROWS)["z"] > 0) & (run.encode(ROWS)["z"] < 1)).all()
    assert_same_model(aaeframe.load(tmp_path / "run", prior=square), run)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda n: torch.randn(2, n), "must return a tensor of shape (n, *event_shape), found shape (2, 3) for n=3"),
        (lambda n: torch.randn(n, n), "returns samples of shape (3,) for n=3 and of shape (5,) for n=5"),
        (lambda n: [0.0] * n, "found list for n=3"),
        (lambda n: torch.randn(n), "has event_shape ()"),
        (lambda n: torch.randn(n, 2, rows=n), "cannot be sampled: TypeError"),
        (lambda n: torch.from_numpy(np.random.default_rng().normal(size=(n, 2))), "gives other samples from the same"),
        (broken, "the function broken, cannot be sampled: RuntimeError: no such luck"),
    ],
)
def test_a_function_that_is_no_prior(function, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        trained(prior=function)


def test_a_prior_that_is_a_module_is_copied():
    class Drifting(nn.Module):
        event_shape, support = torch.Size([2]), constraints.independent(constraints.real, 1)

        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.zeros(2))

        def sample(self, sample_shape=()):
            return self.mean + torch.randn(*sample_shape, 2)

        def follow(self, code):
            self.mean.lerp_(code.mean(0), 0.1)

    prior = Drifting()
    assert trained(prior=prior).model.priors["z"].mean.abs().max() > 0
    assert prior.mean.abs().max() == 0
