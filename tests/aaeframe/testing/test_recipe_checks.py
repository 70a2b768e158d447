"""Each check of a recipe passes for a right one, and says what is wrong with a broken one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import pytest
import torch

from aaeframe.protocols import Needs
from aaeframe.recipes import Recipe, descend
from aaeframe.recipes.unsupervised import Unsupervised
from aaeframe.testing import (
    RecipeCase,
    check_captured_step,
    check_losses,
    check_phases,
    check_waiting,
    checks_for,
    recipes,
)
from aaeframe.training.cuda_graph import GraphedStep


@dataclass(frozen=True)
class Plain(Recipe):
    """Reconstruction alone, without a fault."""

    needs: ClassVar = Needs(adversarial=False)
    phases: ClassVar = {"joint": ("autoencoder",)}

    def draw(self, batch):
        return {"noise": torch.randn(len(batch.x), 1)}

    def step(self, batch, draws=None):
        draws = self.draw(batch) if draws is None else draws
        x = self.model.scale(batch.x)
        x_hat = self.model.decoder(self.model.representation(self.model.encoder(x))) + draws["noise"]
        loss = (x_hat - x).square().sum(1).mean()
        descend(loss, self.optimizers["autoencoder"])
        return {"reconstruction": loss.detach()}


@dataclass(frozen=True)
class ByTheWay(Plain):
    """Moves a parameter of which no optimizer knows."""

    def step(self, batch, draws=None):
        losses = super().step(batch, draws)
        with torch.no_grad():
            self.model.decoder.bias.mul_(0.9)
        return losses


@dataclass(frozen=True)
class Before(Plain):
    def step(self, batch, draws=None):
        with torch.no_grad():
            self.model.decoder.bias.add_(0.1)
        return super().step(batch, draws)


@dataclass(frozen=True)
class Idle(Plain):
    """Has a phase whose optimizer never steps."""

    phases: ClassVar = {"joint": ("autoencoder", "generator")}


@dataclass(frozen=True)
class Looking(Plain):
    """Decides on the host."""

    def step(self, batch, draws=None):
        losses = super().step(batch, draws)
        return losses if losses["reconstruction"] > 0 else {"reconstruction": torch.zeros(())}


@dataclass(frozen=True)
class Reading(Plain):
    def step(self, batch, draws=None):
        losses = super().step(batch, draws)
        return {"reconstruction": torch.tensor(losses["reconstruction"].item())}


@dataclass(frozen=True)
class Attached(Plain):
    def step(self, batch, draws=None):
        return {"reconstruction": super().step(batch, draws)["reconstruction"] * self.model.encoder.scale}


@dataclass(frozen=True)
class Deaf(Plain):
    """Draws for itself, whatever it is given."""

    def step(self, batch, draws=None):
        return super().step(batch, None)


def renaming(*arguments):
    """A recipe whose losses have another name at every other step."""
    recipe = Plain(*arguments)
    names, step = iter("abcdef"), recipe.step
    object.__setattr__(recipe, "step", lambda batch, draws=None: {next(names): step(batch, draws)["reconstruction"]})
    return recipe


renaming.needs, renaming.phases = Plain.needs, Plain.phases
renaming.parameters, renaming.representation = Plain.parameters, Plain.representation
renaming.draw, renaming.step = Plain.draw, Plain.step


def test_a_right_recipe_passes():
    for _, check in checks_for("recipe", Plain):
        check()


@pytest.mark.parametrize("schedule", ["alternating", "joint"])
def test_options_can_be_bound(schedule):
    factory = partial(Unsupervised, entropy_weight=0.5)
    assert RecipeCase(factory, schedule).build().entropy_weight == 0.5
    assert {name for name, _ in checks_for("recipe", factory)} >= {f"phases[{schedule}]"}


@pytest.mark.parametrize(
    ("check", "broken", "message"),
    [
        (check_phases, ByTheWay, "decoder.bias moved outside the phases, after the last"),
        (check_phases, Before, "decoder.bias moved outside the phases, before 'autoencoder'"),
        (check_phases, Idle, r"each of the optimizers \['autoencoder', 'generator'\] must step once, found"),
        (check_waiting, Looking, "a step waits for the device in"),
        (check_waiting, Reading, "a step waits for the device in _local_scalar_dense"),
        (check_losses, Attached, "the loss 'reconstruction' must be detached"),
        (check_losses, renaming, "every step must return the same losses"),
    ],
)
def test_a_broken_recipe_is_told_what_is_wrong(check, broken, message):
    with pytest.raises(AssertionError, match=message):
        check(RecipeCase(broken))


def test_without_a_gpu_nothing_is_captured(monkeypatch):
    monkeypatch.setattr(recipes, "_has_gpu", lambda: False)
    assert check_captured_step(RecipeCase(Plain)) == "there is no GPU to capture a step on"


def test_a_captured_step_that_draws_for_itself_trains_to_other_bits(monkeypatch):
    """The capture is played on the CPU: it takes the same road, and replays by running the step again."""

    def played(step):
        results = {}

        def replay():
            results.update(step())

        return replay, results

    monkeypatch.setattr(recipes, "_has_gpu", lambda: True)
    monkeypatch.setattr(recipes, "GraphedStep", partial(GraphedStep, warm_up=lambda it: it(), capture=played))
    assert check_captured_step(RecipeCase(Plain)) is None
    with pytest.raises(AssertionError, match="must train to the same bits"):
        check_captured_step(RecipeCase(Deaf))


def test_what_is_no_recipe_is_told_what_it_lacks():
    class Nothing:
        phases: ClassVar = {"joint": ()}

    with pytest.raises(AssertionError, match=r"the recipe has no needs, parameters, .*: make it a subclass of"):
        RecipeCase(Nothing).arguments()
