"""Cases of the training step: our recipe's, and the same training elsewhere.

The recipe's step is less than what `aaeframe train` does at each: that is an alternative of its own, `training_step`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, partial
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor, nn
from torch.distributions import constraints

from aaeframe.assembly.model import build_model, build_priors
from aaeframe.assembly.optimizers import build_optimizers
from aaeframe.assembly.recipe_parts import build_recipe
from aaeframe.benchmarking.baselines import PlainEager
from aaeframe.benchmarking.case import Alternative, Case, Facts, IncorrectResult, Settings, Work
from aaeframe.benchmarking.counts import adam_traffic, count
from aaeframe.benchmarking.forced import forced
from aaeframe.benchmarking.inputs import digit_images
from aaeframe.benchmarking.installed import obstacle
from aaeframe.benchmarking.pythae_step import pythae_step
from aaeframe.benchmarking.sizes import Sizes
from aaeframe.benchmarking.training_step import training_step
from aaeframe.components.registry import Registry
from aaeframe.configuration.compose import compose
from aaeframe.configuration.resolve import recipe_of, resolve
from aaeframe.protocols import Batch, DataSpec
from aaeframe.training.cuda_graph import WARM_UP, GraphedStep
from aaeframe.training.device import arithmetic
from aaeframe.training.loss_weights import LossWeights

GPU_BATCHES: Final = (100, 1024, 8192)
Losses: TypeAlias = Mapping[str, Tensor]


def cases(settings: Settings) -> list[Case]:
    """Both schedules at the paper's batch; on a GPU also larger batches."""
    sizes = Sizes(side=8, width=16, code=2) if settings.quick else Sizes()
    batches: tuple[int, ...] = (10,) if settings.quick else (100,)
    if settings.device.type == "cuda" and not settings.quick:
        batches = GPU_BATCHES
    return [
        _case(Steps(sizes, batch, schedule, settings.device))
        for batch in batches
        for schedule in ("alternating", "joint")
    ]


def _case(steps: Steps) -> Case:
    graphed = _graphed(steps) if steps.device.type == "cuda" else []
    precisions = ("fp32", "bf16") if steps.device.type == "cpu" else ("fp32", "tf32", "bf16")
    sizes = steps.sizes
    return Case(
        name=f"step {steps.schedule} batch={steps.batch} pixels={sizes.pixels} width={sizes.width} code={sizes.code}",
        what="One step of a deterministic encoder with a Gaussian prior: equal networks, losses, schedule, batch and "
        "data on the device. What differs is told by PlainEager and pythae_step. Ours is the recipe's step alone, as "
        "the others have no loop around theirs; what `aaeframe train` adds to it is in `as train takes it`.",
        unit="steps",
        amount=1,
        alternatives=(
            *(steps.plain(precision) for precision in precisions),
            *(steps.ours(precision) for precision in precisions),
            steps.trained(),
            *graphed,
            *([steps.pythae()] if steps.schedule == "joint" else []),
        ),
    )


def _graphed(steps: Steps) -> list[Alternative]:
    """What is compared on a GPU besides: compilers, graphs, and the loss fused or not."""
    compiled = [steps.plain("bf16", mode) for mode in ("default", "reduce-overhead")]
    ours = [
        steps.ours("bf16", graph=graph, loss=loss)
        for graph, loss in ((False, "reference"), (False, "triton"), (True, "reference"))
    ]
    return [*compiled, *ours]


