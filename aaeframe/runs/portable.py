"""The configuration of an archive: no path of one machine leaves in it, and none is opened on another.

What is left out is marked as an object from Python is. The mark stays when the run is saved as a folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from aaeframe.components.objects import PYTHON
from aaeframe.components.paths import own_paths, paths_in, schema_of
from aaeframe.components.registry import Kind, Registry
from aaeframe.configuration.data_sets import is_full_name
from aaeframe.configuration.schema import BlockConfig, ComponentConfig, Config
from aaeframe.configuration.shorthand import parse_component
from aaeframe.errors import RunError
from aaeframe.runs.exporting import without_folders

Change: TypeAlias = Callable[[str, Kind, Any], Any]

_KINDS: Final[tuple[Kind, ...]] = ("encoder", "network", "discriminator", "recipe")


def portable(config: Config, registry: Registry, advice: str) -> Config:
    """The configuration without paths and without observers, which write next to a run.

    A data set from a file, and the initial run, keep their last name. Paths that are the default of an option are left
    out, and so are metrics with a path. RunError, with the advice, for any other path among the options of a component.
    """
    paths = _Paths(registry, advice)
    initial = config.training.initial
    return _changed(config, paths.component).model_copy(
        update={
            "data": config.data.model_copy(update={"source": paths.source(config.data.source)}),
            "training": config.training.model_copy(update={"initial": initial and _marked(initial)}),
            "evaluation": config.evaluation.model_copy(
                update={"metrics": tuple(it for it in config.evaluation.metrics if not paths.of_text("metric", it))}
            ),
            "observers": {},
        }
    )


@dataclass(frozen=True)
class _Paths:
    registry: Registry
    advice: str

    def component(self, place: str, kind: Kind, part: ComponentConfig) -> ComponentConfig:
        """The component without paths; RunError for one that it was given."""
        python = part.component.startswith(PYTHON)  # recorded options are for readers: the object has its own
        schema = () if python else schema_of(self.registry, kind, part.component)
        found = paths_in(part.options, schema)
        dropped = set(found) if python else own_paths(found, schema)
        for name, value in found.items():
            if name not in dropped:
                raise RunError(f"{place}.{name}={json.dumps(value)} {self.advice}")
        options = {name: value for name, value in part.options.items() if name not in dropped}
        return part.model_copy(update={"options": options})

    def of_text(self, kind: Kind, text: str) -> bool:
        """Whether a component in its short form was given a path."""
        parsed = parse_component(text)
        schema = schema_of(self.registry, kind, parsed["component"]) if parsed["options"] else ()
        found = paths_in(parsed["options"], schema)
        return bool(found.keys() - own_paths(found, schema))

    def source(self, source: str) -> str:
        """The name of a data set as it is; of a file, or of a data set with one, the last name, marked."""
        if not is_full_name(source):
            return _marked(source)
        name = source.partition("(")[0].strip()
        return f"{PYTHON}{name.rpartition(':')[2]}" if self.of_text("data-set", source) else source


def _marked(name: str) -> str:
    return f"{PYTHON}{without_folders(name.removeprefix(PYTHON))}"


def _changed(config: Config, change: Change) -> Config:
    """The configuration with every component of the model changed."""

    def block(name: str, part: BlockConfig) -> BlockConfig:
        own = part.discriminator and change(f"prior.{name}.discriminator", "discriminator", part.discriminator)
        changed: BlockConfig = change(f"prior.{name}", "prior", part)
        return changed.model_copy(update={"discriminator": own})

    parts: dict[str, ComponentConfig] = {kind: change(kind, kind, getattr(config, kind)) for kind in _KINDS}
    return config.model_copy(update={"prior": {name: block(name, it) for name, it in config.prior.items()}, **parts})
