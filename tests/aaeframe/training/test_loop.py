from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from aaeframe.assembly.training import prepare
from aaeframe.components.registry import Registry
from aaeframe.configuration.optimizers import optimizer
from aaeframe.configuration.resolve import resolve
from aaeframe.configuration.schema import parse
from aaeframe.data import from_arrays
from aaeframe.errors import CheckpointError, TrainingDiverged
from aaeframe.seeds import stream
from aaeframe.storage.checkpoint import latest, paths, read
from aaeframe.storage.metrics_file import MetricsFile
from aaeframe.storage.run_folder import RunFolder
from aaeframe.training.keeping import InFolder

ROWS = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
STEPS = 4
"""Steps an epoch: 80 of the rows are for training, 20 make a batch."""


@pytest.fixture(scope="module")
def registry():
    return Registry.load()


@pytest.fixture
def prepared(tmp_path, registry):
    """Makes a training of three epochs over ROWS, in one folder unless another is named."""

    def make(folder="run", rows=ROWS, optimizers=None, network="mlp(hidden=[8])", **training):
        config = parse(
            {
                "prior": "gaussian",
                "network": network,
                "discriminator": "mlp(hidden=[8])",
                "training": {"epochs": 3, "batch_size": 20, "checkpoint_every": 1, "device": "cpu", **training},
                "optimizers": optimizers or {},
            }
        )
        path = tmp_path / folder
        path.mkdir(exist_ok=True)
        training = prepare(resolve(config, registry), from_arrays(rows))
        training.keeper = InFolder(RunFolder(path))
        return training

    return make


def trained(training):
    with stream(0, "training"):
        training.save()
        training.finished_by_run = training.run()
    return training


def resumed(training):
    """The training, run on from the newest checkpoint in its folder."""
    with stream(0, "training"):
        training.load(read(latest(training.keeper.folder.checkpoints)))
        training.run()
    return training


def stopping(training, step):
    """The training, to be stopped after the step-th step."""
    training.display = Told()
    training.stop_asked = lambda: len(training.display.steps) >= step
    return training


def weights(training):
    return {name: value.clone() for name, value in training.model.state_dict().items()}


def bias_of(model):
    return model.encoder.heads.linear["gaussian"].bias.detach().clone()


def assert_same_weights(first, second):
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def rows_of(training):
    times = ("seconds", "steps_per_second")
    rows = MetricsFile(training.keeper.folder.metrics).rows()
    return [{key: value for key, value in row.items() if key not in times} for row in rows]


class Wrapped:
    """The recipe, with something done to what each step returns."""

    def __init__(self, recipe, change):
        self.recipe, self.change, self.steps = recipe, change, 0

    def step(self, batch):
        losses = self.change(self.steps, dict(self.recipe.step(batch)))
        self.steps += 1
        return losses


class Told:
    """An observer that remembers."""

    def __init__(self, look=lambda: None):
        self.look, self.steps, self.looks, self.warnings = look, [], [], []

    def stepped(self, epoch, step):
        self.steps.append((epoch, step))
        self.looks.append(self.look())

    def epoch_ended(self, row, warnings):
        self.warnings.append(warnings)


# The loop.


