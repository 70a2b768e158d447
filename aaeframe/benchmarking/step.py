"""Cases of the training step: our recipe's, and the same training elsewhere.

The recipe's step alone is less than the work of `aaeframe train` at each step, which is a separate alternative:
`training_step`.

One's own implementation is a function that is called once, and not timed:

    make(pixels (N, 1, side, side) uint8, networks, schedule) -> step

`pixels` is the minibatch on the device. `networks` has "encoder", "decoder", which ends in a sigmoid, and
"discriminator": float32 modules of flat rows on the device, with fresh weights. `schedule` is "alternating" or "joint".
The result is called without arguments at each step. It does one step in place, on pixels / 255, and returns the
reconstruction loss, a tensor of shape (). The check asks that this loss has fallen and that all networks have changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property, partial
from itertools import product
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor, nn
from torch.distributions import constraints

from aaeframe.assembly.model import build_model, build_priors
from aaeframe.assembly.optimizers import build_optimizers
from aaeframe.assembly.recipe import build_recipe
from aaeframe.benchmarking.baselines import PlainCompiled, PlainEager
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
from aaeframe.benchmarking.compiling import Compiling, limited
from aaeframe.benchmarking.counts import adam_traffic, count
from aaeframe.benchmarking.forced import forced
from aaeframe.benchmarking.inputs import digit_images
from aaeframe.benchmarking.installed import unsupported_reason
from aaeframe.benchmarking.pythae_step import pythae_step
from aaeframe.benchmarking.sizes import Sizes
from aaeframe.benchmarking.training_step import training_step
from aaeframe.components.registry import Registry
from aaeframe.configuration.compose import compose
from aaeframe.configuration.resolve import resolve
from aaeframe.protocols import Batch, DataSpec
from aaeframe.training.cuda_graph import WARM_UP, GraphedStep, StepLosses
from aaeframe.training.device import arithmetic
from aaeframe.training.loss_weights import LossWeights

GPU_BATCHES: Final = (100, 1024, 8192)
Arithmetic: TypeAlias = Callable[[], AbstractContextManager[None]]


def cases(settings: BenchSettings) -> list[Case]:
    """Both schedules at the paper's batch; on a GPU also larger batches, and each against `torch.compile`."""
    sizes = Sizes(side=8, width=16, code=2) if settings.quick else Sizes()
    sizes = sizes._replace(width=settings.sizes.get("width", sizes.width))
    gpu = settings.device.type == "cuda"
    batches = (10,) if settings.quick else GPU_BATCHES if gpu else (100,)
    if "batch" in settings.sizes:
        batches = (settings.sizes["batch"],)
    steps = [Steps(sizes, *which, settings.device) for which in product(batches, ("alternating", "joint"))]
    made = [(it, _case(it)) for it in steps] + ([(it, compiled_case(it)) for it in steps] if gpu else [])
    return [replace(case, alternatives=(*case.alternatives, *map(it.added, settings.added))) for it, case in made]


def _case(steps: Steps) -> Case:
    gpu = steps.device.type == "cuda"
    precisions = ("fp32", "tf32", "bf16") if gpu else ("fp32", "bf16")
    graphs_and_losses = ((False, "reference"), (False, "triton"), (True, "reference")) if gpu else ()
    return steps.case(
        "step",
        "One step of a deterministic encoder with a Gaussian prior: equal networks, losses, schedule, batch and "
        "data on the device. PlainEager and pythae_step list the differences. Ours is the recipe's step alone, as "
        "the others have no loop around theirs. `with the training loop` includes what `aaeframe train` adds to it.",
        *map(steps.plain, precisions),
        *map(steps.ours, precisions),
        *map(steps.trained, precisions),
        *(steps.ours("bf16", graph=graph, loss=loss) for graph, loss in graphs_and_losses),
        *([steps.pythae()] if steps.schedule == "joint" else []),
    )


def compiled_case(steps: Steps, **options: str) -> Case:
    """Apart from the others, as compiling takes minutes; `options` are further ones of `torch.compile`."""
    return steps.case(
        "step-compiled",
        "The same step as in the case without `-compiled`. The script is compiled as PlainCompiled tells: its "
        "losses with their backward passes, and the optimizers. A compiled alternative of which anything ran eager is "
        "failed. Ours are CUDA graphs and not compiled.",
        steps.plain("bf16"),
        steps.plain("tf32"),
        steps.compiled("bf16", mode="reduce-overhead", **options),
        steps.compiled("tf32", mode="reduce-overhead", **options),
        steps.ours("bf16"),
        steps.ours("tf32"),
    )


