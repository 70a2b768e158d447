"""Checks of any prior: its samples, its support and its state."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, TransformedDistribution, constraints
from torch.distributions.constraints import Constraint
from torch.distributions.transforms import Transform

from aaeframe import supports
from aaeframe.errors import ConfigError
from aaeframe.model.posterior import Posterior
from aaeframe.model.priors import is_trained
from aaeframe.protocols import DataSpec, Prior, SupportsBinding, SupportsLabels, SupportsLogProb, SupportsLoss
from aaeframe.testing.case import FALSE_ALARM, USES, fixed_seed, instances, require, seeded
from aaeframe.testing.goodness_of_fit import two_sample_p_value
from aaeframe.testing.modules import hand_over_state
from aaeframe.testing.repeats import Call, CallableCase

SHAPES: Final = (torch.Size(), torch.Size([5]), torch.Size([2, 3]))
"""The sample shapes with which priors are checked."""
DATA: Final = DataSpec(torch.Size([6]), constraints.real, torch.zeros(6), torch.ones(6))
"""The data of the encoder that a prior is bound to."""
ROWS: Final = 500
"""The number of rows of this data that a prior is shown."""


class PriorCase(CallableCase):
    """A factory of a prior."""

    def build(self) -> Any:
        """A new instance, bound to an encoder if it wants one."""
        return self.build_with_encoder()[0]

    def build_with_encoder(self) -> tuple[Any, nn.Module | None]:
        """A new instance, and the encoder that it is bound to, if it wants one."""
        prior = self.factory()
        if not isinstance(prior, SupportsBinding):
            return prior, None
        rows, encoder = torch.randn(ROWS, *DATA.shape), SmallEncoder(prior)
        bind(prior, encoder, rows)
        return prior, encoder

    def calls(self, built: Any) -> list[Call]:
        """Samples, and the density and the loss of them."""
        five, draw = torch.Size([5]), built.sample
        found = [Call("sample", lambda: draw(five))]
        if isinstance(built, SupportsLabels):
            found.append(Call("sample_labeled", partial(built.sample_labeled, five)))
        if isinstance(built, SupportsLogProb):
            found.append(Call("log_prob", built.log_prob, (draw(five).detach(),)))
        if is_trained(built) and isinstance(built, SupportsLoss):
            found.append(Call("loss", built.loss, (draw(five).detach(),)))
        return found


@seeded
def check_sample_shape(case: PriorCase) -> None:
    """`sample(S)` has the shape S + event_shape."""
    prior = case.build()
    _require_event(prior)
    for shape in SHAPES:
        expected = shape + prior.event_shape
        found = prior.sample(shape).shape
        require(found == expected, f"sample({tuple(shape)}) must have shape {tuple(expected)}, not {tuple(found)}")


@seeded
def check_batch_shape(case: PriorCase) -> None:
    """The component is one prior, not a batch of priors."""
    batch_shape = tuple(getattr(case.build(), "batch_shape", ()))
    require(
        batch_shape == (),
        f"the batch_shape must be empty, not {batch_shape}: wrap the distribution in "
        f"torch.distributions.Independent(..., {len(batch_shape)})",
    )


@seeded
def check_sample_dtype(case: PriorCase) -> None:
    """Samples are finite floating-point numbers."""
    sample = case.build().sample(torch.Size([100]))
    require(sample.is_floating_point(), f"samples must be floating-point numbers, not {sample.dtype}")
    require(bool(sample.isfinite().all()), "samples must be finite")


@seeded
def check_sample_device(case: PriorCase) -> None:
    """Samples are on the CPU at first; those of a module with tensors follow it to another device.

    Without an accelerator, the other device is torch's "meta", as far as it supports the prior's operations.
    """
    prior, encoder = case.build_with_encoder()
    found = prior.sample(torch.Size([5])).device
    require(found.type == "cpu", f"samples must be on the CPU before the prior is moved, not on {found}")
    tensors = [*prior.parameters(), *prior.buffers()] if isinstance(prior, nn.Module) else []
    if not tensors:
        return
    device = torch.device("cuda" if torch.cuda.is_available() else "meta")
    prior.to(device)
    if encoder is not None:
        encoder.to(device)
    try:
        found = prior.sample(torch.Size([5])).device
    except RuntimeError as error:
        values = isinstance(error, NotImplementedError) or "meta tensors" in str(error)
        if device.type == "meta" and values and "copy out of meta" not in str(error):
            return  # an operation that needs values, which "meta" lacks
        raise AssertionError(f"sample fails after the prior was moved to {device}: {error}") from error
    require(found.type == device.type, f"samples of a prior moved to {device} must follow it, not stay on {found}")


@seeded
def check_sample_gradient(case: PriorCase) -> None:
    """Samples carry no gradient."""
    carries = case.build().sample(torch.Size([5])).requires_grad
    require(not carries, "samples must carry no gradient: sample under torch.no_grad()")


@seeded
def check_sample_seed(case: PriorCase) -> None:
    """The samples depend only on the seed of torch's global generator."""
    prior = case.build()
    first, again, other = (sample_seeded(prior, seed) for seed in (1, 1, 2))
    require(torch.equal(first, again), "the same torch seed must give the same samples")
    require(not torch.equal(first, other), "different torch seeds must give different samples")


