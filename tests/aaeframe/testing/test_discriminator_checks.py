"""Every check of a discriminator accepts a good one and rejects one that lacks the property."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import one_hot

from aaeframe import testing
from aaeframe.testing.discriminators import discriminator_cases
from aaeframe.testing.plan import CHECKS, LABEL_CHECKS


class Body(nn.Module):
    def __init__(self, size, classes):
        super().__init__()
        self.classes = classes
        self.linear = nn.Linear(size + (0 if classes is None else classes + 1), 16)

    def forward(self, z, labels=None):
        if self.classes is not None:
            labels = torch.full((len(z),), self.classes, device=z.device) if labels is None else labels
            z = torch.cat([z, one_hot(labels, self.classes + 1)], dim=1)
        return self.linear(z).relu()


class Judge(nn.Module):
    """A good discriminator."""

    def __init__(self, block, num_classes) -> None:
        super().__init__()
        self.body = Body(block.event_shape.numel(), num_classes)
        self.head = nn.Linear(16, 1)

    def forward(self, z, labels=None):
        return self.head(self.body(z, labels)).squeeze(-1)


class Forgetful(Judge):
    """A random tensor in an attribute that no state_dict holds."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.shift = torch.rand(1)

    def forward(self, z, labels=None):
        return super().forward(z, labels) + self.shift


class Misremembered(Judge):
    """Built anew for a checkpoint as something else."""

    sign = 1

    @classmethod
    def from_state(cls, state, block, num_classes):
        judge = cls(block, num_classes)
        judge.sign = -1
        return judge

    def forward(self, z, labels=None):
        return self.sign * super().forward(z, labels)


class Counting(Judge):
    """A number that moves by use, and that no state_dict holds."""

    used = 0

    def forward(self, z, labels=None):
        self.used += self.training
        return super().forward(z, labels) + self.used


class Idle(Judge):
    """A parameter that no logit depends on."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.idle = nn.Parameter(torch.ones(1))


class OneClassShort(Judge):
    """No place for the class "unlabeled"."""

    def __init__(self, block, num_classes):
        super().__init__(block, num_classes - 1)


class TwoHeaded(Judge):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.head = nn.Linear(16, 2)


def judging(transform):
    """A case of the good discriminator whose logits are altered."""
    members = {"forward": lambda self, z, labels=None: transform(Judge.forward(self, z, labels))}
    return testing.DiscriminatorCase(type("Judge", (Judge,), members))


def taking(transform, num_classes=None):
    """A case of the good discriminator that alters its codes and labels."""
    members = {"forward": lambda self, z, labels=None: Judge.forward(self, *transform(z, labels))}
    return testing.DiscriminatorCase(type("Judge", (Judge,), members), num_classes=num_classes)


def zeros_for_none(z, labels):
    return z, torch.zeros(len(z), dtype=torch.long) if labels is None else labels


REJECTED = {
    "check_logit": [
        (judging(lambda logit: logit[:, None]), "the logit must have shape (8,), not (8, 1)"),
        (judging(torch.Tensor.double), "the logit must be float32 for float32 input, not torch.float64"),
        (judging(lambda logit: logit / 0), "the logit must be finite"),
        (judging(torch.Tensor.tolist), "the logit must be a tensor, not list"),
        (testing.DiscriminatorCase(lambda block, classes: print), "a discriminator must be an nn.Module"),
    ],
    "check_logit_gradient": [
        (testing.DiscriminatorCase(Idle), "no gradient reaches the parameter idle"),
        (taking(lambda z, labels: (z.detach(), labels)), "no gradient reaches the code z"),
        (judging(lambda logit: (0 * logit).sqrt()), "the gradient of the code z is not finite"),
    ],
    "check_logit_range": [
        (judging(torch.sigmoid), "all outputs lie in [0, 1], as probabilities do: give the logit"),
    ],
    "check_discriminator_device": [
        (taking(lambda z, labels: (z.cpu(), labels)), "the discriminator fails after it was moved to meta"),
        (judging(lambda logit: torch.zeros(8)), "gives tensors on cpu"),
    ],
    "check_discriminator_state": [
        (testing.DiscriminatorCase(Counting), "with the state_dict of the first must give the same logits"),
        (testing.DiscriminatorCase(Forgetful), "with the state_dict of the first must give the same logits"),
        (testing.DiscriminatorCase(Misremembered), "an instance by from_state with the state_dict of the first must"),
    ],
    "check_discriminator_rows": [
        (judging(lambda logit: logit - logit.mean()), "the logit of a row depends on the rest of its batch"),
    ],
    "check_head": [
        (judging(lambda logit: 2 * logit), "D(z, labels) must equal head(body(z, labels)).squeeze(-1)"),
        (testing.DiscriminatorCase(TwoHeaded), "head must be an nn.Linear with one output, not Linear("),
    ],
    "check_logit_labels": [
        (taking(lambda z, labels: (z, None), 3), "the label must matter: classes 0 and 1 have the same logits"),
        (taking(zeros_for_none, 3), "labels=None must mean that every row has the label 3"),
        (testing.DiscriminatorCase(OneClassShort, num_classes=3), "labels from 0 to 3 (unlabeled) must be accepted"),
    ],
}


@pytest.mark.parametrize("case", discriminator_cases(Judge), ids=lambda case: case.label)
@pytest.mark.parametrize("check", [check for check in REJECTED if check != "check_logit_labels"])
def test_a_good_discriminator_is_accepted(check, case):
    getattr(testing, check)(case)


def test_a_good_discriminator_of_classes_is_accepted():
    testing.check_logit_labels(testing.DiscriminatorCase(Judge, num_classes=3))


@pytest.mark.parametrize(
    ("check", "case", "message"), [(check, *broken) for check, cases in REJECTED.items() for broken in cases]
)
def test_a_broken_discriminator_is_rejected(check, case, message):
    with pytest.raises(AssertionError) as raised:
        getattr(testing, check)(case)
    assert message in str(raised.value)


def test_every_check_of_a_discriminator_has_a_broken_one_to_reject():
    checks = {**CHECKS["discriminator"], **LABEL_CHECKS}
    assert {check.__name__ for check in checks} == set(REJECTED)
