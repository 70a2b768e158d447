"""Patches of what all code calls: functions and classes of torch, numpy, Python and aaeframe, and torch's global hooks.

A plugin that replaces one of them changes the numbers of components that are healthy. `Functions.now()` remembers what
each name stands for; `changes` compares this with a later time, and `undo` puts it back.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import entry_points, packages_distributions
from operator import attrgetter
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Final, NamedTuple, TypeAlias

import torch
from torch.distributions import biject_to, kl, transform_to
from torch.nn.modules import module as hooks_of_modules
from torch.optim import optimizer as hooks_of_optimizers

from aaeframe.hookspecs import GROUP

MODULES: Final = frozenset(
    {
        *("torch", "torch.functional", "torch.nn", "torch.nn.functional", "torch.nn.init", "torch.nn.parameter"),
        *("torch._tensor", "torch._C._nn", "torch.random", "torch.linalg", "torch.autograd", "torch.autograd.function"),
        *("numpy", "numpy.random", "numpy.linalg", "random", "math", "builtins", "time"),
    }
)
PACKAGES: Final = (
    *("torch.nn.modules", "torch.nn.utils", "torch.optim", "torch.distributions"),
    *(
        f"aaeframe.{it}"
        for it in ("assembly", "evaluation", "losses", "model", "processes", "recipes", "seeds", "training")
    ),
    *("aaeframe.supports", "aaeframe.torch_state", "aaeframe_plugins", "aaeframe_kernels"),
)
"""The packages that decide the numbers of a training. Their modules and classes are watched, as far as imported."""
COMPILED: Final = frozenset({"torch", "numpy", "builtins"})
"""The modules whose classes are written in C."""
ABSENT: Final = object()

Owner: TypeAlias = ModuleType | type


class Patch(NamedTuple):
    """A name that stands for something else than before."""

    owner: Any
    """A module, a class or a function."""
    name: str
    old: Any
    """The earlier value, or `ABSENT`."""

    def __str__(self) -> str:
        within = getattr(self.owner, "__qualname__", "")
        return ".".join(filter(None, (getattr(self.owner, "__module__", ""), within or self.owner.__name__, self.name)))

    def undo(self) -> None:
        """Give the name its earlier value."""
        if self.old is ABSENT:
            delattr(self.owner, self.name)
        else:
            setattr(self.owner, self.name, self.old)


@dataclass(frozen=True, slots=True)
class Functions:
    """The meaning of the names in modules and classes at one time; read in a few milliseconds."""

    names: Sequence[tuple[Owner, Mapping[str, Any]]]
    functions: Sequence[FunctionType]
    code: Sequence[Sequence[Any]]
    """The code and the default arguments of the functions, which can be exchanged, too: a list for each of `_PARTS`."""
    modules: int
    """The number of imported modules."""

    @classmethod
    def now(cls) -> Functions:
        """The meanings now, in all watched modules that are imported."""
        _WATCHED.extend()
        functions = tuple(_WATCHED.functions)
        return cls([(it, vars(it).copy()) for it in _WATCHED.owners], functions, _code(functions), len(sys.modules))

    @classmethod
    def start(cls) -> Functions:
        """The meanings at the start of a guard: inside `steady`, those of before as long as nothing is imported."""
        if _STEADY and len(sys.modules) == _STEADY[-1].modules:
            return _STEADY[-1]
        found = cls.now()
        if _STEADY:
            _STEADY[-1] = found
        return found

    def changes(self) -> list[Patch]:
        """The names that have stood for something else since then. New names count where they hide inherited ones.

        Where modules were imported, names count that stood for functions and classes: zuko, for one, turns off the
        validation of all distributions when it is imported.
        """
        try:
            suspects: Iterable[tuple[Owner, Mapping[str, Any]]] = [it for it in self.names if vars(it[0]) != it[1]]
        except Exception:  # values without a truth, such as arrays, were exchanged
            suspects = self.names
        found = [patch for owner, before in suspects for patch in _patches(owner, before)]
        if len(sys.modules) != self.modules:
            found = [it for it in found if callable(it.old) or it.old is ABSENT]
        for name, before, now in zip(_PARTS, self.code, _code(self.functions), strict=True):
            if not _same(now, before):
                each = zip(self.functions, before, now, strict=True)
                found += [Patch(function, name, old) for function, old, new in each if not _same(new, old)]
        return found

    def restore(self) -> None:
        """Give these names their earlier values."""
        for patch in self.changes():
            patch.undo()


_STEADY: Final[list[Functions]] = []


@contextmanager
def steady() -> Iterator[None]:
    """Read the meanings once for all guards of the block, in which nothing else patches.

    To read them takes as long as to compare them, and a small training has dozens of guards.
    """
    _STEADY.append(Functions.start())
    try:
        yield
    finally:
        _STEADY.pop()


_PARTS: Final = ("__code__", "__defaults__", "__kwdefaults__")


def _code(functions: Sequence[FunctionType]) -> Sequence[Sequence[Any]]:
    """Each of `_PARTS`, of all functions. A tuple for each function would make Python collect garbage each time."""
    return [list(map(attrgetter(part), functions)) for part in _PARTS]


class _Watched:
    """The modules, classes and functions that are watched; more when more is imported."""

    def __init__(self) -> None:
        self.owners: list[Owner] = []
        self.functions: list[FunctionType] = []
        self._seen: set[str] = set()
        self._modules = 0

    def extend(self) -> None:
        """Add what was imported since the last call."""
        if len(sys.modules) == self._modules:
            return
        self._modules = len(sys.modules)
        for name, module in list(sys.modules.items()):
            if name not in self._seen and isinstance(module, ModuleType) and _is_watched(name):
                self._seen.add(name)
                own: list[Owner] = [
                    module,
                    *(it for it in list(vars(module).values()) if isinstance(it, type) and _lives(it, name)),
                ]
                self.owners += own
                self.functions += [it for owner in own for it in vars(owner).values() if isinstance(it, FunctionType)]
        self.owners, self.functions = list(dict.fromkeys(self.owners)), list(dict.fromkeys(self.functions))


_WATCHED: Final = _Watched()
_HOME_OF_TORCH: Final = f"{Path(torch.__file__).parent}{os.sep}"
_HOME_OF_COMPILE: Final = f"{_HOME_OF_TORCH}_dynamo{os.sep}"


def _is_watched(name: str) -> bool:
    return name in MODULES or name.startswith(tuple(f"{it}." for it in PACKAGES)) or name in PACKAGES


def _lives(kind: type, module: str) -> bool:
    """Whether a class is written in this module. Those of C cannot be patched, but for `torch.Tensor`, a subclass."""
    return kind is torch.Tensor or (module not in COMPILED and kind.__module__ == module)


def _patches(owner: Owner, before: Mapping[str, Any]) -> Iterator[Patch]:
    now = vars(owner)
    for name, old in before.items():
        new = now.get(name, ABSENT)
        if new is not old and not _is_free(owner, name, old, new):
            yield Patch(owner, name, old)
    if isinstance(owner, type):
        for name in now.keys() - before.keys():
            hides = any(name in vars(base) for base in owner.__mro__[1:])
            shown = callable(now[name]) or hasattr(now[name], "__get__")
            if hides and shown and not _is_wrapped_by_torch(_inherited(owner, name), now[name]):
                yield Patch(owner, name, ABSENT)


def _same(now: Any, before: Any) -> bool:
    try:
        return bool(now == before)
    except Exception:  # values without a truth, such as arrays, were exchanged
        return False


def _is_free(owner: Owner, name: str, old: Any, new: Any) -> bool:
    """Whether a name may change: private ones of modules are memories, and torch wraps some functions of its own."""
    if isinstance(owner, ModuleType) and name.startswith("_"):
        return True
    if name.startswith("__") and not callable(old):
        return True
    return _is_wrapped_by_torch(old, new)


def _inherited(kind: type, name: str) -> Any:
    """The value of the nearest base class, without what torch.compile has put around it."""
    value = next(vars(base)[name] for base in kind.__mro__[1:] if name in vars(base))
    return getattr(value, "_torchdynamo_orig_callable", value)


def _is_wrapped_by_torch(old: Any, new: Any) -> bool:
    """Whether torch put its own function around the old one, as torch.compile does with the constructor of modules."""
    if not isinstance(new, FunctionType) or not new.__code__.co_filename.startswith(_HOME_OF_TORCH):
        return False
    if old in (getattr(new, "__wrapped__", None), getattr(new, "_torchdynamo_orig_callable", None)):
        return True
    compiles = new.__code__.co_filename.startswith(_HOME_OF_COMPILE)
    return compiles and any(cell.cell_contents is old for cell in new.__closure__ or ())


def global_hooks() -> dict[str, Any]:
    """The hooks that torch calls for every module and optimizer: copies of its registries, by name."""
    return {name: dict(it) if isinstance(it, Mapping) else it for name, it in _hooks().items()}


def restore_global_hooks(before: Mapping[str, Any]) -> None:
    """Bring torch's global hooks back."""
    for name, now in _hooks().items():
        if isinstance(now, dict):
            now.clear()
            now.update(before[name])
        else:
            setattr(hooks_of_modules, name, before[name])


