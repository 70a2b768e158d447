"""Build priors, network, encoder and discriminators, and check the members of what their factories give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from torch import Tensor, nn

from aaeframe.components.objects import ObjectComponent
from aaeframe.components.options import ResolvedComponent
from aaeframe.configuration.resolve import ResolvedRun
from aaeframe.errors import BrokenComponent, ConfigError
from aaeframe.model.priors import checked_prior
from aaeframe.protocols import BlockSpec, DataSpec, Network, Prior
from aaeframe.storage.checkpoint import tensors_below

Saved: TypeAlias = Mapping[str, Tensor] | None
"""The tensors of a checkpoint's model, for the parts whose factory has `from_state`; None for a new run."""


def build_prior(name: str, prior: ResolvedComponent, saved: Saved = None) -> Prior:
    """The prior of a block, checked."""
    return checked_prior(name, _built(prior, saved, f"prior_modules.{name}."))


def build_network(network: ResolvedComponent, data: DataSpec, code_size: int, saved: Saved = None) -> Network:
    """The network for this data. BrokenComponent if it lacks a member."""
    own = replace(data, mean=data.mean.clone(), std=data.std.clone())  # a factory must not change the model's
    built: Network = _built(network, saved, "", own, code_size)
    _require(network, built, "encoder", "decoder", "num_features")
    for name in ("encoder", "decoder"):
        _require_module(network, getattr(built, name), f", whose {name}")
    return built


def build_encoder(
    encoder: ResolvedComponent, network: Network, blocks: Mapping[str, BlockSpec], saved: Saved = None
) -> nn.Module:
    """The encoder for these blocks. BrokenComponent if it is no module or lacks noise_shape."""
    built = _require_module(encoder, _built(encoder, saved, "encoder.", network, blocks))
    _require(encoder, built, "noise_shape")
    return built


def build_discriminator(
    name: str, discriminator: ResolvedComponent, block: BlockSpec, num_classes: int | None, saved: Saved = None
) -> nn.Module:
    """The discriminator of the block of this name. BrokenComponent if it is no module."""
    built = _built(discriminator, saved, f"discriminators.{name}.", block, num_classes)
    return _require_module(discriminator, built)


def refuse_initial_std(resolved: ResolvedRun) -> None:
    """ConfigError if `training.initial_std` would draw anew the weights that an instance, or a file, brings."""
    for part in (resolved.encoder, resolved.network, *resolved.discriminators.values()):
        if isinstance(part.offer, ObjectComponent) and part.offer.is_instance:
            advice = "leave it out, or pass a class or a function"
        elif part.from_state is not None:
            advice = "it reads them, and has `from_state` for this reason; leave it out"
        else:
            continue
        raise ConfigError(f"training.initial_std would replace the weights of {part.offer}; {advice}")


def _built(part: ResolvedComponent, saved: Saved, prefix: str, *positional: Any) -> Any:
    """A part of a new run, or that of a checkpoint, given the tensors of the model below the prefix."""
    if saved is None:
        return part.build(*positional)
    return part.restore(tensors_below(f"model.{prefix}", saved), *positional)


def _require_module(part: ResolvedComponent, built: Any, member: str = "") -> nn.Module:
    if not isinstance(built, nn.Module):
        found = (
            f"the class {built.__name__}" if isinstance(built, type) else f"an object of type {type(built).__name__}"
        )
        raise BrokenComponent(f"{part.offer}{member} must be a torch.nn.Module, is {found}")
    return built


def _require(part: ResolvedComponent, built: Any, *members: str) -> None:
    missing = [name for name in members if not hasattr(built, name)]
    if missing:
        raise BrokenComponent(
            f"{part.offer} needs {', '.join(members)}, but {type(built).__name__} has no {', '.join(missing)}: see "
            f"{part.offer.kind.capitalize()} in aaeframe.protocols"
        )
