"""Every optimizer and scheduler of the installed torch: accepted and resumed to the same bits, or refused by name."""

from __future__ import annotations

import copy
import functools
import pickle
import re
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from aaeframe.assembly.optimizers import build_optimizers, refuse_uncapturable
from aaeframe.assembly.training import prepare
from aaeframe.components.registry import Registry
from aaeframe.configuration import optimizers as known
from aaeframe.configuration.resolve import resolve
from aaeframe.configuration.schema import parse
from aaeframe.data import from_arrays
from aaeframe.errors import CheckpointError, ConfigError, DeviceError
from aaeframe.seeds import stream
from aaeframe.storage.checkpoint import latest, read
from aaeframe.storage.run_folder import RunFolder
from aaeframe.training.keeping import InFolder
from aaeframe.training.optimizers import change, eager, load_optimizer, optimizer_tensors, schedules

ROWS = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
OPTIMIZERS = [name for name, refusal in known.optimizer_refusals().items() if refusal is None]
SCHEDULERS = [name for name, refusal in known.scheduler_refusals().items() if refusal is None]
MORE_STATE = {
    "adam": {"amsgrad": True},
    "adamw": {"amsgrad": True},
    "rmsprop": {"momentum": 0.9, "centered": True},
    "asgd": {"t0": 2.0},
    "adagrad": {"initial_accumulator_value": 0.5},
    "sgd": {"nesterov": True},
}
"""Options by which an optimizer keeps more state, or uses it sooner, than by default."""
CHANGING = {
    "ConstantLR": {"total_iters": 2},
    "CosineAnnealingLR": {"T_max": 2},
    "CosineAnnealingWarmRestarts": {"T_0": 2},
    "CyclicLR": {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 1},
    "ExponentialLR": {"gamma": 0.5},
    "MultiStepLR": {"milestones": [1]},
    "OneCycleLR": {"max_lr": 0.1, "total_steps": 3},
    "StepLR": {"step_size": 1},
}
"""Options by which a scheduler changes the rate within three epochs."""


@pytest.fixture(scope="module")
def registry():
    return Registry.load()


@pytest.fixture
def prepared(tmp_path, registry):
    """Makes a training of three epochs of two steps, every phase with this optimizer."""

    def make(folder, optimizer):
        config = parse(
            {
                "prior": "gaussian(size=2)",
                "network": "mlp(hidden=[4])",
                "discriminator": "mlp(hidden=[4])",
                "training": {"epochs": 3, "batch_size": 8, "checkpoint_every": 3, "device": "cpu"},
                "optimizers": dict.fromkeys(("reconstruction", "discriminator", "generator"), optimizer),
            }
        )
        path = tmp_path / folder
        path.mkdir(exist_ok=True)
        training = prepare(resolve(config, registry), from_arrays(ROWS))
        training.keeper = InFolder(RunFolder(path))
        return training

    return make


def run(training):
    with stream(0, "training"):
        training.run()
    return read(latest(training.keeper.folder.checkpoints))


def stopped_and_resumed(prepared, optimizer):
    """The last checkpoint of a training that was stopped within its second epoch and resumed by another."""
    first = prepared("stopped", optimizer)
    first.stop_asked = lambda: first.batches.step == 3
    saved = run(first)
    assert saved.state["step"] == 3
    second = prepared("stopped", optimizer)
    with stream(1, "another random state"):
        second.load(saved)
        second.run()
    return read(latest(second.keeper.folder.checkpoints))


