"""Components that harm others, or that behave until they are trusted: each fails a check that names the harm."""

from __future__ import annotations

import math
import os
import time
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Distribution, MultivariateNormal, Normal, constraints
from torch.nn.modules.module import register_module_forward_hook

import aaeframe
from aaeframe import supports
from aaeframe.recipes.unsupervised import Unsupervised
from aaeframe.testing import checks_for
from aaeframe.testing.plugin import plugin_checks
from aaeframe.testing.variants import variant

REAL = constraints.independent(constraints.real, 1)
DRAWN: list[int] = []
"""State of the module, as a plugin may keep it."""
LAYERS: dict[int, nn.Module] = {}


class Round:
    """A healthy prior in the plane; each sabotage changes its samples."""

    event_shape, support = torch.Size([2]), REAL

    def sample(self, sample_shape=()):
        return self.changed(torch.randn(*sample_shape, 2))

    def changed(self, z):
        return z


class Hourly(Round):
    """Drifts with the hour, by a name that was imported."""

    def changed(self, z):
        return z + datetime.now().hour


class Slowly(Round):
    """Drifts with the seconds since the machine started."""

    def changed(self, z):
        return z * math.exp(time.monotonic() / 1e6)


class PerProcess(Round):
    """Other samples in each process."""

    def changed(self, z):
        return z + os.getpid() % 7


class Configured(Round):
    """Reads an option from the environment."""

    def __init__(self):
        self.scale = float(os.environ.get("ROUND_SCALE", "2"))

    def changed(self, z):
        return self.scale * z


class Reading(Round):
    """Reads a file at each call."""

    def changed(self, z):
        with Path(os.devnull).open() as file:
            return z + len(file.read())


class Unseeded(Round):
    """Draws its place from the system, once."""

    def __init__(self):
        self.place = np.random.default_rng().random()

    def changed(self, z):
        return z + self.place


class Patient(Round):
    """Collapses after 200 calls of any instance."""

    def changed(self, z):
        DRAWN.append(1)
        return z * (1.0 if len(DRAWN) < 200 else 0.01)


class Grown(Round):
    """Remembers all instances in a mutable default."""

    def __init__(self, *, seen=[]):  # noqa: B006  # the mistake
        seen.append(1)
        self.count = len(seen)

    def changed(self, z):
        return z / self.count


class Sized(Round):
    """A density that is right for the default size alone."""

    def __init__(self, *, size: int = 2):
        self.event_shape = torch.Size([size])

    def sample(self, sample_shape=()):
        return torch.randn(*sample_shape, *self.event_shape)

    def log_prob(self, value):
        return Normal(0.0, 1.0).log_prob(value[..., :2]).sum(-1)


class Patching(Round):
    """Replaces a function of torch when it is sampled."""

    def changed(self, z):
        torch.nn.functional.relu = lambda x, inplace=False: torch.sigmoid(x)
        return z


@pytest.fixture(autouse=True)
def validating(monkeypatch):
    """The validation of distributions is on, whatever a library that other tests import has turned off."""
    monkeypatch.setattr(Distribution, "_validate_args", True)


class Trusting(Round):
    """Turns off the validation of all distributions."""

    def changed(self, z):
        Distribution.set_default_validate_args(False)
        return z


class Encoder(nn.Module):
    """A healthy deterministic encoder."""

    noise_shape = torch.Size()

    def __init__(self, network, blocks):
        super().__init__()
        self.body = network.encoder
        self.supports = {name: supports.resolve(it.support, it.event_shape) for name, it in blocks.items()}
        sizes = {name: it.head_shape.numel() for name, it in self.supports.items()}
        self.heads = nn.ModuleDict({name: nn.Linear(network.num_features, size) for name, size in sizes.items()})

    def forward(self, x, noise=None):
        h = self.body(x)
        return {name: it.transform(self.heads[name](h)) for name, it in self.supports.items()}


class Hooking(Encoder):
    """Doubles the output of every module of the process."""

    def __init__(self, network, blocks):
        super().__init__(network, blocks)
        register_module_forward_hook(lambda module, x, y: 2 * y if isinstance(module, nn.Linear) else y)


