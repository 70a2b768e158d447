"""The Parzen log-likelihood of test data under a model's samples, by the paper's protocol (section 3).

The bandwidth maximizes the likelihood of validation data; test data are then used once. Samples are streamed in
reproducible chunks, so that their number is not limited. A long estimate stores its progress in a file.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from aaeframe.data import Split
from aaeframe.errors import DataError
from aaeframe.evaluation.resumable import Keep
from aaeframe.model.autoencoder import Autoencoder
from aaeframe.seeds import derive
from aaeframe.storage.shards import WHOLE, Share
from aaeframe.training.device import arithmetic
from aaeframe_kernels import BandwidthChoice, ParzenState, default_bandwidths, search_bandwidth
from aaeframe_kernels.parzen.bandwidth import MOST_MOVES

CHUNK: Final = 10_000
"""The number of samples in a chunk."""
AT_ONCE: Final = (10, 2**29)
"""The largest numbers of chunks and bytes in one update on a GPU, because the host waits for the GPU once an update."""
VALIDATION_ROWS: Final = 1000
"""The number of validation rows, the first ones, that choose the bandwidth; as in the script behind the paper's
numbers."""
HELD_ON_CPU: Final = 2**29
"""The memory for decoded samples that the next pass reads again, in bytes; on a GPU it is half of what is free."""
KEEP_EVERY: Final = 30.0
"""The time between two writes of an unfinished estimate, in seconds."""

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with the current work, and the numbers of samples done and in total. It may raise to stop: progress is kept.
"""


class Samples(Protocol):
    """Samples in reproducible chunks."""

    @property
    def count(self) -> int:
        """The number of samples."""

    def rows(self, start: int, stop: int) -> Tensor:
        """The samples from `start`, a multiple of CHUNK, to `stop`, at most CHUNK later: (stop - start, *shape)."""


def memory_for_samples(device: torch.device) -> int:
    """The memory for decoded samples on this device, in bytes."""
    return torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else HELD_ON_CPU


@dataclass(frozen=True)
class Decoded:
    """Decoded samples of a model's prior; the first ones do not depend on their number.

    The first ones stay in memory, so that they are decoded once for the validation rows and the test rows.
    """

    model: Autoencoder
    count: int
    seed: int
    scaled: bool
    """Whether the samples are in the model's units instead of the user's."""
    precision: str = "fp32"
    """The arithmetic of the decoder: a value of `training.precision`."""
    memory: int = 0
    """The largest number of bytes of samples that stay in memory."""
    _held: dict[tuple[int, int], Tensor] = field(default_factory=dict, repr=False, compare=False)

    def rows(self, start: int, stop: int) -> Tensor:
        """Decode one chunk, unless it is in memory."""
        if (start, stop) in self._held:
            return self._held[start, stop]
        found = self._decoded(start, stop)
        if found.nbytes + sum(it.nbytes for it in self._held.values()) <= self.memory:
            self._held[start, stop] = found
        return found

    def _decoded(self, start: int, stop: int) -> Tensor:
        """Each chunk has a seed of its own. A whole chunk of codes is drawn, and only these are decoded."""
        code, labels = self.model.sample_code(CHUNK, seed=derive(self.seed, "likelihood", start))
        first = slice(stop - start)
        with arithmetic(self.precision, self.model.device):
            x = self.model.decode({k: z[first] for k, z in code.items()}, None if labels is None else labels[first])
        return self.model.scale(x) if self.scaled else x


def as_numbers(rows: Tensor) -> Tensor:
    """Rows of a table as floating point: only in images does uint8 stand for value/255."""
    return rows.float() if rows.dtype == torch.uint8 and rows.ndim == 2 else rows


@dataclass(frozen=True)
class Stored:
    """Samples in an array or a file."""

    split: Split

    @property
    def count(self) -> int:
        """The number of rows of the split."""
        return len(self.split)

    def rows(self, start: int, stop: int) -> Tensor:
        """Read one chunk."""
        return as_numbers(torch.from_numpy(self.split.rows(np.arange(start, stop))))