def test_every_epoch_has_its_steps_its_row_and_its_checkpoint(prepared):
    training = prepared()
    training.display = Told()
    trained(training)
    assert training.finished_by_run
    assert training.finished
    assert training.display.steps == [(step // STEPS, step + 1) for step in range(3 * STEPS)]
    rows = MetricsFile(training.keeper.folder.metrics).rows()
    assert [(row["epoch"], row["step"]) for row in rows] == [(1, 4), (2, 8), (3, 12)]
    assert [path.name for path in paths(training.keeper.folder.checkpoints)] == ["step-00000008", "step-00000012"]
    losses = {"reconstruction", "discriminator/gaussian", "generator/gaussian", "accuracy/gaussian"}
    validation = {"validation/reconstruction", "mean_image_error", "mismatch/gaussian", "mismatch_floor/gaussian"}
    assert set(rows[0]) == {"epoch", "step", "seconds", "steps_per_second", *losses, *validation}


def test_every_step_is_made_in_training_mode(prepared):
    training = prepared()
    training.display = Told(lambda: all(module.training for module in training.model.modules()))
    trained(training)
    assert training.display.looks == [True] * 3 * STEPS


def test_checkpoints_come_as_often_as_asked_and_at_the_end(prepared):
    written = []
    training = prepared(epochs=5, checkpoint_every=3)
    training.display = Told(lambda: [path.name[-2:] for path in paths(training.keeper.folder.checkpoints)])
    trained(training)
    for found in [*training.display.looks, [path.name[-2:] for path in paths(training.keeper.folder.checkpoints)]]:
        written += [name for name in found if name not in written]
    assert written == ["00", "12", "20"]


def test_a_row_holds_the_means_of_its_epoch(prepared):
    seen = []
    training = prepared()
    training.recipe = Wrapped(training.recipe, lambda step, losses: seen.append(losses) or losses)
    for epoch, row in enumerate(rows_of(trained(training))):
        losses = seen[epoch * STEPS : (epoch + 1) * STEPS]
        for name in losses[0]:
            assert row[name] == pytest.approx(sum(it[name].item() for it in losses) / STEPS, rel=1e-12)


def test_what_the_monitor_says_stands_in_the_row_and_is_told(prepared):
    training = prepared(epochs=4)
    training.recipe = Wrapped(training.recipe, lambda _, it: {**it, "accuracy/gaussian": torch.tensor(0.99)})
    training.display = Told()
    rows = rows_of(trained(training))
    assert [sum("discriminator has separated" in it for it in row.get("warnings", [])) for row in rows] == [0, 0, 1, 0]
    assert training.display.warnings == [row.get("warnings", []) for row in rows]


def test_looking_at_validation_data_changes_no_weight(prepared):
    looked, blind = prepared("looked"), prepared("blind")
    blind.validate = lambda model, epoch: {}
    assert_same_weights(weights(trained(looked)), weights(trained(blind)))


def test_validation_looks_at_the_average_where_there_is_one(prepared):
    looked_at = []
    training = prepared(ema=0.9)
    training.validate = lambda model, epoch: looked_at.append(model) or {}
    trained(training)
    assert all(model is training.evaluated for model in looked_at)
    assert training.evaluated is not training.model
    assert any(
        not torch.equal(mine, theirs)
        for mine, theirs in zip(training.evaluated.parameters(), training.model.parameters(), strict=True)
    )


def test_the_average_follows_every_step(prepared):
    training = prepared(ema=0.5)
    training.display = Told(lambda: bias_of(training.model))
    average = bias_of(training.model)
    trained(training)
    for step, value in enumerate(training.display.looks):
        decay = min(0.5, (step + 1) / (step + 10))
        average = decay * average + (1 - decay) * value
    assert torch.allclose(bias_of(training.evaluated), average, atol=1e-6)


def test_the_average_changes_no_weight(prepared):
    assert_same_weights(weights(trained(prepared("with", ema=0.9))), weights(trained(prepared("without"))))


def test_same_seed_same_bits_other_seed_others(prepared):
    first, second, other = (trained(prepared(name, seed=seed)) for name, seed in [("a", 3), ("b", 3), ("c", 4)])
    assert_same_weights(weights(first), weights(second))
    assert rows_of(first) == rows_of(second)
    assert rows_of(first)[0]["reconstruction"] != rows_of(other)[0]["reconstruction"]


class Wasteful(Told):
    """Draws random numbers after each step."""

    def stepped(self, epoch, step):
        super().stepped(epoch, step)
        torch.rand(step)


def test_noise_depends_on_seed_and_step_alone(prepared):
    plain = trained(prepared(input_noise=0.5))
    wasteful = prepared("wasteful", input_noise=0.5)
    wasteful.display = Wasteful()
    assert_same_weights(weights(plain), weights(trained(wasteful)))


# Stopping and going on.


@pytest.mark.parametrize("step", [3, *(pytest.param(it, marks=pytest.mark.slow) for it in (1, 4, 6, 11))])
def test_stopped_after_any_step_and_resumed_it_ends_the_same(prepared, step):
    whole = trained(prepared("whole", ema=0.9))
    stopped = trained(stopping(prepared(ema=0.9), step))
    assert not stopped.finished_by_run
    assert latest(stopped.keeper.folder.checkpoints).name == f"step-{step:08d}"
    assert len(rows_of(stopped)) == step // STEPS
    again = resumed(prepared(ema=0.9))
    assert_same_weights(weights(again), weights(whole))
    assert_same_weights(again.evaluated.state_dict(), whole.evaluated.state_dict())
    assert rows_of(again) == rows_of(whole)


def test_asked_to_stop_after_the_last_step_it_is_finished(prepared):
    training = trained(stopping(prepared(), 3 * STEPS))
    assert training.finished_by_run
    assert latest(training.keeper.folder.checkpoints).name == "step-00000012"
    assert len(rows_of(training)) == 3


def test_the_speed_of_a_resumed_epoch_is_that_of_its_own_steps(prepared, monkeypatch):
    trained(stopping(prepared(), 3))
    monkeypatch.setattr("time.monotonic", itertools.count().__next__)
    again = resumed(prepared())
    rows = MetricsFile(again.keeper.folder.metrics).rows()
    assert [row["steps_per_second"] * row["seconds"] for row in rows] == [1, STEPS, STEPS]


@pytest.mark.slow
def test_a_warning_given_before_a_stop_is_not_given_again(prepared):
    def winning(training):
        training.recipe = Wrapped(training.recipe, lambda _, it: {**it, "accuracy/gaussian": torch.tensor(0.99)})
        return training

    whole = trained(winning(prepared("whole", epochs=5)))
    trained(stopping(winning(prepared(epochs=5)), 14))
    assert rows_of(resumed(winning(prepared(epochs=5)))) == rows_of(whole)


def test_other_data_is_refused_before_anything_changes(prepared):
    trained(prepared())
    other = prepared(rows=ROWS + 1)
    before, metrics = weights(other), other.keeper.folder.metrics.read_bytes()
    with pytest.raises(CheckpointError, match="the training data differs from the data of this run so far"):
        other.load(read(latest(other.keeper.folder.checkpoints)))
    assert_same_weights(weights(other), before)
    assert other.keeper.folder.metrics.read_bytes() == metrics


def test_another_model_is_refused(prepared):
    trained(prepared())
    other = prepared(network="mlp(hidden=[9])")
    with pytest.raises(CheckpointError, match=r"(?s)does not fit the model .*plugin changed.*size mismatch"):
        other.load(read(latest(other.keeper.folder.checkpoints)))


# Losses that are not finite.


def with_nan(training, at, name="generator/gaussian"):
    def change(step, losses):
        return {**losses, name: torch.tensor(math.nan)} if step == at else losses

    training.recipe = Wrapped(training.recipe, change)
    return training


def assert_last_checkpoint_is_finite(training, name):
    found = latest(training.keeper.folder.checkpoints)
    assert found.name == name
    saved = read(found)
    assert all(bool(torch.isfinite(value).all()) for part in (saved.model, saved.optimizer) for value in part.values())


@pytest.mark.slow
@pytest.mark.parametrize(("at", "checkpoint"), [(0, "step-00000000"), (6, "step-00000004"), (11, "step-00000008")])
def test_a_loss_that_is_not_finite_stops_the_run_at_the_last_good_checkpoint(prepared, at, checkpoint):
    training = with_nan(prepared(), at)
    with pytest.raises(TrainingDiverged, match=f"step {at}: the loss of the generator phase, block 'gaussian'"):
        trained(training)
    assert_last_checkpoint_is_finite(training, checkpoint)
    assert len(rows_of(training)) == at // STEPS
    assert_same_weights(weights(resumed(prepared())), weights(trained(prepared("whole"))))


def test_within_a_long_epoch_it_is_noticed_after_fifty_steps(prepared):
    training = with_nan(prepared(batch_size=1), 3)
    training.display = Told()
    with pytest.raises(TrainingDiverged, match="step 3:"):
        trained(training)
    assert len(training.display.steps) < 50


def test_asked_to_stop_after_a_bad_loss_nothing_bad_is_saved(prepared):
    training = stopping(with_nan(prepared(), 5), 7)
    with pytest.raises(TrainingDiverged, match="step 5:"):
        trained(training)
    assert_last_checkpoint_is_finite(training, "step-00000004")


def spoil_weight(training):
    torch.nn.init.constant_(next(training.model.discriminators.parameters()), math.inf)


def spoil_optimizer(training):
    state = training.optimizers["discriminator"].state
    next(iter(state.values()))["exp_avg_sq"].fill_(math.inf)


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        (spoil_weight, r"model.discriminators.gaussian.body.layers.0.weight"),
        (spoil_optimizer, r"optimizer.discriminator.0.exp_avg_sq"),
    ],
)
def test_weights_and_optimizers_that_are_not_finite_are_not_saved(prepared, spoil, name):
    training = prepared()

    def change(step, losses):
        if step == 7:  # after the last losses of the epoch, so that all losses are finite
            spoil(training)
        return losses

    training.recipe = Wrapped(training.recipe, change)
    with pytest.raises(TrainingDiverged, match=f"step 8: {name} is not finite"):
        trained(training)
    assert_last_checkpoint_is_finite(training, "step-00000004")


