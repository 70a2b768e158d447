"""Losses that make q(y|x) smooth, confident and balanced without labels. None of them is in the paper.

Each is a function of y = q(y|x), rows on the simplex (N, K), or of what computes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from aaeframe.losses.reconstruction import log_of

Predict: TypeAlias = Callable[[Tensor], Tensor]
"""Scaled rows (N, *shape) -> q(y|x) (N, K), the same function at each call."""

PROBE: Final = 10.0
"""How far from x the direction of steepest change is sought, as in IMSAT (arXiv 1702.08720)."""
RADIUS: Final = 1.5
"""Of the virtual adversarial step, if it is not told: between 1.3 and 2 for MNIST in [0, 1]."""
BALANCE: Final = 4.0
"""What the entropy of the mean class weighs, if it is not told; as in IMSAT."""
TURN, GROWTH, SHEAR, SHIFT = math.radians(10), 0.1, 0.1, 0.08
"""The largest turn, relative growth, shear and relative shift of a warped image."""


def conditional_entropy(y: Tensor) -> Tensor:
    """mean H(q(y|x)) in nats: 0 where every row is sure of its class."""
    return _entropy(y).mean()


def marginal_entropy(y: Tensor) -> Tensor:
    """H(mean q(y|x)) in nats: log K where the batch uses every class alike."""
    return _entropy(y.mean(0))


def _entropy(y: Tensor) -> Tensor:
    """-sum y log y over the last axis, with a gradient that is finite at 0 too."""
    return -(y * log_of(y)).sum(-1)


def mutual_information_loss(y: Tensor, balance: float = BALANCE) -> Tensor:
    """mean H(q(y|x)) - balance H(mean q(y|x)); for balance 1 minus the mutual information of x and y.

    Regularized information maximization (Krause et al., 2010), weighed as in IMSAT (arXiv 1702.08720).
    """
    return conditional_entropy(y) - balance * marginal_entropy(y)


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """mean KL(p || q) over rows (N, K), in nats."""
    return (p * (log_of(p) - log_of(q))).sum(1).mean()


def virtual_adversarial_loss(predict: Predict, x: Tensor, y: Tensor, radius: float) -> Tensor:
    """KL(y || q(y | x + r)), r the direction in which it grows fastest, of length `radius` (arXiv 1704.03976).

    x (N, *shape) in the model's units, y = predict(x) (N, K). One power iteration; y is not differentiated.
    """
    y = y.detach()
    probe = (PROBE * _unit(torch.randn_like(x))).requires_grad_()
    (steepest,) = torch.autograd.grad(divergence(y, predict(x + probe)), probe)
    return divergence(y, predict(x + radius * _unit(steepest)))


def augmentation_loss(predict: Predict, x: Tensor, y: Tensor) -> Tensor:
    """KL(y || q(y | warped x)) for small random affine warps of images (N, C, H, W).

    This uses what is known of images, which no other loss here does. y is not differentiated.
    """
    return divergence(y.detach(), predict(warped(x)))


def warped(x: Tensor) -> Tensor:
    """Images (N, C, H, W), each turned, scaled, sheared and shifted a little, from torch's global generator."""
    turn, growth, shear, right, down = (torch.rand(5, len(x), device=x.device) * 2 - 1).unbind()
    angle, scale = TURN * turn, 1 + GROWTH * growth
    cos, sin = angle.cos() * scale, angle.sin() * scale
    rows = [cos, SHEAR * shear - sin, 2 * SHIFT * right, sin, cos, 2 * SHIFT * down]
    grid = affine_grid(torch.stack(rows, 1).view(-1, 2, 3), list(x.shape), align_corners=False)
    return grid_sample(x, grid, padding_mode="border", align_corners=False)


def _unit(d: Tensor) -> Tensor:
    """Each row of d (N, *shape) at length 1, however small it is; a row of zeros stays."""
    rows = d.flatten(1)
    rows = rows / rows.abs().amax(1, keepdim=True).clamp_min(torch.finfo(d.dtype).tiny)  # whose squares do not vanish
    return (rows / rows.norm(dim=1, keepdim=True).clamp_min(1.0)).view_as(d)


@dataclass(frozen=True)
class LabelFree:
    """The weights of the losses of this module; 0 leaves one out."""

    virtual_adversarial: float = 0.0
    radius: float = RADIUS
    """Of the virtual adversarial step, in the model's units."""
    mutual_information: float = 0.0
    balance: float = BALANCE
    augmentation: float = 0.0

    @property
    def used(self) -> bool:
        """Whether any weight is not 0."""
        return bool(self.virtual_adversarial or self.mutual_information or self.augmentation)

    def losses(self, predict: Predict, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """By name, each with its weight and its gradient; y = predict(x), differentiable."""
        found: dict[str, Tensor] = {}
        if self.virtual_adversarial:
            loss = virtual_adversarial_loss(predict, x, y, self.radius)
            found["virtual_adversarial"] = self.virtual_adversarial * loss
        if self.mutual_information:
            found["mutual_information"] = self.mutual_information * mutual_information_loss(y, self.balance)
        if self.augmentation:
            found["augmentation"] = self.augmentation * augmentation_loss(predict, x, y)
        return found
