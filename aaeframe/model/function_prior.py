"""A function of n that returns n samples, as a prior."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor
from torch.distributions import constraints
from torch.distributions.constraints import Constraint

from aaeframe.errors import ConfigError

_COUNTS: Final = (3, 5)


class FunctionPrior:
    """The distribution of the samples that a function returns: f(n) -> (n, *event_shape).

    The shape of a sample is found from two calls. The support is real; a function may say otherwise by attributes
    `event_shape` and `support`. It draws from torch's global generator, which the run seeds. ConfigError, which names
    the block, if the function fails or returns something else.
    """

    who: str
    """The prior in words, for errors."""

    def __init__(self, block: str, function: Callable[[int], Tensor]) -> None:
        self.who = f"the prior of block {block!r}, the function {getattr(function, '__name__', function)},"
        self._function = function
        found = getattr(function, "event_shape", None)
        try:
            self.event_shape = self._found_shape() if found is None else torch.Size(found)
        except TypeError as error:
            raise ConfigError(f"{self.who} has event_shape {found!r}; it must be a tuple, such as (2,)") from error
        real = constraints.independent(constraints.real, len(self.event_shape))
        self.support: Constraint = getattr(function, "support", real)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        """Draw samples, sample_shape + event_shape."""
        samples = self._function(torch.Size(sample_shape).numel())
        self._require(torch.Size(sample_shape).numel(), samples, self.event_shape)
        return samples.reshape(*sample_shape, *self.event_shape)

    def _found_shape(self) -> torch.Size:
        """The shape of one sample: what two numbers of samples have in common."""
        with torch.random.fork_rng(devices=[]):
            shapes = []
            for count in _COUNTS:
                try:
                    samples = self._function(count)
                except Exception as error:  # it is someone else's code
                    raise ConfigError(f"{self.who} cannot be sampled: {type(error).__name__}: {error}") from error
                self._require(count, samples, None)
                shapes.append(samples.shape[1:])
        if shapes[0] != shapes[1]:
            raise ConfigError(
                f"{self.who} returns samples of shape {tuple(shapes[0])} for n={_COUNTS[0]} and of shape "
                f"{tuple(shapes[1])} for n={_COUNTS[1]}; it must return (n, *event_shape)"
            )
        return shapes[0]

    def _require(self, count: int, samples: object, event_shape: torch.Size | None) -> None:
        """ConfigError if these are no `count` samples (of this shape, if it is known)."""
        fits = isinstance(samples, Tensor) and samples.shape[:1] == (count,)
        if isinstance(samples, Tensor) and fits and event_shape in (None, samples.shape[1:]):
            return
        found = f"shape {tuple(samples.shape)}" if isinstance(samples, Tensor) else type(samples).__name__
        rows = "(n, *event_shape)" if event_shape is None else f"(n, {', '.join(map(str, event_shape))})"
        raise ConfigError(f"{self.who} must return a tensor of shape {rows}, found {found} for n={count}")
