"""The discriminator loss in plain torch: the specification, for any device and dtype."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus


class DiscriminatorLoss(NamedTuple):
    """The loss and what comes free with it, all scalars on the features' device."""

    loss: Tensor
    """Weighted sum over rows, in nats; the only member with a gradient."""
    accuracy: Tensor
    """Weighted share of rows on the right side of 0: logit > 0 where target > 1/2, logit <= 0 elsewhere."""
    mean_logit: Tensor
    """Weighted mean logit."""


def discriminator_loss(
    features: Tensor, weight: Tensor, bias: Tensor, target: Tensor, row_weight: Tensor
) -> DiscriminatorLoss:
    """Binary cross-entropy of a linear head: sum_i w_i [softplus(z_i) - t_i z_i], z = features @ weight + bias.

    features (R, H), weight (H,) or (1, H), bias () or (1,); target (R,) in [0, 1], 1 meaning "from the prior";
    row_weight (R,), which holds the reduction too: 1/n_real and 1/n_fake for the sum of two means.
    Arithmetic in float32, or float64 for float64 features; the loss of the GAN paper (arXiv 1406.2661) on logits.
    """
    wide = torch.promote_types(features.dtype, torch.float32)
    with torch.autocast(features.device.type, enabled=False):
        logits = features.to(wide) @ weight.to(wide).flatten() + bias.to(wide)
    loss = (row_weight * (softplus(logits) - target * logits)).sum()
    scores, total = logits.detach(), row_weight.sum()
    right = ((scores > 0) == (target > 0.5)).to(wide)
    return DiscriminatorLoss(loss, (row_weight * right).sum() / total, (row_weight * scores).sum() / total)
