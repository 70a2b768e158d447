"""Checks of a recipe: steps on a tiny model with a real block, and with a class block if the recipe needs one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, OneHotCategorical, constraints
from torch.nn.functional import one_hot
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from aaeframe.components.options import unbound
from aaeframe.losses.label_free import LabelFree
from aaeframe.model.autoencoder import Autoencoder
from aaeframe.model.priors import block_spec
from aaeframe.protocols import Batch, BlockSpec, Code, DataSpec, Prior
from aaeframe.recipes import Adversary, Corruption, Recipe, SharedSettings
from aaeframe.testing.case import ComponentCase, fixed_seed, require, seeded
from aaeframe.testing.surroundings import elsewhere
from aaeframe.training.cuda_graph import WARM_UP, GraphedStep

ROWS: Final = 12
WIDTH: Final = 5
STEPS: Final = 200
"""The number of steps before a new recipe gets the state of the first."""
CLASSES: Final = 3
DATA: Final = DataSpec(torch.Size([WIDTH]), constraints.real, torch.zeros(WIDTH), torch.ones(WIDTH))
MEMBERS: Final = ("needs", "phases", "parameters", "representation", "draw", "step")
"""The members that a recipe must have."""
LABELED: Final = ("required", "optional")
"""The uses of labels that come with a labeled minibatch."""


class TinyEncoder(nn.Module):
    """An encoder with a density on real blocks; one-hot blocks are softened."""

    noise_shape = torch.Size()

    def __init__(self, blocks: Mapping[str, BlockSpec]) -> None:
        super().__init__()
        self.one_hot = [name for name, block in blocks.items() if block.support is constraints.one_hot]
        self.loc = nn.ModuleDict({name: nn.Linear(WIDTH, it.event_shape.numel()) for name, it in blocks.items()})
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Code:
        """Rows (N, WIDTH) -> the code."""
        found = {name: layer(x) for name, layer in self.loc.items()}
        return {name: z.softmax(1) if name in self.one_hot else z * self.scale.exp() for name, z in found.items()}

    def posterior(self, x: Tensor) -> dict[str, Distribution]:
        """Rows (N, WIDTH) -> q(z | x) of each block."""
        return {
            name: Independent(Normal(layer(x), self.scale.exp(), validate_args=False), 1)
            for name, layer in self.loc.items()
        }


class TinyDiscriminator(nn.Module):
    """A linear discriminator that ignores labels."""

    def __init__(self, block: BlockSpec) -> None:
        super().__init__()
        self.layer = nn.Linear(block.event_shape.numel(), 1)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Codes (N, D) -> logits (N,)."""
        logit: Tensor = self.layer(z).squeeze(1)
        return logit


