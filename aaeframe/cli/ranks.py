"""The processes that a launcher such as torchrun started for one estimate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aaeframe.evaluation.likelihood import Ranks

SECONDS: Final = 12 * 60 * 60.0
"""The time limit of waiting for the share of another process. One that ends is noticed at once."""


@contextmanager
def launched() -> Iterator[Ranks]:
    """Inside, this process is one of those that the launcher started; a single one without a launcher."""
    from aaeframe import processes
    from aaeframe.evaluation.likelihood import Ranks
    from aaeframe.storage.shards import Share

    with processes.joined("evaluate a run", SECONDS):
        yield Ranks(Share(processes.rank(), processes.size()), processes.contents)
