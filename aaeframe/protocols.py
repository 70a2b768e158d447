"""The interfaces of the framework, with the names of torch.distributions and of the paper.

Components are structural: any object with these members fits, no base class is needed. Each optional ability of a
component is a protocol of its own (`Supports...`). Test for it with `isinstance`, or with `supports_head`. Components
are verified by the conformance checks of `aaeframe.testing`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, TypeGuard, runtime_checkable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

Code: TypeAlias = Mapping[str, Tensor]
"""The latent blocks by name, each (N, *event_shape): {"gaussian": (N, 2)}, or {"y": (N, 10), "style": (N, 5)}."""


@dataclass(frozen=True)
class BlockSpec:
    """The shape and the support of one latent block, as an encoder and a discriminator need them."""

    event_shape: torch.Size
    support: Constraint


@dataclass(frozen=True)
class DataSpec:
    """The shape and scale of the data.

    A model sees (x - mean) / std of the user's x. Images are (channels, height, width), tables (features,).
    `support` is `constraints.unit_interval` for data that the scaling maps into [0, 1]; then the decoder ends in a
    sigmoid. It is `constraints.real` for standardized data; then the decoder ends linearly.
    """

    shape: torch.Size
    support: Constraint
    mean: Tensor
    """Broadcastable to `shape`, float32 or, for data that need it, float64, in the user's units."""
    std: Tensor
    """Broadcastable to `shape`, of the type of `mean`, positive, in the user's units."""


@dataclass(frozen=True)
class Batch:
    """One minibatch in the user's units; rows and labels are on the run's device."""

    x: Tensor
    """(N, *shape), uint8, float32 or float64."""
    labels: Tensor | None
    """(N,) class indices, or None."""
    index: Tensor
    """(N,) rows of the training set, on the CPU."""
    labeled: Batch | None = None
    """The labeled minibatch of the same step, if the run uses labels."""
    step: int | None = None
    """The number of steps of the run before this one, on which its prior samples depend; None outside a run."""


Labels: TypeAlias = Literal["none", "told", "required", "optional", "every"]
"""The use that a recipe makes of labels.

"none" uses no labels. "told" gives them to discriminators. "required" needs labels to classify, "optional" classifies
if there are any. "every" gives the label of each row to the decoder.
"""

ClassMetric: TypeAlias = Literal["classification", "clustering"]
"""Whether the categories of a class block are the classes, or clusters that take a class each."""


@dataclass(frozen=True)
class Needs:
    """The requirements of a recipe."""

    labels: Labels = "none"
    class_block: bool = False
    """Whether one block of one-hot vectors is the class; label-free terms go with it."""
    adversarial: bool = True
    """Whether each block has a discriminator."""
    trains_priors_by: Literal["loss", "log_prob"] | None = None
    """The member that trains priors with parameters. "log_prob": in the recipe's own loss. None: `loss`, if the recipe
    is adversarial."""
    reconstructs: bool = True
    """Whether the recipe trains the decoder to reconstruct, so that the validation reconstruction tells its progress.
    """

    def criterion(self, labels: int | str) -> str | None:
        """The validation metric for early stopping: the error if classes are learned from labels, or reconstruction.

        None without either. Adversarial losses are no criterion: they do not fall as training succeeds.
        """
        if self.class_metric(labels) == "classification":
            return "validation/error"
        return "validation/reconstruction" if self.reconstructs else None

    @property
    def prior_objective(self) -> Literal["loss", "log_prob"] | None:
        """The member of a prior that trains its parameters; None if nothing would."""
        return self.trains_priors_by or ("loss" if self.adversarial else None)

    def class_metric(self, labels: int | str) -> ClassMetric | None:
        """The metric of the class block with so many labels, or "all"; None without a class block."""
        if not self.class_block:
            return None
        return "classification" if labels else "clustering"


class RecipeClass(Protocol):
    """A recipe as a configuration sees it: attributes of its class, see `aaeframe.recipes.Recipe`."""

    @property
    def needs(self) -> Needs:
        """The requirements of the recipe."""

    @property
    def phases(self) -> Mapping[str, tuple[str, ...]]:
        """The optimizers of each schedule, the default schedule first."""


class LabeledSample(NamedTuple):
    """Samples of a prior with their class labels."""

    value: Tensor
    """sample_shape + event_shape."""
    labels: Tensor
    """sample_shape, int64 in [0, num_classes)."""


class Prior(Protocol):
    """The distribution p(z) imposed on one latent block.

    A `torch.distributions.Distribution` with an empty batch_shape fits unchanged. Samples come from torch's global
    generator and may be on the CPU: the framework moves them.
    """

    @property
    def event_shape(self) -> torch.Size:
        """The shape of one sample."""

    @property
    def support(self) -> Constraint:
        """The set in which samples lie, as a torch constraint."""

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        """Draw samples, sample_shape + event_shape, without gradient."""