class Steps:
    """The alternatives for one batch size and schedule."""

    def __init__(self, sizes: Sizes, batch: int, schedule: str, device: torch.device) -> None:
        self.sizes, self.batch, self.schedule, self.device = sizes, batch, schedule, device

    def case(self, kind: str, what: str, *alternatives: Alternative) -> Case:
        """A case of these alternatives, which is named after the schedule and the sizes."""
        pixels, width, code = self.sizes.pixels, self.sizes.width, self.sizes.code
        return Case(
            name=f"{kind} {self.schedule} batch={self.batch} pixels={pixels} width={width} code={code}",
            what=what,
            unit="steps",
            amount=1,
            alternatives=alternatives,
            kind=f"{kind} {self.schedule}",
            sizes={"batch": self.batch, "width": width},
        )

    def _alternative(
        self,
        name: str,
        precision: str,
        prepare: Callable[[], Remembering],
        check: Callable[[Any], Facts] | None = None,
        **more: Any,
    ) -> Alternative:
        """An alternative that does the same work in a precision, and is checked by its losses unless `check` does."""
        return Alternative(name, prepare, check or learned, work=partial(self.work, precision), **more)

    @cached_property
    def pixels(self) -> Tensor:
        """(batch, 1, side, side) uint8 on the device."""
        return digit_images(self.batch, self.sizes.side).to(self.device)

    def ours(self, precision: str, *, graph: bool | None = None, loss: Any = None) -> Alternative:
        """Our recipe's step, on a GPU as a graph unless `graph` and the backend of the loss are chosen."""
        graphed = self.device.type == "cuda" if graph is None else graph
        chosen = "" if graph is None else f", {'graph' if graph else 'no graph'}, {loss} loss"

        def prepare() -> Remembering:
            recipe = recipe_for(self.sizes, self.schedule, self.device)
            take: Callable[[Batch], StepLosses] = GraphedStep(recipe) if graphed else recipe.step
            batch = Batch(self.pixels, None, torch.arange(self.batch))
            step = Remembering(partial(take, batch), self.arithmetic(precision))
            for _ in range(WARM_UP + 1 if graphed else 0):  # after these, every step is a replay
                step()
            return step

        within = partial(forced, loss) if loss else nullcontext
        return self._alternative(f"aaeframe {precision}{chosen}", precision, prepare, ours=True, within=within)

    def trained(self, precision: str) -> Alternative:
        """The same step with all that the training loop does around it."""

        def prepare() -> Remembering:
            parts = parts_for(self.sizes, self.schedule)
            return Remembering(training_step(self.pixels, parts, precision, self.device))

        return self._alternative(f"aaeframe {precision}, with the training loop", precision, prepare, ours=True)

    def plain(self, precision: str) -> Alternative:
        """The script in torch alone."""

        def prepare() -> Remembering:
            step = self.step_of(PlainEager(self.sizes, self.device))
            return Remembering(partial(step, self.pixels), self.arithmetic(precision))

        return self._alternative(f"plain script {precision}", precision, prepare)

    def compiled(self, precision: str, **options: str) -> Alternative:
        """The script compiled, with these options of `torch.compile`; IncorrectResult if anything of it ran eager."""
        compiling = Compiling(PlainCompiled.GRAPHS[self.schedule])
        graphs = options.get("mode") == "reduce-overhead"

        def prepare() -> Remembering:
            step = self.step_of(PlainCompiled(self.sizes, self.device, **options))

            def take() -> StepLosses:
                if graphs:  # they ask to be told where a step begins: what it returned before is overwritten then
                    torch.compiler.cudagraph_mark_step_begin()
                losses = step(self.pixels)
                return {"reconstruction": losses["reconstruction"].detach().clone()} if graphs else losses

            remembering = Remembering(take, self.arithmetic(precision))
            for _ in range(WARM_UP + 1):  # the first compile, and others capture
                remembering()
            return remembering

        def check(result: Any) -> Facts:
            return {**compiling.check(), **learned(result)}

        name = f"plain script {precision}, torch.compile {' '.join(options.values())}"
        return self._alternative(name, precision, prepare, check, within=compiling.watched)

    def step_of(self, script: PlainEager) -> Callable[[Tensor], StepLosses]:
        """The script's step of this schedule."""
        return script.joint_step if self.schedule == "joint" else script.step

    def arithmetic(self, precision: str) -> Arithmetic:
        """Entered around each step."""
        return partial(arithmetic, precision, self.device)

    def pythae(self) -> Alternative:
        """The step of pythae's trainer, fp32."""

        def prepare() -> Remembering:
            return Remembering(partial(pythae_step(self.sizes, self.device), self.pixels), self.arithmetic("fp32"))

        return self._alternative("pythae fp32", "fp32", prepare, unsupported_reason=unsupported_reason("pythae"))

    def added(self, it: Added) -> Alternative:
        """An implementation from outside, on a copy of the minibatch."""
        before: dict[str, list[Tensor]] = {}
        networks: dict[str, nn.Module] = {}

        def prepare() -> Remembering:
            networks.update(PlainEager(self.sizes, self.device).parts.items())
            before.update({name: [p.detach().clone() for p in it.parameters()] for name, it in networks.items()})
            step = it(self.pixels.clone(), dict(networks), self.schedule)
            if not callable(step):
                raise IncorrectResult(f"it returned {type(step).__name__}; return a function that does one step")
            return Remembering(lambda: {"reconstruction": tensor_of(step(), (), "the reconstruction loss")})

        def check(result: Any) -> Facts:
            for name, module in networks.items():
                if all(map(torch.equal, before[name], module.parameters())):
                    raise IncorrectResult(f"its steps leave the {name} as it was; train all networks in place")
            return learned(result)

        return self._alternative(it.name, "fp32", prepare, check, within=limited, origin=it.origin)

    def work(self, precision: str, result: Any) -> Work:
        """The products of our step, which computes nothing twice, and the optimizers' traffic."""
        flops, traffic = self.cost
        return Work(flops, precision, traffic)

    @cached_property
    def cost(self) -> tuple[int, int]:
        """The counted FLOPs and bytes of one step."""
        recipe = recipe_for(self.sizes, self.schedule, self.device)
        batch = Batch(self.pixels, None, torch.arange(self.batch))
        moved = sum(p.numel() for it in recipe.optimizers.values() for g in it.param_groups for p in g["params"])
        return count(lambda: recipe.step(batch)).flops, adam_traffic(moved)


