"""Two processes train what one trains: equal to each other bit for bit, and to one process up to rounding."""

from __future__ import annotations

import pytest
import torch
import workers
from launching import launched, results

TRAINING = {"batch_size": 40, "device": "cpu", "epochs": 2}
DESCENT = "sgd(lr=0.01)"
NORM = {
    "network": 'mlp(hidden=[16], batch_norm="everywhere")',
    # A bias before batch norm has a gradient of rounding errors alone, which Adam would scale to its learning rate.
    "optimizers": {"reconstruction": DESCENT, "discriminator": DESCENT, "generator": DESCENT},
}
JOINT = {"optimizers": {"autoencoder": DESCENT, "discriminator": DESCENT}, "training": {"schedule": "joint"}}


def case(prior="gaussian", recipe="unsupervised", labels=0, *, training=None, objects=None, **more):
    """A configuration, and the arguments of `workers.steps` that choose images and objects."""
    table = {
        "prior": prior,
        "recipe": recipe,
        **workers.SMALL,
        "data": {"labels": labels},
        "training": {
            **TRAINING,
            **({"labeled_batch_size": 20} if labels and recipe != "supervised" else {}),
            **(training or {}),
        },
        **more,
    }
    return {"table": table, **(objects or {})}


CLASS = "y=categorical+z=gaussian"
FOLLOWING = {"y": {"component": "categorical", "options": {"follow": 0.1}}, "z": "gaussian"}
INFORMED = {"label_free": {"mutual_information": 0.5}}
CASES = {
    "labels, penalty, average": case("mixture", labels=50, training={"gradient_penalty": 1.0, "ema": 0.9}),
    "joint, batch norm": case(**{**NORM, **JOINT}),
    "supervised, batch norm": case(recipe="supervised", **NORM),
    "convolution, batch norm": case(
        objects={"images": True}, **{**NORM, "network": 'conv(channels=[4], hidden=8, batch_norm="everywhere")'}
    ),
    "semi-supervised": case(CLASS, "semi-supervised", 50, **INFORMED),
    "semi-supervised, joint, batch norm": case(CLASS, "semi-supervised", 50, **{**INFORMED, **NORM, **JOINT}),
    "clustering, following": case(FOLLOWING, "clustering", **INFORMED),
    "reduction": case(CLASS, "reduction", training={"schedule": "joint"}),
    "variational": case("mixture", "variational", encoder="gaussian"),
    "trained prior": case("gaussian", objects={"learned": True}),
    "penalty, batch norm": case(
        objects={"normed": True}, **{**NORM, "discriminator": None}, training={"gradient_penalty": 5.0}
    ),
}