class Steps:
    """The alternatives for one batch size and schedule."""

    def __init__(self, sizes: Sizes, batch: int, schedule: str, device: torch.device) -> None:
        self.sizes, self.batch, self.schedule, self.device = sizes, batch, schedule, device

    @cached_property
    def pixels(self) -> Tensor:
        """(batch, 1, side, side) uint8 on the device."""
        return digit_images(self.batch, self.sizes.side).to(self.device)

    def ours(self, precision: str, *, graph: bool | None = None, loss: Any = None) -> Alternative:
        """Our recipe's step, on a GPU as a graph unless that and the path of the loss are chosen."""
        graphed = self.device.type == "cuda" if graph is None else graph
        chosen = "" if graph is None else f", {'graph' if graph else 'no graph'}, {loss} loss"

        def prepare() -> Callable[[], Any]:
            recipe = recipe_for(self.sizes, self.schedule, self.device)
            take: Callable[[Batch], Losses] = GraphedStep(recipe) if graphed else recipe.step
            batch = Batch(self.pixels, None, torch.arange(self.batch))
            step = Remembering(partial(take, batch), precision, self.device)
            for _ in range(WARM_UP + 1 if graphed else 0):  # after these, every step is a replay
                step()
            return step

        return Alternative(
            f"aaeframe {precision}{chosen}",
            prepare,
            learned,
            work=partial(self.work, precision),
            ours=True,
            within=partial(forced, loss) if loss else nullcontext,
        )

    def trained(self) -> Alternative:
        """The same step with all that the training loop does around it, fp32."""

        def prepare() -> Callable[[], Any]:
            step = training_step(self.pixels, parts_for(self.sizes, self.schedule), self.device)
            return Remembering(step, "fp32", self.device)

        name = "aaeframe fp32, as train takes it"
        return Alternative(name, prepare, learned, work=partial(self.work, "fp32"), ours=True)

    def plain(self, precision: str, mode: str | None = None) -> Alternative:
        """The script in torch alone, its networks compiled if a mode of `torch.compile` is given."""

        def compiled(network: nn.Module) -> nn.Module:
            return network if mode is None else torch.compile(network, mode=mode)  # type: ignore[return-value]

        def prepare() -> Callable[[], Any]:
            script = PlainEager(self.sizes, self.device, compiled)
            step = script.joint_step if self.schedule == "joint" else script.step

            def take() -> Losses:
                if mode == "reduce-overhead":  # its graphs ask to be told where a step begins
                    torch.compiler.cudagraph_mark_step_begin()
                return step(self.pixels)

            return Remembering(take, precision, self.device)

        name = f"plain script {precision}" + ("" if mode is None else f", torch.compile {mode}")
        return Alternative(name, prepare, learned, work=partial(self.work, precision))

    def pythae(self) -> Alternative:
        """pythae's trainer, fp32."""

        def prepare() -> Callable[[], Any]:
            return Remembering(partial(pythae_step(self.sizes, self.device), self.pixels), "fp32", self.device)

        return Alternative(
            "pythae fp32", prepare, learned, work=partial(self.work, "fp32"), obstacle=obstacle("pythae")
        )

    def work(self, precision: str, result: Any) -> Work:
        """The products of our step, which does nothing twice, and the optimizers' traffic."""
        flops, traffic = self.cost
        return Work(flops, precision, traffic)

    @cached_property
    def cost(self) -> tuple[int, int]:
        """FLOPs and bytes of one step, counted."""
        recipe = recipe_for(self.sizes, self.schedule, self.device)
        batch = Batch(self.pixels, None, torch.arange(self.batch))
        moved = sum(p.numel() for it in recipe.optimizers.values() for g in it.param_groups for p in g["params"])
        return count(lambda: recipe.step(batch)).flops, adam_traffic(moved)


class Remembering:
    """A step that returns the reconstruction loss of its first and of its last call."""

    def __init__(self, step: Callable[[], Losses], precision: str, device: torch.device) -> None:
        self._step = step
        self._arithmetic: Callable[[], AbstractContextManager[None]] = partial(arithmetic, precision, device)
        self._first: Tensor | None = None

    def __call__(self) -> tuple[Tensor, Tensor]:
        """One step; both losses stay on the device."""
        with self._arithmetic():
            last = self._step()["reconstruction"].detach()
        if self._first is None:
            self._first = last.clone()
        return self._first, last


def learned(result: tuple[Tensor, Tensor]) -> Facts:
    """IncorrectResult if the steps that were timed have not trained."""
    first, last = (loss.item() for loss in result)
    if not (math.isfinite(last) and last < first):
        raise IncorrectResult(f"the reconstruction loss went from {first} to {last} on one repeated batch")
    return {"first_loss": first, "last_loss": last}


def parts_for(sizes: Sizes, schedule: str) -> dict[str, Any]:
    """The configuration of our recipe `unsupervised`: what differs from the defaults."""
    layers = f"mlp(hidden=[{sizes.width}, {sizes.width}])"
    return {
        "prior": f"gaussian(size={sizes.code})",
        "encoder": "deterministic",
        "network": layers,
        "discriminator": layers,
        "training": {"schedule": schedule},
    }


def recipe_for(sizes: Sizes, schedule: str, device: torch.device) -> Any:
    """Our recipe `unsupervised` with fresh weights, and optimizers as `aaeframe train` makes them."""
    registry = Registry.load()
    config = resolve(compose(None, None, parts_for(sizes, schedule)), registry)
    shape = torch.Size((1, sizes.side, sizes.side))
    data = DataSpec(shape, constraints.unit_interval, torch.zeros(()), torch.full((), 255.0))
    model = build_model(config, registry, data, None, build_priors(config, registry, {})).to(device).train()
    optimizers = build_optimizers(config, recipe_of(config).load().parameters(model))
    return build_recipe(config, data, model, optimizers, LossWeights.of(config, device))
