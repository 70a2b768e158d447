"""Any distribution given by samples in a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import constraints
from torch.nn.functional import embedding

from aaeframe.data import load_table
from aaeframe.errors import DataError

SUPPORTS: Final = {
    "real": constraints.independent(constraints.real, 1),
    "positive": constraints.independent(constraints.positive, 1),
    "unit-interval": constraints.independent(constraints.unit_interval, 1),
    "simplex": constraints.simplex,
}

File: TypeAlias = Annotated[Path, Field(description="a table (.csv ...), .npy or .npz file with a sample in each row")]
Smoothing: TypeAlias = Annotated[
    float, Field(ge=0, description="standard deviation of Gaussian noise on samples; on real numbers only")
]
Where: TypeAlias = Annotated[
    Literal["real", "positive", "unit-interval", "simplex"], Field(description="where samples, and so codes, lie")
]


class Empirical(nn.Module):
    """The samples of a file with equal probability; with `smoothing`, a kernel density estimate from them.

    The samples are a buffer, so they are in the checkpoint of a run, which needs the file only for its first start.
    """

    samples: Tensor

    def __init__(self, *, path: File, smoothing: Smoothing = 0.0, support: Where = "real") -> None:
        super().__init__()
        samples = torch.from_numpy(load_table(path)).float()  # as codes are
        inside = SUPPORTS[support].check(samples)
        if not inside.all():
            first = int((~inside).nonzero()[0, 0])
            raise DataError(
                f"{path}: {int((~inside).sum())} of {len(samples)} samples are not in the support {support!r}; the "
                f"first is row {first}, {samples[first].tolist()}. Fix the file, or name another support: "
                f"{', '.join(SUPPORTS)}."
            )
        if not smoothing and bool((samples == samples[0]).all()):
            raise DataError(
                f"{path}: {len(samples)} samples have one and the same value. Give at least two different "
                "ones, or smoothing=..."
            )
        self._hold(samples, smoothing, support)

    @classmethod
    def from_state(
        cls, state: Mapping[str, Tensor], *, path: File, smoothing: Smoothing = 0.0, support: Where = "real"
    ) -> Empirical:
        """The prior of a checkpoint, without the file."""
        prior = cls.__new__(cls)
        nn.Module.__init__(prior)
        prior._hold(state["samples"], smoothing, support)
        return prior

    def _hold(self, samples: Tensor, smoothing: float, support: str) -> None:
        if smoothing and support != "real":
            raise ValueError(f"smoothing is noise, which would leave the support {support!r}; leave one of them out")
        self.register_buffer("samples", samples)
        self.smoothing, self.support = smoothing, SUPPORTS[support]
        self.event_shape = samples.shape[1:]

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        """Samples (*sample_shape, D), drawn with replacement."""
        rows = torch.randint(len(self.samples), torch.Size(sample_shape), device=self.samples.device)
        drawn = embedding(rows, self.samples)  # samples[rows], which waits for the device if it is a single row
        return drawn + self.smoothing * torch.randn_like(drawn) if self.smoothing else drawn
