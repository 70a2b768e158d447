"""The discriminator loss in few torch operations, on any device; gradients by autograd, of any order.

On a CPU this is fastest. The products with the features are memory-bound and equal for every implementation. The rest
of the time depends on the number of operations, and a Python autograd.Function costs more of them than it saves.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from aaeframe_kernels.discriminator_loss.reference import DiscriminatorLoss, Form, full_precision, statistics


def cpu_loss(
    features: Tensor, weight: Tensor, bias: Tensor, target: Tensor, row_weight: Tensor, form: Form
) -> DiscriminatorLoss:
    """The loss and its statistics; shapes as in `discriminator_loss`, in float32, or float64 for float64 features."""
    if torch.is_autocast_enabled(features.device.type):
        with full_precision(features.device):
            return cpu_loss(features, weight, bias, target, row_weight, form)
    activations = features.relu() if form.relu else features
    wide = torch.promote_types(features.dtype, torch.float32)
    logits = torch.addmv(bias.to(wide).view(1), activations.to(wide), weight.to(wide).view(-1))
    loss = _loss(logits, target.to(wide), row_weight.to(wide), form)
    return DiscriminatorLoss(loss, *statistics(logits.detach(), target, form))


def _loss(logits: Tensor, target: Tensor, row_weight: Tensor, form: Form) -> Tensor:
    if form.kind == "bce" and row_weight.requires_grad:  # for which torch's single operation has no gradient
        return torch.dot(binary_cross_entropy_with_logits(logits, target, reduction="none"), row_weight)
    if form.kind == "bce":
        return binary_cross_entropy_with_logits(logits, target, row_weight, reduction="sum")
    if form.kind == "least-squares":
        return torch.dot((logits - target).square(), row_weight) / 2
    if form.kind == "hinge":
        return torch.dot((1 - target * logits).relu(), row_weight)
    return -torch.dot(target * logits, row_weight)
