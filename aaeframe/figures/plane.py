"""A grid of codes in a two-dimensional latent space, to be decoded."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.distributions import Independent

from aaeframe.errors import DataError
from aaeframe.protocols import Prior
from aaeframe.seeds import stream

BOX_SAMPLES: Final = 10_000
BOX_SHARE: Final = 0.99


class PlaneCodes(NamedTuple):
    """A grid of codes, and its description."""

    codes: Tensor
    """(side, side, 2), float32 on the CPU: the second coordinate falls from row to row, the first grows within each
    row."""
    meaning: str
    """The description of the grid for a title."""


@runtime_checkable
class _Percentiles(Protocol):
    def icdf(self, value: Tensor) -> Tensor: ...


def plane_codes(prior: Prior, *, side: int = 20, seed: int = 0, device: torch.device | None = None) -> PlaneCodes:
    """A grid of side x side codes over a prior of event_shape (2,).

    It is uniform in the prior's percentiles, (i + 0.5) / side along each axis, if the prior has an `icdf` by
    coordinate. The `icdf` of an `Independent` is that of its base distribution. Without one, the grid is uniform in the
    box with the central 99 % of the samples along each axis. `device` is where the prior draws its samples: the random
    state there and on the CPU is not changed. DataError for another event_shape.
    """
    if prior.event_shape != (2,):
        raise DataError(f"a plane needs a prior of two dimensions, found samples of shape {tuple(prior.event_shape)}")
    with stream(seed, "plane", device=device):
        z = prior.sample(torch.Size([BOX_SAMPLES])).detach()
    center = (torch.arange(side, dtype=z.dtype, device=z.device) + 0.5) / side
    axes = _percentiles(prior, center.unsqueeze(1).expand(side, 2))
    meaning = "uniform in the prior's percentiles"
    if axes is None:
        tail = (1 - BOX_SHARE) / 2
        low, high = torch.quantile(z, torch.tensor([tail, 1 - tail], dtype=z.dtype, device=z.device), dim=0)
        axes = low + (high - low) * torch.linspace(0, 1, side, dtype=z.dtype, device=z.device).unsqueeze(1)
        meaning = f"uniform over the central {BOX_SHARE:.0%} of the prior"
    axes = axes.float().cpu()
    return PlaneCodes(torch.stack(torch.meshgrid(axes[:, 0], axes[:, 1].flip(0), indexing="xy"), dim=-1), meaning)


def _percentiles(prior: Prior, share: Tensor) -> Tensor | None:
    """The codes (side, 2) at these shares of each coordinate, or None if the prior has no percentiles."""
    source = prior.base_dist if isinstance(prior, Independent) else prior
    if not isinstance(source, _Percentiles):
        return None
    try:
        codes = source.icdf(share)
    except NotImplementedError:  # torch distributions without percentiles raise it
        return None
    return codes if codes.shape == share.shape and bool(codes.isfinite().all()) else None
