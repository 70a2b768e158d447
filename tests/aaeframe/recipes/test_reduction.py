"""Section 7: W_C y + z, and cluster heads that keep their distance."""

from __future__ import annotations

import math
import re

import pytest
import torch

from aaeframe.errors import ConfigError
from aaeframe.recipes.reduction import repulsion

SCHEDULES = ["alternating", "joint"]
HEADS = "representation.weight"
PHASES = {
    "alternating": ["reconstruction", "discriminator", "generator", "classification", "consistency", "heads"],
    "joint": ["discriminator", "autoencoder", "heads"],
}


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_heads_learn_to_reconstruct_and_then_to_stand_apart(prepared, watch, schedule):
    training = prepared("reduction", schedule, labels=50, label_free={"mutual_information": 0.1})
    names = {name for name, _ in training.model.named_parameters()}
    encoder = {name for name in names if name.startswith("encoder.")}
    moved = watch.moved(training)
    assert list(moved) == PHASES[schedule]
    assert moved["heads"] == {HEADS}
    if schedule == "joint":
        assert moved["autoencoder"] == encoder | {HEADS} | {it for it in names if it.startswith("decoder.")}
    else:
        assert moved["reconstruction"] == encoder | {HEADS} | {it for it in names if it.startswith("decoder.")}
        assert moved["generator"] == encoder
        assert moved["classification"] == encoder - {it for it in encoder if ".z." in it}
        assert moved["consistency"] == moved["classification"]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("labels", [0, 50])
def test_the_decoder_sees_the_sum_and_nothing_else(prepared, watch, rows, schedule, labels):
    training = prepared("reduction", schedule, labels, prior="y=categorical+z=gaussian(size=3)")
    heads = training.model.representation.weight.detach().clone()
    encodings, decodings = watch.recorded(training.model.encoder), watch.recorded(training.model.decoder)
    training.recipe.step(training.batches.next())
    [((decoded,), _)] = decodings
    code = {name: z[: rows.unlabeled].detach() for name, z in encodings[0][1].items()}
    assert decoded.shape == (rows.unlabeled, 3)
    assert torch.equal(decoded, code["y"] @ heads + code["z"])


def test_what_is_represented_is_what_is_decoded(prepared, rows):
    model = prepared("reduction").model
    code = model.encode(torch.from_numpy(rows.x[:20]))
    assert torch.equal(model.represent(code), code["y"] @ model.representation.weight + code["z"])
    assert torch.equal(model.decode(code), model.unscale(model.decoder(model.represent(code))))


# The repulsion.


def test_the_cost_is_the_shortfall_of_every_pair():
    heads = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0], [100.0, 0.0]])
    assert repulsion(heads, 4.5).item() == pytest.approx((4.5 - 3) + (4.5 - 4))
    assert repulsion(heads, 6.0).item() == pytest.approx((6 - 3) + (6 - 4) + (6 - 5))
    assert repulsion(heads, 3.0).item() == 0


def test_a_pair_too_close_is_pushed_along_its_line_with_unit_strength():
    heads = torch.tensor([[0.0, 0.0], [3.0, 4.0], [50.0, 0.0]], requires_grad=True)
    repulsion(heads, 6.0).backward()
    assert torch.allclose(heads.grad, torch.tensor([[0.6, 0.8], [-0.6, -0.8], [0.0, 0.0]]))


def test_the_pushes_of_several_pairs_add_up():
    heads = torch.randn(6, 3, dtype=torch.double, generator=torch.Generator().manual_seed(0)).requires_grad_()
    repulsion(heads, 2.0).backward()
    expected = torch.zeros_like(heads)
    for i in range(6):
        for j in range(6):
            gap = (heads[i] - heads[j]).detach()
            if i != j and gap.norm() < 2.0:
                expected[i] -= gap / gap.norm()
    assert expected.norm() > 0
    assert torch.allclose(heads.grad, expected)


def test_heads_that_coincide_do_no_harm():
    heads = torch.tensor([[1.0, 1.0], [1.0, 1.0], [1.0, 2.0]], requires_grad=True)
    repulsion(heads, 3.0).backward()
    assert heads.grad.isfinite().all()


def standing(prepared, heads, distance):
    """A training whose heads stand so, moved by plain gradient descent at a rate of 0.5."""
    training = prepared(
        "reduction",
        "joint",
        prior=f"y=categorical(classes={len(heads)})+z=gaussian",
        options={"head_distance": distance},
        optimizers={"heads": "sgd(lr=0.5, momentum=0.0)"},
    )
    with torch.no_grad():
        training.model.representation.weight.copy_(torch.tensor(heads))
    return training


def test_the_phase_pushes_by_its_rate_and_leaves_alone_who_stands_apart(prepared):
    training = standing(prepared, [[0.0, 0.0], [3.0, 4.0], [50.0, 0.0]], distance=6.0)
    losses = training.recipe.repulsion_phase()
    assert losses["repulsion"].item() == pytest.approx(1.0)
    expected = torch.tensor([[-0.3, -0.4], [3.3, 4.4], [50.0, 0.0]])
    assert torch.allclose(training.model.representation.weight, expected)
    again = training.recipe.repulsion_phase()
    assert again["repulsion"].item() == pytest.approx(0.0, abs=1e-5), "5 + 2 x 0.5 apart"
    before = training.model.representation.weight.clone()
    training.recipe.repulsion_phase()
    assert torch.equal(training.model.representation.weight, before)


def test_in_the_end_all_heads_stand_apart(prepared):
    training = standing(prepared, torch.randn(10, 2).tolist(), distance=6.0)
    for _ in range(200):
        losses = training.recipe.repulsion_phase()
    assert torch.pdist(training.model.representation.weight).min() > 5.5
    assert losses["repulsion"] < 0.5


def test_the_distance_is_that_of_the_run_or_6(prepared):
    assert prepared("reduction", options={"head_distance": 2.5}).recipe.head_distance == 2.5
    assert prepared("reduction").recipe.head_distance == 6.0


def test_heads_are_drawn_from_a_standard_normal(prepared):
    weight = prepared("reduction", prior="y=categorical(classes=200)+z=gaussian(size=10)").model.representation.weight
    assert weight.shape == (200, 10)
    assert weight.mean().item() == pytest.approx(0, abs=4 / math.sqrt(2000))
    assert weight.std().item() == pytest.approx(1, abs=0.07)


# What the recipe needs.


@pytest.mark.parametrize(
    ("prior", "found"),
    [
        ("y=categorical", "[]"),
        ("y=categorical+a=gaussian+b=gaussian", "['a', 'b']"),
        ("y=categorical+z=categorical", None),
    ],
)
def test_beside_the_class_there_must_be_one_style_of_real_numbers(prepared, prior, found):
    table = {"training": {"class_block": "y"}}
    with pytest.raises(
        ConfigError, match=re.escape("needs, beside the class 'y', one block of real numbers, found")
    ) as it:
        prepared("reduction", prior=prior, **table)
    assert (found or "['z']") in str(it.value)
    assert "--prior 'categorical+gaussian(size=2)'" in str(it.value)


@pytest.mark.parametrize("style", ["gaussian(size=2)", "swissroll", "mixture"])
@pytest.mark.parametrize("encoder", ["deterministic", "gaussian", "universal(hidden=[8])"])
def test_any_style_of_real_numbers_will_do(prepared, style, encoder):
    training = prepared("reduction", prior=f"y=categorical+z={style}", encoder=encoder)
    assert training.model.represent(training.model.sample_prior(5)).shape == (5, 2)
    assert training.recipe.step(training.batches.next())["reconstruction"].isfinite()
