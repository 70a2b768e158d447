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


def case(prior="gaussian", recipe="unsupervised", labels=0, *, training=None, images=False, learned=False, **more):
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
    return {"table": table, "images": images, "learned": learned}


CLASS = "y=categorical+z=gaussian"
FOLLOWING = {"y": {"component": "categorical", "options": {"follow": 0.1}}, "z": "gaussian"}
INFORMED = {"label_free": {"mutual_information": 0.5}}
CASES = {
    "labels, penalty, average": case("mixture", labels=50, training={"gradient_penalty": 1.0, "ema": 0.9}),
    "joint, batch norm": case(**{**NORM, **JOINT}),
    "supervised, batch norm": case(recipe="supervised", **NORM),
    "convolution, batch norm": case(
        images=True, **{**NORM, "network": 'conv(channels=[4], hidden=8, batch_norm="everywhere")'}
    ),
    "semi-supervised": case(CLASS, "semi-supervised", 50, **INFORMED),
    "semi-supervised, joint, batch norm": case(CLASS, "semi-supervised", 50, **{**INFORMED, **NORM, **JOINT}),
    "clustering, following": case(FOLLOWING, "clustering", **INFORMED),
    "reduction": case(CLASS, "reduction", training={"schedule": "joint"}),
    "variational": case("mixture", "variational", encoder="gaussian"),
    "trained prior": case("gaussian", learned=True),
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