@seeded
def check_sample_rows(case: PriorCase) -> None:
    """The samples of one call are drawn apart from each other; another call has their distribution."""
    prior = case.build()
    first, second = (prior.sample(torch.Size(shape)).detach().reshape(2000, -1) for shape in ((2000,), (40, 50)))
    p_value = two_sample_p_value(first, second)
    require(
        p_value >= FALSE_ALARM,
        f"two calls of sample differ in distribution (p-value {p_value:.1e}): draw random numbers for each sample, "
        "and none that all samples of a call share",
    )


@seeded
def check_sample_support(case: PriorCase) -> None:
    """Samples lie in the support."""
    prior = case.build()
    _require_event(prior)
    samples = prior.sample(torch.Size([1000]))
    outside = ~inside(prior, samples)
    first = f", such as {samples[outside][0].tolist()}" if outside.any() else ""
    require(
        not outside.any(),
        f"{int(outside.sum())} of 1000 samples lie outside {supports.described(prior.support)}{first}",
    )


@seeded
def check_support_reachable(case: PriorCase) -> None:
    """The support has a rule for encoder heads."""
    prior = case.build()
    try:
        supports.resolve(prior.support, prior.event_shape)
    except ConfigError as error:
        raise AssertionError(str(error)) from error


@seeded
def check_prior_state(case: PriorCase) -> None:
    """The state_dict of a module has everything that its samples depend on."""
    first = case.build()
    for _ in range(USES):
        first.sample(torch.Size([5]))
    for origin, second in instances(case, first.state_dict()):
        hand_over_state(first, second)
        require(
            torch.equal(sample_seeded(first, 1), sample_seeded(second, 1)),
            f"{origin} with the state_dict of the first must sample the same: keep what is drawn in buffers",
        )


def sample_seeded(prior: Prior, seed: int, count: int = 16) -> Tensor:
    """Samples (count, *event_shape) that depend on the seed."""
    with fixed_seed(seed):
        return prior.sample(torch.Size([count])).detach()


def inside(prior: Prior, values: Tensor) -> Tensor:
    """Whether the support contains each of the values (N, *event_shape): (N,)."""
    inside: Tensor = prior.support.check(values)
    return inside.reshape(len(values), -1).all(dim=1)


def _require_event(prior: Prior) -> None:
    require(isinstance(prior.event_shape, torch.Size), f"event_shape must be a torch.Size, not {prior.event_shape!r}")
    require(isinstance(prior.support, Constraint), f"support must be a torch constraint, not {prior.support!r}")


class SmallEncoder(nn.Module):
    """A Gaussian q(z | x) for the block of a prior, linear in x; of the same weights each time."""

    def __init__(self, prior: Any) -> None:
        super().__init__()
        self._support = supports.resolve(prior.support, torch.Size(prior.event_shape))
        with fixed_seed(0):
            self.loc = nn.Linear(DATA.shape.numel(), self._support.head_shape.numel())

    def posterior(self, x: Tensor) -> dict[str, Distribution]:
        """Rows (N, 6) -> q(z | x); nothing if the map into the support is not bijective, so that it has no density."""
        transform, shape = self._support.transform, self._support.head_shape
        if not (isinstance(transform, Transform) and transform.bijective):
            return {}
        normal = Independent(Normal(self.loc(x).unflatten(1, shape), 0.5, validate_args=False), len(shape))
        return {"z": TransformedDistribution(normal, [transform], validate_args=False)}


def bind(prior: Any, encoder: SmallEncoder, rows: Tensor | None) -> None:
    """Bind a prior to the encoder and these rows. AssertionError if it changes the encoder."""
    before = encoder.loc.weight.detach().clone()
    prior.bind(Posterior(encoder, "z"), DATA, rows)
    require(torch.equal(encoder.loc.weight, before), "bind must leave the encoder as it is, which others train")
