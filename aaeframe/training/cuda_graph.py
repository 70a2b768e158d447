"""A training step captured as one CUDA graph: a single launch instead of a hundred small kernels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, Protocol, TypeAlias

import torch
from torch import Tensor

from aaeframe import processes
from aaeframe.errors import DeviceError
from aaeframe.protocols import Batch

StepLosses: TypeAlias = Mapping[str, Tensor]
WarmUp: TypeAlias = Callable[[Callable[[], StepLosses]], StepLosses]
"""A function that runs a step normally."""
Capture: TypeAlias = Callable[[Callable[[], StepLosses]], tuple[Callable[[], None], StepLosses]]
"""A function that captures a step in fixed memory, and returns its replay and its losses, which replays overwrite."""

WARM_UP: Final = 3
"""The number of normal steps before the capture, in which libraries set up workspaces and optimizers their state."""


class Drawing(Protocol):
    """The part of a recipe that can be captured: a step whose prior samples are drawn separately."""

    def draw(self, batch: Batch) -> Any:
        """The prior samples of a step: tensors in lists, tuples and mappings."""

    def step(self, batch: Batch, draws: Any) -> StepLosses:
        """Train on one minibatch against those samples; detached scalars by name."""


class GraphedStep:
    """The step of a recipe, run normally at first, then captured and replayed.

    Every step draws its prior samples first and then runs the same operations. A resumed run begins with normal steps
    again and draws the same numbers. Noise within the step is graph-safe: a replay reads the seed and the offset of the
    device's default generator when it begins, so a generator that was seeded between replays draws as the operations
    would.

    Batch and prior samples are copied into fixed memory before a replay, and must keep their shapes. Learning rates
    must be device tensors. The returned losses are overwritten by the next step.
    """

    def __init__(self, recipe: Drawing, warm_up: WarmUp | None = None, capture: Capture | None = None) -> None:
        self._recipe = recipe
        self._warm_up = warm_up or cuda_warm_up
        self._capture = capture or cuda_capture
        self._steps = 0
        self._inputs: list[Tensor] = []
        self._replay: Callable[[], None] | None = None
        self._losses: StepLosses = {}

    def __call__(self, batch: Batch) -> StepLosses:
        """Run one step. DeviceError if it cannot be captured."""
        draws = self._recipe.draw(batch)
        self._steps += 1
        if self._steps <= WARM_UP:
            return self._warm_up(lambda: self._recipe.step(batch, draws))
        if self._replay is None:
            self._begin(batch, draws)
        self._fill([*_tensors(batch), *_tensors(draws)])
        assert self._replay is not None
        self._replay()
        return self._losses

    def _fill(self, values: list[Tensor]) -> None:
        """Copy a step's inputs to the memory that the captured step reads. DeviceError if their shapes changed."""
        shapes, found = ([tuple(it.shape) for it in tensors] for tensors in (self._inputs, values))
        if shapes != found:  # copying would broadcast a single row silently
            raise DeviceError(
                f"the step was captured in a CUDA graph for inputs of the shapes {shapes}, now they are {found}. A "
                "prior that gives another number of samples does this. Train with --set training.cuda_graph=false"
            )
        for fixed, value in zip(self._inputs, values, strict=True):
            fixed.copy_(value, non_blocking=True)

    def _begin(self, batch: Batch, draws: Any) -> None:
        """Capture the step on its own input memory; nothing is computed yet."""
        batch, draws = _copied(batch), _copied(draws)
        self._inputs = [*_tensors(batch), *_tensors(draws)]
        try:
            self._replay, self._losses = self._capture(lambda: self._recipe.step(batch, draws))
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise DeviceError(
                f"the training step cannot be captured in a CUDA graph: {error}. A component that looks at values on "
                "the host, or makes tensors there, does this; train with --set training.cuda_graph=false"
            ) from error


def cuda_warm_up(step: Callable[[], StepLosses]) -> StepLosses:
    """Run a step on a stream of its own, as the capture requires, and wait for it."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        losses = step()
    stream.synchronize()
    return losses


def cuda_capture(step: Callable[[], StepLosses]) -> tuple[Callable[[], None], StepLosses]:
    """Capture a step on the current CUDA device."""
    graph = torch.cuda.CUDAGraph()
    # Among several processes another thread of theirs watches the exchanges, and may call CUDA meanwhile.
    mode = "global" if processes.size() == 1 else "thread_local"
    with torch.cuda.graph(graph, capture_error_mode=mode):
        losses = step()
    return graph.replay, losses


def _tensors(value: Any) -> list[Tensor]:
    """The tensors that a step reads from the device, in a fixed order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Batch):  # its index stays on the CPU
        return [*_tensors(value.x), *_tensors(value.labels), *_tensors(value.labeled)]
    if isinstance(value, Mapping):
        value = list(value.values())
    return [it for part in value for it in _tensors(part)] if isinstance(value, list | tuple) else []


def _copied(value: Any) -> Any:
    """The same structure with copies of its tensors."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, Batch):
        copies = {name: _copied(getattr(value, name)) for name in ("x", "labels", "labeled")}
        return replace(value, **copies)
    if isinstance(value, Mapping):
        return {key: _copied(part) for key, part in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(_copied, value))
    return type(value)(map(_copied, value)) if isinstance(value, list | tuple) else value
