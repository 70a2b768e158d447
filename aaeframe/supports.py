"""The mapping of an encoder head into a prior's support: one rule for each type of torch constraint.

An encoder's head outputs real numbers; a prior lives on its support. A `Support` says how many numbers a head must
output, how they are mapped, and on which *relaxation* of the support they land. For example, softmax maps to the
simplex, whose corners are the one-hot vectors. Codes must lie in the relaxation, prior samples in the support.

A constraint without a rule falls back to `torch.distributions.transform_to`. Add a rule with

    aaeframe.supports.register(MyConstraint, lambda constraint, event_shape: Support(...))
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.distributions import constraints, transform_to
from torch.distributions.constraints import Constraint
from torch.distributions.transforms import Transform, identity_transform

from aaeframe.errors import ConfigError, PluginError


@dataclass(frozen=True)
class Support:
    """The mapping of a head's real numbers to a code."""

    head_shape: torch.Size
    """The shape of a head's output for one row."""
    transform: Callable[[Tensor], Tensor]
    """(N, *head_shape), real -> (N, *event_shape), in the relaxation. A torch Transform if densities are supported."""
    relaxation: Constraint


Rule: TypeAlias = Callable[[Any, torch.Size], Support]

_rules: dict[type[Constraint], Rule] = {}


def register(constraint: type[Constraint], rule: Rule) -> None:
    """Map to every constraint of this type by `rule(constraint, event_shape)`.

    Only the package that defines a constraint may register its rule, and may replace it. PluginError for any other:
    it would change the codes of other plugins. Derive a constraint of your own, and register that.
    """
    owner, own = _package(constraint), _package(rule)
    if owner != own:
        raise PluginError(
            f"the package {own} registers a rule for {constraint.__name__} of {owner}, which would change the codes of "
            f"others: derive a constraint, as in class Mine({constraint.__name__}), and register that"
        )
    _rules[constraint] = rule


def _remedy(constraint: type[Constraint]) -> str:
    """Advice for a constraint without a rule."""
    kind, derived = constraint.__name__, ""
    if _package(constraint) == "torch":
        kind, derived = "Mine", f"derive class Mine({kind}), and "
    return f"{derived}add it with aaeframe.supports.register({kind}, lambda constraint, event_shape: Support(...))."


def _package(defined: Any) -> str:
    """The top-level package in which a class or a function is defined."""
    while isinstance(defined, functools.partial):
        defined = defined.func
    return str(getattr(defined, "__module__", type(defined).__module__)).partition(".")[0]


def resolve(constraint: Constraint, event_shape: torch.Size) -> Support:
    """The mapping from a head to `constraint`; ConfigError if none is known."""
    for kind in type(constraint).__mro__:
        if kind in _rules:
            return _rules[kind](constraint, event_shape)
    return _by_transform(constraint, event_shape)


def relaxation(constraint: Constraint, event_shape: torch.Size) -> Constraint:
    """The set in which codes of a block with this support may lie."""
    return resolve(constraint, event_shape).relaxation


def is_one_hot(constraint: Constraint) -> bool:
    """Whether the block is a class block: its samples are one-hot vectors."""
    return isinstance(unwrapped(constraint), type(constraints.one_hot))


def unwrapped(constraint: Constraint) -> Constraint:
    """The constraint inside independent and mixture wrappers."""
    while hasattr(constraint, "base_constraint"):
        constraint = constraint.base_constraint
    return constraint


def described(constraint: Constraint) -> str:
    """The constraint in words: torch's repr, except for user-defined types, whose name torch would shorten."""
    kind = type(constraint)
    base = getattr(constraint, "base_constraint", None)
    if base is not None and repr(base) in repr(constraint):
        return repr(constraint).replace(repr(base), described(base), 1)
    own = kind.__repr__ is Constraint.__repr__ and not kind.__module__.startswith("torch.")
    return kind.__name__ if own else repr(constraint)


def _through_wrapper(constraint: Any, event_shape: torch.Size) -> Support:
    return resolve(constraint.base_constraint, event_shape)


