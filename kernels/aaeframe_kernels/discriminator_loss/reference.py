"""The discriminator loss in plain torch: the specification, for any device and dtype."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Final, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

LossKind: TypeAlias = Literal["bce", "least-squares", "hinge", "wasserstein"]
"""The name of the loss l(z, t) of a logit z and its target t:

    bce            -t log sigmoid(z) - (1 - t) log sigmoid(-z)      t in [0, 1]; arXiv 1406.2661
    least-squares  (z - t)^2 / 2                                    any t; arXiv 1611.04076
    hinge          max(0, 1 - t z)                                  t = 1 or -1; arXiv 1705.02894
    wasserstein    -t z                                             t = 1 or -1; arXiv 1701.07875
"""


class DiscriminatorLoss(NamedTuple):
    """The loss and the statistics of the same pass, on the features' device."""

    loss: Tensor
    """The sum over rows of row weight times l(z, t), a scalar; the only member with a gradient."""
    accuracy: Tensor
    """(S,): the share of each segment's rows whose logit is on their target's side."""
    mean_logit: Tensor
    """(S,): each segment's mean logit."""


class Form(NamedTuple):
    """The computation: the loss of one row, the rows' segments, and whether a ReLU precedes the linear layer."""

    kind: LossKind
    sizes: tuple[int, ...]
    relu: bool


class Boundary(NamedTuple):
    """The thresholds of logit and target; above them is "from the prior"."""

    logit: float
    target: float


BOUNDARIES: Final[dict[LossKind, Boundary]] = {
    "bce": Boundary(0.0, 0.5),
    "least-squares": Boundary(0.5, 0.5),
    "hinge": Boundary(0.0, 0.0),
    "wasserstein": Boundary(0.0, 0.0),
}


def reference(
    features: Tensor, weight: Tensor, bias: Tensor, target: Tensor, row_weight: Tensor, form: Form
) -> DiscriminatorLoss:
    """The loss and its statistics; autograd gives gradients of any order.

    Shapes as in `discriminator_loss`. Arithmetic in float32, or float64 for float64 features.
    """
    wide = torch.promote_types(features.dtype, torch.float32)
    activations = features.relu() if form.relu else features
    with full_precision(features.device):
        logits = activations.to(wide) @ weight.flatten().to(wide) + bias.to(wide)
    loss = (row_weight * row_losses(form.kind, logits, target)).sum()
    return DiscriminatorLoss(loss, *statistics(logits.detach(), target, form))


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """A context without autocast on the device; free if autocast is off."""
    enabled = torch.is_autocast_enabled(device.type)
    return torch.autocast(device.type, enabled=False) if enabled else nullcontext()


def row_losses(kind: LossKind, logits: Tensor, target: Tensor) -> Tensor:
    """The loss l(z, t) of every row, (R,)."""
    if kind == "bce":
        return -target * logsigmoid(logits) - (1 - target) * logsigmoid(-logits)
    if kind == "least-squares":
        return (logits - target).square() / 2
    if kind == "hinge":
        return (1 - target * logits).relu()
    return -target * logits


def statistics(logits: Tensor, target: Tensor, form: Form) -> tuple[Tensor, Tensor]:
    """Accuracy and mean logit of each segment, (S,) and (S,)."""
    boundary = BOUNDARIES[form.kind]
    right = (logits > boundary.logit) == (target > boundary.target)
    return _segment_means(right, form.sizes, logits.dtype), _segment_means(logits, form.sizes, logits.dtype)


def _segment_means(values: Tensor, sizes: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    if len(set(sizes)) == 1:
        return values.view(len(sizes), -1).mean(1, dtype=dtype)
    return torch.stack([part.mean(dtype=dtype) for part in values.split(sizes)])
