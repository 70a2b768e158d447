"""Cases of the Parzen log-likelihood, against a matrix product of the same shape and against other estimators.

One's own implementation is a function that is called with tensors on the device and a number:

    estimate(x (N, D) float32 in [0, 1], samples (M, D) float32, bandwidth: float) -> Tensor (N,)

It returns in nats, in any floating-point type, the log density of each row of x under the mean of the Gaussians
N(sample, bandwidth^2 I) of all samples. In the cases of 20 bandwidths it is called once for each of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property, partial, reduce
from typing import Final, NamedTuple

import torch
from torch import Tensor

from aaeframe.benchmarking import estimators
from aaeframe.benchmarking.case import (
    Added,
    Alternative,
    BenchSettings,
    Case,
    Facts,
    IncorrectResult,
    Work,
    tensor_of,
)
from aaeframe.benchmarking.compiling import limited
from aaeframe.benchmarking.inputs import CHUNK, decoder_like, digit_images
from aaeframe.benchmarking.installed import unsupported_reason
from aaeframe.benchmarking.memory import lacking
from aaeframe.errors import ConfigError
from aaeframe_kernels.parzen import ParzenState
from aaeframe_kernels.parzen.bandwidth import default_bandwidths
from aaeframe_kernels.parzen.compiled import outcome
from aaeframe_kernels.parzen.paths import Precision
from aaeframe_kernels.parzen.reference import log_likelihood

BANDWIDTH: Final = 0.2
GRID: Final = tuple(default_bandwidths(torch.zeros(1, 1, dtype=torch.uint8)))
"""The 20 bandwidths of the default grid for pixels."""
TOLERANCE: Final = 0.01
"""The largest error of the mean log-likelihood against float64, in nats."""
ROW_TOLERANCE: Final = 0.1
"""The largest error of a row of an implementation from outside, in nats. A float32 `torch.cdist` has 0.012."""
PRODUCTS: Final = {"int8x2": (2, "int8"), "fp16": (1, "fp16"), "fp32": (1, "fp32"), "float64": (1, "float64")}
"""The number of matrix products of each precision, and their arithmetic."""
CHECKED: Final = 500
"""The number of rows that are compared with float64."""
PART: Final = 10_000
"""The number of samples whose distances are in memory at once for that."""


class Size(NamedTuple):
    """The numbers of rows, of samples, and of features. The features are the first pixels of square images."""

    rows: int
    samples: int
    features: int

    @property
    def side(self) -> int:
        """The side of the smallest square image with so many pixels."""
        return math.isqrt(self.features - 1) + 1

    def __str__(self) -> str:
        return f"N={self.rows} M={self.samples} D={self.features}"


class Estimate(NamedTuple):
    """Log-likelihoods (N, S), and the number of samples that each implementation processed; none for alternatives."""

    log_likelihood: Tensor
    paths: dict[str, int]


def cases(settings: BenchSettings) -> list[Case]:
    """Cases of MNIST's shape: one bandwidth against the alternatives, then twenty against one."""
    gpu = settings.device.type == "cuda"
    size = Size(40, 160, 64) if settings.quick else Size(10000, 100_000, 784) if gpu else Size(2000, 10000, 784)
    size = size._replace(**settings.sizes)
    problem = ParzenProblem(size, settings.device, compiled=not (gpu or settings.quick))  # compiling takes seconds
    problem.require_memory(added=len(settings.added))
    made = [
        (_one_bandwidth(problem), (BANDWIDTH,)),
        (_many_bandwidths(problem, "auto"), GRID),
        (_many_bandwidths(problem, "fp32"), GRID),
    ]
    return [
        replace(case, alternatives=(*case.alternatives, *(problem.added(it, bandwidths) for it in settings.added)))
        for case, bandwidths in made
    ]


