"""Refuse parts that mix the rows of a minibatch, of which several processes have a part each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from aaeframe import processes
from aaeframe.errors import ConfigError
from aaeframe.model.autoencoder import Autoencoder
from aaeframe.model.priors import labeled_blocks
from aaeframe.seeds import stream

ROWS = 4
"""The number of rows to look with: half of them stay the same, the others change."""


def refuse_mixing(model: Autoencoder, x: Tensor, told_classes: int | None, seed: int) -> None:
    """ConfigError for a part that several processes would train otherwise than one: `x` are some rows, in their units.

    In training mode the output for a row must not depend on other rows, nor a buffer on any. Batch norm may do both:
    its statistics are those of all processes. Nothing is looked at in a single process, or with too few rows.
    """
    if processes.size() == 1 or len(x) < ROWS:
        return
    rows = model.scale(x[:ROWS])
    pair = [rows, torch.cat([rows[: ROWS // 2], _others(rows[ROWS // 2 :])])]
    labels = torch.zeros(ROWS, dtype=torch.long, device=x.device)
    with torch.no_grad():
        codes = _alone("encoder", model.encoder, [(it,) for it in pair], seed)
        given = labels if model.representation.takes_labels else None
        _alone("decoder", model.decoder, [(model.representation(code, given),) for code in codes], seed)
        for name, discriminator in model.discriminators.items():
            told = labels if name in labeled_blocks(model.priors, told_classes) else None
            _alone(f"discriminator of block {name!r}", discriminator, [(code[name], told) for code in codes], seed)


def _others(rows: Tensor) -> Tensor:
    """Other rows in the same range; one more if all values are equal."""
    reflected = rows.amax() + rows.amin() - rows
    return rows + 1 if torch.equal(reflected, rows) else reflected


def _alone(role: str, part: nn.Module, pair: list[tuple[Any, ...]], seed: int) -> list[Any]:
    """The outputs for two inputs that have the first rows in common; ConfigError if they have other outputs there."""
    outputs, buffers = [], []
    for inputs in pair:
        with _as_in_training(part), stream(seed, "mixing", device=pair[0][0].device):
            outputs.append(part(*inputs))
            buffers.append({name: it.clone() for name, it in part.named_buffers()})
    mixed = not all(
        _close(one[: ROWS // 2], other[: ROWS // 2]) for one, other in zip(*map(_tensors, outputs), strict=True)
    )
    kept = [name for name, it in buffers[0].items() if not _close(it, buffers[1][name])]
    if mixed or kept:
        does = f"keeps statistics of the rows in {kept[0]}" if kept else "makes the output of a row depend on others"
        raise ConfigError(
            f"the {role} ({type(part).__name__}) {does}, and each of {processes.size()} processes has a part of the "
            "rows: together they would train something else than one. Train in one process, or use another part; of "
            "such parts torch's batch norm alone is synchronized"
        )
    return outputs


@contextmanager
def _as_in_training(part: nn.Module) -> Iterator[None]:
    """Inside, the part is in training mode, without batch norm's. Its modes and buffers are restored afterwards."""
    modes = {it: it.training for it in part.modules()}
    buffers = [(it, it.clone()) for it in part.buffers()]
    for it in modes:
        it.training = not isinstance(it, _BatchNorm)
    try:
        yield
    finally:
        for it, mode in modes.items():
            it.training = mode
        for buffer, value in buffers:
            buffer.copy_(value)


def _tensors(output: Any) -> list[Tensor]:
    return list(output.values()) if isinstance(output, Mapping) else [output]


def _close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-4, atol=1e-6)