def assert_same_bits(found, expected):
    assert found.state["step"] == expected.state["step"] == 6
    for mine, theirs in ((found.model, expected.model), (found.optimizer, expected.optimizer)):
        assert mine.keys() == theirs.keys()
        assert [name for name in mine if not torch.equal(mine[name], theirs[name])] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_resumes_to_the_same_bits(prepared, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer = {"name": name, **MORE_STATE.get(name, {})}
        whole = run(prepared("whole", optimizer))
        assert any(key.startswith("optimizer.generator.0.") for key in whole.optimizer), "it keeps a state"
        assert_same_bits(stopped_and_resumed(prepared, optimizer), whole)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_scheduler_resumes_to_the_same_bits(prepared, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer = {"name": "sgd", "lr": 0.1, "scheduler": {"name": name, **CHANGING.get(name, {})}}
        whole = prepared("whole", optimizer)
        assert len({schedules(whole.config)["generator"](epoch)["lr"] for epoch in range(3)}) > 1
        assert_same_bits(stopped_and_resumed(prepared, optimizer), run(whole))


def test_momentum_that_a_scheduler_gives_is_resumed(prepared):
    cycled = {"name": "OneCycleLR", "max_lr": 0.1, "total_steps": 3}
    optimizer = {"name": "sgd", "momentum": 0.0, "scheduler": cycled}
    whole = run(prepared("whole", optimizer))
    assert any(key.endswith("momentum_buffer") for key in whole.optimizer)
    assert_same_bits(stopped_and_resumed(prepared, optimizer), whole)


@pytest.mark.parametrize("name", [it for it in known.optimizers() if it not in OPTIMIZERS])
def test_a_refused_optimizer_cannot_train_a_linear_layer(name):
    layer = nn.Linear(3, 2)
    layer(torch.ones(1, 3)).sum().backward()
    with pytest.raises((TypeError, ValueError, RuntimeError), match=r"closure|2D parameters|dense gradients"):
        known.optimizers()[name](layer.parameters()).step()


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (
            "lbfgs",
            "optimizers.generator: lbfgs evaluates the losses anew within a step, which no recipe does; there are",
        ),
        ("SparseAdam", "sparseadam takes sparse gradients only"),
        ("muon", "muon takes matrices only, and a network has biases; there are adadelta, adafactor, "),
        ("rmsprob", "there is no 'rmsprob'; did you mean 'rmsprop'?; there are adadelta, "),
        ("rmsprop(alpha=2, foreach=true)", "optimizers.generator: unknown key 'foreach'; known: lr, "),
        ("rmsprop(centred=true)", "optimizers.generator: unknown key 'centred'; did you mean 'centered'?"),
        ('rmsprop(alpha="x")', "optimizers.generator.alpha: should be a valid number, found 'x'"),
        ("rmsprop(momentum=1.5)", "optimizers.generator.momentum: should be less than 1, found 1.5"),
        ("rprop(etas=[0.5])", "optimizers.generator.etas.1: is missing"),
        ("adafactor(eps=[1e-30, 1e-3, 1])", "optimizers.generator.eps: "),
    ],
)
def test_an_optimizer_that_does_not_exist_so_is_refused(optimizer, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        parse({"optimizers": {"generator": optimizer}})


@pytest.mark.parametrize(
    ("scheduler", "message"),
    [
        (
            "ReduceLROnPlateau",
            "ReduceLROnPlateau follows a measurement (metrics), not the epoch; there are ConstantLR, ",
        ),
        ("LambdaLR", "LambdaLR needs Python objects (lr_lambda), which a configuration cannot hold"),
        ("ChainedScheduler", "ChainedScheduler needs Python objects (schedulers)"),
        ("SteppLR", "there is no 'SteppLR'; did you mean 'StepLR'?; there are ConstantLR, "),
        ({"step_size": 3}, "has no name; there are ConstantLR, "),
        ({"name": 3}, "there is no 3; there are ConstantLR, "),
        (3, "must be a table, found 3"),
        ("StepLR", ".step_size: is missing"),
        ("StepLR(step_size=2.5)", ".step_size: should be a valid integer, found 2.5"),
        ("StepLR(step=2)", "unknown key 'step'; did you mean 'step_size'?"),
        ('CyclicLR(base_lr=0.1, max_lr=1, scale_fn="eval")', "unknown key 'scale_fn'; "),
        ('OneCycleLR(max_lr=0.1, anneal_strategy="sin")', ".anneal_strategy: should be 'cos' or 'linear', found 'sin'"),
    ],
)
def test_a_scheduler_that_does_not_exist_so_is_refused(scheduler, message):
    with pytest.raises(ConfigError, match=r"optimizers\.generator\.scheduler") as caught:
        parse({"optimizers": {"generator": {"scheduler": scheduler}}})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("scheduler", "message"),
    [
        ("OneCycleLR(max_lr=0.1, total_steps=3)", "Tried to step 4 times. The specified number of total steps is 3"),
        ("OneCycleLR(max_lr=0.1)", "You must define either total_steps OR"),
        ("StepLR(step_size=0)", "by zero; its options are step_size, gamma"),
        ("ExponentialLR(gamma=-0.5)", "ExponentialLR gives the learning rate -0.005 in epoch 2"),
        ("ExponentialLR(gamma=1e300)", "ExponentialLR gives the learning rate inf in epoch 3"),
    ],
)
def test_a_scheduler_that_torch_refuses_is_refused_before_training(scheduler, message):
    config = parse({"optimizers": {"generator": f"sgd(scheduler='{scheduler}')"}, "training": {"epochs": 5}})
    with pytest.raises(ConfigError, match=r"optimizers\.generator\.scheduler: ") as caught:
        schedules(config)
    assert message in str(caught.value)


