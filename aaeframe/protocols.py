"""The interfaces of the framework, in the words of torch.distributions and of the paper.

Components are structural: any object with these members fits, no base class is needed. What a component *may*
offer beyond its protocol is a capability of its own (`Supports...`), asked for with `isinstance`, or with
`supports_head`; the conformance checks of `aaeframe.testing` are the real gate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeGuard, runtime_checkable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

Code: TypeAlias = Mapping[str, Tensor]
"""The latent blocks by name, each (N, *event_shape): {"gaussian": (N, 2)}, or {"y": (N, 10), "style": (N, 5)}."""


@dataclass(frozen=True)
class BlockSpec:
    """What an encoder and a discriminator must know of one latent block: its shape and where it may lie."""

    event_shape: torch.Size
    support: Constraint


@dataclass(frozen=True)
class DataSpec:
    """The shape and scale of the data.

    A model sees (x - mean) / std of the user's x. Images are (channels, height, width), tables (features,).
    `support` is `constraints.unit_interval` for data that the scaling maps into [0, 1] (the decoder then ends in a
    sigmoid) and `constraints.real` for standardized data (it ends linearly).
    """

    shape: torch.Size
    support: Constraint
    mean: Tensor
    """Broadcastable to `shape`, float32, in the user's units."""
    std: Tensor
    """Broadcastable to `shape`, float32, positive, in the user's units."""


@dataclass(frozen=True)
class Batch:
    """One minibatch in the user's units; rows and labels are on the run's device."""

    x: Tensor
    """(N, *shape), uint8 or float32."""
    labels: Tensor | None
    """(N,) class indices, or None."""
    index: Tensor
    """(N,) rows of the training set, on the CPU."""
    labeled: Batch | None = None
    """The labeled minibatch that goes with it, where the run uses labels."""


class LabeledSample(NamedTuple):
    """Samples of a prior and the class each of them belongs to."""

    value: Tensor
    """sample_shape + event_shape."""
    labels: Tensor
    """sample_shape, int64 in [0, num_classes)."""


class Prior(Protocol):
    """The distribution p(z) imposed on one latent block.

    A `torch.distributions.Distribution` with an empty batch_shape is one as it stands. Samples are drawn with
    torch's global generator and may be on the CPU: the framework moves them.
    """

    @property
    def event_shape(self) -> torch.Size:
        """The shape of one sample."""

    @property
    def support(self) -> Constraint:
        """Where samples lie, as a torch constraint."""

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        """Draw samples, sample_shape + event_shape, without gradient."""


@runtime_checkable
class SupportsLogProb(Protocol):
    """A prior with a density."""

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density in nats: sample_shape + event_shape -> sample_shape."""


@runtime_checkable
class SupportsLabels(Protocol):
    """A prior whose samples come with the class they belong to (paper, section 2.3)."""

    @property
    def num_classes(self) -> int:
        """How many classes its samples belong to."""

    def sample_labeled(self, sample_shape: torch.Size = torch.Size()) -> LabeledSample:
        """Draw samples together with their class."""


@runtime_checkable
class SupportsFollowing(Protocol):
    """A prior of which a part is not fixed beforehand, but follows the codes."""

    def follow(self, code: Tensor) -> None:
        """Take notice of a minibatch of codes (N, *event_shape), detached, before the discriminator sees them.

        It is called in every training step of a recipe with discriminators, on the device, and must not wait for it:
        what it changes are buffers of the prior, a module, in place.
        """


@runtime_checkable
class SupportsRestoring(Protocol):
    """A *factory* of priors that are built from what may be gone later, such as a file.

    The priors are modules, so that a checkpoint has their tensors. `from_state` is called in the factory's place
    when a run is loaded or resumed; its weights are set afterwards, as for every module.
    """

    def from_state(self, state: Mapping[str, Tensor], **options: Any) -> Prior:
        """The prior that had this state_dict, built with the same options."""


class Encoder(Protocol):
    """The encoding distribution q(z | x)."""

    @property
    def noise_shape(self) -> torch.Size:
        """The shape of the noise one row consumes; empty if the encoder is deterministic."""

    def __call__(self, x: Tensor, noise: Tensor | None = None) -> Code:
        """Draw one code per row of x (N, *shape), differentiably. noise is (N, *noise_shape); None draws it."""


@runtime_checkable
class SupportsPosterior(Protocol):
    """An encoder whose q(z | x) has a density."""

    def posterior(self, x: Tensor) -> Mapping[str, Distribution]:
        """q(z | x) of each block, with batch_shape (N,)."""


class Discriminator(Protocol):
    """The logit of z having come from the prior rather than from the encoder."""

    def __call__(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, *event_shape) -> (N,). With K classes, labels are in [0, K], K meaning "unlabeled"; None is all K."""


class SupportsHead(Protocol):
    """A discriminator that ends in a linear layer: D(z, labels) == head(body(z, labels)).squeeze(-1).

    Not for `isinstance`, which since Python 3.12 overlooks the parts of an nn.Module: ask `supports_head`.
    """

    body: nn.Module
    """(z, labels) -> features (N, H)."""
    head: nn.Linear
    """features (N, H) -> logit (N, 1)."""


def supports_head(discriminator: object) -> TypeGuard[SupportsHead]:
    """Whether the discriminator offers the modules of `SupportsHead`."""
    return all(isinstance(getattr(discriminator, part, None), nn.Module) for part in ("body", "head"))


class Network(Protocol):
    """The body of the autoencoder for one shape of data. It knows nothing of noise or priors."""

    encoder: nn.Module
    """x (N, *shape), scaled -> features (N, num_features)."""
    decoder: nn.Module
    """representation (N, code_size) -> x_hat (N, *shape), scaled."""
    num_features: int
