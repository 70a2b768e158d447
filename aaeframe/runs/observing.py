"""The observers of a run: those that its configuration names, and objects from Python."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from aaeframe.components.options import resolve_component
from aaeframe.components.registry import Registry
from aaeframe.configuration.schema import ComponentConfig, Config
from aaeframe.errors import ConfigError
from aaeframe.training.observers import Observers, members_of


def observers_of(named: Mapping[str, ComponentConfig], registry: Registry, objects: Iterable[object] = ()) -> Observers:
    """The observers of a run. Those with names are found and built when they are needed.

    ConfigError or BrokenComponent for an object that is no observer.
    """
    factories: dict[str, Callable[[], object]] = {name: partial(_built, part, registry) for name, part in named.items()}
    for it in objects:
        if inspect.isclass(it):
            raise ConfigError(f"the observer {it.__name__} is a class; pass an instance, as in {it.__name__}()")
        name = _free(type(it).__name__, factories)
        members_of(name, it)
        factories[name] = partial(_itself, it)
    return Observers(factories)


def _built(part: ComponentConfig, registry: Registry) -> object:
    built: object = resolve_component(registry.find("observer", part.component), part.options).build()
    return built


def _itself(observer: object) -> object:
    return observer


def _free(name: str, taken: Mapping[str, Any]) -> str:
    """The name, with a number if it is taken."""
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


@dataclass(frozen=True)
class Reporting:
    """Tells the observers of a run about evaluations and figures after its training."""

    config: Config
    folder: Path | None
    step: int
    """The number of steps that the run was trained for."""
    finished: bool
    observers: Observers = field(default_factory=Observers)

    def reported(self, name: str, report: Mapping[str, Any], warn: Callable[[str], None]) -> None:
        """Tell of an evaluation. `warn` is called with a sentence for each observer that fails."""
        self._tell(lambda: self.observers.reported(name, report), warn)

    def drawn(self, paths: Sequence[Path], warn: Callable[[str], None]) -> None:
        """Tell of figures, as `reported` does of an evaluation."""
        self._tell(lambda: self.observers.drawn(paths), warn)

    def _tell(self, tell: Callable[[], None], warn: Callable[[str], None]) -> None:
        if self.observers:
            self.observers.run_started(settings(self.config), self.folder, self.step, self.step, warn)
            tell()
            self.observers.run_ended(self.finished, "nothing was trained")


def settings(config: Config) -> dict[str, Any]:
    """The configuration as observers get it: tables of JSON-like values, without keys that are not set."""
    return config.model_dump(mode="json", exclude_none=True)
