"""The tables [optimizers.<phase>]: the optimizers of torch.optim, and learning rates over the epochs. Torch-free.

Options, their types and their defaults are those of torch's own signatures, so torch is imported when a table is read.
"""

from __future__ import annotations

import collections.abc
import difflib
import functools
import inspect
import reprlib
import types
import typing
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, TypeAlias, TypeVar

from pydantic import BeforeValidator, Field, SerializeAsAny, create_model, model_validator

from aaeframe.configuration.strict import Strict

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

OWNED: Final = frozenset(
    {
        *("self", "params", "optimizer", "last_epoch"),
        *("maximize", "foreach", "fused", "capturable", "differentiable"),
    }
)
"""Parameters of torch's constructors that a run sets itself: they are no options."""

_Decay: TypeAlias = Annotated[float, Field(ge=0, lt=1)]
_TYPES: Final[Mapping[str, Any]] = {
    "betas": Annotated[tuple[_Decay, _Decay], Field(strict=False)],
    "momentum": _Decay,
    "weight_decay": Annotated[float, Field(ge=0)],
    "lr": Annotated[float, Field(gt=0)],
}
"""Types of optimizer options that are narrower than torch's."""

_DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "adam": {"betas": (0.5, 0.999), "anneal_from": 0.5},
    "adamw": {"betas": (0.5, 0.999), "anneal_from": 0.5, "weight_decay": 0.0},
    "sgd": {"lr": 0.01, "momentum": 0.9},
}
"""Defaults that are not torch's."""

_SEQUENCES: Final = (list, collections.abc.Iterable, collections.abc.Sequence)
_LONGEST: Final = 100
"""The characters of a wrong name that are compared with known names."""

_NOT_DENSE: Final = {
    "sparseadam": "takes sparse gradients only, and those of a network are dense",
    "muon": "takes matrices only, and a network has biases",
}
"""Optimizers that cannot train a network of linear layers, though their signature does not show it, and why."""


Table = TypeVar("Table", "SchedulerConfig", "OptimizerConfig")


class _FromTorch(Strict):
    """A table whose options are those of a class of torch."""

    @classmethod
    def known_options(cls) -> list[str]:
        """The names of the options that are torch's."""
        base = cls.__mro__[1]  # the table of all optimizers, or of all schedulers
        return [name for name in cls.model_fields if name not in getattr(base, "model_fields", ())]

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of torch's constructor, without the learning rate. What is None is left to torch."""
        return {name: value for name in self.known_options() if (value := getattr(self, name)) is not None}


class SchedulerConfig(_FromTorch):
    """A scheduler of torch.optim.lr_scheduler; its options count epochs."""

    kind: ClassVar[type[LRScheduler]]
    """The class of torch."""
    name: str


class OptimizerConfig(_FromTorch):
    """An optimizer of torch.optim, and its learning rate over the epochs of a run."""

    kind: ClassVar[type[Optimizer]]
    """The class of torch."""
    lr: float = Field(gt=0)
    milestones: list[Annotated[int, Field(ge=1)]] = Field(
        [], description="epochs after which the learning rate is multiplied by gamma"
    )
    gamma: float = Field(0.1, gt=0)
    anneal_from: float = Field(
        1.0, ge=0, le=1, description="share of the epochs after which the rate falls linearly towards 0; 1: never"
    )
    scheduler: Annotated[SerializeAsAny[SchedulerConfig], BeforeValidator(lambda it: scheduler(it))] | None = Field(
        None, description="a scheduler of torch, in place of milestones and anneal_from"
    )
    name: str

    @model_validator(mode="after")
    def _useful_schedule(self) -> OptimizerConfig:
        others = [f"milestones={self.milestones}"] * bool(self.milestones)
        others += [f"anneal_from={self.anneal_from}"] * (self.anneal_from < 1)
        if self.scheduler is not None and others:
            raise ValueError(
                f"{' and '.join(others)} is not used with scheduler {self.scheduler.name}; leave one out "
                "(milestones=[], anneal_from=1 mean none)"
            )
        if self.name == "rprop" and (others or self.scheduler is not None):
            raise ValueError("rprop uses lr for its first step alone; leave milestones, anneal_from and scheduler out")
        return self

    def at(self, epoch: int, epochs: int) -> float:
        """The learning rate of the epoch-th of `epochs` epochs, counted from 0, without a scheduler."""
        steps = sum(milestone <= epoch for milestone in self.milestones)
        left = (1 - epoch / epochs) / (1 - self.anneal_from) if self.anneal_from < 1 else 1.0
        return self.lr * self.gamma**steps * min(1.0, left)


def optimizer(value: Any) -> Any:
    """The optimizer that a table describes; Adam if it has no name. ValueError if it is refused."""
    if not isinstance(value, Mapping):
        return value
    name = _chosen(value.get("name", "adam"), optimizer_refusals())
    defaults = dict(_DEFAULTS.get(name, {}))
    if value.get("scheduler") is not None:
        defaults["anneal_from"] = 1.0
    table = _model(optimizers()[name], OptimizerConfig)  # type: ignore[arg-type]  # a class can be hashed
    return table.model_validate({**defaults, **value, "name": name})


