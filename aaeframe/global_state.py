"""The state that Python, numpy and torch have once in a process, guarded around code of plugins.

A thread that guards code holds the lock of torch's random state; others that guard code wait for it.
"""

from __future__ import annotations

import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from torch.overrides import _get_current_function_mode_stack
from torch.utils._device import DeviceContext
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from aaeframe import patches
from aaeframe.errors import PluginWarning
from aaeframe.torch_state import exclusive


class _Setting(NamedTuple):
    """One part of the state."""

    read: Callable[[], Any]
    restore: Callable[[Any], object]
    seen: Callable[[Any], Any] = lambda value: value
    """The part of the value that must stay the same."""
    shown: bool = True
    """Whether a message shows the values."""
    compare: Callable[[Any], Sequence[object]] | None = None
    """The parts that changed since a value was read, if it takes more than a comparison of two values."""

    def changes(self, before: Any) -> Sequence[str] | None:
        """The parts that changed since this value was read, as a message names them; None if nothing changed."""
        if self.compare is not None:
            return list(map(str, self.compare(before))) or None
        old, new = self.seen(before), self.seen(self.read())
        if old == new:
            return None
        return [f"{old} to {new}"] if self.shown else []


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


def _backends() -> tuple[Any, ...]:
    # Not allow_tf32: it cannot be read where the operations of a backend have different precisions.
    precisions = tuple(it.fp32_precision for it in _PRECISE)
    return precisions, torch.backends.mkldnn.enabled, *map(torch.is_autocast_enabled, _DEVICES)


def _restore_backends(value: tuple[Any, ...]) -> None:
    for backend, precision in zip(_PRECISE, value[0], strict=True):
        if backend.fp32_precision != precision:
            backend.fp32_precision = precision
    torch.backends.mkldnn.set_flags(value[1])
    for device, enabled in zip(_DEVICES, value[2:], strict=True):
        torch.set_autocast_enabled(device, enabled)


_BACKENDS: Final[Any] = torch.backends  # its types lack some of these
_PRECISE: Final = (_BACKENDS.cudnn.conv, _BACKENDS.cudnn.rnn, _BACKENDS.mkldnn.conv, _BACKENDS.mkldnn.rnn)
"""The operations with a precision of their own; that of matrix products is a setting by itself."""


def _modes() -> tuple[Any, ...]:
    """The modes that were entered, through which every operation of torch passes; the default device aside."""
    of_functions = (it for it in _get_current_function_mode_stack() if not isinstance(it, DeviceContext))
    return (*of_functions, *_get_current_dispatch_mode_stack())


def _leave_modes(before: tuple[Any, ...]) -> None:
    for mode in reversed([it for it in _modes() if it not in before]):
        mode.__exit__(None, None, None)


def _restore_environment(variables: Mapping[str, str]) -> None:
    """Bring the variables back one by one: other threads may read the others meanwhile."""
    for name in _changed_variables(variables):
        if name in variables:
            os.environ[name] = variables[name]
        else:
            os.environ.pop(name, None)


def _changed_variables(before: Mapping[str, str]) -> list[str]:
    return sorted(it for it in before.keys() | os.environ.keys() if before.get(it) != os.environ.get(it))


def _working_folder() -> Path | None:
    """The working folder; None if it was deleted."""
    try:
        return Path.cwd()
    except OSError:
        return None


def _restore_working_folder(folder: Path | None) -> None:
    """Return to the folder unless it was deleted."""
    if folder is not None and folder.is_dir():
        os.chdir(folder)


_DEVICES: Final = ("cpu", "cuda")