@runtime_checkable
class SupportsLogProb(Protocol):
    """A prior with a density."""

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density in nats: sample_shape + event_shape -> sample_shape."""


@runtime_checkable
class SupportsLabels(Protocol):
    """A prior whose samples come with class labels (paper, section 2.3)."""

    @property
    def num_classes(self) -> int:
        """The number of classes."""

    def sample_labeled(self, sample_shape: torch.Size = torch.Size()) -> LabeledSample:
        """Draw samples together with their class labels."""


@runtime_checkable
class SupportsCurve(Protocol):
    """A prior along a curve, such as the swiss roll: the explorer of a report walks along it."""

    @property
    def event_shape(self) -> torch.Size:
        """The shape of one sample."""

    def curve(self, count: int) -> Tensor:
        """Codes (count, *event_shape) along the middle of the prior, from one end to the other."""


@runtime_checkable
class SupportsLoss(Protocol):
    """A prior with parameters to be trained, such as a flow: a `torch.nn.Module`."""

    def loss(self, code: Tensor) -> Tensor:
        """Return the scalar that the parameters minimize, given a minibatch of codes (N, *event_shape), detached.

        Often -log_prob(code).mean(). It is called in every step of a recipe with discriminators, with the optimizer of
        phase "prior". The encoder is frozen there. It must not wait for the device.
        """


@runtime_checkable
class SupportsBinding(Protocol):
    """A prior that is made from the encoder, the data or some of its rows, such as VampPrior (arXiv 1705.07120)."""

    def bind(self, posterior: Callable[[Tensor], Distribution], data: DataSpec, rows: Tensor | None) -> None:
        """Take what a run has. It is called after the encoder is built, and again when the run is loaded.

        Args:
            posterior: q(z | x) of the prior's block for scaled rows x (K, *data.shape), in evaluation mode. It has
                gradients to x and, in the recipe "variational", to the encoder. ConfigError if the encoder has no
                density. Keep this object itself in an attribute: a copy of the model then uses the copy's encoder. The
                encoder is no part of the prior.
            data: the shape, support and scale of the data.
            rows: up to 10,000 scaled training rows (M, *data.shape), evenly spaced; None on load. Then make parameters
                of the same shapes with any values: a checkpoint's replace them.
        """


@runtime_checkable
class SupportsFollowing(Protocol):
    """A prior with parts that are estimated from the codes during training."""

    def follow(self, code: Tensor) -> None:
        """Update the prior's estimates from a minibatch of codes (N, *event_shape), detached.

        It is called in every training step of a recipe with discriminators, before they see the codes. It runs on the
        device and must not wait for it: the prior is a module and changes its buffers in place.
        """


@runtime_checkable
class SupportsRestoring(Protocol):
    """A *factory* that builds from something that may be gone later, such as a file: of any kind, except recipes.

    It builds modules, so their tensors are in a checkpoint. `from_state` is called instead of the factory when a run is
    loaded or resumed. The state is loaded afterwards, as for every module. `training.initial_std` is refused with it.
    """

    def from_state(self, state: Mapping[str, Tensor], *arguments: Any, **options: Any) -> Any:
        """Build a component of the same shapes.

        Args:
            state: the component's state_dict. For a network, all tensors of the model: its decoder's are named
                "decoder.NAME"; its encoder's follow the name that the run's encoder gave it, "encoder.NAME.NAME".
            arguments: those of the factory, such as (data, code_size) for a network; none for a prior.
            options: those of the factory.
        """


class Encoder(Protocol):
    """The encoding distribution q(z | x)."""

    @property
    def noise_shape(self) -> torch.Size:
        """The shape of the noise for one row; empty if the encoder is deterministic."""

    def __call__(self, x: Tensor, noise: Tensor | None = None) -> Code:
        """Draw one code per row of x (N, *shape), differentiably. noise is (N, *noise_shape); None draws it."""


@runtime_checkable
class SupportsPosterior(Protocol):
    """An encoder whose q(z | x) has a density."""

    def posterior(self, x: Tensor) -> Mapping[str, Distribution]:
        """q(z | x) of each block, with batch_shape (N,)."""


class Discriminator(Protocol):
    """The logit for z being a sample of the prior and not a code of the encoder."""

    def __call__(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, *event_shape) -> (N,). With K classes, labels are in [0, K], K meaning "unlabeled"; None is all K."""


class SupportsHead(Protocol):
    """A discriminator that ends in a linear layer: D(z, labels) == head(body(z, labels)).squeeze(-1).

    Test for it with `supports_head`. Since Python 3.12, `isinstance` does not see the submodules of an nn.Module.
    """

    body: nn.Module
    """(z, labels) -> features (N, H)."""
    head: nn.Linear
    """features (N, H) -> logit (N, 1)."""


def supports_head(discriminator: object) -> TypeGuard[SupportsHead]:
    """Whether the discriminator has the modules of `SupportsHead`."""
    return all(isinstance(getattr(discriminator, part, None), nn.Module) for part in ("body", "head"))


class Network(Protocol):
    """The body of the autoencoder for one shape of data. It does not depend on noise or priors."""

    encoder: nn.Module
    """x (N, *shape), scaled -> features (N, num_features)."""
    decoder: nn.Module
    """representation (N, code_size) -> x_hat (N, *shape), scaled."""
    num_features: int