class PluginHook(NamedTuple):
    """A hook that a plugin has put into one of torch's registries."""

    key: int
    old: Any
    """The earlier hook of this key, or `ABSENT`."""
    where: str
    """The name of the hook in its module."""

    def __str__(self) -> str:
        return self.where


def hooks_of_plugins(before: Mapping[str, Any]) -> list[PluginHook]:
    """The hooks registered since then whose code is in the distribution of a plugin; others stay where they are.

    Other threads may register their own meanwhile, as profilers do.
    """
    added = [
        (key, before[name].get(key, ABSENT), hook)
        for name, hooks in _hooks().items()
        if isinstance(hooks, dict)
        for key, hook in list(hooks.items())
        if callable(hook) and hook is not before[name].get(key)
    ]
    packages = _packages_of_plugins() if added else frozenset()
    modules = [(_module_of(hook), key, old, hook) for key, old, hook in added]
    return [
        PluginHook(key, old, f"{module}.{getattr(hook, '__qualname__', type(hook).__qualname__)}")
        for module, key, old, hook in modules
        if module.partition(".")[0] in packages
    ]


def remove_hooks_of_plugins(before: Mapping[str, Any]) -> None:
    """Remove the hooks that plugins have registered since then."""
    for key, old, _ in hooks_of_plugins(before):
        for hooks in _hooks().values():
            if isinstance(hooks, dict) and key in hooks:
                if old is ABSENT:
                    del hooks[key]
                else:
                    hooks[key] = old
    if not hooks_of_modules._global_backward_hooks:  # then torch allows both of its two kinds again
        hooks_of_modules._global_is_full_backward_hook = before["_global_is_full_backward_hook"]


