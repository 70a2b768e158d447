"""Losses that make q(y|x) smooth, confident and balanced without labels. None of them is in the paper.

Each is a function of y = q(y|x), rows on the simplex (N, K), or of the function that computes it.
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
from aaeframe.processes import averaged

Predict: TypeAlias = Callable[[Tensor], Tensor]
"""Scaled rows (N, *shape) -> q(y|x) (N, K), the same function at each call."""

PROBE: Final = 10.0
"""The distance from x at which the direction of steepest change is sought, as in IMSAT (arXiv 1702.08720)."""
RADIUS: Final = 1.5
"""The default length of the virtual adversarial step. Values between 1.3 and 2 suit MNIST in [0, 1]."""
BALANCE: Final = 4.0
"""The default weight of the entropy of the mean class, as in IMSAT."""
TURN, GROWTH, SHEAR, SHIFT = math.radians(10), 0.1, 0.1, 0.08
"""The largest angle, relative growth, shear and relative shift of a warped image."""


def conditional_entropy(y: Tensor) -> Tensor:
    """The mean of H(q(y|x)) in nats: 0 if q is certain of the class for every row."""
    return _entropy(y).mean()


def marginal_entropy(y: Tensor) -> Tensor:
    """The entropy H(mean q(y|x)) in nats: log K if the batch uses every class equally.

    The mean is over the rows of all processes.
    """
    return _entropy(averaged(y.mean(0)))


def _entropy(y: Tensor) -> Tensor:
    """The entropy -sum y log y over the last axis, with a gradient that is finite at 0 too."""
    return -(y * log_of(y)).sum(-1)


def mutual_information_loss(y: Tensor, balance: float = BALANCE, slack: float = 0.0) -> Tensor:
    """The loss mean H(q(y|x)) - balance * H(mean q(y|x)); with balance 1, minus the mutual information of x and y.

    Regularized information maximization (Krause et al., 2010), weighted as in IMSAT (arXiv 1702.08720). IMSAT bounds
    how uneven classes may be, and trains by this weighted loss in place of the bound. With `slack`, in nats, there is a
    bound: nothing presses the entropy of the mean class beyond log K - slack.
    """
    evenness = marginal_entropy(y)
    if slack:
        evenness = evenness.clamp(max=math.log(y.shape[1]) - slack)
    return conditional_entropy(y) - balance * evenness


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """The mean KL(p || q) over rows (N, K), in nats."""
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

    It is the only loss of this module that uses knowledge about images. y is not differentiated.
    """
    return divergence(y.detach(), predict(warped(x)))


def warped(x: Tensor) -> Tensor:
    """Images (N, C, H, W), each slightly turned, scaled, sheared and shifted by torch's global generator."""
    turn, growth, shear, right, down = (torch.rand(5, len(x), device=x.device) * 2 - 1).unbind()
    angle, scale = TURN * turn, 1 + GROWTH * growth
    cos, sin = angle.cos() * scale, angle.sin() * scale
    rows = [cos, SHEAR * shear - sin, 2 * SHIFT * right, sin, cos, 2 * SHIFT * down]
    grid = affine_grid(torch.stack(rows, 1).view(-1, 2, 3), list(x.shape), align_corners=False)
    return grid_sample(x, grid, padding_mode="border", align_corners=False)


def _unit(d: Tensor) -> Tensor:
    """Scale each row of d (N, *shape) to length 1, even very small ones; a row of zeros stays zero."""
    rows = d.flatten(1)
    rows = rows / rows.abs().amax(1, keepdim=True).clamp_min(torch.finfo(d.dtype).tiny)  # so squares do not underflow
    return (rows / rows.norm(dim=1, keepdim=True).clamp_min(1.0)).view_as(d)


@dataclass(frozen=True)
class LabelFree:
    """The weights of the losses of this module; a loss with weight 0 is not computed."""

    virtual_adversarial: float = 0.0
    radius: float = RADIUS
    """The length of the virtual adversarial step, in the model's units."""
    mutual_information: float = 0.0
    balance: float = BALANCE
    slack: float = 0.0
    augmentation: float = 0.0

    @property
    def used(self) -> bool:
        """Whether any weight is not 0."""
        return bool(self.virtual_adversarial or self.mutual_information or self.augmentation)

    def losses(self, predict: Predict, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """The losses by name, each multiplied by its weight, with gradient; y = predict(x), differentiable."""
        found: dict[str, Tensor] = {}
        if self.virtual_adversarial:
            loss = virtual_adversarial_loss(predict, x, y, self.radius)
            found["virtual_adversarial"] = self.virtual_adversarial * loss
        if self.mutual_information:
            loss = mutual_information_loss(y, self.balance, self.slack)
            found["mutual_information"] = self.mutual_information * loss
        if self.augmentation:
            found["augmentation"] = self.augmentation * augmentation_loss(predict, x, y)
        return found
