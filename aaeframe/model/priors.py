"""Checks of priors, and functions that work with any prior."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from contextlib import AbstractContextManager
from copy import copy
from typing import Any, Final, cast

import torch
from torch.distributions import Distribution, Independent, Transform
from torch.distributions.constraints import Constraint

from aaeframe import supports
from aaeframe.errors import AaeframeError, ConfigError
from aaeframe.global_state import guarded, restoring
from aaeframe.model.function_prior import FunctionPrior
from aaeframe.protocols import (
    BlockSpec,
    Prior,
    SupportsBinding,
    SupportsFollowing,
    SupportsLabels,
    SupportsLogProb,
    SupportsLoss,
)

FILE_KEYS: Final = ("x", "x_hat", "labels", "class_names", "file", "allow_pickle")
"""Names that code files use for other arrays, or that are arguments of `numpy.savez`."""
_HOLDERS: Final = (Distribution, Transform, SupportsLogProb, list, tuple)
"""Types that may hold the tensors of a prior that is no module."""


def checked_prior(name: str, prior: Prior) -> Prior:
    """The prior of block `name`, checked for training.

    A distribution of single numbers becomes one of vectors of length 1. ConfigError if the name or the prior is not
    usable. A prior needs `sample`, a shape, a support with a rule, and samples that are rows of that shape. It must
    have no batch_shape, and a `follow` needs a module for its state.
    """
    _check_name(name)
    if isinstance(prior, type):
        raise ConfigError(
            f"the prior of block {name!r} is the class {prior.__name__}, which cannot be sampled; pass an instance, "
            f"as in {prior.__name__}(...)"
        )
    if callable(prior) and not isinstance(prior, torch.nn.Module) and not hasattr(prior, "sample"):
        prior = FunctionPrior(name, prior)
    missing = [part for part in ("sample", "event_shape", "support") if not _has(prior, part)]
    if missing:
        raise ConfigError(
            f"the prior of block {name!r}, of type {type(prior).__name__}, has no {', '.join(missing)}; a prior is "
            "a torch.distributions.Distribution or anything with sample, event_shape and support"
        )
    _check_batch_shape(name, prior)
    if not isinstance(prior.event_shape, tuple):
        raise ConfigError(
            f"the prior of block {name!r}, of type {type(prior).__name__}, has event_shape {prior.event_shape!r}; it "
            "must be a tuple or a torch.Size, such as (2,)"
        )
    if isinstance(prior, SupportsFollowing) and not isinstance(prior, torch.nn.Module):
        raise ConfigError(
            f"the prior of block {name!r}, of type {type(prior).__name__}, has follow but is not a torch.nn.Module: "
            "no checkpoint would hold its estimates from codes. Make it a module, with buffers"
        )
    if isinstance(prior, Distribution) and not prior.event_shape:
        prior = Independent(prior.expand([1]), 1)
    if not isinstance(prior.support, Constraint):
        raise ConfigError(
            f"the support of the prior of block {name!r} is {prior.support!r}; it must be a constraint of "
            "torch.distributions.constraints"
        )
    supports.resolve(prior.support, torch.Size(prior.event_shape))  # ConfigError if there is no way to it
    _check_tensors(name, prior)
    if not isinstance(prior, SupportsBinding):  # which is checked by `checked_bound`
        _check_sample(name, prior)
    if not prior.event_shape:
        raise ConfigError(
            f"the prior of block {name!r}, of type {type(prior).__name__}, has event_shape (), but a code is a row of "
            "numbers. Give samples one dimension more, and event_shape (1,)"
        )
    return prior


def checked_bound(name: str, prior: SupportsBinding, encoder: torch.nn.Module, *, drawn: bool) -> None:
    """ConfigError if a prior that was bound to an encoder holds modules of the encoder, or cannot be sampled.

    It is sampled if `drawn`: on load its parameters may have any values until its state is there.
    """
    if isinstance(prior, torch.nn.Module) and set(prior.modules()) & set(encoder.modules()):
        raise ConfigError(
            f"the prior of block {name!r}, of type {type(prior).__name__}, has modules of the encoder as its own: they "
            "would be trained and saved twice. Keep the function that `bind` is given, not the module behind it"
        )
    if drawn:
        _check_sample(name, cast(Prior, prior))


def is_trained(prior: Prior) -> bool:
    """Whether the prior has parameters to be trained."""
    return isinstance(prior, torch.nn.Module) and any(it.requires_grad for it in prior.parameters())


def fixed_priors(priors: Mapping[str, Prior]) -> list[Prior]:
    """The priors that a copy of the model shares with it, such as an averaged model.

    They would not change, and may be large or impossible to copy. A prior that follows codes also counts as fixed: it
    is an average itself. A prior bound to the encoder is copied with it.
    """
    return [prior for prior in priors.values() if not (is_trained(prior) or isinstance(prior, SupportsBinding))]


def check_objectives(priors: Mapping[str, Prior], recipe: str, objective: str | None) -> None:
    """ConfigError for a prior whose parameters nothing would train, in a recipe that trains priors by `objective`."""
    kind = SupportsLogProb if objective == "log_prob" else SupportsLoss
    for name, prior in priors.items():
        if is_trained(prior) and (objective is None or not isinstance(prior, kind)):
            assert isinstance(prior, torch.nn.Module)
            untrained = ", ".join(key for key, it in prior.named_parameters() if it.requires_grad)
            lacks = f"the recipe {recipe!r} trains no priors" if objective is None else f"the prior has no {objective}"
            raise ConfigError(
                f"the prior of block {name!r}, of type {type(prior).__name__}, has parameters that nothing would train "
                f"({untrained}): {lacks}. Give it loss(code), what they minimize, such as -self.log_prob(code).mean(); "
                "or make them buffers, if they are fixed"
            )


def block_spec(prior: Prior) -> BlockSpec:
    """The shape and support of the prior, as encoders and discriminators need them."""
    return BlockSpec(torch.Size(prior.event_shape), prior.support)


def labeled_blocks(priors: Mapping[str, Prior], num_classes: int | None) -> tuple[str, ...]:
    """The blocks whose discriminator takes labels; none if num_classes is None.

    ConfigError if there are labels but no prior has classes, or one has another number of classes than the data.
    """
    if num_classes is None:
        return ()
    knowing = {name: prior for name, prior in priors.items() if isinstance(prior, SupportsLabels)}
    if not knowing:
        raise ConfigError(
            f"labels were given, but no prior of {', '.join(priors)} knows classes; use one that does, such as "
            "mixture or swissroll, or leave --labels out"
        )
    for name, prior in knowing.items():
        if prior.num_classes != num_classes:
            raise ConfigError(
                f"the prior of block {name!r} knows {prior.num_classes} classes, but the data has {num_classes}; "
                "set the prior's number of classes to the data's"
            )
    return tuple(knowing)


def on_device(prior: Prior, device: torch.device) -> Prior:
    """A prior whose density works on a device: itself, or a copy with all its tensors moved there.

    The copy of a distribution does not validate values, which would wait for the device.
    """
    if isinstance(prior, torch.nn.Module) or device.type == "cpu":
        return prior
    return cast(Prior, _moved(prior, device, {}))


def _moved(value: Any, device: torch.device, known: dict[int, Any]) -> Any:
    """Move tensors to the device and copy everything that holds some.

    `known` has the copies made so far, because a transform and its inverse refer to each other.
    """
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, list | tuple) and not isinstance(value, torch.Size):
        return type(value)(_moved(part, device, known) for part in value)
    if id(value) in known or not isinstance(value, Distribution | Transform | SupportsLogProb):
        return known.get(id(value), value)
    copied = known[id(value)] = copy(value)
    for name, part in vars(value).items():
        object.__setattr__(copied, name, _moved(part, device, known))
    if isinstance(copied, Distribution):
        object.__setattr__(copied, "_validate_args", False)
    return copied


def has_density(prior: Prior) -> bool:
    """Whether the prior's log_prob works; a Distribution may have one that raises NotImplementedError.

    ConfigError if it does not give one number for each sample.
    """
    if not isinstance(prior, SupportsLogProb):
        return False
    count = _other_count(prior)
    try:
        with _forked(), guarded():
            found = prior.log_prob(prior.sample(torch.Size([count])))
    except NotImplementedError:
        return False
    except ValueError:
        if isinstance(prior, Distribution):  # torch refuses samples of mixtures whose components have other bounds
            return False
        raise
    if not isinstance(found, torch.Tensor) or found.shape != (count,):
        gave = f"a tensor of shape {tuple(found.shape)}" if isinstance(found, torch.Tensor) else repr(found)
        raise ConfigError(
            f"log_prob of the prior of type {type(prior).__name__} was asked for the densities of {count} samples and "
            f"gave {gave:.100}; it must give one each, a tensor of shape ({count},), as by a sum over the dimensions "
            "of a sample"
        )
    return True


def _check_name(name: str) -> None:
    """ConfigError for names that nn.ModuleDict cannot register, or that the files of codes use for something else."""
    if name in FILE_KEYS or hasattr(torch.nn.ModuleDict(), name):
        raise ConfigError(
            f"a block cannot be called {name!r}, which has another meaning; choose another name: z={name}"
        )


def _has(prior: Prior, part: str) -> bool:
    try:
        return hasattr(prior, part)
    except NotImplementedError:  # a Distribution that does not implement it
        return False


def _check_tensors(name: str, prior: Prior) -> None:
    """ConfigError for tensors to be trained in a prior that is no module: no checkpoint would hold them."""
    if not isinstance(prior, torch.nn.Module) and _wants_gradient(prior, set()):
        raise ConfigError(
            f"the prior of block {name!r}, of type {type(prior).__name__}, holds tensors that require a gradient, but "
            "is no torch.nn.Module: they would be neither trained nor saved. Make it a module with these parameters "
            "and loss(code), or detach them"
        )


def _wants_gradient(value: Any, seen: set[int]) -> bool:
    """Whether a tensor that requires a gradient is inside distributions, transforms, modules, lists or tuples."""
    if isinstance(value, torch.Tensor):
        return value.requires_grad
    if isinstance(value, torch.nn.Module):
        return any(it.requires_grad for it in value.parameters())
    if id(value) in seen:
        return False
    seen.add(id(value))
    parts = value if isinstance(value, list | tuple) else vars(value).values() if hasattr(value, "__dict__") else ()
    return isinstance(value, _HOLDERS) and any(_wants_gradient(part, seen) for part in parts)


def _check_batch_shape(name: str, prior: Prior) -> None:
    batch_shape = tuple(getattr(prior, "batch_shape", ()))
    if batch_shape:
        raise ConfigError(
            f"the prior of block {name!r} has batch_shape {batch_shape}, so it is an array of distributions and not "
            f"one; wrap it: torch.distributions.Independent(prior, {len(batch_shape)})"
        )


def _check_sample(name: str, prior: Prior) -> None:
    """Draw a few samples twice, and check their shape and that they are the same."""
    count = _other_count(prior)
    who = f"the prior of block {name!r}, of type {type(prior).__name__},"
    who = prior.who if isinstance(prior, FunctionPrior) else who
    try:
        with restoring(who.rstrip(",")):
            sample, again = _drawn(prior, count), _drawn(prior, count)
    except AaeframeError:  # of the encoder that it is bound to
        raise
    except Exception as error:  # anything may be raised by third-party code
        raise ConfigError(f"{who} cannot be sampled: {type(error).__name__}: {error}") from error
    asked = (count, *prior.event_shape)
    if not isinstance(sample, torch.Tensor) or tuple(sample.shape) != asked:
        found = tuple(sample.shape) if isinstance(sample, torch.Tensor) else type(sample).__name__
        raise ConfigError(
            f"{who} was asked for {count} samples and gave {found}; sample(sample_shape) must give a tensor of shape "
            f"sample_shape + event_shape, here {asked}. Fix it; for a plugin's prior, `aaeframe plugins check` says "
            "more"
        )
    if not bool(sample.isfinite().all()):
        raise ConfigError(f"{who} gave samples that are not finite: {sample[:1].tolist()}; fix it, or choose another")
    if not torch.equal(sample, again):
        raise ConfigError(
            f"{who} gives other samples from the same random state of torch, so no run could repeat them; draw from "
            "torch's generator alone, by torch.randn, torch.rand and the like"
        )


def _drawn(prior: Prior, count: int) -> torch.Tensor:
    """Samples that leave the random state as it is, so that the next ones are the same."""
    with _forked():
        return prior.sample(torch.Size([count]))


def _forked() -> AbstractContextManager[None]:
    """Restore the random state of torch on each device afterwards."""
    return torch.random.fork_rng(devices=range(torch.cuda.device_count() if torch.cuda.is_initialized() else 0))


def _other_count(prior: Prior) -> int:
    """A few samples: their number differs from every dimension of an event, so that the two cannot be confused."""
    return next(it for it in itertools.count(3) if it not in prior.event_shape)
