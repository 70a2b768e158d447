"""The state that Python, numpy and torch have once in a process, guarded around code of plugins."""

from __future__ import annotations

import random
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import numpy as np
import torch


class _Setting(NamedTuple):
    """One part of the state."""

    read: Callable[[], Any]
    restore: Callable[[Any], object]
    seen: Callable[[Any], Any] = lambda value: value
    """The part of the value that must stay the same."""
    shown: bool = True
    """Whether a message shows the values."""


def _restore_device(device: torch.device) -> None:
    torch.set_default_device(None if device.type == "cpu" else device)


def _determinism() -> tuple[bool, bool, bool, bool]:
    known, cudnn = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn
    return known, torch.is_deterministic_algorithms_warn_only_enabled(), cudnn.deterministic, cudnn.benchmark


def _restore_determinism(value: tuple[bool, bool, bool, bool]) -> None:
    torch.use_deterministic_algorithms(value[0], warn_only=value[1])
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = value[2:]


def _restore_filters(filters: tuple[Any, ...]) -> None:
    warnings.filters[:] = filters  # type: ignore[index]  # a list, which the types do not say
    warnings._filters_mutated()  # type: ignore[attr-defined]  # or what was remembered of the others holds on


SETTINGS: Final = {
    "the default dtype": _Setting(torch.get_default_dtype, torch.set_default_dtype),
    "the default device": _Setting(torch.get_default_device, _restore_device),
    "the grad mode": _Setting(torch.is_grad_enabled, torch.set_grad_enabled),
    "the number of threads": _Setting(torch.get_num_threads, torch.set_num_threads),
    "determinism": _Setting(_determinism, _restore_determinism),
    "the precision of matrix products": _Setting(
        torch.get_float32_matmul_precision, torch.set_float32_matmul_precision
    ),
    # Drawing numbers of torch is what factories do; to seed it anew is to repeat the numbers of others.
    "the seed of torch": _Setting(
        lambda: (torch.initial_seed(), torch.get_rng_state()), lambda it: torch.set_rng_state(it[1]), lambda it: it[0]
    ),
    "the random state of numpy": _Setting(
        np.random.get_state, np.random.set_state, lambda it: (it[1].tobytes(), it[2:]), shown=False
    ),
    "the random state of Python": _Setting(random.getstate, random.setstate, shown=False),
    "the filters of warnings": _Setting(lambda: tuple(warnings.filters), _restore_filters, shown=False),
}
"""Each part of the state by its name in messages."""

OF_TORCH: Final = {name: it for name, it in SETTINGS.items() if not name.startswith("the random state")}
"""The parts that decide the bits of a training. They are read in a few microseconds."""


@contextmanager
def guarded(settings: Mapping[str, _Setting] = SETTINGS) -> Iterator[list[str]]:
    """Restore these parts of the state after the block. The list that is yielded then names each part that had changed.

    Numbers drawn from torch's generator stay drawn. Where modules are imported, the filters of warnings may change, as
    many libraries add their own then, and the random state of Python is restored without being named: scikit-learn
    draws from it when it is imported.
    """
    changed: list[str] = []
    before = {name: it.read() for name, it in settings.items()}
    modules = len(sys.modules)
    try:
        yield changed
    finally:
        for name, setting in settings.items():
            old, new = setting.seen(before[name]), setting.seen(setting.read())
            if old == new or (name == "the filters of warnings" and len(sys.modules) != modules):
                continue
            setting.restore(before[name])
            if name == "the random state of Python" and len(sys.modules) != modules:
                continue
            changed.append(f"{name} ({old} to {new})" if setting.shown else name)
