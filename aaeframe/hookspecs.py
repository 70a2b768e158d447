"""The hooks of a plugin: the manual of the plugin interface.

A plugin is a module that implements any of the hooks below and is named by an entry point:

    # aaeframe_torus.py
    from aaeframe import Component, hookimpl

    @hookimpl
    def aaeframe_priors():
        return [Component("torus", "aaeframe_torus:Torus", "uniform on a torus in three dimensions")]

    # pyproject.toml
    [project.entry-points.aaeframe]
    torus = "aaeframe_torus"

Each hook returns records that *name* factories. A factory is imported on first use only, so that listing plugins
stays cheap. Keep torch out of the hook module, or import it inside the factory. A factory receives what only
the run knows by position, and its options by keyword:

    prior(*, ...)                                                          -> aaeframe.protocols.Prior
    network(data: DataSpec, code_size: int, *, ...)                        -> aaeframe.protocols.Network
    encoder(network: Network, blocks: Mapping[str, BlockSpec], *, ...)     -> aaeframe.protocols.Encoder
    discriminator(block: BlockSpec, num_classes: int | None, *, ...)       -> aaeframe.protocols.Discriminator
    recipe(model: Autoencoder, optimizers: Optimizers, shared: SharedSettings, *, ...) -> aaeframe.recipes.Recipe
    data_set(*, ...)                                                       -> aaeframe.data.Dataset
    metric(*, ...)                                                         -> aaeframe.evaluation.Metric
    observer(*, ...)                                                       -> aaeframe.training.observers.Observer
    benchmark(*, ...)                                                      -> aaeframe.benchmarking.Benchmark

Options are keyword-only, have defaults and JSON-like values (numbers, strings, lists, paths). Only an option without
a sensible default, such as the path of a file, has none. Annotations are checked; `Annotated[float, Field(gt=0,
description="...")]` (pydantic) adds a range and a line of help. A factory that reads something that may be gone
when a run is loaded, such as a file, also has `from_state` (aaeframe.protocols.SupportsRestoring). The optional
abilities of priors, encoders and discriminators (a density, labels, `follow`) are in aaeframe.protocols, too.

Mark a hook that older versions lack as `@hookimpl(optionalhook=True)`: they note it and do not call it. The other
options of `hookimpl` are refused, as there is no order among plugins.

A module may state the API it was written for as `aaeframe_api = 1`; without it, 1 is assumed. Numbers from `OLDEST_API`
to `API` work; below `API` the plugin is listed with a warning that says what changed and what to do. A hook's argument
is marked as deprecated in its specification at least one number before it is removed. A plugin that uses it is listed
with a warning, too. A plugin of any other number is listed as incompatible, with the package to upgrade.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import pluggy

API: Final = 1
"""The number of this plugin interface. It grows when a hook or a factory's positional arguments change."""

OLDEST_API: Final = 1
"""The oldest number that still works. It grows when plugins of that number are no longer supported."""

CHANGES: Final[Mapping[int, str]] = {}
"""The change of each number after the oldest, and what a plugin's author must do about it."""

GROUP: Final = "aaeframe"
"""The entry-point group of plugins."""

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@dataclass(frozen=True, slots=True)
class Component:
    """A named factory that has not been imported yet."""

    name: str
    """Short name: lower-case letters, digits and hyphens, beginning with a letter."""
    factory: str
    """The factory's location, as "package.module:attribute"; that of a preset is a file, as "package:path.toml"."""
    summary: str
    """One line for `aaeframe plugins list`."""


@hookspec
def aaeframe_encoders() -> Iterable[Component]:
    """Return the encoders q(z | x) this plugin offers."""
    raise NotImplementedError


@hookspec
def aaeframe_priors() -> Iterable[Component]:
    """Return the priors p(z) this plugin offers."""
    raise NotImplementedError


@hookspec
def aaeframe_discriminators() -> Iterable[Component]:
    """Return the discriminators D(z) this plugin offers."""
    raise NotImplementedError


@hookspec
def aaeframe_networks() -> Iterable[Component]:
    """Return the networks, an encoder body and a decoder for one shape of data, this plugin offers."""
    raise NotImplementedError


@hookspec
def aaeframe_recipes() -> Iterable[Component]:
    """Return the recipes, training procedures each of which is a subclass of `aaeframe.recipes.Recipe`."""
    raise NotImplementedError


@hookspec
def aaeframe_data_sets() -> Iterable[Component]:
    """Return the data sets this plugin offers. Nothing is downloaded or read before one is asked for by its name."""
    raise NotImplementedError


@hookspec
def aaeframe_presets() -> Iterable[Component]:
    """Return the presets this plugin offers. The place of each is a TOML file: "package:path.toml"."""
    raise NotImplementedError


@hookspec
def aaeframe_metrics() -> Iterable[Component]:
    """Return the metrics, measures of a trained model on held-out rows, this plugin offers."""
    raise NotImplementedError


@hookspec
def aaeframe_observers() -> Iterable[Component]:
    """Return the observers of runs this plugin offers. An observer acts only in a run that asks for it by name."""
    raise NotImplementedError


@hookspec
def aaeframe_benchmarks() -> Iterable[Component]:
    """Return the implementations of the work of `aaeframe bench` this plugin offers. Each is timed in its suite."""
    raise NotImplementedError
