"""Checks of the optional abilities of a prior: a density, labels, a loss, following codes, binding to an encoder."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn

from aaeframe import supports
from aaeframe.protocols import Prior, SupportsLogProb, SupportsLoss
from aaeframe.testing.case import FALSE_ALARM, fixed_seed, require, seeded
from aaeframe.testing.goodness_of_fit import (
    bridge_p_value,
    frequencies_p_value,
    lines_p_value,
    two_sample_p_value,
)
from aaeframe.testing.modules import hand_over_state
from aaeframe.testing.priors import DATA, ROWS, SHAPES, PriorCase, SmallEncoder, bind, inside, sample_seeded

FOLLOWED: Final = 100
"""The number of minibatches shown to a prior, so that a slow one changes, too."""
CURVED: Final = (
    "cannot be measured on this support, a curved surface: log_prob is a density by area there, and these tests need "
    "one by volume. Test it by hand"
)
TOO_FINE: Final = (
    "cannot be measured: the samples lie in an affine subspace, and the density has too fine a structure to be "
    "integrated along the lines through them. Test it by hand"
)


@seeded
def check_log_prob_shape(case: PriorCase) -> None:
    """`log_prob` maps S + event_shape to S and is finite on samples."""
    prior = case.build()
    for shape in SHAPES:
        log_prob = prior.log_prob(prior.sample(shape))
        require(
            log_prob.shape == shape,
            f"log_prob of {tuple(shape)} samples must have shape {tuple(shape)}, not {tuple(log_prob.shape)}",
        )
        require(bool(log_prob.isfinite().all()), "log_prob must be finite on the prior's own samples")


@seeded
def check_log_prob_fit(case: PriorCase) -> str | None:
    """Samples follow the density, or the probabilities, of `log_prob`; returns the reason if this cannot be tested.

    It cannot be tested on a curved surface, such as a sphere, where `log_prob` is a density by area. In an affine
    subspace, such as the simplex, the constant factor of the density is not tested.
    """
    prior = case.build()

    def draw(count: int) -> Tensor:
        return prior.sample(torch.Size([count])).detach().reshape(count, -1)

    def log_density(points: Tensor) -> Tensor:
        values = points.reshape(len(points), *prior.event_shape)
        possible = inside(prior, values)
        result = torch.full((len(points),), -math.inf, dtype=torch.double)
        with torch.no_grad():  # a prior with parameters would keep a graph of all points
            result[possible] = prior.log_prob(values[possible]).double()
        return result

    if prior.support.is_discrete:
        p_value = frequencies_p_value(draw(20_000), log_density)
    else:
        others = draw(4000)
        if _is_curved(prior, others):
            return CURVED
        lines = lines_p_value(draw(2000), others, log_density)
        bridge = bridge_p_value(draw(10_000), others, log_density)
        if lines is None and bridge is None:
            return TOO_FINE
        p_value = 2 * min(it for it in (lines, bridge) if it is not None)
    require(
        p_value >= FALSE_ALARM,
        f"samples do not follow log_prob (p-value {p_value:.1e}); or log_prob is not normalized over the support; or "
        f"the support, {supports.described(prior.support)}, is larger than where samples lie",
    )
    return None


def _is_curved(prior: Prior, samples: Tensor) -> bool:
    """Whether the support is a curved surface, so that steps from one sample towards another leave it."""
    start, end = samples[::2], samples[1::2]
    points = [(start + share * (end - start)).reshape(len(start), *prior.event_shape) for share in (0.01, 0.5)]
    return all(inside(prior, it).float().mean() < 0.5 for it in points)


@seeded
def check_labels(case: PriorCase) -> None:
    """`sample_labeled(S)` has values S + event_shape and int64 labels S in [0, num_classes)."""
    prior = case.build()
    for shape in SHAPES:
        value, labels = prior.sample_labeled(shape)
        expected = shape + prior.event_shape
        require(value.shape == expected, f"labeled values must have shape {tuple(expected)}, not {tuple(value.shape)}")
        require(labels.shape == shape, f"labels must have shape {tuple(shape)}, not {tuple(labels.shape)}")
        require(labels.dtype == torch.int64, f"labels must be int64, not {labels.dtype}")
    _, labels = prior.sample_labeled(torch.Size([1000]))
    low, high = int(labels.min()), int(labels.max())
    require(low >= 0 and high < prior.num_classes, f"labels must be in [0, {prior.num_classes}), found {low} to {high}")


@seeded
def check_label_classes(case: PriorCase) -> None:
    """Every class occurs among 1000 samples per class."""
    prior = case.build()
    _, labels = prior.sample_labeled(torch.Size([1000 * prior.num_classes]))
    missing = sorted(set(range(prior.num_classes)) - set(labels.tolist()))
    require(not missing, f"of num_classes = {prior.num_classes} classes these never occur: {missing}")


@seeded
def check_label_marginal(case: PriorCase) -> None:
    """The values of `sample_labeled` have the distribution of `sample`."""
    prior = case.build()
    shape = torch.Size([20_000])
    plain, labeled = prior.sample(shape).detach(), prior.sample_labeled(shape).value.detach()
    p_value = two_sample_p_value(plain.reshape(len(plain), -1), labeled.reshape(len(labeled), -1))
    require(p_value >= FALSE_ALARM, f"sample_labeled and sample differ in distribution (p-value {p_value:.1e})")


@seeded
def check_prior_loss(case: PriorCase) -> None:
    """The parameters of the prior are trained: `loss` of codes is a finite scalar with a gradient to each of them.

    A `log_prob` must have one, too, because the recipe "variational" trains by it.
    """
    prior = case.build()
    named = dict(prior.named_parameters()) if isinstance(prior, nn.Module) else {}
    trained = {name: it for name, it in named.items() if it.requires_grad}
    require(bool(trained), "a prior with a loss must be an nn.Module with parameters: nothing else is trained by it")
    require(
        isinstance(prior, SupportsLoss),
        f"nothing would train the parameters {', '.join(trained)}: give the prior loss(code), what they minimize, such "
        "as -self.log_prob(code).mean(); or make them buffers, if they are fixed",
    )
    code = prior.sample(torch.Size([64])).detach()
    loss = prior.loss(code)
    require(loss.shape == (), f"loss(code) must be a scalar, not of shape {tuple(loss.shape)}")
    require(bool(loss.isfinite()), "loss(code) must be finite on codes that are samples of the prior")
    _require_gradients(loss, trained, "loss(code)")
    if isinstance(prior, SupportsLogProb):
        _require_gradients(prior.log_prob(code).mean(), trained, "log_prob")


def _require_gradients(value: Tensor, parameters: Mapping[str, nn.Parameter], name: str) -> None:
    """AssertionError unless the value depends on all parameters, and its gradient is finite and not zero."""
    found = torch.autograd.grad(value, list(parameters.values()), allow_unused=True) if value.requires_grad else ()
    lacking = [key for key, it in zip(parameters, found, strict=True) if it is None] if found else list(parameters)
    require(not lacking, f"{name} must have a gradient to each parameter; it has none to {', '.join(lacking)}")
    finite = all(bool(it.isfinite().all()) for it in found)
    require(finite and any(bool(it.any()) for it in found), f"the gradient of {name} is zero or not finite")


@seeded
def check_bind(case: PriorCase) -> None:
    """A prior that is bound again without rows, and given its state, samples the same; the encoder is no part of it."""
    first, second = case.factory(), case.factory()
    rows = torch.randn(ROWS, *DATA.shape)
    shown = rows.clone()
    encoder = SmallEncoder(first)
    bind(first, encoder, rows)
    require(torch.equal(rows, shown), "bind must leave the rows that it is given as they are")
    bind(second, encoder, None)
    for prior in (first, second):
        owned = set(prior.modules()) & set(encoder.modules()) if isinstance(prior, nn.Module) else set()
        require(not owned, "the encoder must not be a submodule of the prior: keep the function that bind is given")
    if isinstance(first, nn.Module):
        hand_over_state(first, second)
    require(
        torch.equal(sample_seeded(first, 1), sample_seeded(second, 1)),
        "bound without rows, and given the state_dict of the first, a second instance must sample the same",
    )
    copied = copy.deepcopy({"prior": first, "encoder": encoder})
    with torch.no_grad():
        for it in encoder.parameters():
            it.fill_(torch.nan)
    require(
        bool(copied["prior"].sample(torch.Size([5])).isfinite().all()),
        "a copy of the prior must use the copy's encoder: keep the object `posterior` itself in an attribute, and no "
        "function that calls it",
    )


@seeded
def check_follow(case: PriorCase) -> None:
    """The state of a prior that follows codes is in its buffers, changed in place; codes and support do not change."""
    prior, resumed = case.build(), case.build()
    require(
        isinstance(prior, nn.Module), f"a prior that follows codes must be an nn.Module, not {type(prior).__name__}"
    )
    # The references prevent other buffers from reusing their memory.
    code, before = _lopsided(prior), {name: buffer.detach() for name, buffer in prior.named_buffers()}
    shown = code.clone()
    for _ in range(FOLLOWED):
        prior.follow(code)
    require(torch.equal(code, shown), "follow must not change the codes it is shown")
    samples = prior.sample(torch.Size([1000])).detach()
    require(samples.shape == (1000, *prior.event_shape), f"samples are of shape {tuple(samples.shape)} after follow")
    require(bool(inside(prior, samples).all()), f"samples lie outside {supports.described(prior.support)} after follow")
    moved = [name for name, it in prior.named_buffers() if it.data_ptr() != before[name].data_ptr()]
    require(not moved, f"follow must change buffers in place, where a captured step finds them: {', '.join(moved)}")
    hand_over_state(prior, resumed)
    code = _lopsided(prior)
    for it in (prior, resumed):
        with fixed_seed(1):
            it.follow(code)
    apart = [name for name, value in prior.state_dict().items() if not torch.equal(value, resumed.state_dict()[name])]
    require(
        not apart and torch.equal(sample_seeded(prior, 1, 1000), sample_seeded(resumed, 1, 1000)),
        "the state of follow must be in buffers: a second instance with the state_dict must continue like the first",
    )


def _lopsided(prior: Prior) -> Tensor:
    """Codes (100, *event_shape) of which half are equal, so that a prior has something to follow."""
    one, others = prior.sample(torch.Size([1])), prior.sample(torch.Size([50]))
    return torch.cat([one.expand_as(others), others]).detach()
