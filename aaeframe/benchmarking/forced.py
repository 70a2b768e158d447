"""A path of the kernels, forced for a while."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from aaeframe_kernels.dispatch import VARIABLE, Path


@contextmanager
def forced(path: Path) -> Iterator[None]:
    """Inside, the kernels take this path, or say why they cannot."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = path
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before