def test_a_scheduler_that_cycles_momentum_needs_one():
    scheduler = "CyclicLR(base_lr=0.1, max_lr=1)"
    config = parse({"optimizers": {"generator": f"adagrad(scheduler='{scheduler}')"}})
    with pytest.raises(ConfigError, match="optimizer must support momentum or beta1 with `cycle_momentum`"):
        schedules(config)


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        ("adadelta(rho=2)", "optimizers.a: adadelta refuses {'rho': 2.0, "),
        ("adadelta(rho=2)", "Invalid rho value: 2.0; its options are lr, rho, eps, weight_decay"),
        ("sgd(momentum=0, nesterov=true)", "Nesterov momentum requires a momentum and zero dampening"),
    ],
)
def test_what_torch_refuses_is_an_error_of_the_configuration(optimizer, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        build_optimizers(parse({"optimizers": {"a": optimizer}}), {"a": [nn.Parameter(torch.zeros(2))]})


def test_a_scheduler_changes_the_rate_and_the_momentum_as_torch_does():
    options = {"max_lr": 1.0, "total_steps": 4}
    table = {"name": "sgd", "scheduler": {"name": "onecyclelr", **options}}
    schedule = schedules(parse({"optimizers": {"a": table}, "training": {"epochs": 4}}))["a"]
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.01, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, **options)
    for epoch in range(4):
        group = optimizer.param_groups[0]
        assert schedule(epoch) == {"lr": group["lr"], "momentum": group["momentum"]}
        optimizer.step()
        scheduler.step()


def test_a_scheduler_replaces_milestones_and_annealing():
    adam = {"scheduler": "StepLR(step_size=2)"}
    config = parse({"optimizers": {"a": adam}, "training": {"epochs": 4}})
    assert config.optimizers["a"].anneal_from == 1
    assert [schedules(config)["a"](epoch)["lr"] for epoch in range(4)] == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4])
    with pytest.raises(ConfigError, match=r"optimizers.a: milestones=\[3\] and anneal_from=0.5 is not used with"):
        parse({"optimizers": {"a": {**adam, "anneal_from": 0.5, "milestones": [3]}}})


@pytest.mark.parametrize("name", ["adafactor", "adagrad"])
def test_an_optimizer_that_no_graph_captures_is_refused_with_one(name):
    with pytest.raises(DeviceError, match=rf"optimizers.b: {name} cannot be captured .* training.cuda_graph=false"):
        refuse_uncapturable(parse({"optimizers": {"a": "rmsprop", "b": name}}))


def test_a_momentum_that_a_captured_step_would_not_see_is_refused():
    cycle = "CyclicLR(base_lr=0.1, max_lr=1{})"
    with pytest.raises(DeviceError, match="a captured step would not see the momentum that CyclicLR changes"):
        refuse_uncapturable(parse({"optimizers": {"a": {"scheduler": cycle.format("")}}}))
    refuse_uncapturable(parse({"optimizers": {"a": {"scheduler": cycle.format(", cycle_momentum=false")}}}))


