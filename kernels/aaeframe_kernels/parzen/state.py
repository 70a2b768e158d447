"""The running estimate: N x (S + 1) numbers, whatever the number of samples."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from aaeframe_kernels.parzen.compiled import WORTH
from aaeframe_kernels.parzen.cpu import samples_per_chunk
from aaeframe_kernels.parzen.engine import Engine, Partial, neutral
from aaeframe_kernels.parzen.inputs import as_pixels, bandwidth_tensor, check_rows, digest, flat, rows
from aaeframe_kernels.parzen.paths import Precision, prepare, select

_PATH = "paths."


class ParzenState:
    """The Parzen estimate of log p(x) from the samples seen so far, mergeable and exactly resumable.

    x (N, *shape) is uint8 pixels, which stand for value/255, or floating point. bandwidths are S positive numbers, in
    the units of the data. Each row has its smallest squared distance m to a sample, which does not depend on h. For
    each bandwidth h it has the sum of exp(-(|x - s|^2 - m) / (2 h^2)). Both are float64. Two such states of the same x
    can merge.

    NaN in a row of x makes that row's result NaN, NaN in a sample all of them. Updates with a thousand samples or more
    use the machine well; larger ones are split into chunks. `precision`: auto uses the fastest path that is accurate
    enough for each chunk, the others force one. `paths` counts the samples that each path has processed. `compiled`:
    whether the CPU's epilogue is compiled, which takes seconds once; None: if it pays, counting the samples that other
    states saw `before` these, so that states of parts round as one state of all.
    """

    def __init__(
        self,
        x: Tensor,
        bandwidths: float | Sequence[float] | Tensor,
        *,
        precision: Precision = "auto",
        compiled: bool | None = None,
        before: int = 0,
    ) -> None:
        self._x: Tensor | None = as_pixels(rows(x, "x"))
        self._shape = tuple(x.shape[1:])
        self._digest = digest(self._x)
        self._features = self._x.shape[1]
        self._precision: Precision = precision
        self._compiled = compiled
        self._engines: tuple[Engine, ...] = ()
        self._with_compiled, self._trusts = False, True
        self.bandwidths = bandwidth_tensor(bandwidths)
        self._total = neutral(len(self._x), len(self.bandwidths), self._x.device)
        self._rates = _rates(self.bandwidths, self._x.device)
        self.count, self._before = 0, before
        self.paths: Counter[str] = Counter()

    def update(self, samples: Tensor, chunk_size: int | None = None) -> None:
        """Add samples (M, *shape), uint8 or floating point: all of them or, after an exception, none.

        ValueError for other shapes and for infinity, KernelUnavailable for a chunk that the forced backend does not
        support.
        """
        if self._x is None:
            raise ValueError("this state was restored without x, so it can merge and be read, not updated; pass x=")
        check_rows(samples, "samples")
        if tuple(samples.shape[1:]) != self._shape:
            raise ValueError(f"samples must be (M, {_sizes(self._shape)}) as x is, found ({_sizes(samples.shape)})")
        if chunk_size is not None and chunk_size < 1:
            raise ValueError(f"chunk_size must be 1 or more, or None for a size that suits x; found {chunk_size}")
        device = self._x.device
        with self._all_or_none(), torch.no_grad(), torch.autocast(device.type, enabled=False):
            parts = samples.split(chunk_size or samples_per_chunk(self._x))
            if not (self._trusts and self._add_unchecked(self._x, parts)):
                self._add_checked(self._x, parts)

    def merge(self, other: ParzenState) -> None:
        """Add the samples of another state of the same x and bandwidths. ValueError if they differ."""
        if not torch.equal(self._digest, other._digest):
            raise ValueError(
                "states of different x cannot merge; both must be made from the same rows in the same order"
            )
        if not torch.equal(self.bandwidths, other.bandwidths):
            mine, theirs = self.bandwidths.tolist(), other.bandwidths.tolist()
            raise ValueError(f"states of different bandwidths cannot merge; one has {mine}, the other {theirs}")
        if other.count:
            self._total = self._total.plus(other._total, self._rates)
        self.count += other.count
        self.paths.update(other.paths)

    def log_likelihood(self) -> Tensor:
        """The log-density log p(x) in nats, (N, S) float64 on x's device. ValueError before the first sample."""
        if self.count == 0:
            raise ValueError("no samples have been seen, so there is no density yet; call update first")
        normalizer = math.log(self.count) + self._features / 2 * torch.log(math.pi / self._rates)
        return self._total.sums.log() - self._total.nearest[:, None] * self._rates - normalizer

    def state_dict(self) -> dict[str, Tensor]:
        """The state as tensors only, which safetensors can store. x itself is not included, its digest is."""
        numbers = {"count": self.count, "before": self._before, "features": self._features}
        numbers |= {_PATH + name: samples for name, samples in self.paths.items()}
        return {
            "nearest": self._total.nearest.clone(),
            "sums": self._total.sums.clone(),
            "bandwidths": self.bandwidths.clone(),
            "digest": self._digest.clone(),
        } | {name: torch.tensor(number) for name, number in numbers.items()}

    @classmethod
    def from_state_dict(
        cls,
        tensors: Mapping[str, Tensor],
        x: Tensor | None = None,
        *,
        precision: Precision = "auto",
        compiled: bool | None = None,
    ) -> ParzenState:
        """Restore a saved state. With the same x it can be updated as before; without, it can merge and be read.

        ValueError if x is not the original one, KeyError if a tensor is missing.
        """
        state = cls.__new__(cls)
        state._x = None if x is None else as_pixels(rows(x, "x"))
        state._shape = () if x is None else tuple(x.shape[1:])
        state._digest = tensors["digest"].cpu().clone()
        if state._x is not None and not torch.equal(digest(state._x), state._digest):
            raise ValueError("this x is not the one the state was made from; pass the same rows in the same order")
        state._precision, state._compiled, state._engines = precision, compiled, ()
        state._with_compiled, state._trusts = False, True
        device = tensors["nearest"].device if x is None else x.device
        state._total = Partial(*(tensors[name].clone().to(device) for name in ("nearest", "sums")))
        state.bandwidths = tensors["bandwidths"].cpu().clone()
        state._rates = _rates(state.bandwidths, device)
        state.count, state._features = int(tensors["count"]), int(tensors["features"])
        state._before = int(tensors.get("before", 0))
        counts = {name.removeprefix(_PATH): int(value) for name, value in tensors.items() if name.startswith(_PATH)}
        state.paths = Counter(counts)
        return state

    def __getstate__(self) -> dict[str, object]:
        """The attributes without the engines, which are made again when needed."""
        return {**self.__dict__, "_engines": ()}

    def _ready(self, x: Tensor) -> tuple[Engine, ...]:
        """The engines, made when first needed and once more when compiling begins to pay.

        The choice depends only on the samples seen, so that a restored state continues bit for bit.
        """
        worth = (self._before + self.count) * self._total.sums.numel() >= WORTH
        with_compiled = worth if self._compiled is None else self._compiled
        if not self._engines or with_compiled != self._with_compiled:
            self._engines = prepare(x, self.bandwidths, self._precision, compiled=with_compiled)
            self._with_compiled = with_compiled
        return self._engines

    @contextmanager
    def _all_or_none(self) -> Iterator[None]:
        """Restore the state if the block raises: tensors are replaced, never overwritten."""
        before = self._seen()
        try:
            yield
        except BaseException:
            self._total, self.count, self.paths = before
            raise

    def _seen(self) -> tuple[Partial, int, Counter[str]]:
        return self._total, self.count, self.paths.copy()

    def _add_unchecked(self, x: Tensor, parts: Sequence[Tensor]) -> bool:
        """Add parts that the device checks on the way; False if it refuses one, and then nothing is added.

        The host reads the finding once, at the end. An exception leaves it to the caller to restore the state.
        """
        before, refused = self._seen(), torch.zeros(1, dtype=torch.int32, device=x.device)
        for part in parts:
            chunk = flat(part.to(x.device))
            engine = self._deferring(x, chunk)
            if engine is None:
                break
            self._add(engine, chunk, refused)
        else:
            if not bool(refused):
                return True
        self._total, self.count, self.paths = before
        return False

    def _add_checked(self, x: Tensor, parts: Sequence[Tensor]) -> None:
        """Add parts, each by the first engine that accepts it. ValueError for infinity.

        Later updates are checked beforehand too, until the deferring engine would have served all parts of one.
        """
        self._trusts = True
        for part in parts:
            chunk = rows(part.to(x.device), "samples")
            engine = select(self._ready(x), chunk, self._precision)
            self._trusts &= engine is self._deferring(x, chunk)
            self._add(engine, chunk)

    def _deferring(self, x: Tensor, chunk: Tensor) -> Engine | None:
        """The engine that serves a chunk unless the device finds a reason against it; None if the host must check."""
        return next((engine for engine in self._ready(x) if engine.defers(chunk)), None)

    def _add(self, engine: Engine, chunk: Tensor, refused: Tensor | None = None) -> None:
        self._total = engine.add(self._total, chunk, refused)
        self.count += len(chunk)
        self.paths[engine.name] += len(chunk)


