"""Metrics by name or from Python: what each is given, and how it is measured without harm to the report.

A factory of the hook `aaeframe_metrics` takes its options by keyword and returns a metric: a function of an `Evaluated`
that returns a number, or numbers by name.
"""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from aaeframe.components.options import resolve_component
from aaeframe.components.registry import Registry
from aaeframe.configuration.shorthand import parse_component, write_component
from aaeframe.data import Dataset, Split
from aaeframe.errors import AaeframeError, BrokenComponent, ConfigError
from aaeframe.global_state import guarded
from aaeframe.model.autoencoder import Autoencoder, sample
from aaeframe.model.priors import fixed_priors
from aaeframe.seeds import stream


@dataclass(frozen=True, eq=False)
class Evaluated:
    """A model and the rows on which it is evaluated."""

    model: Autoencoder
    """In evaluation mode. Each metric has a copy, and must leave it as it is."""
    dataset: Dataset
    """All splits of the data, for a metric that is fitted to other rows than it measures."""
    split: str
    """The name of the evaluated split."""
    codes: Mapping[str, Tensor]
    """One draw of q(z | x) for each row, (N, *event_shape), by block."""
    seed: int
    """The seed of the evaluation. torch's own generators are seeded by it already."""

    @property
    def rows(self) -> Split:
        """The evaluated rows in the user's units: `rows.array()`, or `rows.chunks(size)` for many."""
        return self.dataset.split(self.split)

    @cached_property
    def labels(self) -> Tensor | None:
        """The classes (N,) of the rows, int64, -1 where there is none; None for data without labels."""
        labels = self.rows.labels
        return None if labels is None else torch.from_numpy(labels.copy())

    @cached_property
    def prior_samples(self) -> Mapping[str, Tensor]:
        """As many samples of the prior as there are codes, (N, *event_shape), by block. All metrics see the same."""
        with stream(self.seed, "metrics", "prior", device=self.model.device):
            return {name: sample(self.model.priors[name], len(z), z.device) for name, z in self.codes.items()}

    def apart(self) -> Evaluated:
        """The same with copies of the model, the codes and the labels, and rows that cannot be changed.

        So a metric changes nothing for others.
        """
        shared: dict[int, Any] = {}  # fixed priors may be large: of modules the buffers, of others the whole
        for prior in fixed_priors(self.model.priors):
            shared |= {id(it): it for it in (prior.buffers() if isinstance(prior, nn.Module) else [prior])}
        codes = {name: z.clone() for name, z in self.codes.items()}
        return replace(self, model=copy.deepcopy(self.model, shared), codes=codes, dataset=_apart(self.dataset))


Metric: TypeAlias = Callable[[Evaluated], Any]
"""A function that returns a finite number, or a mapping of names to them. A tensor of shape () is a number."""


@dataclass(frozen=True)
class NamedMetric:
    """A metric that has not been built yet, and its key in the report."""

    key: str
    build: Callable[[], Metric]


def named_metrics(
    asked: Sequence[str | Metric], registry: Registry, *, stored: Sequence[str] = ()
) -> list[NamedMetric]:
    """The metrics that a run stores, then those that are asked for: names with options, or functions.

    UnknownComponent, OptionError or ConfigError for what is wrong with those asked for. A stored one whose plugin is
    gone fails when it is measured.
    """
    found = [_kept(text, registry) for text in stored] + [_named(it, registry) for it in asked]
    unique: dict[str, NamedMetric] = {}
    for it, text in zip(found, [*stored, *asked], strict=True):
        if it.key in unique and not isinstance(text, str):
            raise ConfigError(f"two metrics are called {it.key!r}: give the function another __name__")
        unique[it.key] = it
    return list(unique.values())


