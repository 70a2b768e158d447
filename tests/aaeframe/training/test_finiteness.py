from __future__ import annotations

import math

import pytest
import torch

from aaeframe.errors import TrainingDiverged
from aaeframe.training.finiteness import FiniteCheck, check_finite

GOOD = {"reconstruction": 1.0, "discriminator/y": 2.0, "generator/y": 3.0}


@pytest.fixture
def watch():
    return FiniteCheck(torch.device("cpu"))


def losses(**changed):
    return {name: torch.tensor(value) for name, value in {**GOOD, **changed}.items()}


def test_finite_losses_pass(watch):
    watch.check()
    for step in range(3):
        watch.observe(step, losses(reconstruction=3e38))
    watch.check()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_step_phase_and_block_are_named(watch, bad):
    watch.observe(6, losses())
    watch.observe(7, losses(**{"generator/y": bad}))
    with pytest.raises(TrainingDiverged, match="step 7: the loss of the generator phase, block 'y' is not finite"):
        watch.check()


def test_a_phase_without_blocks_is_named_alone(watch):
    watch.observe(0, losses(reconstruction=math.nan))
    with pytest.raises(TrainingDiverged, match="step 0: the loss of the reconstruction phase is not finite"):
        watch.check()


def test_the_first_bad_loss_counts(watch):
    watch.observe(3, losses(**{"discriminator/y": math.nan, "generator/y": math.nan}))
    watch.observe(4, losses(reconstruction=math.nan))
    watch.observe(5, losses())
    with pytest.raises(TrainingDiverged, match="step 3: the loss of the discriminator phase, block 'y'"):
        watch.check()


def test_numbers_and_tensors_must_be_finite():
    tensors = {"weight": torch.ones(3), "rng": torch.tensor([1], dtype=torch.uint8), "empty": torch.ones(0)}
    check_finite(5, {"epoch": 1, "loss": 0.5, **tensors})
    with pytest.raises(TrainingDiverged, match="step 5: loss is not finite"):
        check_finite(5, {"epoch": 1, "loss": math.nan, "other": math.inf})
    with pytest.raises(TrainingDiverged, match=r"step 5: model.weight is not finite"):
        check_finite(5, {**tensors, "model.weight": torch.tensor([1.0, -math.inf])})


def test_divergence_is_not_the_users_mistake():
    assert TrainingDiverged.exit_code == 1
