"""The error of the Triton kernels' arithmetic, apart from the rounding of their operands: a check for a new GPU.

The precision of a tensor core's accumulator is not documented. On a GPU, for each precision:

    error = arithmetic_error(launch.prepare(x, bandwidths, "fp16"), x, samples, bandwidths)
    error.mean(0), error.std(0)   # nats, per bandwidth; the mean is the error of the mean log-likelihood
"""

from __future__ import annotations

import torch
from torch import Tensor

from aaeframe_kernels.parzen.launch import TritonEngine
from aaeframe_kernels.parzen.reference import squared_distances


def arithmetic_error(engine: TritonEngine, x: Tensor, samples: Tensor, bandwidths: Tensor) -> Tensor:
    """The engine's log p(x) minus that of float64 on the operands that the engine multiplies, in nats: (N, S) float64.

    x (N, D) are the engine's rows, samples (M, D) one chunk that it accepts, bandwidths (S,).
    """
    rates = (0.5 / bandwidths.double().square()).to(x.device)
    partial = engine.partial(samples)
    found = partial.sums.double().log() - partial.nearest.double()[:, None] * rates
    squared = squared_distances(engine.values(x), engine.values(samples))
    exact = torch.stack([torch.logsumexp(-squared * rate, dim=1) for rate in rates], dim=1)
    return found - exact