@dataclass(frozen=True)
class _Centered:
    """Samples as differences from `center`, taken in float64. Distances between rows stay the same."""

    samples: Samples
    center: Tensor

    @property
    def count(self) -> int:
        return self.samples.count

    def rows(self, start: int, stop: int) -> Tensor:
        found = _exact(self.samples.rows(start, stop))
        return (found - self.center.to(found.device)).float()


@dataclass(frozen=True)
class Ranks:
    """The processes that share an estimate. Each adds its share of the samples, and all get the same result."""

    share: Share = WHOLE
    """The share of this process: its rank among all."""
    gather: Callable[[bytes], Sequence[bytes]] = lambda own: [own]
    """Gives what each process passes in, in the order of ranks."""

    def merged(self, state: ParzenState) -> ParzenState:
        """The states of all processes as one."""
        if self.share == WHOLE:
            return state
        first, *others = (ParzenState.from_state_dict(load(it)) for it in self.gather(save(state.state_dict())))
        for it in others:
            first.merge(it)
        return first


ALONE: Final = Ranks()


@dataclass(frozen=True)
class Estimate:
    """The log-likelihood log p(x) of test rows under Gaussian kernels on the samples."""

    log_likelihood: Tensor
    """(N,) float64, nats."""
    bandwidth: float
    choice: BandwidthChoice | None
    """The choice of the bandwidth; None if it was given."""
    samples: int
    paths: dict[str, int]
    """The number of samples that each implementation processed."""
    seconds: float
    """The time of this process only, if the estimate was resumed."""

    def as_dict(self) -> dict[str, Any]:
        """JSON-like: mean and standard error over rows in nats, the numbers behind them, and the choice of the
        bandwidth."""
        rows = len(self.log_likelihood)
        error = float(self.log_likelihood.std()) / math.sqrt(rows) if rows > 1 else None
        report: dict[str, Any] = {
            "log_likelihood": float(self.log_likelihood.mean()),
            "standard_error": error,
            "rows": rows,
            "samples": self.samples,
            "bandwidth": self.bandwidth,
            "paths": self.paths,
            "seconds": round(self.seconds, 1),
        }
        if self.choice is not None:
            report["bandwidths"] = self.choice.bandwidths
            report["validation_log_likelihoods"] = self.choice.mean_log_likelihoods
            report["warning"] = self.choice.warning
        return report


def estimate(
    test: Tensor,
    samples: Samples,
    *,
    validation: Tensor | None = None,
    bandwidths: Sequence[float] | None = None,
    keep: Keep | None = None,
    progress: Progress = lambda doing, done, of: None,
    ranks: Ranks = ALONE,
) -> Estimate:
    """The log-likelihood of test rows (N, *shape) under samples. In both, uint8 stands for value/255.

    With `validation` rows the bandwidth is chosen, from `bandwidths` or from a grid around the data's scale. That grid
    is moved while its best value is at its edge. Without them, one bandwidth must be given. `keep` also holds
    the finished estimate; the caller removes it. Each of several processes (`ranks`) calls this with the same
    arguments but its own `keep`. DataError if there are no samples, or neither validation rows nor one bandwidth.
    """
    began = time.monotonic()
    if validation is None and len(bandwidths or ()) != 1:
        raise DataError(f"validation rows, or one bandwidth, must be given; found {bandwidths} and no validation rows")
    test, validation, samples = centered(test, validation, samples)
    stream = Stream(samples, keep, progress, ranks)
    choice = None if validation is None else _chosen(validation, stream, bandwidths)
    bandwidth = (bandwidths or [])[0] if choice is None else choice.bandwidth
    state = stream.through(test, [bandwidth], "test")
    seconds = time.monotonic() - began
    return Estimate(state.log_likelihood()[:, 0], bandwidth, choice, samples.count, dict(state.paths), seconds)