class Remembering(Encoder):
    """Mixes in the minibatch before, while it trains."""

    last = None

    def forward(self, x, noise=None):
        before, self.last = self.last, x.detach()
        return super().forward(x if before is None or not self.training else x + 0.1 * before)


class Network(nn.Module):
    """A healthy linear network for tables."""

    def __init__(self, data, code_size):
        super().__init__()
        if len(data.shape) != 1 or data.support is not constraints.real:
            raise ValueError("serves tables")
        self.num_features = 8
        self.encoder = nn.Linear(data.shape[0], 8)
        self.decoder = nn.Linear(code_size, data.shape[0])


class Rescaling(Network):
    """Doubles the scale of the data, which all others use."""

    def __init__(self, data, code_size):
        super().__init__(data, code_size)
        data.std.mul_(2)


class Sharing(nn.Module):
    """One layer for all discriminators of the process."""

    def __init__(self, block, num_classes):
        super().__init__()
        size = block.event_shape.numel()
        self.layer = LAYERS.setdefault(size, nn.Linear(size, 1))
        self.labels = nn.Embedding((num_classes or 0) + 1, 1)

    def forward(self, z, labels=None):
        last = torch.full((len(z),), self.labels.num_embeddings - 1, device=z.device)
        return (self.layer(z) + self.labels(last if labels is None else labels))[:, 0]


class Clamping(nn.Module):
    """Clamps the codes in place, past autograd."""

    def __init__(self, block, num_classes):
        super().__init__()
        if num_classes:
            raise ValueError("has no labels")
        self.layer = nn.Linear(block.event_shape.numel(), 1)

    def forward(self, z, labels=None):
        z.data.mul_(0.5)
        return self.layer(z)[:, 0]


