"""Categorical distributions over one-hot vectors."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import OneHotCategorical, constraints

Share: TypeAlias = Annotated[float, Field(gt=0)]


class FollowingCategorical(nn.Module):
    """Cat(probs) as one-hot vectors, whose probs move towards the encoder's codes.

    A uniform prior is matched only if every class is assigned equally often. If classes are not equally frequent, some
    of their rows are forced into others. Here the encoder decides how frequent each class is, and the discriminator
    requires only that it is certain. A fixed prior separates the classes while they are being found: the first `after`
    minibatches are not followed. All state is in buffers, so that it is in the checkpoint of a run.
    """

    probs: Tensor
    """(K,), sums to 1."""
    seen: Tensor
    """The number of minibatches so far, int64."""
    support = constraints.one_hot

    def __init__(self, probs: Tensor, rate: float, after: int) -> None:
        super().__init__()
        self.register_buffer("probs", probs / probs.sum())
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.rate, self.after = rate, after
        self.event_shape = probs.shape

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        """Samples (*sample_shape, K)."""
        shape = torch.Size(sample_shape)
        drawn = torch.multinomial(self.probs, shape.numel(), replacement=True).reshape(*shape, 1)
        # Not by OneHotCategorical, which would wait for the device at every step to validate probs.
        return self.probs.new_zeros(*shape, len(self.probs)).scatter_(-1, drawn, 1.0)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probabilities of one-hot vectors (*sample_shape, K), in nats."""
        return OneHotCategorical(probs=self.probs).log_prob(value)

    @torch.no_grad()
    def follow(self, code: Tensor) -> None:
        """Move probs towards the mean of a minibatch of codes (N, K), except for the first `after` minibatches."""
        rate = self.rate * (self.seen >= self.after)
        self.probs.lerp_(code.to(self.probs.dtype).mean(0), rate.to(self.probs.dtype))
        self.seen += 1


def categorical(
    *,
    classes: Annotated[int, Field(ge=1, description="classes or clusters")] = 10,
    probs: Annotated[
        tuple[Share, ...] | None,
        Field(description="class probabilities, normalized; uniform by default"),
    ] = None,
    follow: Annotated[
        float | None,
        Field(
            gt=0,
            lt=1,
            description="learning rate of the class probabilities towards each minibatch's mean code",
        ),
    ] = None,
    follow_after: Annotated[
        int | None,
        Field(ge=0, lt=2**53, description="number of first minibatches that are not followed; 0 by default"),
    ] = None,
) -> OneHotCategorical | FollowingCategorical:
    """Cat(1/K, ..., 1/K) as one-hot vectors (paper, sections 5 and 6), or Cat(probs / sum(probs)).

    With `follow` it only starts there: see `FollowingCategorical`.
    """
    if probs is not None and len(probs) != classes:
        raise ValueError(f"probs has {len(probs)} numbers for {classes} classes: give one for each")
    weights = torch.ones(classes) if probs is None else torch.tensor(probs)
    if follow is not None:
        return FollowingCategorical(weights, follow, follow_after or 0)
    if follow_after is not None:
        raise ValueError("follow_after needs follow: without it, no minibatch is followed")
    return OneHotCategorical(probs=weights)