class TinyPrior(nn.Module):
    """A Gaussian in the plane with parameters, which the recipe must train if it trains priors."""

    event_shape, support = torch.Size([2]), constraints.independent(constraints.real, 1)

    def __init__(self) -> None:
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(2))

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        """Samples (*sample_shape, 2)."""
        return self.loc.detach() + torch.randn(*sample_shape, 2, device=self.loc.device)

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density in nats: (..., 2) -> (...)."""
        return Independent(Normal(self.loc, 1.0, validate_args=False), 1, validate_args=False).log_prob(value)

    def loss(self, code: Tensor) -> Tensor:
        """The negative log-density of codes (N, 2), a scalar."""
        return -self.log_prob(code).mean()


@dataclass(frozen=True)
class RecipeCase(ComponentCase):
    """A recipe's class under one of its schedules."""

    label: str = "joint"
    """The schedule."""

    def arguments(self) -> tuple[Any, ...]:
        """A model, its optimizers and the settings that recipes share."""
        recipe = unbound(self.factory)
        missing = [name for name in MEMBERS if not hasattr(recipe, name)]
        require(not missing, f"the recipe has no {', '.join(missing)}: make it a subclass of aaeframe.recipes.Recipe")
        needs, device = recipe.needs, "cuda" if torch.cuda.is_available() else "cpu"
        trained = needs.prior_objective is not None
        priors: dict[str, Prior] = {"z": TinyPrior() if trained else Independent(Normal(torch.zeros(2), 1.0), 1)}
        if needs.class_block:
            priors["y"] = OneHotCategorical(torch.full((CLASSES,), 1 / CLASSES))
        blocks = {name: block_spec(prior) for name, prior in priors.items()}
        y = "y" if needs.class_block else None
        representation = recipe.representation(blocks, y, CLASSES if needs.labels not in ("none", "told") else None)
        model = Autoencoder(
            DATA,
            TinyEncoder(blocks),
            nn.Linear(representation.size, WIDTH),
            representation,
            priors,
            {name: TinyDiscriminator(block) for name, block in blocks.items()} if needs.adversarial else {},
            class_block=y,
        ).to(device)
        parameters = {**recipe.parameters(model), "prior": list(model.prior_modules.parameters())}
        optimizers = {
            phase: torch.optim.Adam(parameters[phase], lr=1e-2, fused=True, capturable=device == "cuda")
            for phase in (*recipe.phases[self.label], *(("prior",) if trained else ()))
            if phase != "classification" or needs.labels in LABELED
        }
        shared = SharedSettings(
            schedule=self.label,
            corruption=Corruption(noise=0.1),
            adversary=Adversary(model, prior_optimizer=optimizers.get("prior")) if needs.adversarial else None,
            label_free=LabelFree(mutual_information=0.1) if needs.class_block else LabelFree(),
        )
        return model, optimizers, shared

    def batch(self, recipe: Recipe) -> Batch:
        """A minibatch with the labels that the recipe needs."""
        device, labels = recipe.model.device, torch.arange(ROWS) % CLASSES
        rows = [torch.randn(ROWS, WIDTH).to(device) for _ in range(2)]
        labeled = None
        if recipe.needs.labels in LABELED:
            labeled = Batch(rows[1], labels.to(device), torch.arange(ROWS))
        every = labels.to(device) if recipe.needs.labels == "every" else None
        return Batch(rows[0], every, torch.arange(ROWS), labeled)


def recipe_cases(factory: Callable[..., Any]) -> Sequence[RecipeCase]:
    """A case for each schedule."""
    return [RecipeCase(factory, schedule) for schedule in getattr(unbound(factory), "phases", ["joint"])]


@seeded
def check_losses(case: RecipeCase) -> None:
    """Every step returns detached, finite scalars of the same names, and leaves its minibatch as it is."""
    recipe = case.build()
    batches = [case.batch(recipe) for _ in range(3)]
    rows = [it.x.clone() for it in batches]
    steps = [dict(recipe.step(it)) for it in batches]
    kept = all(torch.equal(it.x, before) for it, before in zip(batches, rows, strict=True))
    require(kept, "a step must leave the minibatch as it is: compute new tensors")
    for losses in steps:
        require(
            losses.keys() == steps[0].keys(), f"every step must return the same losses: {[sorted(it) for it in steps]}"
        )
        for name, loss in losses.items():
            require(isinstance(loss, Tensor) and loss.shape == (), f"the loss {name!r} must be a tensor of shape ()")
            require(not loss.requires_grad, f"the loss {name!r} must be detached")
            require(bool(loss.isfinite()), f"the loss {name!r} must be finite, found {loss}")


@seeded
def check_phases(case: RecipeCase) -> None:
    """Each optimizer of the schedule moves its parameters once a step, and nothing moves outside of these."""
    recipe = case.build()
    tensors = dict(recipe.model.named_parameters())
    moments: list[tuple[str, str, dict[str, Tensor]]] = []
    for phase, optimizer in recipe.optimizers.items():
        optimizer.register_step_pre_hook(lambda *_, it=phase: moments.append((it, "before", _copies(tensors))))
        optimizer.register_step_post_hook(lambda *_, it=phase: moments.append((it, "after", _copies(tensors))))
    last = _copies(tensors)
    recipe.step(case.batch(recipe))
    stepped = [phase for phase, when, _ in moments if when == "after"]
    require(
        sorted(stepped) == sorted(recipe.optimizers),
        f"each of the optimizers {sorted(recipe.optimizers)} must step once, found {stepped}",
    )
    for phase, when, now in moments:
        moved = [name for name, value in now.items() if not torch.equal(value, last[name])]
        if when == "before":
            require(not moved, f"{', '.join(moved)} moved outside the phases, before {phase!r}")
        else:
            require(bool(moved), f"the phase {phase!r} moved no parameter")
        last = now
    left = [name for name, value in tensors.items() if not torch.equal(value, last[name])]
    require(not left, f"{', '.join(left)} moved outside the phases, after the last")