class Fading(Unsupervised):
    """A hidden counter: the learning rates fall to nothing after some steps, and start anew on resume."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.steps = 0

    def step(self, batch, draws=None):
        self.steps += 1
        if self.steps > 150:
            for optimizer in self.optimizers.values():
                optimizer.param_groups[0]["lr"] = 0.0
        return super().step(batch, draws)


class Scribbling(Unsupervised):
    """Writes into the minibatch."""

    def step(self, batch, draws=None):
        losses = super().step(batch, draws)
        batch.x.zero_()
        return losses


def wiping():
    """A metric that erases the codes that others measure."""

    def metric(evaluated):
        value = {name: float(z.mean()) for name, z in evaluated.codes.items()}
        for z in evaluated.codes.values():
            z.zero_()
        return value

    return metric


def of_today():
    """A data set with other rows each day."""
    return np.random.default_rng(int(time.time() // 86_400)).random((40, 3), dtype=np.float32)


class Meddling:
    """An observer that replaces a function in its first call of a step."""

    def stepped(self, step, losses):
        torch.nn.functional.mse_loss = torch.nn.functional.l1_loss


class Correlated(nn.Module):
    """A healthy prior with a covariance and an order of its dimensions as buffers, which few values are."""

    event_shape, support = torch.Size([2]), REAL

    def __init__(self):
        super().__init__()
        self.register_buffer("covariance", torch.tensor([[1.0, 0.5], [0.5, 1.0]]))
        self.register_buffer("order", torch.tensor([1, 0]))

    def sample(self, sample_shape=()):
        if self.order.sort().values.tolist() != [0, 1]:
            raise ValueError("no permutation")
        z = MultivariateNormal(torch.zeros(2), self.covariance).sample(sample_shape)
        return z[..., self.order]


class SharingCovariance(Correlated):
    """The same, with one covariance for all instances."""

    shared = torch.tensor([[1.0, 0.5], [0.5, 1.0]])

    def __init__(self):
        super().__init__()
        self.covariance = self.shared


class Growing(Round):
    """Gives one tensor more in later instances."""

    made: ClassVar[list] = []

    def __init__(self):
        self.made.append(1)
        self.many = len(self.made) > 1

    def sample(self, sample_shape=()):
        z = torch.randn(*sample_shape, 2)
        return (z, z) if self.many else z


SABOTAGES = {
    ("prior", Hourly): ("surroundings", "at another time, or on another machine"),
    ("prior", Slowly): ("surroundings", "at another time, or on another machine"),
    ("prior", PerProcess): ("surroundings", "at another time, or on another machine"),
    ("prior", Configured): ("surroundings", "the variable ROUND_SCALE of the environment changes values"),
    ("prior", Reading): ("surroundings", "each call reads the file /dev/null"),
    ("prior", Unseeded): ("instances", "built twice under one torch seed"),
    ("prior", Patient): ("many-calls", "after 250 calls"),
    ("prior", Grown): ("instances", "built twice under one torch seed"),
    ("prior", Sized): ("log-prob-fit[size=3]", "samples do not follow log_prob"),
    ("prior", Patching): ("sample-shape", "functions that others call (torch.nn.functional.relu)"),
    ("prior", Trusting): ("sample-shape", "Distribution._validate_args"),
    ("prior", SharingCovariance): ("instances", "what changes one instance changes"),
    ("encoder", Hooking): ("builds", "global hooks of torch"),
    ("encoder", Remembering): ("many-calls", "after 250 calls"),
    ("network", Rescaling): ("data-kept[table]", "must leave the mean and std"),
    ("discriminator", Sharing): ("instances[real]", "what changes one instance changes another"),
    ("discriminator", Clamping): ("inputs-kept[real]", "changes its input in place"),
    ("recipe", Fading): ("resumed-step[alternating]", "a new recipe with the state of the first"),
    ("recipe", Scribbling): ("losses[joint]", "must leave the minibatch as it is"),
    ("metric", wiping): ("value", "must leave the codes as they are"),
    ("data-set", of_today): ("same-rows", "loaded twice, the data set has"),
    ("observer", Meddling): ("observer-calls", "functions that others call (torch.nn.functional.mse_loss)"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "sabotage"), SABOTAGES, ids=lambda it: it if isinstance(it, str) else it.__name__)
def test_a_sabotage_fails_the_check_that_names_it(kind, sabotage):
    DRAWN.clear()
    LAYERS.clear()
    failing, words = SABOTAGES[kind, sabotage]
    check = dict(checks_for(kind, sabotage))[failing]
    with pytest.raises(AssertionError) as failed:
        check()
    assert words in str(failed.value)


@pytest.mark.parametrize(("kind", "healthy"), [("prior", Round), ("encoder", Encoder), ("network", Network)])
def test_the_healthy_ones_pass(kind, healthy):
    for _, check in checks_for(kind, healthy):
        check()


def test_a_component_whose_state_allows_few_values_shares_nothing():
    dict(checks_for("prior", Correlated))["instances"]()


def test_another_number_of_tensors_fails_the_check():
    check = dict(checks_for("prior", Growing))["instances"]
    Growing.made.clear()
    with pytest.raises(AssertionError, match=r"sample: built twice under one torch seed, two instances give other"):
        check()


def optional(
    *,
    size: int = 2,
    most: int = 10,
    spread: float = 1.0,
    bent: bool = False,
    shape: Literal["round", "square"] = "round",
    name: str = "",
    path: os.PathLike | None = None,
): ...


def test_a_variant_moves_every_option_that_can_be():
    words, factory = variant(optional, lambda it: True)
    assert words == "size=3, most=11, spread=1.5, bent=True, shape='square'"
    assert factory.keywords == {"size": 3, "most": 11, "spread": 1.5, "bent": True, "shape": "square"}
    assert variant(partial(optional, size=3), lambda it: True) is None
    assert variant(Round, lambda it: True) is None


class Caching(Round):
    """A healthy prior that makes a folder for its cache, where the environment says."""

    def __init__(self):
        cache = os.environ.get("XDG_CACHE_HOME") or os.environ.get("HF_HOME") or os.environ["HOME"]
        folder = Path(os.environ.get("ROUND_CACHE", cache), "round")
        folder.mkdir(parents=True, exist_ok=True)


def test_a_check_makes_no_folders_where_it_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HOME", raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    dict(checks_for("prior", Caching))["surroundings"]()
    assert list(Path().iterdir()) == []


def related(*, low: int = 2, high: int = 3, even: int = 4, fixed: int = 5):
    """A factory whose options do not fit each other when all of them move."""
    if low >= high or even % 2 or fixed != 5:
        raise ValueError("refused")


def test_a_variant_moves_options_one_by_one_and_keeps_those_that_build():
    def builds(factory):
        try:
            factory()
        except ValueError:
            return False
        return True

    words, factory = variant(related, builds)
    assert words == "low=1, high=4"
    assert factory.keywords == {"low": 1, "high": 4}
    assert variant(partial(related, fixed=5), builds) is None


def pretrained(
    *, pretrained: bool = False, download_missing: bool = False, weights_only: bool = True, offline: bool = True
): ...


def test_a_variant_downloads_nothing():
    words, factory = variant(pretrained, lambda it: True)
    assert words == "weights_only=False"
    assert factory.keywords == {"weights_only": False}


class Pair(Round):
    """A prior whose options bound each other."""

    def __init__(self, *, low: float = 0.5, high: float = 0.625):
        if low >= high or low + high > 1.2:
            raise ValueError("low must be below high, and their sum at most 1.2")

    def log_prob(self, value):
        return Normal(0.0, 1.0).log_prob(value).sum(-1)


def test_a_component_whose_options_are_related_is_checked_with_others():
    (name,) = [it for it, _ in checks_for("prior", Pair) if it.startswith("log-prob-fit[")]
    assert name == "log-prob-fit[low=0.25, high=0.9375]"


ROWS = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)


def weights(**parts):
    run = aaeframe.train(ROWS, **{"prior": Round(), **parts}, epochs=2, batch_size=10, keep=False, progress=False)
    return run, [it.clone() for it in run.model.state_dict().values()]


@pytest.fixture(scope="module")
def healthy():
    return weights()[1]


def equal(first, second):
    return all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::aaeframe.errors.PluginWarning")
@pytest.mark.parametrize(
    "parts",
    [
        {"prior": Patching()},
        {"prior": Trusting()},
        {"encoder": Hooking},
        {"network": Rescaling},
        {"discriminator": Sharing, "prior": {"a": Round(), "b": Round()}},
        {"observers": [Meddling()]},
    ],
    ids=lambda it: "-".join(it),
)
def test_a_training_after_it_has_the_bits_of_before(healthy, parts):
    weights(**parts)
    assert equal(weights()[1], healthy)


def test_an_observer_that_patches_leaves_its_own_training_alone(healthy):
    assert equal(weights(observers=[Meddling()])[1], healthy)


@pytest.mark.filterwarnings("ignore:a component of this run:aaeframe.errors.PluginWarning")
@pytest.mark.filterwarnings("ignore:epoch 1. a component")
def test_a_prior_that_patches_is_named_at_its_first_call():
    with pytest.warns(aaeframe.errors.PluginWarning, match=r"the prior of block .* Patching changed .*relu"):
        weights(prior=Patching())


def test_a_part_that_changes_its_input_is_refused():
    with pytest.raises(aaeframe.errors.BrokenComponent, match=r"discriminator of block .* changes its input in place"):
        weights(discriminator=Clamping)


def test_a_hook_module_that_patches_only_where_torch_is_imported_fails_its_check(install, monkeypatch):
    source = """
import sys
from aaeframe import Component, hookimpl

if torch := sys.modules.get("torch"):
    torch.nn.functional.relu = torch.sigmoid

@hookimpl
def aaeframe_priors():
    return [Component("round", "aaeframe_patching:Round", "...")]

class Round: ...
"""
    monkeypatch.setenv("PYTHONPATH", str(install("aaeframe-patching", {"aaeframe_patching": source})))
    relu = torch.nn.functional.relu
    with pytest.warns(aaeframe.errors.PluginWarning, match=r"loading the plugin aaeframe-patching 1.0 changed .*relu"):
        checks = {it.id: it for it in plugin_checks("aaeframe-patching")}
    with pytest.raises(AssertionError, match=r"importing aaeframe_patching changes what all code shares: .*relu"):
        checks["hook-module"]()
    assert torch.nn.functional.relu is relu