class Remembering:
    """A step that returns the reconstruction losses of its first and of its last call."""

    def __init__(self, step: Callable[[], StepLosses], within: Arithmetic = nullcontext) -> None:
        self._step, self._within = step, within
        self._first: Tensor | None = None

    def __call__(self) -> tuple[Tensor, Tensor]:
        """One step; both losses stay on the device."""
        with self._within():
            last = self._step()["reconstruction"].detach()
        if self._first is None:
            self._first = last.clone()
        return self._first, last


def learned(result: tuple[Tensor, Tensor]) -> Facts:
    """IncorrectResult if the timed steps have not trained."""
    first, last = (loss.item() for loss in result)
    if not (math.isfinite(last) and last < first):
        raise IncorrectResult(f"the reconstruction loss went from {first} to {last} on one repeated batch")
    return {"first_loss": first, "last_loss": last}


def parts_for(sizes: Sizes, schedule: str) -> dict[str, Any]:
    """The configuration of our training: what differs from the defaults."""
    layers = f"mlp(hidden=[{sizes.width}, {sizes.width}])"
    return {
        "prior": f"gaussian(size={sizes.code})",
        "encoder": "deterministic",
        "network": layers,
        "discriminator": layers,
        "training": {"schedule": schedule},
    }


def recipe_for(sizes: Sizes, schedule: str, device: torch.device) -> Any:
    """Our default recipe with fresh weights, and optimizers as `aaeframe train` makes them."""
    resolved = resolve(compose(None, None, parts_for(sizes, schedule)), Registry.load())
    shape = torch.Size((1, sizes.side, sizes.side))
    data = DataSpec(shape, constraints.unit_interval, torch.zeros(()), torch.full((), 255.0))
    model = build_model(resolved, data, None, build_priors(resolved)).to(device).train()
    kind: Any = resolved.recipe.factory
    optimizers = build_optimizers(resolved.config, kind.parameters(model))
    return build_recipe(resolved, data, model, optimizers, LossWeights.of(resolved.config, device))