def _one_bandwidth(problem: ParzenProblem) -> Case:
    ours = problem.ours
    others = [problem.other("torch.cdist and logsumexp", estimators.torch_cdist)]
    others.append(problem.other("KeOps", estimators.keops, every=6, needs="pykeops"))
    if problem.device.type == "cuda":
        forced = [ours(f"aaeframe {precision}", precision) for precision in ("fp16", "int8x2", "fp32")]
    else:
        forced = [
            ours("aaeframe, plain epilogue", compiled=False),
            ours("aaeframe fp32", "fp32"),
            ours("aaeframe fp32, plain epilogue", "fp32", compiled=False),
        ]
        others.append(problem.other("scikit-learn KernelDensity", estimators.scikit_learn, every=6))
    return problem.case(
        "bandwidths=1",
        "All start from uint8 images and float32 samples on the device. If others need them converted, that is "
        "done before. torch.mm is the product x @ samples.T alone, into existing memory: no estimate. "
        "The epilogue of ours is compiled, as it is by itself in long runs, before it is timed; plain: not at all.",
        *problem.products(),
        ours("aaeframe"),
        *forced,
        *others,
    )


def _many_bandwidths(problem: ParzenProblem, precision: Precision) -> Case:
    return problem.case(
        f"bandwidths={len(GRID)} precision={precision}",
        "Our estimate for one bandwidth, and for twenty in one pass.",
        problem.ours("aaeframe, 1 bandwidth", precision),
        problem.ours(f"aaeframe, {len(GRID)} bandwidths", precision, bandwidths=GRID),
    )