def stepped(name, shape=(2, 3), **options):
    """An optimizer of one parameter after a step."""
    parameter = nn.Parameter(torch.ones(shape))
    optimizer = build_optimizers(parse({"optimizers": {"a": {"name": name, **options}}}), {"a": [parameter]})["a"]
    parameter.grad = torch.full_like(parameter, 0.5)
    optimizer.step()
    return optimizer


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_schedule_is_taken_where_a_later_rate_changes_something(name):
    def weight_at(rate):
        optimizer = stepped(name)
        change(optimizer, {"lr": rate})
        for _ in range(2):  # ASGD uses a rate from the next step on
            optimizer.step()
        return optimizer.param_groups[0]["params"][0].detach()

    schedule = {"milestones": [1]}
    if torch.equal(weight_at(1e-3), weight_at(1e-4)):
        with pytest.raises(ConfigError, match=f"{name} uses lr for its first step alone"):
            parse({"optimizers": {"a": {"name": name, **schedule}}})
    else:
        parse({"optimizers": {"a": {"name": name, **schedule}}})


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_state_of_another_shape_or_name_is_refused(name):
    optimizer = stepped(name)
    tensors = {f"p.{key}": value for key, value in optimizer_tensors(optimizer).items()}
    load_optimizer(optimizer, tensors, "p.")
    for key, value in tensors.items():
        for wrong in (
            {**tensors, key: value.new_zeros(5)},
            {**tensors, "p.0.other": value},
            {**tensors, "p.1.x": value},
        ):
            with pytest.raises((ValueError, LookupError)):
                load_optimizer(optimizer, wrong, "p.")
        lacking = {other: it for other, it in tensors.items() if other != key}
        if lacking:
            with pytest.raises(ValueError, match=rf"p.0 holds .*, where {type(optimizer).__name__} keeps "):
                load_optimizer(optimizer, lacking, "p.")


@pytest.mark.slow
def test_the_state_of_another_optimizer_is_refused(prepared):
    first = prepared("run", "adam")
    saved = run(first)
    with pytest.raises(CheckpointError, match=r"exp_avg \(.*\), .* where SGD keeps momentum_buffer"):
        prepared("run", "sgd").load(saved)
    prepared("run", "adamw").load(saved)


def test_values_of_a_state_that_are_no_tensors_are_not_dropped():
    optimizer = stepped("adam")
    next(iter(optimizer.state.values()))["count"] = 3
    with pytest.raises(TypeError, match=r"Adam has values that are not tensors: 0.count"):
        optimizer_tensors(optimizer)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_gives_the_bits_of_torchs(name):
    """Without torch's guards; its profile hooks stay."""
    found = {}
    for kind in (known.optimizers()[name], eager(known.optimizers()[name])):
        weight = nn.Parameter(torch.linspace(-1, 1, 12).view(3, 4))
        optimizer = kind([weight], lr=0.1)
        stepped = []
        optimizer.register_step_post_hook(lambda *_, stepped=stepped: stepped.append(1))
        for step in range(3):
            optimizer.zero_grad()
            (weight * (step + 1)).square().sum().backward()
            optimizer.step()
        found[kind] = [weight.detach(), *optimizer_tensors(optimizer).values()]
        assert stepped == [1, 1, 1]
        assert not weight.grad_fn
        assert (type(optimizer).__name__.lower(), isinstance(optimizer, known.optimizers()[name])) == (name, True)
    theirs, ours = found.values()
    assert len(theirs) == len(ours)
    assert all(map(torch.equal, theirs, ours))


def test_what_others_have_put_around_a_step_stays(monkeypatch):
    calls = []

    @functools.wraps(torch.optim.SGD.step)
    def counted(self, closure=None):
        calls.append(1)

    monkeypatch.setattr(torch.optim.SGD, "step", counted)
    eager(torch.optim.SGD)([nn.Parameter(torch.ones(1))]).step()
    assert calls == [1]


@pytest.mark.parametrize("again", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))], ids=["copy", "pickle"])
@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_an_optimizer_can_be_copied_and_pickled(name, again):
    weight = nn.Parameter(torch.ones(3))
    optimizer = eager(known.optimizers()[name])([weight], lr=0.1)
    weight.grad = torch.ones(3)
    optimizer.step()
    found = again(optimizer)
    assert type(found) is type(optimizer) is eager(known.optimizers()[name])
    mine, theirs = optimizer_tensors(optimizer), optimizer_tensors(found)
    assert mine.keys() == theirs.keys()
    assert [it for it in mine if not torch.equal(mine[it], theirs[it])] == []
    (copied,) = found.param_groups[0]["params"]
    copied.grad = weight.grad = torch.ones(3)
    found.step()
    optimizer.step()
    assert torch.equal(copied, weight)
    assert copied is not weight
