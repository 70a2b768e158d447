"""Batch norm by the statistics of the whole minibatch. That of torch, `SyncBatchNorm`, runs on GPUs only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from aaeframe.processes.collective import gathered
from aaeframe.processes.group import size


@contextmanager
def synchronized(model: nn.Module) -> Iterator[None]:
    """Inside, batch norm in training mode normalizes by the rows of all processes, on CPUs and GPUs."""
    norms = _norms(model) if size() > 1 else []
    for it in norms:
        it.forward = partial(_forward, it)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for it in norms:
            del it.forward


@contextmanager
def unsynchronized(part: object) -> Iterator[None]:
    """Inside, batch norm of this part exchanges nothing: every process gives it the rows of all."""
    norms = _norms(part) if size() > 1 and isinstance(part, nn.Module) else []
    kept = [(it, vars(it).pop("forward")) for it in norms if "forward" in vars(it)]
    try:
        yield
    finally:
        for it, forward in kept:
            it.forward = forward  # type: ignore[method-assign]


def _norms(model: nn.Module) -> list[_BatchNorm]:
    return [it for it in model.modules() if isinstance(it, _BatchNorm)]


def _forward(norm: _BatchNorm, x: Tensor) -> Tensor:
    """Normalize x (N, C, ...), N rows of each process. One exchange; another in the backward pass."""
    if not norm.training:
        return type(norm).forward(norm, x)
    rows = x if x.dtype == torch.float64 else x.float()
    own_variance, own_mean = torch.var_mean(rows, [0, *range(2, x.dim())], correction=0)
    means, variances = gathered(torch.stack([own_mean, own_variance]).unsqueeze(0)).unbind(1)
    mean = means.mean(0)
    variance = (variances + (means - mean).square()).mean(0)
    if norm.track_running_stats:
        _follow(norm, mean.detach(), variance.detach(), size() * x.numel() // x.shape[1])
    shape = [1, -1, *[1] * (x.dim() - 2)]
    scale = (variance + norm.eps).rsqrt()
    if norm.affine:
        scale = scale * norm.weight
    normal = (rows - mean.view(shape)) * scale.view(shape)
    return (normal + norm.bias.view(shape) if norm.affine else normal).to(x.dtype)


@torch.no_grad()
def _follow(norm: _BatchNorm, mean: Tensor, variance: Tensor, count: int) -> None:
    """Update the running statistics as torch does; `count` values a channel."""
    assert norm.num_batches_tracked is not None
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.num_batches_tracked.add_(1)
    rate = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean, rate)
    norm.running_var.lerp_(variance * (count / (count - 1)), rate)
