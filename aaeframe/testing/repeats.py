"""Checks that outputs depend on the inputs, the state and torch's seed alone.

They must not depend on earlier calls, on other instances, on the time, the machine or variables of the environment.
Inputs must stay as they are.
"""

from __future__ import annotations

import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn

from aaeframe.testing.case import USES, ComponentCase, fixed_seed, require, seeded
from aaeframe.testing.surroundings import elsewhere, opened_files, read_variables, variable

CALLS: Final = 250
"""The number of calls after which the outputs must be the same as before them."""
SECONDS: Final = 10
"""The most processor time for these calls; a slow component is called less often."""
VALUES: Final = ("0", "1", "3")
"""The values that are given to a variable of the environment that a component reads."""
REMEDY: Final = "make it depend on its inputs, its options, its state_dict and torch's random numbers alone"


class Call(NamedTuple):
    """A call of a component."""

    name: str
    function: Callable[..., Any]
    inputs: tuple[Tensor | None, ...] = ()


class CallableCase(ComponentCase, ABC):
    """A case of a component that is called with tensors."""

    @abstractmethod
    def calls(self, built: Any) -> list[Call]:
        """All calls of a training, each with inputs drawn from torch's generator."""


@seeded
def check_inputs_kept(case: CallableCase) -> None:
    """The tensors that the component is given stay as they are."""
    for call in case.calls(case.build()):
        before = [None if it is None else it.clone() for it in call.inputs]
        call.function(*call.inputs)
        for was, now in zip(before, call.inputs, strict=True):
            same = was is None or now is None or torch.equal(was, now)
            require(same, f"{call.name} changes its input in place, which others use, too: compute a new tensor")


@seeded
def check_many_calls(case: CallableCase) -> None:
    """After hundreds of calls, the same state and seed give the same outputs."""
    built = _built(case)
    state, first = _state(built), outputs(case, built)
    calls, end, count = case.calls(built), time.process_time() + SECONDS, 0
    while count < CALLS and time.process_time() < end:
        with torch.set_grad_enabled(count < USES):  # without gradients it takes half the time
            for call in calls:
                call.function(*call.inputs)
        count += 1
    _restore(built, state)
    _require_same(first, outputs(case, built), f"after {count} calls, the same state and torch seed give other values")


@seeded
def check_instances(case: CallableCase) -> None:
    """Two instances share nothing: what happens to one does not change another, nor those built later."""
    first, second = _built(case), _built(case)
    expected = outputs(case, first)
    _require_same(expected, outputs(case, second), "built twice under one torch seed, two instances give other values")
    with torch.no_grad():
        for it in (it for part in _modules(first) for it in (*part.parameters(), *part.buffers())):
            it.copy_(it + torch.rand_like(it)) if it.is_floating_point() else it.zero_()
    _outputs_or_none(case, first)  # it may refuse the new values, such as those of a covariance
    advice = "share no tensor and no cache: make them in the constructor"
    for name, other in (("another", second), ("later ones", _built(case))):
        _require_same(expected, _outputs_or_none(case, other), f"what changes one instance changes {name}: {advice}")


@seeded
def check_surroundings(case: CallableCase) -> None:
    """The outputs depend on no clock, machine, file or variable of the environment."""
    with read_variables() as names:
        built = _built(case)
        expected = outputs(case, built)
    with opened_files() as files:
        outputs(case, built)
    require(not files, f"each call reads the file {''.join(files[:1])}: read it once, where the component is built")
    with elsewhere(case.factory):
        later = outputs(case, _built(case))
    _require_same(expected, later, "at another time, or on another machine, it gives other values")
    for name in names:
        for value in VALUES:
            with variable(name, value):
                found = _outputs_or_none(case)
            if found is not None:
                _require_same(expected, found, f"the variable {name} of the environment changes values: {REMEDY}")


def outputs(case: CallableCase, built: Any) -> list[tuple[str, Tensor]]:
    """The tensors that all calls give, each with its call, under one seed; the state stays as it is."""
    state = _state(built)
    with fixed_seed(1):
        found = [(it.name, value) for it in case.calls(built) for value in _flat(it.function(*it.inputs))]
    _restore(built, state)
    return found


def _outputs_or_none(case: CallableCase, built: Any = None) -> list[tuple[str, Tensor]] | None:
    """The outputs of an instance, by default a new one; None if it refuses its state or the surroundings."""
    try:
        return outputs(case, _built(case) if built is None else built)
    except Exception:
        return None


def _built(case: ComponentCase) -> Any:
    """A new instance from torch's seed 0."""
    with fixed_seed(0):
        return case.build()


def _require_same(first: list[tuple[str, Tensor]], second: list[tuple[str, Tensor]] | None, message: str) -> None:
    """AssertionError that names the first call of which a tensor differs or is missing; all are if `second` is None."""
    for one, other in itertools.zip_longest(first, second or []):
        same = one and other and one[0] == other[0] and torch.equal(one[1].nan_to_num(), other[1].nan_to_num())
        require(bool(same), f"{(one or other)[0]}: {message}")


def _flat(value: Any) -> Iterator[Tensor]:
    """Copies of all tensors in a result."""
    if isinstance(value, Tensor):
        yield value.detach().clone()
    elif isinstance(value, Mapping):
        for it in value.values():
            yield from _flat(it)
    elif isinstance(value, tuple | list):
        for it in value:
            yield from _flat(it)


def _modules(built: Any) -> list[nn.Module]:
    """The component, or the two parts of a network, as far as they are modules."""
    parts = built, getattr(built, "encoder", None), getattr(built, "decoder", None)
    return [it for it in parts if isinstance(it, nn.Module)]


def _state(built: Any) -> dict[int, dict[str, Tensor]]:
    return {id(it): {name: value.clone() for name, value in it.state_dict().items()} for it in _modules(built)}


def _restore(built: Any, state: Mapping[int, Mapping[str, Tensor]]) -> None:
    with torch.no_grad():
        for it in _modules(built):
            it.load_state_dict({**state[id(it)]})
