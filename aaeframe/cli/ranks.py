"""The processes that a launcher such as torchrun started for one command."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from aaeframe.errors import RunError

if TYPE_CHECKING:
    from aaeframe.evaluation.likelihood import Ranks

HOURS: Final = 12
"""The time limit of waiting for the share of another process. A process that ends is noticed by the launcher."""


@contextmanager
def launched() -> Iterator[Ranks]:
    """Inside, this process is one of those that the launcher started; a single one without a launcher."""
    from torch import distributed as dist
    from torch.distributed.rendezvous import rendezvous

    from aaeframe.evaluation.likelihood import ALONE, Ranks
    from aaeframe.storage.shards import Share

    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    limit = timedelta(hours=HOURS)
    store, rank, size = next(rendezvous("env://", timeout=limit))
    # A launcher that starts processes again keeps its store, in which the old addresses stand.
    store = dist.PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), store)  # type: ignore[attr-defined]
    dist.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=limit)
    try:
        yield Ranks(Share(rank, size), _gathered)
    finally:
        dist.destroy_process_group()


def _gathered(own: bytes) -> list[bytes]:
    """The bytes that each process passes in, in the order of ranks."""
    import torch
    from torch import distributed as dist

    lengths = [torch.zeros(1, dtype=torch.int64) for _ in range(dist.get_world_size())]
    try:
        dist.all_gather(lengths, torch.tensor([len(own)]))
        padded = torch.zeros(max(1, *(int(it) for it in lengths)), dtype=torch.uint8)
        padded[: len(own)] = torch.frombuffer(bytearray(own or b" "), dtype=torch.uint8)[: len(own)]
        found = [torch.empty_like(padded) for _ in lengths]
        dist.all_gather(found, padded)
    except RuntimeError as error:
        raise RunError(
            "another process of this launch has ended, and its own output may say why; run the same command to resume"
        ) from error
    return [it[: int(length)].numpy().tobytes() for it, length in zip(found, lengths, strict=True)]
