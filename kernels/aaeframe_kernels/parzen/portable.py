"""The path for any floating-point data on any device: a matrix product per chunk, then the epilogue."""

from __future__ import annotations

import torch
from torch import Tensor

from aaeframe_kernels.dispatch import launches
from aaeframe_kernels.parzen import epilogue
from aaeframe_kernels.parzen.engine import Partial
from aaeframe_kernels.parzen.inputs import as_data


class PortableEngine:
    """|x - s|^2 = |x|^2 + |s|^2 - 2 x.s in float32 or float64, both sides less x's mean, which cancels less."""

    def __init__(self, x: Tensor, bandwidths: Tensor, dtype: torch.dtype) -> None:
        self.name = "fp32" if dtype == torch.float32 else "float64"
        self._dtype = dtype
        data = as_data(x, torch.float64)
        center = data.nanmean(0).nan_to_num()
        self._center = center.to(dtype)
        self._x = (data - self._center).to(dtype)
        self._norms = self._x.double().square().sum(1).to(dtype)
        self._rates = (0.5 / bandwidths.double().square()).to(x.device, dtype)

    def accepts(self, chunk: Tensor) -> bool:
        """Any chunk."""
        return True

    def partial(self, chunk: Tensor) -> Partial:
        """Nearest distances and kernel sums of one chunk."""
        launches[f"cpu/parzen_{self.name}"] += 1
        samples = as_data(chunk, self._dtype) - self._center
        norms = torch.linalg.vecdot(samples, samples)
        products = (2 * self._x) @ samples.t()
        return epilogue.plain(products, self._norms, norms, self._rates)