def _module_of(hook: Any) -> str:
    while isinstance(hook, partial):
        hook = hook.func
    return str(getattr(hook, "__module__", ""))


def _packages_of_plugins() -> frozenset[str]:
    """The packages of all distributions with a plugin."""
    entries = entry_points(group=GROUP)
    distributions = {it.dist.name for it in entries if it.dist}
    installed = {name for name, owners in packages_distributions().items() if distributions.intersection(owners)}
    return frozenset(installed.union(it.module.partition(".")[0] for it in entries))


def _hooks() -> dict[str, Any]:
    places = vars(hooks_of_modules), vars(hooks_of_optimizers)
    return {
        name: it for place in places for name, it in place.items() if name.startswith("_global_") and not callable(it)
    }


REGISTRIES: Final[Mapping[str, dict[Any, Any]]] = {
    "kl_divergence": kl._KL_REGISTRY,
    "biject_to": biject_to._registry,
    "transform_to": transform_to._registry,
}
"""The registries of torch.distributions. A plugin may add to them, and must leave what they have."""


def registries() -> dict[str, dict[Any, Any]]:
    """Copies of the registries of torch.distributions."""
    return {name: dict(it) for name, it in REGISTRIES.items()}


def replaced_entries(before: Mapping[str, Mapping[Any, Any]]) -> list[str]:
    """The registries of torch.distributions of which an entry was replaced or removed since then."""
    return [name for name, it in REGISTRIES.items() if any(it.get(key) is not old for key, old in before[name].items())]


def restore_registries(before: Mapping[str, Mapping[Any, Any]]) -> None:
    """Bring the replaced entries back, and keep new ones."""
    for name, it in REGISTRIES.items():
        it.update(before[name])
    kl._KL_MEMOIZE.clear()