OF_TORCH: Final = {
    # First, because what is read through a mode may be changed by it.
    "the modes of torch": _Setting(_modes, _leave_modes, shown=False),
    "the default dtype": _Setting(torch.get_default_dtype, torch.set_default_dtype),
    "the default device": _Setting(torch.get_default_device, _restore_device),
    "the grad mode": _Setting(torch.is_grad_enabled, torch.set_grad_enabled),
    "the number of threads": _Setting(torch.get_num_threads, torch.set_num_threads),
    "determinism": _Setting(_determinism, _restore_determinism),
    "the precision of matrix products": _Setting(
        torch.get_float32_matmul_precision, torch.set_float32_matmul_precision
    ),
    "the backends of torch": _Setting(_backends, _restore_backends),
    # Drawing numbers of torch is what factories do; to seed it anew is to repeat the numbers of others.
    "the seed of torch": _Setting(
        lambda: (torch.initial_seed(), torch.get_rng_state()), lambda it: torch.set_rng_state(it[1]), lambda it: it[0]
    ),
    "the filters of warnings": _Setting(lambda: tuple(warnings.filters), _restore_filters, shown=False),
}
"""The parts that are read in a few microseconds, so that they can be guarded at each step of a training."""

SETTINGS: Final = {
    **OF_TORCH,
    "the random state of numpy": _Setting(
        np.random.get_state, np.random.set_state, lambda it: (it[1].tobytes(), it[2:]), shown=False
    ),
    "the random state of Python": _Setting(random.getstate, random.setstate, shown=False),
    "the errors of numpy": _Setting(np.geterr, lambda it: np.seterr(**it)),
    "the working folder": _Setting(_working_folder, _restore_working_folder),
    "environment variables": _Setting(lambda: dict(os.environ), _restore_environment, compare=_changed_variables),
    "global hooks of torch": _Setting(patches.global_hooks, patches.restore_global_hooks, shown=False),
    "registries of torch.distributions": _Setting(
        patches.registries, patches.restore_registries, compare=patches.replaced_entries
    ),
    "functions that others call": _Setting(
        patches.Functions.start, patches.Functions.restore, compare=patches.Functions.changes
    ),
}
"""Each part of the state by its name in messages."""

RANDOM_STATES: Final = {
    name: SETTINGS[name] for name in ("the random state of numpy", "the random state of Python", "the seed of torch")
}

PATCHABLE: Final = {
    **{
        name: SETTINGS[name]
        for name in ("the modes of torch", "registries of torch.distributions", "functions that others call")
    },
    "global hooks of torch": _Setting(
        patches.global_hooks, patches.remove_hooks_of_plugins, compare=patches.hooks_of_plugins
    ),
}
"""The code of others that runs in all components, which is guarded around each epoch of a training.

Hooks that other threads register meanwhile stay.
"""

IMPORTING: Final = frozenset({"the filters of warnings", "environment variables"})
"""The parts to which many libraries add when they are imported; these additions stay."""


MOST_NAMED: Final = 3
"""The number of changed parts of one setting that a message names."""


@contextmanager
def guarded(settings: Mapping[str, _Setting] = SETTINGS) -> Iterator[list[str]]:
    """Restore these parts of the state after the block. The list that is yielded then names each part that had changed.

    Numbers drawn from torch's generator stay drawn. Where modules are imported, the filters of warnings and variables
    of the environment may change, as many libraries add their own then. The random state of Python is then restored
    without being named: scikit-learn draws from it when it is imported.
    """
    changed: list[str] = []
    with exclusive():
        before = {name: it.read() for name, it in settings.items()}
        modules = len(sys.modules)
        try:
            yield changed
        finally:
            imported = len(sys.modules) != modules
            for name, setting in settings.items():
                parts = setting.changes(before[name])
                if parts is None or (imported and name in IMPORTING):
                    continue
                setting.restore(before[name])
                if not (imported and name == "the random state of Python"):
                    changed.append(f"{name} ({', '.join(parts[:MOST_NAMED])})" if parts else name)


@contextmanager
def restoring(who: str, settings: Mapping[str, _Setting] = SETTINGS) -> Iterator[None]:
    """Restore these parts of the state after the block; PluginWarning that begins with `who` if one changed."""
    with guarded(settings) as changed:
        yield
    if changed:
        sentence = f"{who} changed what all code shares, and it was restored: {', '.join(changed)}"
        warnings.warn(sentence, PluginWarning, stacklevel=3)
