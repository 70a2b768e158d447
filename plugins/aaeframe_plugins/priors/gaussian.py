"""The isotropic Gaussian."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch.distributions import Distribution, Independent, Normal


def gaussian(
    *,
    size: Annotated[int, Field(gt=0, description="dimensions")] = 2,
    scale: Annotated[float, Field(gt=0, description="standard deviation in each of them")] = 1.0,
) -> Distribution:
    """N(0, scale² I) in `size` dimensions (paper, section 2.3; likelihoods in section 3 use scale 5 and 10)."""
    return Independent(Normal(torch.zeros(size), scale), 1)
