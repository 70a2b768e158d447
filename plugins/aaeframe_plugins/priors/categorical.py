"""The uniform categorical distribution over one-hot vectors."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch.distributions import OneHotCategorical


def categorical(*, classes: Annotated[int, Field(gt=1, description="classes or clusters")] = 10) -> OneHotCategorical:
    """Cat(1/K, ..., 1/K) as one-hot vectors (paper, sections 5 and 6)."""
    return OneHotCategorical(logits=torch.zeros(classes))
