"""Helpers of recipes: the optimizer's step, freezing, batch-norm statistics, the parameters of each phase."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from aaeframe import processes
from aaeframe.model.autoencoder import Autoencoder


def descend(loss: Tensor, *optimizers: Optimizer) -> None:
    """One step of each optimizer down `loss`: zero, backward, step.

    The loss is a mean over the rows of this process. Gradients are averaged over all processes.
    """
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)
    loss.backward()
    processes.average(it for optimizer in optimizers for group in optimizer.param_groups for it in group["params"])
    for optimizer in optimizers:
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


@contextmanager
def batch_statistics_kept(module: nn.Module) -> Iterator[None]:
    """Inside, batch norm in training mode normalizes by the batch as ever, but its running statistics stand still."""
    tracking = [it for it in module.modules() if isinstance(it, _BatchNorm) and it.training and it.track_running_stats]
    for it in tracking:
        it.track_running_stats = False
    try:
        yield
    finally:
        for it in tracking:
            it.track_running_stats = True


def of_phases(model: Autoencoder) -> dict[str, list[nn.Parameter]]:
    """The parameters of each phase; those that encoder and decoder share are listed once.

    "heads" exists if the representation has parameters of its own.
    """
    encoder = list(model.encoder.parameters())
    heads = list(model.representation.parameters())
    both = list(dict.fromkeys([*encoder, *model.decoder.parameters(), *heads]))
    return {
        "reconstruction": both,
        "autoencoder": both,
        "generator": encoder,
        "classification": encoder,
        "consistency": encoder,
        "heads": heads,
        "discriminator": list(model.discriminators.parameters()),
    }