def check_count(samples: Any) -> None:
    """DataError unless this is a whole number of samples, one at least."""
    if not isinstance(samples, int | np.integer) or samples < 1:
        raise DataError(f"the likelihood is under a whole number of samples, one at least, found {samples!r}")


def centered(test: Tensor, validation: Tensor | None, samples: Samples) -> tuple[Tensor, Tensor | None, Samples]:
    """Rows and samples as the kernels take them. DataError if there are no samples, or a part of one.

    The kernels use float32, in which a large offset would hide differences, so it is taken off. They tell pixels by
    their range.
    """
    check_count(samples.count)
    if test.dtype != torch.float64 or bool(((test >= 0) & (test <= 1)).all()):
        return test, validation, samples
    center = test.mean(0)
    moved = None if validation is None else (_exact(validation) - center).float()
    return (test - center).float(), moved, _Centered(samples, center)


def _exact(rows: Tensor) -> Tensor:
    """Rows in the units of the likelihood, float64: uint8 stands for value/255."""
    return rows.double() / 255 if rows.dtype == torch.uint8 else rows.double()


def _chosen(validation: Tensor, stream: Stream, bandwidths: Sequence[float] | None) -> BandwidthChoice:
    def through(grid: list[float]) -> ParzenState:
        return stream.through(validation, grid, f"bandwidths from {min(grid):.3g} to {max(grid):.3g}")

    if bandwidths is None:
        return search_bandwidth(through, default_bandwidths(validation), MOST_MOVES)
    return search_bandwidth(through, bandwidths, moves=0)


def chunks_at_once(x: Tensor) -> int:
    """The number of chunks of samples like the rows x (N, *shape) that one update adds: one on a CPU."""
    chunks, size = AT_ONCE
    return 1 if x.device.type == "cpu" else max(1, min(chunks, size // (4 * CHUNK * x[0].numel())))


@dataclass
class Stream:
    """Adds all samples to a state, starting where an earlier process stopped; of several processes each its share."""

    samples: Samples
    keep: Keep | None
    progress: Progress
    ranks: Ranks = ALONE

    def through(self, x: Tensor, bandwidths: Sequence[float], name: str) -> ParzenState:
        """The state of rows x under all samples."""
        return self.ranks.merged(self.own(x, bandwidths, name))

    def own(self, x: Tensor, bandwidths: Sequence[float], name: str) -> ParzenState:
        """The state of rows x under the samples of this process: whole chunks, so that each rounds as in one process.

        `name` tells this pass from others in the file of `keep`.
        """
        chunks = -(-self.samples.count // CHUNK)
        start, stop = (min(CHUNK * it, self.samples.count) for it in self.ranks.share.bounds(chunks))
        state = None if self.keep is None else self.keep.state(name, x, bandwidths)
        if state is None:
            state = ParzenState(x, bandwidths, before=start)
        kept = time.monotonic()
        while start + state.count < stop:
            with self._kept_if_stopped(name, state):
                self.progress(name, state.count, stop - start)
            state.update(self._rows(start + state.count, stop, chunks_at_once(x)))
            if self.keep is not None and time.monotonic() - kept > KEEP_EVERY:
                self.keep.write(name, state)
                kept = time.monotonic()
        self.progress(name, state.count, stop - start)
        if self.keep is not None:
            self.keep.write(name, state)
        return state

    def _rows(self, start: int, stop: int, chunks: int) -> Tensor:
        """The next samples: this many chunks, or those that are left."""
        ends = range(start, min(start + chunks * CHUNK, stop), CHUNK)
        found = [self.samples.rows(first, min(first + CHUNK, stop)) for first in ends]
        return found[0] if len(found) == 1 else torch.cat(found)

    @contextmanager
    def _kept_if_stopped(self, name: str, state: ParzenState) -> Iterator[None]:
        """Write the state if the block raises, which is how a caller stops the estimate."""
        try:
            yield
        except BaseException:
            if self.keep is not None and state.count:
                self.keep.write(name, state)
            raise
