"""How every phase ends, and how a phase leaves the discriminators alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.optim import Optimizer


def descend(loss: Tensor, optimizer: Optimizer) -> None:
    """One step of `optimizer` down `loss`: zero, backward, step."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Inside, the module is a fixed function: no gradients for its parameters, no updates of its buffers.

    Afterwards each part is as it was: some may have been fixed before.
    """
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    training = [part for part in module.modules() if part.training]
    module.requires_grad_(False).eval()
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
        for part in training:
            part.training = True