def test_weights_that_are_not_finite_are_named_before_validation_looks_at_codes(prepared):
    def change(step, losses):
        if step == 7:
            torch.nn.init.constant_(training.model.encoder.heads.linear["gaussian"].bias, math.inf)
        return losses

    training = prepared()
    training.recipe = Wrapped(training.recipe, change)
    with pytest.raises(TrainingDiverged, match=r"step 8: model\.encoder\.heads\.linear\.gaussian\.bias is not finite"):
        trained(training)
    assert_last_checkpoint_is_finite(training, "step-00000004")


def test_finite_weights_with_codes_that_are_not_finite_are_divergence_too(prepared):
    training = prepared(batch_size=80, optimizers={"generator": {"name": "adam", "lr": 1e38}})
    with pytest.raises(TrainingDiverged, match="step 1: what the model gives for the validation rows is not finite"):
        trained(training)
    assert_last_checkpoint_is_finite(training, "step-00000000")


def test_a_row_is_never_written_with_what_is_not_finite(prepared):
    training = prepared()
    training.validate = lambda model, epoch: {"mismatch/gaussian": math.nan if epoch == 1 else 1.0}
    with pytest.raises(TrainingDiverged, match="step 8: mismatch/gaussian is not finite"):
        trained(training)
    assert [row["epoch"] for row in rows_of(training)] == [1]
    assert_last_checkpoint_is_finite(training, "step-00000004")


