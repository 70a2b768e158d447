"""q(z | x) of one block, as a prior that is made from the encoder sees it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.distributions import Distribution

from aaeframe.errors import ConfigError
from aaeframe.protocols import SupportsPosterior


class Posterior:
    """q(z | x) of one block for scaled rows x (K, *shape), by an encoder in evaluation mode.

    An object and no closure, so that a copy of the model has priors that use the copy's encoder.
    """

    def __init__(self, encoder: nn.Module, block: str) -> None:
        self._encoder, self._block = encoder, block

    def __call__(self, x: Tensor) -> Distribution:
        """The distribution, of batch_shape (K,). ConfigError if the encoder has no density for the block."""
        with _evaluating(self._encoder):
            known = self._encoder.posterior(x) if isinstance(self._encoder, SupportsPosterior) else {}
        if self._block not in known:
            raise ConfigError(
                f"the prior of block {self._block!r} needs the density q(z|x) of its block, and "
                f"{type(self._encoder).__name__} has none; use --encoder gaussian, and a support of real numbers"
            )
        return known[self._block]


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Inside, the module is in evaluation mode; batch norm counts no rows."""
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True
