"""What the framework asks of priors, whoever made them."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from aaeframe import supports
from aaeframe.errors import ConfigError
from aaeframe.protocols import BlockSpec, Prior, SupportsLabels


def check_prior(name: str, prior: Prior) -> None:
    """ConfigError if the prior of block `name` has no sample, shape or support, or has a batch_shape."""
    missing = [part for part in ("sample", "event_shape", "support") if not hasattr(prior, part)]
    if missing:
        raise ConfigError(
            f"the prior of block {name!r}, of type {type(prior).__name__}, has no {', '.join(missing)}; a prior is "
            "a torch.distributions.Distribution or anything with sample, event_shape and support"
        )
    batch_shape = tuple(getattr(prior, "batch_shape", ()))
    if batch_shape:
        raise ConfigError(
            f"the prior of block {name!r} has batch_shape {batch_shape}, so it is {batch_shape} distributions and "
            "not one; wrap it: torch.distributions.Independent(prior, "
            f"{len(batch_shape)})"
        )
    supports.resolve(prior.support, torch.Size(prior.event_shape))


def block_spec(prior: Prior) -> BlockSpec:
    """What encoders and discriminators must know of the prior."""
    return BlockSpec(torch.Size(prior.event_shape), prior.support)


def labeled_blocks(priors: Mapping[str, Prior], num_classes: int | None) -> tuple[str, ...]:
    """The blocks whose discriminator is told labels; none if num_classes is None.

    ConfigError if there are labels and no prior knows classes, or one knows another number than the data has.
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
