"""The Parzen log-likelihood of all samples in one call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor

from aaeframe_kernels.parzen.paths import Precision
from aaeframe_kernels.parzen.state import ParzenState


def parzen_log_likelihood(
    x: Tensor,
    samples: Tensor | Iterable[Tensor],
    bandwidth: float | Sequence[float] | Tensor,
    *,
    precision: Precision = "auto",
    chunk_size: int | None = None,
    compiled: bool | None = None,
) -> Tensor:
    """The log-density log p(x) under a Gaussian kernel on every sample, in nats, float64 on x's device.

    (N,) for one bandwidth h, (N, S) for a sequence or tensor of S, all in one pass over the samples:

        log p(x) = logsumexp_j(-|x - s_j|^2 / (2 h^2)) - log M - D/2 log(2 pi h^2)

    x (N, *shape) is uint8 pixels, which stand for value/255, or floating point. Samples are (M, *shape), or an iterable
    of such chunks, which need not be in memory together. No gradient. ValueError for infinity, no samples, other
    shapes.
    """
    state = ParzenState(x, bandwidth, precision=precision, compiled=compiled)
    for chunk in [samples] if isinstance(samples, Tensor) else samples:
        state.update(chunk, chunk_size)
    result = state.log_likelihood()
    single = isinstance(bandwidth, (int, float)) or (isinstance(bandwidth, Tensor) and bandwidth.ndim == 0)
    return result[:, 0] if single else result
