"""Checks of a discriminator on a real block, on a class block, and on a block with labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.distributions import constraints

from aaeframe.protocols import BlockSpec
from aaeframe.testing.case import USES, instances, require, seeded
from aaeframe.testing.modules import (
    hand_over_state,
    require_device,
    require_equal,
    require_gradients,
    require_independent_rows,
    require_module,
    require_tensor,
)
from aaeframe.testing.repeats import Call, CallableCase

ROWS: Final = 8
REAL: Final = BlockSpec(torch.Size([2]), constraints.independent(constraints.real, 1))
ONE_HOT: Final = BlockSpec(torch.Size([4]), constraints.one_hot)


@dataclass(frozen=True)
class DiscriminatorCase(CallableCase):
    """A discriminator of one block, with or without classes."""

    label: str = "real"
    block: BlockSpec = REAL
    num_classes: int | None = None

    def arguments(self) -> tuple[BlockSpec, int | None]:
        """The block and the number of classes."""
        return self.block, self.num_classes

    def codes(self) -> Tensor:
        """Codes (N, *event_shape) on the relaxation of the block's support."""
        z = torch.randn(ROWS, *self.block.event_shape)
        return z.softmax(dim=-1) if self.block is ONE_HOT else z

    def labels(self) -> Tensor | None:
        """Labels (N,) in which every class and "unlabeled" occur; None without classes."""
        return None if self.num_classes is None else torch.arange(ROWS) % (self.num_classes + 1)

    def calls(self, built: Any) -> list[Call]:
        """Logits, with labels if there are classes."""
        return [Call("the discriminator", built, (self.codes(), self.labels()))]


def discriminator_cases(factory: Callable[..., Any]) -> tuple[DiscriminatorCase, ...]:
    """The blocks on which a discriminator is checked."""
    return (
        DiscriminatorCase(factory),
        DiscriminatorCase(factory, "one-hot", ONE_HOT),
        DiscriminatorCase(factory, "labels", REAL, num_classes=3),
    )


@seeded
def check_logit(case: DiscriminatorCase) -> None:
    """Logits have shape (N,), not (N, 1), and are finite and float32."""
    require_tensor(_built(case)(case.codes(), case.labels()), (ROWS,), "the logit")


@seeded
def check_logit_range(case: DiscriminatorCase) -> None:
    """The output is a logit and not a probability: some codes, or some initial weights, lead out of [0, 1]."""
    logits = (_built(case)(case.codes(), case.labels()).detach() for _ in range(20))
    outside = any(bool(((it < 0) | (it > 1)).any()) for it in logits)
    require(outside, "all outputs lie in [0, 1], as probabilities do: give the logit, without a sigmoid at the end")


@seeded
def check_discriminator_device(case: DiscriminatorCase) -> str | None:
    """A discriminator that was moved to another device computes there, with labels and without."""
    discriminator, labels = _built(case).eval(), case.labels()

    def outputs(device: torch.device) -> Iterator[Tensor]:
        yield discriminator(case.codes().to(device))
        yield discriminator(case.codes().to(device), None if labels is None else labels.to(device))

    return require_device(discriminator, outputs, "the discriminator")


@seeded
def check_logit_labels(case: DiscriminatorCase) -> None:
    """Labels 0 to K are accepted for K classes and change the logit; None means K, "unlabeled", for all rows."""
    discriminator, z, classes = _built(case).eval(), case.codes(), case.num_classes or 0
    try:
        logits = [discriminator(z, torch.full((ROWS,), label)) for label in range(classes + 1)]
    except (RuntimeError, IndexError) as error:
        raise AssertionError(f"labels from 0 to {classes} (unlabeled) must be accepted: {error}") from error
    require_equal(discriminator(z), logits[-1], f"labels=None must mean that every row has the label {classes}")
    require(not torch.equal(logits[0], logits[1]), "the label must matter: classes 0 and 1 have the same logits")


@seeded
def check_logit_gradient(case: DiscriminatorCase) -> None:
    """Gradients reach the code and every parameter."""
    discriminator = _built(case)
    z = case.codes().requires_grad_()
    require_gradients([discriminator(z, case.labels())], {"the code z": z}, discriminator)


@seeded
def check_head(case: DiscriminatorCase) -> None:
    """The identity D(z, labels) == head(body(z, labels)) holds, with a linear head of one output."""
    discriminator = _built(case).eval()
    head: Any = discriminator.head
    linear = isinstance(head, nn.Linear) and head.out_features == 1
    require(linear, f"head must be an nn.Linear with one output, not {head}")
    z, labels = case.codes(), case.labels()
    body: Any = discriminator.body
    composed = head(body(z, labels)).squeeze(-1)
    require_equal(composed, discriminator(z, labels), "D(z, labels) must equal head(body(z, labels)).squeeze(-1)")


@seeded
def check_discriminator_state(case: DiscriminatorCase) -> None:
    """The state_dict has everything that a logit depends on; `from_state` builds the same."""
    first = _built(case)
    for _ in range(USES):
        first(case.codes(), case.labels())
    z, labels = case.codes(), case.labels()
    for origin, second in instances(case, first.eval().state_dict()):
        hand_over_state(first, require_module(second, "a discriminator").eval())
        same = torch.equal(first(z, labels), second(z, labels))
        require(same, f"{origin} with the state_dict of the first must give the same logits")


@seeded
def check_discriminator_rows(case: DiscriminatorCase) -> None:
    """In evaluation mode the logit of a row does not depend on its batch."""
    discriminator, labels = _built(case).eval(), case.labels()
    inputs = (case.codes(),) if labels is None else (case.codes(), labels)
    require_independent_rows(discriminator, *inputs, name="the logit")


def _built(case: DiscriminatorCase) -> nn.Module:
    return require_module(case.build(), "a discriminator")
