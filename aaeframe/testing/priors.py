"""Checks of any prior: its samples, its support and its state."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.distributions.constraints import Constraint

from aaeframe import supports
from aaeframe.errors import ConfigError
from aaeframe.model.priors import is_trained
from aaeframe.protocols import Prior, SupportsBinding, SupportsLabels, SupportsLogProb, SupportsLoss
from aaeframe.testing.binding import ROWS, SHAPE, bound
from aaeframe.testing.case import FALSE_ALARM, USES, instances, require, seeded
from aaeframe.testing.goodness_of_fit import two_sample_p_value
from aaeframe.testing.repeats import Call, CallableCase
from aaeframe.testing.state_dicts import hand_over_state

SHAPES: Final = (torch.Size(), torch.Size([5]), torch.Size([2, 3]))
"""The tested sample shapes."""
FOLLOWED: Final = 100
"""The number of minibatches shown to a prior, so that a slow one changes, too."""


class PriorCase(CallableCase):
    """A factory of a prior."""

    def build(self) -> Any:
        """A new instance, bound to an encoder if it wants one."""
        return self.build_with_encoder()[0]

    def build_with_encoder(self) -> tuple[Any, nn.Module | None]:
        """A new instance, and the encoder that it is bound to: one of the same weights each time."""
        prior = self.factory()
        return prior, bound(prior, torch.randn(ROWS, *SHAPE)) if isinstance(prior, SupportsBinding) else None

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
def check_prior_loss(case: PriorCase) -> None:
    """The parameters of the prior are trained: `loss` of codes is a finite scalar with a gradient to each of them.

    A `log_prob` must have one, too, because the recipe "variational" trains by it.
    """
    prior = case.build()
    named = dict(prior.named_parameters()) if isinstance(prior, nn.Module) else {}
    trained = {name: it for name, it in named.items() if it.requires_grad}
    require(bool(trained), "a prior with a loss must be an nn.Module with parameters: nothing else is trained by it")
    require(
        isinstance(prior, SupportsLoss),
        f"nothing would train the parameters {', '.join(trained)}: give the prior loss(code), what they minimize, such "
        "as -self.log_prob(code).mean(); or make them buffers, if they are fixed",
    )
    code = prior.sample(torch.Size([64])).detach()
    loss = prior.loss(code)
    require(loss.shape == (), f"loss(code) must be a scalar, not of shape {tuple(loss.shape)}")
    require(bool(loss.isfinite()), "loss(code) must be finite on codes that are samples of the prior")
    _require_gradients(loss, trained, "loss(code)")
    if isinstance(prior, SupportsLogProb):
        _require_gradients(prior.log_prob(code).mean(), trained, "log_prob")


def _require_gradients(value: Tensor, parameters: Mapping[str, nn.Parameter], name: str) -> None:
    """AssertionError unless the value depends on all parameters, and its gradient is finite and not zero."""
    found = torch.autograd.grad(value, list(parameters.values()), allow_unused=True) if value.requires_grad else ()
    lacking = [key for key, it in zip(parameters, found, strict=True) if it is None] if found else list(parameters)
    require(not lacking, f"{name} must have a gradient to each parameter; it has none to {', '.join(lacking)}")
    finite = all(bool(it.isfinite().all()) for it in found)
    require(finite and any(bool(it.any()) for it in found), f"the gradient of {name} is zero or not finite")


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


@seeded
def check_bind(case: PriorCase) -> None:
    """A prior that is bound again without rows, and given its state, samples the same; the encoder is no part of it."""
    first, second = case.factory(), case.factory()
    rows = torch.randn(ROWS, *SHAPE)
    shown = rows.clone()
    encoder = bound(first, rows)
    require(torch.equal(rows, shown), "bind must leave the rows that it is given as they are")
    bound(second, None, encoder)
    for prior in (first, second):
        owned = set(prior.modules()) & set(encoder.modules()) if isinstance(prior, nn.Module) else set()
        require(not owned, "the encoder must not be a submodule of the prior: keep the function that bind is given")
    if isinstance(first, nn.Module):
        hand_over_state(first, second)
    require(
        torch.equal(sample_seeded(first, 1), sample_seeded(second, 1)),
        "bound without rows, and given the state_dict of the first, a second instance must sample the same",
    )
    copied = copy.deepcopy({"prior": first, "encoder": encoder})
    with torch.no_grad():
        for it in encoder.parameters():
            it.fill_(torch.nan)
    require(
        bool(copied["prior"].sample(torch.Size([5])).isfinite().all()),
        "a copy of the prior must use the copy's encoder: keep the object `posterior` itself in an attribute, and no "
        "function that calls it",
    )


@seeded
def check_follow(case: PriorCase) -> None:
    """The state of a prior that follows codes is in its buffers, changed in place; codes and support do not change."""
    prior, resumed = case.build(), case.build()
    require(
        isinstance(prior, nn.Module), f"a prior that follows codes must be an nn.Module, not {type(prior).__name__}"
    )
    # The references prevent other buffers from reusing their memory.
    code, before = _lopsided(prior), {name: buffer.detach() for name, buffer in prior.named_buffers()}
    shown = code.clone()
    for _ in range(FOLLOWED):
        prior.follow(code)
    require(torch.equal(code, shown), "follow must not change the codes it is shown")
    samples = prior.sample(torch.Size([1000])).detach()
    require(samples.shape == (1000, *prior.event_shape), f"samples are of shape {tuple(samples.shape)} after follow")
    require(bool(inside(prior, samples).all()), f"samples lie outside {supports.described(prior.support)} after follow")
    moved = [name for name, it in prior.named_buffers() if it.data_ptr() != before[name].data_ptr()]
    require(not moved, f"follow must change buffers in place, where a captured step finds them: {', '.join(moved)}")
    hand_over_state(prior, resumed)
    code = _lopsided(prior)
    for it in (prior, resumed):
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(1)
            it.follow(code)
    apart = [name for name, value in prior.state_dict().items() if not torch.equal(value, resumed.state_dict()[name])]
    require(
        not apart and torch.equal(sample_seeded(prior, 1, 1000), sample_seeded(resumed, 1, 1000)),
        "the state of follow must be in buffers: a second instance with the state_dict must continue like the first",
    )


def _lopsided(prior: Prior) -> Tensor:
    """Codes (100, *event_shape) of which half are equal, so that a prior has something to follow."""
    one, others = prior.sample(torch.Size([1])), prior.sample(torch.Size([50]))
    return torch.cat([one.expand_as(others), others]).detach()


def sample_seeded(prior: Prior, seed: int, count: int = 16) -> Tensor:
    """Samples (count, *event_shape) that depend on the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return prior.sample(torch.Size([count])).detach()


def inside(prior: Prior, values: Tensor) -> Tensor:
    """Whether the support contains each of the values (N, *event_shape): (N,)."""
    inside: Tensor = prior.support.check(values)
    return inside.reshape(len(values), -1).all(dim=1)


def _require_event(prior: Prior) -> None:
    require(isinstance(prior.event_shape, torch.Size), f"event_shape must be a torch.Size, not {prior.event_shape!r}")
    require(isinstance(prior.support, Constraint), f"support must be a torch constraint, not {prior.support!r}")