class ParzenProblem:
    """Images, samples, and the alternatives that estimate the likelihood of the images under the samples."""

    def __init__(self, size: Size, device: torch.device, compiled: bool) -> None:
        self.size, self.device, self.compiled = size, device, compiled

    def case(self, setting: str, what: str, *alternatives: Alternative) -> Case:
        """A case of these alternatives, which is named after the size and a setting."""
        return Case(
            name=f"parzen {self.size} {setting}",
            what=what,
            unit="pairs",
            amount=self.size.rows * self.size.samples,
            alternatives=alternatives,
            kind=f"parzen {setting}",
            sizes=self.size._asdict(),
        )

    @cached_property
    def x(self) -> Tensor:
        """The images (N, D) uint8."""
        return self._columns(digit_images(self.size.rows, self.size.side))

    @cached_property
    def samples(self) -> Tensor:
        """The samples (M, D) float32 in (0, 1)."""
        return self._columns(decoder_like(self.size.samples, self.size.side))

    @cached_property
    def flat(self) -> tuple[Tensor, Tensor]:
        """Images and samples for other estimators: (N, D) and (M, D) float32."""
        return self.x.float() / 255, self.samples

    def _columns(self, images: Tensor) -> Tensor:
        """The features of images, (count, D), on the device."""
        return images.flatten(1)[:, : self.size.features].contiguous().to(self.device)

    def require_memory(self, added: int = 0) -> None:
        """ConfigError if the inputs and the check need more memory than there is.

        They are made on the CPU. Each of the `added` implementations has copies of its own.
        """
        rows, samples, features = self.size
        pixels, part = self.size.side**2, min(samples, PART)
        inputs = features * (rows + 4 * (1 + added) * (rows + samples))
        making = 4 * pixels * max(3 * rows, samples * (pixels > features) + 4 * min(samples, CHUNK))
        checking = 8 * part * (4 * min(rows, CHECKED) + features)
        needed = inputs + max(making, checking)
        for device in dict.fromkeys((torch.device("cpu"), self.device)):
            if (reason := lacking(needed, device)) is not None:
                raise ConfigError(f"the inputs of parzen {self.size} do not fit on {device}: {reason}")

    def ours(
        self,
        name: str,
        precision: Precision = "auto",
        *,
        bandwidths: Sequence[float] = (BANDWIDTH,),
        compiled: bool = True,
    ) -> Alternative:
        """The estimator of our kernels."""
        compiled = compiled and self.compiled

        def estimate() -> Estimate:
            state = ParzenState(self.x, bandwidths, precision=precision, compiled=compiled)
            state.update(self.samples)
            return Estimate(state.log_likelihood(), dict(state.paths))

        def check(result: Estimate) -> Facts:
            rates = 0.5 / torch.tensor(bandwidths, dtype=torch.float64).square()
            made = {"epilogue": outcome(rates, transposed="int8x2" in result.paths)} if compiled else {}
            return {**self.check(bandwidths, result), **made}

        return Alternative(name, lambda: estimate, check, self.work, ours=True)

    def other(
        self, name: str, estimator: Callable[[Tensor, Tensor, float], Tensor], every: int = 1, needs: str | None = None
    ) -> Alternative:
        """An estimator of another library."""

        def estimate() -> Estimate:
            return Estimate(estimator(*self.flat, BANDWIDTH)[:, None], {})

        check = partial(self.check, (BANDWIDTH,))
        missing = None if needs is None else unsupported_reason(needs)
        if missing is None and estimator is estimators.torch_cdist:
            missing = lacking(3 * self._pairs_bytes, self.device)  # distances, their squares, and what is summed
        return Alternative(name, lambda: estimate, check, self.work, every=every, unsupported_reason=missing)

    def added(self, it: Added, bandwidths: Sequence[float]) -> Alternative:
        """An implementation from outside, called once for each bandwidth on copies of its own; each row is checked."""

        def prepare() -> Callable[[], Estimate]:
            x, samples = (given.clone() for given in self.flat)

            def density(bandwidth: float) -> Tensor:
                return tensor_of(it(x, samples, bandwidth), (self.size.rows,), "the log density of each row")

            return lambda: Estimate(torch.stack([density(bandwidth) for bandwidth in bandwidths], dim=1), {})

        check = partial(self.check, bandwidths, each_row=True)
        return Alternative(it.name, prepare, check, self.work, within=limited, origin=it.origin)

    def products(self) -> list[Alternative]:
        """The bare matrix product in float32 and, on a GPU, first in float16 on its tensor cores."""

        def prepare(dtype: torch.dtype) -> Callable[[], Tensor]:
            x, samples = (it.to(dtype) for it in self.flat)
            out = x.new_empty(len(x), len(samples))
            return lambda: torch.mm(x, samples.T, out=out)

        halves = {"fp16": torch.float16} if self.device.type == "cuda" else {}
        return [
            Alternative(
                f"torch.mm {arithmetic}",
                partial(prepare, dtype),
                work=partial(self.work, arithmetic=arithmetic),
                unsupported_reason=lacking(self._pairs_bytes, self.device),
            )
            for arithmetic, dtype in {**halves, "fp32": torch.float32}.items()
        ]

    @property
    def _pairs_bytes(self) -> int:
        """The bytes of one float32 for each pair of a row and a sample."""
        return 4 * self.size.rows * self.size.samples

    def work(self, result: object, arithmetic: str = "fp32") -> Work:
        """The products of the implementation that ran; images and samples are read in float32."""
        path = next(iter(result.paths), arithmetic) if isinstance(result, Estimate) else arithmetic
        count, arithmetic = PRODUCTS[path]
        rows, samples, features = self.size
        return Work(2 * count * rows * samples * features, arithmetic, 4 * (rows + samples) * features)

    @cached_property
    def checked(self) -> Tensor:
        """The numbers of the rows that are compared with float64, spread over all of them."""
        return torch.linspace(0, self.size.rows - 1, min(self.size.rows, CHECKED), dtype=torch.float64).long()

    @cached_property
    def exact(self) -> Tensor:
        """The exact result: (CHECKED, 21) float64, for the grid and then the single bandwidth.

        Parts of the samples are merged by their densities, each weighted by its number of samples.
        """
        x, bandwidths = self.x.cpu()[self.checked], torch.tensor((*GRID, BANDWIDTH))
        parts = self.samples.split(PART)
        sums = (log_likelihood(x, part.cpu(), bandwidths) + math.log(len(part)) for part in parts)
        return reduce(torch.logaddexp, sums) - math.log(self.size.samples)

    def check(self, bandwidths: Sequence[float], result: Estimate, each_row: bool = False) -> Facts:
        """IncorrectResult if the mean log-likelihood of the checked rows, or one of `each_row`, is wrong."""
        exact = self.exact[:, :-1] if len(bandwidths) > 1 else self.exact[:, -1:]
        errors = result.log_likelihood.detach().cpu()[self.checked].double() - exact
        error, worst = errors.mean(0).abs().max().item(), errors.abs().max().item()
        if not error <= TOLERANCE:
            raise IncorrectResult(f"the mean log-likelihood is off by {error:.3g} nats, at most {TOLERANCE} is allowed")
        if each_row and not worst <= ROW_TOLERANCE:
            raise IncorrectResult(f"a row is off by {worst:.3g} nats, at most {ROW_TOLERANCE} is allowed")
        return {"mean_error_nats": error, **{f"samples_by_{path}": count for path, count in result.paths.items()}}
