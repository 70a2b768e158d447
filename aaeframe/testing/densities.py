"""Checks of a prior with a density."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from aaeframe import supports
from aaeframe.protocols import Prior
from aaeframe.testing.case import FALSE_ALARM, require, seeded
from aaeframe.testing.goodness_of_fit import bridge_p_value, frequencies_p_value, lines_p_value
from aaeframe.testing.priors import SHAPES, PriorCase, inside

CURVED: Final = (
    "cannot be measured on this support, a curved surface. There log_prob is a density by area, which no line and no "
    "kernel measures. Test it by hand"
)
TOO_FINE: Final = "cannot be measured: in a flat, and too finely structured for the lines through it"


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

    It cannot be tested on a curved surface, such as a sphere, where a density is one by area. In an affine subspace,
    such as the simplex, the constant factor of the density is not tested.
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
