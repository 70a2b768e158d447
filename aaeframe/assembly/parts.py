"""Build the network, the encoder and the discriminators, and check the members of what their factories give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from aaeframe.components.objects import ObjectComponent
from aaeframe.components.options import ResolvedComponent
from aaeframe.configuration.resolve import ResolvedRun
from aaeframe.errors import BrokenComponent, ConfigError
from aaeframe.protocols import BlockSpec, DataSpec, Network


def build_network(network: ResolvedComponent, data: DataSpec, code_size: int) -> Network:
    """The network for this data. BrokenComponent if it lacks a member."""
    built: Network = network.build(data, code_size)
    _require(network, built, "encoder", "decoder", "num_features")
    for name in ("encoder", "decoder"):
        _require_module(network, getattr(built, name), f", whose {name}")
    return built


def build_encoder(encoder: ResolvedComponent, network: Network, blocks: Mapping[str, BlockSpec]) -> nn.Module:
    """The encoder for these blocks. BrokenComponent if it is no module or lacks noise_shape."""
    built = _require_module(encoder, encoder.build(network, blocks))
    _require(encoder, built, "noise_shape")
    return built


def build_discriminator(discriminator: ResolvedComponent, block: BlockSpec, num_classes: int | None) -> nn.Module:
    """The discriminator of one block. BrokenComponent if it is no module."""
    return _require_module(discriminator, discriminator.build(block, num_classes))


def refuse_initial_std(resolved: ResolvedRun) -> None:
    """ConfigError if `training.initial_std` would draw anew the weights that an instance brings."""
    parts = [resolved.encoder, resolved.network, *resolved.discriminators.values()]
    for offer in [it.offer for it in parts]:
        if isinstance(offer, ObjectComponent) and offer.is_instance:
            raise ConfigError(
                f"training.initial_std would replace the weights of {offer}; leave it out, or pass a class or a "
                "function"
            )


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
