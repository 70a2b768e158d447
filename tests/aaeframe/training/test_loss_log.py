from __future__ import annotations

import math

import pytest
import torch

from aaeframe.errors import BrokenComponent, TrainingDiverged
from aaeframe.training.loss_log import EVERY, LossLog

from .operations import Operations

GOOD = {"reconstruction": 1.0, "discriminator/y": 2.0, "generator/y": 3.0}


@pytest.fixture
def log():
    return LossLog()


def losses(**changed):
    return {name: torch.tensor(value) for name, value in {**GOOD, **changed}.items()}


@pytest.mark.parametrize("steps", [1, 3, EVERY, 2 * EVERY + 7])
def test_means_are_over_the_steps(log, steps):
    for step in range(steps):
        log.add(step, losses(reconstruction=float(step)))
    assert log.means() == {**GOOD, "reconstruction": (steps - 1) / 2}
    assert log.count == steps


def test_small_losses_are_not_lost_to_large_ones(log):
    log.add(0, {"loss": torch.tensor(1e8)})
    for step in range(1, 1000):
        log.add(step, {"loss": torch.tensor(1.0)})
    assert log.means()["loss"] == pytest.approx((1e8 + 999) / 1000, abs=1e-6)


def test_losses_may_be_of_several_types_and_are_not_changed(log):
    given = {"a": torch.tensor(1.0, dtype=torch.float64), "b": torch.tensor(0.5, dtype=torch.bfloat16)}
    log.add(0, given)
    log.add(1, given)
    assert log.means() == {"a": 1.0, "b": 0.5}
    assert [it.item() for it in given.values()] == [1.0, 0.5]


def test_losses_that_a_step_overwrites_are_copied(log):
    fixed = {"loss": torch.tensor(1.0)}
    log.add(0, fixed)
    fixed["loss"].fill_(3.0)
    log.add(1, fixed)
    assert log.means() == {"loss": 2.0}


def test_other_names_are_summed_on_their_own(log):
    log.add(0, {"a": torch.tensor(4.0)})
    log.add(1, {"a": torch.tensor(2.0), "b": torch.tensor(6.0)})
    assert log.means() == {"a": 3.0, "b": 3.0}


@pytest.mark.parametrize("stop", [7, EVERY])
def test_restored_sums_go_on_to_the_same_bits(stop):
    values = torch.rand(EVERY + 20, generator=torch.Generator().manual_seed(0)).tolist()
    whole, first, second = LossLog(), LossLog(), LossLog()
    for step, value in enumerate(values):
        whole.add(step, losses(reconstruction=value))
        if step < stop:
            first.add(step, losses(reconstruction=value))
    second.load_state_dict(first.state_dict(), first.count)
    for step, value in list(enumerate(values))[stop:]:
        second.add(step, losses(reconstruction=value))
    assert second.means() == whole.means()


def test_a_saved_sum_is_a_number(log):
    with pytest.raises(ValueError, match="a sum of losses is not a number"):
        log.load_state_dict({"loss": torch.zeros(2)}, 3)


def test_finite_losses_pass(log):
    log.collect()
    for step in range(3):
        log.add(step, losses(reconstruction=3e38))
    log.collect()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_step_phase_and_block_are_named(log, bad):
    log.add(6, losses())
    log.add(7, losses(**{"generator/y": bad}))
    with pytest.raises(TrainingDiverged, match="step 7: the loss of the generator phase, block 'y' is not finite"):
        log.collect()


def test_a_phase_without_blocks_is_named_alone(log):
    log.add(0, losses(reconstruction=math.nan))
    with pytest.raises(TrainingDiverged, match="step 0: the loss of the reconstruction phase is not finite"):
        log.collect()


def test_the_first_bad_loss_counts(log):
    log.add(3, losses(**{"discriminator/y": math.nan, "generator/y": math.nan}))
    log.add(4, losses(reconstruction=math.nan))
    log.add(5, losses())
    for _ in range(2):  # whoever catches it cannot save what followed
        with pytest.raises(TrainingDiverged, match="step 3: the loss of the discriminator phase, block 'y'"):
            log.collect()


def test_a_loss_is_a_scalar(log):
    with pytest.raises(BrokenComponent, match=r"the loss 'b' of shape \(1,\); return a scalar"):
        log.add(0, {"a": torch.tensor(1.0), "b": torch.ones(1)})


def test_a_loss_with_a_gradient_is_added_too(log):
    log.add(0, {"a": torch.tensor(2.0, requires_grad=True)})
    assert log.means() == {"a": 2.0}


def test_a_step_is_one_operation_and_waits_for_nothing(log):
    log.add(0, losses())
    given = losses()
    with Operations() as operations:
        log.add(1, given)
    assert operations.names == ["stack.out"]