def scheduler(value: Any) -> Any:
    """The scheduler that a table describes. ValueError if it is refused."""
    if not isinstance(value, Mapping):
        return value
    name = _chosen(value.get("name"), scheduler_refusals())
    table = _model(schedulers()[name], SchedulerConfig)  # type: ignore[arg-type]  # as above
    return table.model_validate({**value, "name": name})


def optimizers() -> dict[str, type[Optimizer]]:
    """Every optimizer of torch by its name in lower case."""
    from torch import optim  # here, because a configuration without optimizers is read without torch

    public = [getattr(optim, name) for name in sorted(optim.__all__, key=str.lower)]
    kinds = [it for it in public if inspect.isclass(it) and issubclass(it, optim.Optimizer)]
    return {it.__name__.lower(): it for it in kinds if it is not optim.Optimizer}


def schedulers() -> dict[str, type[LRScheduler]]:
    """Every scheduler of torch by its name."""
    from torch import optim  # as above

    public = (name for name in sorted(optim.lr_scheduler.__all__) if name != "LRScheduler")
    return {name: getattr(optim.lr_scheduler, name) for name in public}


@functools.cache
def optimizer_refusals() -> Mapping[str, str | None]:
    """The reason why each optimizer cannot train a network; None if it can."""
    closures = {name for name, kind in optimizers().items() if _required(kind.step)}
    anew = dict.fromkeys(closures, "evaluates the losses anew within a step, which no recipe does")
    return {name: (anew | _NOT_DENSE).get(name) for name in optimizers()}


@functools.cache
def scheduler_refusals() -> Mapping[str, str | None]:
    """The reason why each scheduler is no function of the epoch and of plain options; None if it is."""
    return {name: _refusal(kind) for name, kind in schedulers().items()}


def _refusal(kind: type[LRScheduler]) -> str | None:
    if measured := _required(kind.step):
        return f"follows a measurement ({', '.join(measured)}), not the epoch"
    if objects := [it for it in _required(kind.__init__) if it not in _options_of(kind)]:
        return f"needs Python objects ({', '.join(objects)}), which a configuration cannot hold"
    return None


def _chosen(name: Any, refusals: Mapping[str, str | None]) -> str:
    """The name as torch spells it, given in any case. ValueError if it is unknown or refused."""
    accepted = [it for it, refusal in refusals.items() if refusal is None]
    there_are = f"there are {', '.join(accepted)}"
    if name is None:
        raise ValueError(f"has no name; {there_are}")
    found = next((it for it in refusals if it.lower() == str(name).lower()), None)
    if found is None:
        near = difflib.get_close_matches(str(name)[:_LONGEST], accepted, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"there is no {reprlib.repr(name)}{hint}; {there_are}")
    if refusals[found] is not None:
        raise ValueError(f"{found} {refusals[found]}; {there_are}")
    return found


@functools.cache
def _model(kind: type, base: type[Table]) -> type[Table]:
    """The table of one optimizer or scheduler, from torch's signature."""
    fields: dict[str, Any] = dict(_options_of(kind))
    model = create_model(f"{kind.__name__}Config", __base__=base, __doc__=f"Options of {kind.__name__}.", **fields)
    model.kind = kind
    return model


def _options_of(kind: type) -> dict[str, tuple[Any, Any]]:
    """The type and the default of each option, in torch's order."""
    # torch imports some of these names for the type checker alone.
    hints = typing.get_type_hints(kind.__init__, localns=vars(collections.abc))  # type: ignore[misc]  # of a class
    found: dict[str, tuple[Any, Any]] = {}
    for it in inspect.signature(kind).parameters.values():
        annotation = _TYPES.get(it.name) or _plain(hints.get(it.name))
        if it.name in OWNED or annotation is None:
            continue
        if it.default is it.empty:
            found[it.name] = (annotation, Field())
        elif isinstance(it.default, tuple) and None in it.default:  # which TOML cannot write
            found[it.name] = (annotation | None, None)
        else:
            found[it.name] = (annotation, Field(it.default, validate_default=True))
    return found


def _plain(annotation: Any) -> Any:
    """The part of a type that TOML can write; None if there is none."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in (bool, int, float, str) or origin is Literal:
        return annotation
    parts = [_plain(it) for it in arguments]
    if origin in (typing.Union, types.UnionType):
        # A list would hold a value for each group of parameters, and there is one group.
        single = next((it for it in parts if it is not None and typing.get_origin(it) is not list), None)
        return single | None if single is not None and type(None) in arguments else single
    if not parts or None in parts:
        return None
    if origin is tuple:
        return Annotated[types.GenericAlias(tuple, tuple(parts)), Field(strict=False)]
    return types.GenericAlias(list, tuple(parts)) if origin in _SEQUENCES else None


def _required(function: Callable[..., Any]) -> list[str]:
    """The parameters without a default that a run does not pass."""
    parameters = inspect.signature(function).parameters.values()
    return [it.name for it in parameters if it.default is it.empty and it.name not in OWNED]
