"""Force a backend of the kernels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from aaeframe_kernels.dispatch import VARIABLE, Backend


@contextmanager
def forced(backend: Backend) -> Iterator[None]:
    """Force a backend inside the block; the kernels raise an error if it cannot run."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = backend
    try:
        yield
    finally:
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before
