"""The losses of the paper's phases: reconstruction, discriminator and generator."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from aaeframe.protocols import Discriminator, supports_head
from aaeframe_kernels import DiscriminatorLoss, discriminator_loss


def reconstruction_loss(x_hat: Tensor, x: Tensor) -> Tensor:
    """Half the squared Euclidean error, summed over a row's features and averaged over rows: 0.5 E ||x_hat - x||²."""
    return 0.5 * (x_hat - x).square().flatten(1).sum(1).mean()


class Segment(NamedTuple):
    """Rows that a discriminator sees as one group: its loss is their mean."""

    z: Tensor
    """(n, *event_shape)."""
    labels: Tensor | None
    """(n,), the number of classes standing for "unlabeled"; None if the discriminator takes no labels."""
    from_prior: bool


def adversarial_loss(discriminator: Discriminator, segments: list[Segment], noise: float) -> DiscriminatorLoss:
    """The sum over segments of E[-log D] (from the prior) or E[-log(1 - D)], all in one call of the discriminator.

    `noise` is the standard deviation of Gaussian instance noise on the discriminator's input (arXiv 1610.04490).
    Accuracy and mean logit weigh the segments equally.
    """
    z = torch.cat([segment.z for segment in segments])
    if noise:
        z = z + noise * torch.randn_like(z)
    labels = [segment.labels for segment in segments if segment.labels is not None]
    return _head_loss(
        discriminator,
        z,
        torch.cat(labels) if labels else None,
        target=torch.cat([_constant(segment, float(segment.from_prior)) for segment in segments]),
        row_weight=torch.cat([_constant(segment, 1 / len(segment.z)) for segment in segments]),
    )


def _constant(segment: Segment, value: float) -> Tensor:
    return torch.full((len(segment.z),), value, device=segment.z.device)


def _head_loss(
    discriminator: Discriminator, z: Tensor, labels: Tensor | None, target: Tensor, row_weight: Tensor
) -> DiscriminatorLoss:
    """The loss through the discriminator's linear head where it has one, from its logits otherwise."""
    if supports_head(discriminator):
        body, head = discriminator.body, discriminator.head
        if isinstance(head, nn.Linear) and head.bias is not None:
            return discriminator_loss(body(z, labels), head.weight, head.bias, target, row_weight)
    logits = discriminator(z, labels)
    one, zero = logits.new_ones(1), logits.new_zeros(())
    return discriminator_loss(logits.unsqueeze(1), one, zero, target, row_weight)
