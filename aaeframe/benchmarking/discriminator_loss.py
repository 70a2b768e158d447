"""Cases of the discriminator loss: forward and backward of the last linear layer with its cross-entropy.

One's own implementation is a function of five float32 tensors on the device, by position, for R rows of H features:

    loss(features (R, H), weight (1, H), bias (1,), target (R,), row_weight (R,)) -> Tensor ()

It returns the sum of the rows' binary cross-entropies, each times its weight, of the logits
`features @ weight.T + bias`. Half of the targets are 1, then half are 0. The gradients of features, weight and bias are
taken by autograd, which is timed as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property, partial
from typing import Final, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, linear

from aaeframe.benchmarking.case import (
    Added,
    Alternative,
    BenchSettings,
    Case,
    Facts,
    IncorrectResult,
    Work,
    tensor_of,
)
from aaeframe.benchmarking.compiling import limited
from aaeframe.benchmarking.forced import forced
from aaeframe_kernels import discriminator_loss
from aaeframe_kernels.discriminator_loss.reference import Form, reference
from aaeframe_kernels.dispatch import Backend

WIDTH: Final = 1000
BATCHES: Final = (100, 1024)
GPU_BATCHES: Final = (100, 1024, 8192)
TOLERANCE: Final = 1e-5
"""The largest error of the loss and of a gradient, relative to the largest entry of the float64 result."""

LossAndGradients: TypeAlias = tuple[Tensor, ...]
"""The loss and its gradients with respect to features, weight and bias."""


class Inputs(NamedTuple):
    """The inputs of the loss, with as many prior samples as codes: R rows in all."""

    features: Tensor
    """(R, H), after a ReLU."""
    weight: Tensor
    """(1, H)."""
    bias: Tensor
    """(1,)."""
    target: Tensor
    """(R,): 1 for prior samples, then 0 for codes."""
    row_weight: Tensor
    """(R,): the mean over prior samples plus the mean over codes."""

    @property
    def form(self) -> Form:
        """Binary cross-entropy, with statistics of prior samples and of codes."""
        half = len(self.target) // 2
        return Form("bce", (half, half), relu=False)


def cases(settings: BenchSettings) -> list[Case]:
    """The batches of the discriminator's step."""
    gpu = settings.device.type == "cuda"
    batches, width = ((8,), 32) if settings.quick else (GPU_BATCHES if gpu else BATCHES, WIDTH)
    batches = (settings.sizes["batch"],) if "batch" in settings.sizes else batches
    width = settings.sizes.get("width", width)
    return [_case(LossProblem(batch, width, settings.device), settings.added) for batch in batches]


def _case(problem: LossProblem, added: Sequence[Added]) -> Case:
    ours = [problem.alternative("aaeframe, few torch operations", fused, "cpu")]
    if problem.device.type == "cuda":
        ours.append(problem.alternative("aaeframe, Triton", fused, "triton"))
    return Case(
        name=f"loss rows={2 * problem.batch} width={problem.width}",
        what="Loss and gradients of features, weight and bias, float32; ours tells accuracy and mean logit as well.",
        unit="rows",
        amount=2 * problem.batch,
        alternatives=(
            problem.alternative("torch: Linear and BCE with logits", chain),
            problem.alternative("reference", composed),
            *ours,
            *map(problem.added, added),
        ),
        kind="loss",
        sizes={"batch": problem.batch, "width": problem.width},
    )


def chain(inputs: Inputs) -> Tensor:
    """The usual script: a linear layer, and the mean loss of each half."""
    logits = linear(inputs.features, inputs.weight, inputs.bias).squeeze(1)
    halves = zip(logits.chunk(2), inputs.target.chunk(2), strict=True)
    real, fake = (binary_cross_entropy_with_logits(part, wanted) for part, wanted in halves)
    return real + fake


def composed(inputs: Inputs) -> Tensor:
    """The specification of the kernel."""
    return reference(*inputs, inputs.form).loss


def fused(inputs: Inputs) -> Tensor:
    """Our function, by the forced backend."""
    return discriminator_loss(*inputs, sizes=inputs.form.sizes).loss


def with_gradients(loss: Callable[[Inputs], Tensor], inputs: Inputs) -> LossAndGradients:
    """The loss and its gradients."""
    value = loss(inputs)
    return value.detach(), *torch.autograd.grad(value, inputs[:3])


class LossProblem:
    """Inputs, the exact loss and gradients in float64, and the alternatives that compute them."""

    def __init__(self, batch: int, width: int, device: torch.device) -> None:
        self.batch, self.width, self.device = batch, width, device

    def alternative(self, name: str, loss: Callable[[Inputs], Tensor], backend: Backend | None = None) -> Alternative:
        """A way to compute the loss; it is ours if it has a backend."""
        return Alternative(
            name,
            lambda: partial(with_gradients, loss, self.inputs),
            self.check,
            self.work,
            ours=backend is not None,
            within=nullcontext if backend is None else partial(forced, backend),
        )

    def added(self, it: Added) -> Alternative:
        """An implementation from outside, on copies of the inputs."""

        def loss(inputs: Inputs) -> Tensor:
            value = tensor_of(it(*inputs), (), "the loss")
            if not value.requires_grad:
                raise IncorrectResult("its loss has no gradient: compute it from features, weight and bias by autograd")
            return value

        def prepare() -> Callable[[], LossAndGradients]:
            copies = (given.detach().clone().requires_grad_(given.requires_grad) for given in self.inputs)
            return partial(with_gradients, loss, Inputs(*copies))

        return replace(self.alternative(it.name, loss), prepare=prepare, origin=it.origin, within=limited)

    @cached_property
    def inputs(self) -> Inputs:
        """The inputs in float32 on the device."""
        generator, rows = torch.Generator().manual_seed(0), 2 * self.batch
        trained = (
            torch.randn(rows, self.width, generator=generator).relu(),
            torch.randn(1, self.width, generator=generator) / self.width**0.5,
            torch.full((1,), 0.1),
        )
        target = (torch.arange(rows) < self.batch).float()
        fixed = (target, torch.full((rows,), 1 / self.batch))
        return Inputs(*(it.to(self.device).requires_grad_() for it in trained), *(it.to(self.device) for it in fixed))

    @cached_property
    def exact(self) -> LossAndGradients:
        """The exact result, by autograd in float64."""
        wide = Inputs(*(it.detach().double().requires_grad_(it.requires_grad) for it in self.inputs))
        return with_gradients(composed, wide)

    def check(self, result: LossAndGradients) -> Facts:
        """IncorrectResult if the loss or a gradient is wrong."""
        errors = [
            ((found.double() - exact).abs().max() / exact.abs().max()).item()
            for found, exact in zip(result, self.exact, strict=True)
        ]
        if not max(errors) <= TOLERANCE:
            raise IncorrectResult(f"relative errors {errors} of loss and gradients, at most {TOLERANCE} is allowed")
        return {"relative_error": max(errors)}

    def work(self, result: object) -> Work:
        """The product with the weight and two more for the gradients; features read, their gradient written."""
        entries = 2 * self.batch * self.width
        return Work(flops=6 * entries, arithmetic="fp32", traffic=2 * 4 * entries)
