"""Anomaly scores of rows by kind; higher is odder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
import torch
from torch import Tensor

from aaeframe.anomaly.density import Density, numeric_blocks, residuals
from aaeframe.errors import ConfigError
from aaeframe.model.autoencoder import Autoencoder, Rows
from aaeframe.model.priors import has_density, on_device
from aaeframe.protocols import SupportsLogProb

Kind: TypeAlias = Literal["density", "reconstruction", "prior", "discriminator"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
DECODED: Final = ("density", "reconstruction")
"""The kinds that decode rows, which takes labels if the decoder does."""


def scores(
    model: Autoencoder, x: Rows, kind: Kind, *, labels: Tensor | None = None, density: Density | None = None
) -> np.ndarray:
    """One score (N,) for each row of x (N, *shape), float64; higher is odder. Codes are without noise.

    - "density": the squared distance of residual and code under the Gaussian of `density`;
    - "reconstruction": the half squared error of the row, in the model's units;
    - "prior": -log p(z) in nats, summed over the blocks that are not one-hot;
    - "discriminator": the negative logit for z being a sample of the prior, summed over the blocks.

    `labels` (N,) are for a decoder that takes them. ConfigError as from `check_kind`.
    """
    check_kind(model, kind)
    if kind == "density":
        assert density is not None, "the density is fitted first, by fit_density"
        return density.scores(model, x, labels)
    found = {"reconstruction": _reconstruction, "prior": _prior, "discriminator": _discriminator}[kind]
    return np.concatenate([it.double().cpu().numpy() for it in found(model, x, labels)])


def check_kind(model: Autoencoder, kind: str) -> None:
    """ConfigError for a kind that does not exist, or that the parts of this model do not give."""
    if kind not in KINDS:
        raise ConfigError(f"there is no kind of score {kind!r}; kinds are {', '.join(KINDS)}")
    if kind == "discriminator" and not model.discriminators:
        raise ConfigError(f"the model has no discriminator, whose logit is the score; {_INSTEAD}")
    if kind != "prior":
        return
    if not numeric_blocks(model):
        raise ConfigError(
            f"all blocks are one-hot: the prior's density says which category is rare, not odd; {_INSTEAD}"
        )
    without = [name for name in numeric_blocks(model) if not has_density(model.priors[name])]
    if without:
        kinds = ", ".join(f"{name!r} ({type(model.priors[name]).__name__})" for name in without)
        raise ConfigError(f"the prior has samples but no density (log_prob) in block {kinds}; {_INSTEAD}")


_INSTEAD: Final = 'use --kind density or reconstruction, in Python kind="density"'


def _reconstruction(model: Autoencoder, x: Rows, labels: Tensor | None) -> Iterator[Tensor]:
    for residual, _ in residuals(model, x, labels):
        yield 0.5 * residual.square().sum(1)


@torch.no_grad()
def _prior(model: Autoencoder, x: Rows, labels: Tensor | None) -> Iterator[Tensor]:
    priors = {name: on_device(model.priors[name], model.device) for name in numeric_blocks(model)}
    for rows in model.batches(x):
        code = model.encode(rows)
        logs = [it.log_prob(code[name]) for name, it in priors.items() if isinstance(it, SupportsLogProb)]
        yield -torch.stack(logs).sum(0)


@torch.no_grad()
def _discriminator(model: Autoencoder, x: Rows, labels: Tensor | None) -> Iterator[Tensor]:
    for rows in model.batches(x):
        code = model.encode(rows)
        yield -torch.stack([it(code[name]) for name, it in model.discriminators.items()]).sum(0)
