"""Categorical distributions over one-hot vectors."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch.distributions import OneHotCategorical

Share = Annotated[float, Field(gt=0)]


def categorical(
    *,
    classes: Annotated[int, Field(gt=1, description="classes or clusters")] = 10,
    probs: Annotated[
        tuple[Share, ...] | None,
        Field(description="how often each of them is, up to a factor; all alike, as in the paper, if not given"),
    ] = None,
) -> OneHotCategorical:
    """Cat(1/K, ..., 1/K) as one-hot vectors (paper, sections 5 and 6), or Cat(probs / sum(probs))."""
    if probs is None:
        return OneHotCategorical(logits=torch.zeros(classes))
    if len(probs) != classes:
        raise ValueError(f"probs has {len(probs)} numbers for {classes} classes: give one for each")
    return OneHotCategorical(probs=torch.tensor(probs))