@pytest.fixture(scope="module")
def stepped(tmp_path_factory):
    """The digests of two processes by case, and the folder of what they wrote."""
    folder = tmp_path_factory.mktemp("stepped")
    return results(launched(folder, workers.several_steps, CASES, str(folder))), folder


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The folder of what one process wrote."""
    folder = tmp_path_factory.mktemp("alone")
    results(launched(folder, workers.several_steps, CASES, str(folder), size=1))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_two_processes_train_what_one_trains(stepped, alone, name):
    (first, second), folder = stepped
    assert first[name] == second[name], "bit for bit"
    both, one = (torch.load(it / name / "0.pt") for it in (folder, alone))
    assert both["gradients"].keys() == one["gradients"].keys()
    for phase, expected in one["gradients"].items():
        found = both["gradients"][phase]
        assert (found - expected).norm() <= 1e-5 * expected.norm(), phase
    for weight, expected in one["weights"].items():
        torch.testing.assert_close(both["weights"][weight].float(), expected.float(), rtol=1e-4, atol=1e-4, msg=weight)
    assert both["losses"] == pytest.approx(one["losses"], rel=1e-4, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["labels, penalty, average", "reduction", "trained prior"])
def test_a_step_exchanges_each_gradient_once(stepped, name):
    (first, _), _ = stepped
    assert first[name]["moved"] == first[name]["expected"] > 0


NOISY = {
    "encoder": "universal(hidden=[8])",
    "network": 'mlp(hidden=[16], batch_norm="everywhere")',
    "label_free": {"virtual_adversarial": 1.0, "mutual_information": 0.1},
}
LONG = {"ema": 0.9, "input_noise": 0.1, "input_dropout": 0.2, "gradient_penalty": 0.1}


def noisy(recipe, schedule, labels, prior=CLASS, steps=200, **more):
    """A run of many steps with noise, dropout, label-free terms where there is a class, batch norm and an average."""
    table = (
        case(prior, recipe, labels, training={**LONG, "steps": steps, "schedule": schedule}, **NOISY)["table"] | more
    )
    if recipe in ("unsupervised", "supervised", "variational"):
        del table["label_free"]
    if recipe == "variational":
        del table["discriminator"], table["training"]["gradient_penalty"]
    del table["training"]["epochs"]  # which follow from the steps
    return table


FEW = {"semi-supervised": noisy("semi-supervised", "alternating", 50, steps=50)}
EVERY = {
    "unsupervised": noisy("unsupervised", "alternating", 50, "mixture"),
    "unsupervised, joint": noisy("unsupervised", "joint", 0, "swissroll"),
    "supervised": noisy("supervised", "alternating", 0, "gaussian"),
    "supervised, joint": noisy("supervised", "joint", 0, "gaussian"),
    "semi-supervised, joint": noisy("semi-supervised", "joint", 50),
    "clustering": noisy("clustering", "alternating", 0, FOLLOWING),
    "clustering, joint": noisy("clustering", "joint", 0, FOLLOWING),
    "reduction": noisy("reduction", "alternating", 50),
    "reduction, joint": noisy("reduction", "joint", 0),
    "variational": noisy("variational", "joint", 0, "mixture", encoder="gaussian"),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cases", "steps"), [(FEW, 50), pytest.param(EVERY, 200, marks=pytest.mark.slow)], ids=["one", "every recipe"]
)
def test_processes_are_equal_bit_for_bit_after_many_steps(tmp_path, cases, steps):
    first, second = results(launched(tmp_path, workers.trained, cases))
    assert first.keys() == cases.keys()
    assert first == second
    assert all(rows[-1]["step"] == steps for _, rows in first.values())


def test_exchanges_between_three_processes(tmp_path):
    every = results(launched(tmp_path, workers.exchanged, size=3))
    assert [it["together"] for it in every] == [0, 1, 2]
    for rank, found in enumerate(every):
        assert found["size"] == 3
        assert found["rows"] == [[2.0 * row, 2.0 * row + 1] for row in range(7)], "as many as do not divide by 3"
        assert found["gathered gradient"] == [3 * 2.0 * (rank + 1)] * 2, "of the losses of all: 0 + 1 + 2 times"
        assert (found["averaged"], found["averaged gradient"]) == (1.0, 1.0)
        assert found["agreed"] == [2, 0]
        assert found["first"] == {"rank": 0, "text": "é ü"}
        assert found["one fails"] == ["DataError", "process 1 of 3: no rows"]
        assert found["all fail"] == ["ConfigError", "no"]
        assert found["special"] == ["DataError", "process 1 of 3: no column"]
        assert found["first fails"] == ["DataError", "full"]
        lost = ["KeyError", "'lost'"] if rank == 2 else ["ProcessError", "process 2 of 3 failed: KeyError: 'lost'"]
        assert found["unknown"] == lost
        assert found["same"][0] == "ProcessError"
        assert "different facts: a.b is 0 in process 0 and 1 in process 2." in found["same"][1]
        assert "step 9: the processes have different values of second" in found["tensors"][1]
        assert found["losses"][0] == found["losses"][1] == every[0]["losses"][0], "bit for bit, in whatever parts"
        assert found["after"] == [0, 1]


@pytest.mark.slow
def test_a_training_follows_an_error_of_all_processes_but_none_of_one(tmp_path):
    table = {"prior": "gaussian", "network": "mlp(hidden=[8])", "training": {"epochs": 1, "batch_size": 20}}
    first, second = results(launched(tmp_path, workers.one_after_another, table))
    assert any("inside another" in it for it in first[0])
    assert second[0] == []
    assert first[1] == second[1]
    assert first[1][0] == "ConfigError"
    assert first[2] == second[2]
    assert first[2][0] == "TrainingDiverged"
    assert first[3] == [[], [], [2, 2]], "two threads train one after the other, each in two processes"
    assert second[3] == [[], [], []], "observers are called in the first"
    assert first[4] == ["ProcessError", "process 1 of 2 failed: ValueError: a component is broken"]
    assert second[4] == ["ValueError", "a component is broken"]
    for found in (first, second):
        assert found[5][0] == "ProcessError"
        assert "an earlier training of this launch failed in one process; start the launch again" in found[5][1]


def test_a_process_group_of_the_caller_is_an_error(tmp_path):
    for kind, message in results(launched(tmp_path, workers.beside_a_group)):
        assert kind == "ConfigError"
        assert "torch.distributed has a process group already" in message