@seeded
def check_resumed_step(case: RecipeCase) -> None:
    """After hundreds of steps, a new recipe with the state of the first takes the same step, at a later time, too."""
    first = case.build()
    for _ in range(STEPS):
        first.step(case.batch(first))
    rates = [group["lr"] for it in first.optimizers.values() for group in it.param_groups]
    with elsewhere(case.factory):
        second = case.build()
        kept = [group["lr"] for it in second.optimizers.values() for group in it.param_groups]
        second.model.load_state_dict(first.model.state_dict())
        for phase, optimizer in second.optimizers.items():
            optimizer.load_state_dict(copy.deepcopy(first.optimizers[phase].state_dict()))
        found = [_one_step(case, it) for it in (first, second)]
    same = rates == kept and all(torch.equal(one, other) for one, other in zip(*found, strict=True))
    require(
        same,
        f"after {STEPS} steps, a new recipe with the state of the first takes another step: keep what changes in "
        "buffers of the model, and leave the learning rates alone, so that a run resumes to the same bits",
    )


def _one_step(case: RecipeCase, recipe: Recipe) -> list[Tensor]:
    """The losses and the parameters after a step under one seed."""
    with fixed_seed(1):
        losses = recipe.step(case.batch(recipe))
    return [*losses.values(), *recipe.model.parameters()]


@seeded
def check_waiting(case: RecipeCase) -> None:
    """A step never waits for the device: no `.item()`, no `bool` of a tensor, no mask as an index."""
    recipe = case.build()
    batch = case.batch(recipe)
    recipe.step(batch)  # in their first step, optimizers create their state
    draws = recipe.draw(batch)
    with _OneHotUnchecked(), _Waiting() as seen:
        recipe.step(batch, draws)
    require(
        not seen.found,
        f"a step waits for the device in {', '.join(sorted(set(seen.found)))}: leave values on the device, "
        "as by torch.where in place of if",
    )


@seeded
def check_captured_step(case: RecipeCase) -> str | None:
    """On a GPU, a step captured as a CUDA graph trains to the same bits as one that is not."""
    if not _has_gpu():
        return "there is no GPU to capture a step on"
    found = [[*_trained(case, graphed=graphed)] for graphed in (False, True)]
    same = all(torch.equal(one, other) for one, other in zip(*found, strict=True))
    require(same, "a captured step must train to the same bits: change nothing in a step but tensors, in place")
    return None


def _trained(case: RecipeCase, *, graphed: bool) -> Iterator[Tensor]:
    """The parameters after some steps, all of which draw the same numbers in each call."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        recipe = case.build()
        step: Callable[[Batch], Any] = GraphedStep(recipe) if graphed else recipe.step
        for _ in range(WARM_UP + 3):
            step(case.batch(recipe))
        yield from recipe.model.parameters()


def _has_gpu() -> bool:
    return torch.cuda.is_available()


def _copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in tensors.items()}


class _OneHotUnchecked(TorchFunctionMode):
    """`one_hot` as on a GPU, where it does not look whether its labels are in range."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is one_hot and len(args) == 2:
            labels, classes = args
            return (labels.unsqueeze(-1) == torch.arange(classes, device=labels.device)).long()
        return func(*args, **(kwargs or {}))


class _Waiting(TorchDispatchMode):
    """Remembers the operations for whose result the host must wait."""

    operations = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "_unique2")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        by_mask = name == "index" and any(index is not None and index.dtype == torch.bool for index in args[1])
        if name in self.operations or by_mask:
            self.found.append(name)
        return func(*args, **(kwargs or {}))
