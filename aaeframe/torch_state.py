"""The state of torch that a process has once: taken by one thread at a time, and left as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import RLock

import torch

_LOCK = RLock()


@contextmanager
def exclusive() -> Iterator[None]:
    """Hold torch's global random state; another thread that asks for it waits.

    Priors and layers draw from that state, so two trainings at once would change each other's numbers.
    """
    with _LOCK:
        yield


@contextmanager
def default_state() -> Iterator[None]:
    """Run the block as torch is by default: float32, on the CPU, with gradients, without autocast; exclusively.

    The caller's settings hold again afterwards. Other threads see float32 as the default type meanwhile.
    """
    with ExitStack() as stack:
        stack.enter_context(exclusive())
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_dtype() != torch.float32:
            stack.callback(torch.set_default_dtype, torch.get_default_dtype())
            torch.set_default_dtype(torch.float32)
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield
