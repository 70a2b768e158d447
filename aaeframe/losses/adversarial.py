"""The adversarial losses of discriminator and generator, and the gradient penalty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from aaeframe.protocols import Discriminator, supports_head
from aaeframe_kernels import DiscriminatorLoss, discriminator_loss
from aaeframe_kernels.discriminator_loss import LossKind

CODE_TARGET: Final[Mapping[LossKind, float]] = {"bce": 0.0, "least-squares": 0.0, "hinge": -1.0, "wasserstein": -1.0}
"""The target for a code's logit in each loss; the target for a prior sample is 1."""


class Segment(NamedTuple):
    """Rows that a discriminator sees as one group; the group's loss is the mean over its rows."""

    z: Tensor
    """(n, *event_shape)."""
    labels: Tensor | None
    """(n,), where the number of classes means "unlabeled"; None if the discriminator takes no labels."""
    from_prior: bool


@dataclass(frozen=True)
class AdversarialLoss:
    """The adversarial losses by kind. Each loss is a sum over segments of the mean over their rows.

    | kind          | discriminator: prior, code               | generator: code | source          |
    | ------------- | ---------------------------------------- | --------------- | --------------- |
    | bce           | -log D, -log(1 - D), D = sigmoid(logit)  | -log D          | arXiv 1406.2661 |
    | least-squares | (logit - 1)²/2, logit²/2                 | (logit - 1)²/2  | arXiv 1611.04076 |
    | hinge         | max(0, 1 - logit), max(0, 1 + logit)     | -logit          | arXiv 1705.02894 |
    | wasserstein   | -logit, logit                            | -logit          | arXiv 1701.07875 |

    wasserstein is unbounded. It needs a Lipschitz discriminator, by its layers or by a gradient penalty.
    """

    kind: LossKind = "bce"
    label_smoothing: float = 0.0
    """For bce: prior samples count as real with probability 1 - label_smoothing (one-sided, arXiv 1606.03498)."""

    def discriminator(
        self, discriminator: Discriminator, segments: Sequence[Segment], noise: float = 0.0
    ) -> DiscriminatorLoss:
        """The discriminator's loss over all segments, from one call of the discriminator.

        `noise` is the standard deviation of Gaussian instance noise on its input (arXiv 1610.04490). Accuracies and
        mean logits are returned for each segment.
        """
        real, code = 1.0 - self.label_smoothing, CODE_TARGET[self.kind]
        targets = tuple(real if segment.from_prior else code for segment in segments)
        return _loss(discriminator, segments, targets, self.kind, noise)

    def generator(
        self, discriminator: Discriminator, segments: Sequence[Segment], noise: float = 0.0
    ) -> DiscriminatorLoss:
        """The encoder's loss, which is low if its codes look like prior samples (non-saturating for bce)."""
        # Beyond the hinge the generator would get no gradient, so its loss is linear.
        kind: LossKind = "wasserstein" if self.kind == "hinge" else self.kind
        return _loss(discriminator, segments, (1.0,) * len(segments), kind, noise)


def gradient_penalty(discriminator: Discriminator, segments: Sequence[Segment]) -> Tensor:
    """R1 over the segments from the prior: the mean over rows of ||grad_z D(z)||² / 2, summed (arXiv 1801.04406)."""
    penalties = []
    for segment in segments:
        if segment.from_prior:
            z = segment.z.detach().requires_grad_()
            logits = discriminator(z, segment.labels)
            (slope,) = torch.autograd.grad(logits.sum(), z, create_graph=True)
            penalties.append(0.5 * slope.float().square().flatten(1).sum(1).mean())
    return torch.stack(penalties).sum()


def _loss(
    discriminator: Discriminator, segments: Sequence[Segment], targets: tuple[float, ...], kind: LossKind, noise: float
) -> DiscriminatorLoss:
    """Pass all segments through the discriminator in one call, and through a linear head by the kernel."""
    z = torch.cat([segment.z for segment in segments])
    if noise:
        z = z + noise * torch.randn_like(z)
    given = [segment.labels for segment in segments if segment.labels is not None]
    labels = torch.cat(given) if given else None
    sizes = tuple(len(segment.z) for segment in segments)
    features, weight, bias = _head(discriminator, z, labels)
    return discriminator_loss(
        features,
        weight,
        bias,
        target=_by_segment(targets, sizes, z.device),
        row_weight=_by_segment(tuple(1 / size for size in sizes), sizes, z.device),
        kind=kind,
        sizes=sizes,
    )


def _head(discriminator: Discriminator, z: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Features, weight and bias whose linear map is the logit. Without a head: the logits, 1 and 0."""
    if supports_head(discriminator) and isinstance(discriminator.head, nn.Linear):
        head = discriminator.head
        features, weight = discriminator.body(z, labels), head.weight
        return features, weight, weight.new_zeros(()) if head.bias is None else head.bias
    logits = discriminator(z, labels)
    return logits.unsqueeze(1), logits.new_ones(1), logits.new_zeros(())


@cache  # without a limit: a captured CUDA graph reads these tensors at fixed addresses
def _by_segment(values: tuple[float, ...], sizes: tuple[int, ...], device: torch.device) -> Tensor:
    """Repeat each value for every row of its segment; cached, because every step asks for the same."""
    return torch.cat([torch.full((size,), value, device=device) for value, size in zip(values, sizes, strict=True)])