def measure(metrics: Sequence[NamedMetric], evaluated: Evaluated) -> dict[str, Any]:
    """The entries of a report: "metrics", by key, and "metric_errors" of those that fail, whose number is None.

    Each metric draws from a random stream of its own. One that changes the model, or what all code shares, fails, and
    what it changed is restored.
    """
    values: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for it in metrics:
        try:
            given, own = evaluated.apart(), stream(evaluated.seed, "metric", it.key, device=evaluated.model.device)
            with redirect_stdout(sys.stderr), guarded() as changed, own:
                value = numbers(it.build()(given))
            if names := _changed(given.model, evaluated.model):
                raise RuntimeError(f"it changed the model, which was restored: {', '.join(names[:3])}")
            if changed:
                raise RuntimeError(f"it changed what all code shares, which was restored: {', '.join(changed)}")
            values[it.key] = value
        except (Exception, SystemExit) as error:
            values[it.key] = None
            errors[it.key] = str(error) if isinstance(error, AaeframeError) else f"{type(error).__name__}: {error}"
    return {"metrics": values, **({"metric_errors": errors} if errors else {})}


def numbers(value: Any) -> float | dict[str, float]:
    """The result of a metric as numbers; TypeError or ValueError for anything but finite ones."""
    if isinstance(value, Mapping):
        return {str(name): _number(part, f" for {name!r}") for name, part in value.items()}
    return _number(value, "")


def _number(value: Any, where: str) -> float:
    try:
        found = float(value)
    except (TypeError, ValueError, RuntimeError) as error:
        kind = type(value).__name__
        raise TypeError(f"it returns {kind}{where}; return a number, or a mapping of names to numbers") from error
    if not math.isfinite(found):
        raise ValueError(f"it returns {found}{where}, which is not a finite number")
    return found


def _named(asked: str | Metric, registry: Registry) -> NamedMetric:
    if not isinstance(asked, str):
        if not callable(asked) or isinstance(asked, type):
            raise ConfigError(
                f"{asked!r} is no metric: give a name of `aaeframe plugins list`, or a function of an "
                "aaeframe.evaluation.Evaluated; of a class, an instance"
            )
        return NamedMetric(getattr(asked, "__name__", type(asked).__name__), lambda: asked)
    parsed = parse_component(asked)
    offer = registry.find("metric", parsed["component"])
    key = write_component(registry.shortest_name(offer), parsed["options"])
    try:
        return NamedMetric(key, resolve_component(offer, parsed["options"]).build)
    except BrokenComponent as error:
        return _failing(key, error)


def _kept(text: str, registry: Registry) -> NamedMetric:
    try:
        return _named(text, registry)
    except AaeframeError as error:
        return _failing(text, error)


def _failing(key: str, error: AaeframeError) -> NamedMetric:
    def build() -> Metric:
        raise error

    return NamedMetric(key, build)


def _apart(dataset: Dataset) -> Dataset:
    """The data with labels of its own and read-only rows, where they are in memory: `Split.array` copies these."""
    views: dict[int, Any] = {}  # splits of one array still have one

    def own(split: Split) -> Split:
        if type(split.data) is np.ndarray and id(split.data) not in views:
            views[id(split.data)] = split.data.view()
            views[id(split.data)].flags.writeable = False
        labels = None if split.labels is None else split.labels.copy()
        return replace(split, data=views.get(id(split.data), split.data), labels=labels)

    return replace(dataset, train=own(dataset.train), validation=own(dataset.validation), test=own(dataset.test))


def _changed(model: Autoencoder, before: Autoencoder) -> list[str]:
    """The names of the tensors that a model does not have as before."""
    mine, theirs = model.state_dict(), before.state_dict()
    both = mine.keys() & theirs.keys()
    differ = [name for name in theirs if name in both and not _same(mine[name], theirs[name])]
    return [*sorted(mine.keys() ^ theirs.keys()), *differ]


def _same(a: Tensor, b: Tensor) -> bool:
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    return torch.equal(a, b) or bool(((a == b) | ((a != a) & (b != b))).all())  # NaN is not equal to itself
