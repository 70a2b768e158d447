"""From inner products to a partial state: squared distances, the least of each row, and the kernel sums."""

from __future__ import annotations

import torch
from torch import Tensor

from aaeframe_kernels.parzen.engine import Partial

REACH = 32.0
"""exp(-32) = 1.3e-14: a row whose nearest sample of a chunk lies this far beyond its nearest so far adds nothing."""


def plain(products: Tensor, row: Tensor, column: Tensor, rates: Tensor) -> Partial:
    """The partial state of a chunk from products (N, C): |x - s|^2 = row + column - products, so products are 2 x.s.

    row (N,) and column (C,) are the squared norms, rates (S,) are 1 / (2 h^2). `products` is overwritten.
    """
    squared = products.neg_().add_(row[:, None]).add_(column).clamp_min_(0)
    nearest = squared.amin(1)
    beyond = squared.sub_(nearest[:, None])
    return Partial(nearest, torch.stack([torch.exp(beyond * -rate).sum(1) for rate in rates.tolist()], dim=1))