def _identity(constraint: Constraint, event_shape: torch.Size) -> Support:
    return Support(event_shape, identity_transform, constraint)


def _softmax(_: Constraint, event_shape: torch.Size) -> Support:
    return Support(event_shape, lambda raw: _full(raw).softmax(-1), constraints.simplex)


def _hull(constraint: Any, event_shape: torch.Size) -> Support:
    """The support of a mixture: the outermost bounds of its components."""

    def outermost(name: str, bound: Tensor) -> Tensor:
        if bound.ndim <= len(event_shape):
            return bound
        axis = -1 - constraint.event_dim  # components come last in the batch, right before a component's own event
        return bound.amin(axis) if name == "lower_bound" else bound.amax(axis)

    return resolve(_with_bounds(unwrapped(constraint), outermost), event_shape)


def _by_transform(constraint: Constraint, event_shape: torch.Size) -> Support:
    if _is_discrete(constraint):
        raise ConfigError(_unmapped(constraint, "it is discrete, and no relaxation of it is registered"))
    try:
        transform = _Anywhere(constraint)
        shape = transform.inverse_shape(event_shape)
    except NotImplementedError as error:
        raise ConfigError(_unmapped(constraint, "torch.distributions.transform_to does not know it")) from error
    except ValueError as error:
        raise ConfigError(_unmapped(constraint, f"it does not fit samples of shape {tuple(event_shape)}")) from error
    return Support(shape, transform, constraint)


class _Anywhere(Transform):
    """`transform_to` a constraint, at least in float32, with bounds moved to the device of each code."""

    def __init__(self, constraint: Constraint) -> None:
        super().__init__()
        self._constraint, self._here = constraint, transform_to(constraint)
        self.domain, self.codomain, self.bijective = self._here.domain, self._here.codomain, self._here.bijective

    def forward_shape(self, shape: torch.Size) -> torch.Size:
        """The shape of codes for heads of this shape."""
        return torch.Size(self._here.forward_shape(shape))

    def inverse_shape(self, shape: torch.Size) -> torch.Size:
        """The shape of heads for codes of this shape."""
        return torch.Size(self._here.inverse_shape(shape))

    def _call(self, x: Tensor) -> Tensor:
        x = _full(x)
        return self._beside(x)(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return self._beside(y).inv(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """The log-determinant log |dy / dx|, summed over each event."""
        return self._beside(y).log_abs_det_jacobian(x, y)

    def _beside(self, z: Tensor) -> Any:
        return transform_to(_with_bounds(self._constraint, lambda _, bound: bound.to(z)))


def _is_discrete(constraint: Constraint) -> bool:
    try:
        return constraint.is_discrete
    except NotImplementedError:  # a dependent constraint may not know
        return False


def _full(raw: Tensor) -> Tensor:
    """Convert to at least float32, even under autocast: a bfloat16 softmax sums to 1 only to three digits."""
    return raw.to(torch.promote_types(raw.dtype, torch.float32))


def _with_bounds(constraint: Constraint, change: Callable[[str, Tensor], Tensor]) -> Constraint:
    """A copy of the constraint in which `change` was applied to each bound that is a tensor."""
    changed = copy(constraint)
    for name, value in vars(constraint).items():
        if isinstance(value, Tensor):
            setattr(changed, name, change(name, value))
    return changed


def _unmapped(constraint: Constraint, reason: str) -> str:
    kind = type(constraint)
    return (
        f"no encoder head maps into the support {described(constraint)}: {reason}. "
        f"Supported are {', '.join(sorted(k.__name__.strip('_') for k in _rules))}, and all that transform_to maps to; "
        f"{_remedy(kind)}"
    )


_rules |= {  # of torch's own constraints
    type(constraints.real): _identity,
    type(constraints.one_hot): _softmax,
    type(constraints.independent(constraints.real, 1)): _through_wrapper,
    constraints.MixtureSameFamilyConstraint: _hull,
}
