"""Exchanges of numbers between processes. With a single process each returns what it was given."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby, pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist

from aaeframe.processes.group import exchanging, rank, size


def share(count: int) -> slice:
    """The part of `count` rows that belongs to this process: contiguous, and as large as the others' if it divides."""
    return slice(rank() * count // size(), (rank() + 1) * count // size())


def average(parameters: Iterable[nn.Parameter]) -> None:
    """Average the gradients over all processes, in one exchange for each type and device.

    A parameter without a gradient counts as zero, and must have none in any process.
    """
    if size() == 1:
        return
    every = list(dict.fromkeys(parameters))
    for _, group in groupby(sorted(every, key=_kind), key=_kind):
        some = list(group)
        flat = torch.cat([(torch.zeros_like(it) if it.grad is None else it.grad).flatten() for it in some])
        _average_(flat)
        for it, part in zip(some, flat.split([it.numel() for it in some]), strict=True):
            if it.grad is not None:
                it.grad = part.view_as(it)


def _kind(parameter: Tensor) -> str:
    return f"{parameter.dtype} {parameter.device}"


def _average_(tensor: Tensor) -> Tensor:
    with exchanging():
        dist.all_reduce(tensor)
    return tensor.div_(size())


def averaged(tensor: Tensor) -> Tensor:
    """The mean of a tensor over all processes, differentiable.

    Its gradient is the mean over processes, too: `descend` averages the gradients of parameters, so each process
    works with the gradient of its own rows' mean loss.
    """
    return tensor if size() == 1 else _Averaged.apply(tensor)


class _Averaged(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        return _average_(tensor.detach().clone())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return averaged(gradients[0])  # differentiable, too: a gradient penalty takes the gradient of a gradient


def gathered(rows: Tensor, count: int | None = None) -> Tensor:
    """The rows (n, ...) of all processes, in their order, differentiable.

    Every process has as many rows, or with `count` those of `share(count)`. The gradient of a row is the sum over the
    losses of all processes: a loss of the gathered rows trains as if one process had all of them.
    """
    if size() == 1:
        return rows
    if count is None or count % size() == 0:
        return _Gathered.apply(rows)
    bounds = [part * count // size() for part in range(size() + 1)]
    lengths = [stop - start for start, stop in pairwise(bounds)]
    padded = torch.cat([rows, rows.new_zeros(max(lengths) - len(rows), *rows.shape[1:])])
    parts = gathered(padded).unflatten(0, (size(), -1))
    return torch.cat([part[:length] for part, length in zip(parts, lengths, strict=True)])


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        found = rows.new_empty(size() * len(rows), *rows.shape[1:])
        with exchanging():
            dist.all_gather([*found.chunk(size())], rows.detach().contiguous())
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _Scattered.apply(gradients[0])


class _Scattered(torch.autograd.Function):
    """This process's part of the sum over all processes, the adjoint of `_Gathered`."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        total = rows.detach().clone(memory_format=torch.contiguous_format)
        with exchanging():
            dist.all_reduce(total)
        return total[share(len(total))].clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _Gathered.apply(gradients[0])


def capturable() -> bool:
    """Whether a CUDA graph can hold the exchanges."""
    return size() == 1 or (dist.is_nccl_available() and torch.cuda.nccl.version() >= (2, 9, 6))


def agree(*numbers: int) -> tuple[int, ...]:
    """The largest of each number over all processes, through the CPU."""
    if size() == 1:
        return numbers
    found = torch.tensor(numbers, dtype=torch.int64, device="cpu")
    with exchanging():
        dist.all_reduce(found, dist.ReduceOp.MAX)
    return tuple(found.tolist())


def texts(text: str) -> list[str]:
    """The texts of all processes, in their order. As all exchanges of objects, without pickle, which may run code."""
    return [it.decode() for it in contents(text.encode())]


def contents(content: bytes) -> list[bytes]:
    """The bytes of all processes, in their order, through the CPU."""
    if size() == 1:
        return [content]
    length = torch.tensor([len(content)], device="cpu")
    (longest,) = agree(max(1, len(content)))
    padded = _as_tensor(content.ljust(longest, b"\0"))
    with exchanging():
        lengths = [torch.empty_like(length) for _ in range(size())]
        dist.all_gather(lengths, length)
        found = [torch.empty_like(padded) for _ in range(size())]
        dist.all_gather(found, padded)
    return [it[: int(n)].numpy().tobytes() for it, n in zip(found, lengths, strict=True)]


def text_of_first(text: str) -> str:
    """The text of the first process, through the CPU."""
    mine = text.encode()
    (length,) = agree(len(mine) if rank() == 0 else 0)
    found = _as_tensor(mine if rank() == 0 else bytes(length))
    with exchanging():
        dist.broadcast(found, 0)
    return found.numpy().tobytes().decode()


def _as_tensor(content: bytes) -> Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)