# Learning rates.


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        ({"lr": 2.0}, [2.0] * 8),
        ({"lr": 2.0, "milestones": [2, 5], "gamma": 0.5}, [2, 2, 1, 1, 1, 0.5, 0.5, 0.5]),
        ({"lr": 2.0, "anneal_from": 0.5}, [2, 2, 2, 2, 2, 1.5, 1, 0.5]),
        ({"lr": 2.0, "anneal_from": 0.0}, [2, 1.75, 1.5, 1.25, 1, 0.75, 0.5, 0.25]),
        ({"lr": 2.0, "milestones": [6], "gamma": 0.1, "anneal_from": 0.5}, [2, 2, 2, 2, 2, 1.5, 0.1, 0.05]),
    ],
    ids=["constant", "milestones", "annealed", "annealed-throughout", "both"],
)
def test_the_rate_of_each_epoch(rate, expected):
    table = optimizer({"name": "sgd", **rate})
    assert [table.at(epoch, 8) for epoch in range(8)] == pytest.approx(expected)


def test_each_phase_trains_at_the_rate_of_its_epoch(prepared):
    optimizers = {
        "reconstruction": {"name": "sgd", "lr": 0.1, "milestones": [1], "gamma": 0.5},
        "generator": {"name": "adam", "lr": 0.2, "anneal_from": 0.0},
    }
    training = prepared(optimizers=optimizers)
    training.display = Told(lambda: {name: it.param_groups[0]["lr"] for name, it in training.optimizers.items()})
    trained(training)
    looks = training.display.looks[STEPS - 1 :: STEPS]
    assert [it["reconstruction"] for it in looks] == pytest.approx([0.1, 0.05, 0.05])
    assert [it["generator"] for it in looks] == pytest.approx([0.2, 0.4 / 3, 0.2 / 3])
    assert [it["discriminator"] for it in looks] == pytest.approx([0.001, 0.001, 0.001 * (1 / 3) / 0.5])


# Precision.


def test_bf16_gives_other_losses_but_weights_and_losses_stay_float32(prepared):
    dtypes = []
    training = prepared("bf16", precision="bf16", ema=0.9)
    training.recipe = Wrapped(
        training.recipe, lambda _, losses: dtypes.extend(it.dtype for it in losses.values()) or losses
    )
    trained(training)
    assert set(dtypes) == {torch.float32}
    saved = read(latest(training.keeper.folder.checkpoints))
    tensors = {**saved.model, **saved.optimizer}
    assert {value.dtype for value in tensors.values()} == {torch.float32}
    full = trained(prepared("fp32", ema=0.9))
    first, second = rows_of(training)[0]["reconstruction"], rows_of(full)[0]["reconstruction"]
    assert first != second
    assert first == pytest.approx(second, rel=0.05)


class TwoPhases:
    """Looks at a fixed input through a layer before and after the layer's own update."""

    def __init__(self):
        self.layer, self.x = torch.nn.Linear(4, 1), torch.ones(1, 4)
        self.dtype = None

    def step(self, batch):
        before = self.layer(self.x).sum()
        before.backward()
        with torch.no_grad():
            for parameter in self.layer.parameters():
                parameter.sub_(parameter.grad)
        after = self.layer(self.x).sum()
        self.dtype = after.dtype
        return {"moved": (after - before).detach()}


def test_a_phase_sees_what_the_phase_before_it_has_changed(prepared):
    training = prepared(precision="bf16", epochs=1, batch_size=80)
    training.recipe = TwoPhases()
    moved = rows_of(trained(training))[0]["moved"]
    assert training.recipe.dtype == torch.bfloat16
    assert moved == pytest.approx(-5.0, abs=0.1)