def _rates(bandwidths: Tensor, device: torch.device) -> Tensor:
    """The rate 1 / (2 h^2) for each bandwidth, (S,) float64."""
    return (0.5 / bandwidths.square()).to(device)


def _sizes(shape: Sequence[int]) -> str:
    return ", ".join(map(str, shape))


def parzen_log_likelihood(
    x: Tensor,
    samples: Tensor | Iterable[Tensor],
    bandwidth: float | Sequence[float] | Tensor,
    *,
    precision: Precision = "auto",
    chunk_size: int | None = None,
    compiled: bool | None = None,
) -> Tensor:
    """The log-density log p(x) under a Gaussian kernel on every sample, in nats, float64 on x's device.

    (N,) for one bandwidth h, (N, S) for a sequence or tensor of S, all in one pass over the samples:

        log p(x) = logsumexp_j(-|x - s_j|^2 / (2 h^2)) - log M - D/2 log(2 pi h^2)

    x (N, *shape) is uint8 pixels, which stand for value/255, or floating point. Samples are (M, *shape), or an iterable
    of such chunks, which need not be in memory together. No gradient. ValueError for infinity, no samples, other
    shapes.
    """
    state = ParzenState(x, bandwidth, precision=precision, compiled=compiled)
    for chunk in [samples] if isinstance(samples, Tensor) else samples:
        state.update(chunk, chunk_size)
    result = state.log_likelihood()
    return result[:, 0] if torch.as_tensor(bandwidth).ndim == 0 else result
