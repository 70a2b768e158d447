"""Checks of a metric: finite numbers, the same each time, of a tiny model that stays as it is."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from aaeframe.data import from_arrays
from aaeframe.evaluation.evaluate import one_draw
from aaeframe.evaluation.metrics import Evaluated, Metric, NamedMetric, measure
from aaeframe.recipes.clustering import Clustering
from aaeframe.seeds import generator, stream
from aaeframe.testing.case import ComponentCase, require, seeded
from aaeframe.testing.recipes import CLASSES, WIDTH, RecipeCase
from aaeframe.testing.surroundings import elsewhere


class MetricCase(ComponentCase):
    """A factory of a metric, and a tiny model with a real and a one-hot block on labeled rows."""

    def evaluated(self) -> Evaluated:
        """The model and its rows."""
        rows = torch.randn(60, WIDTH, generator=generator(0, "rows")).numpy()
        data = from_arrays(rows, torch.arange(60).numpy() % CLASSES, held_out=(20, 20))
        with stream(0, "model"), torch.no_grad():
            model = RecipeCase(Clustering).build().model.eval()
            codes = one_draw(model, data.test, generator(0, "codes"))
        return Evaluated(model, data, "test", codes, 0)


@seeded
def check_value(case: MetricCase) -> str | None:
    """The metric returns a finite number or a mapping of names to them, and leaves model, codes and rows as they are.

    Not tested if it refuses the rows or the model with ValueError.
    """
    return _measured(case)[1]


@seeded
def check_same_value(case: MetricCase) -> str | None:
    """The metric returns the same numbers for the same model, rows and seed."""
    first, reason = _measured(case)
    with elsewhere(case.factory):
        second, _ = _measured(case)
    require(
        first == second,
        f"measured twice, it returns {first} and {second}: draw random numbers from torch's generator, or from one "
        "seeded with `evaluated.seed`",
    )
    return reason


def _measured(case: MetricCase) -> tuple[Any, str | None]:
    """The value, or the reason why the metric refuses to measure."""
    refusals: list[ValueError] = []
    changed: set[str] = set()

    def watched(metric: Metric, evaluated: Evaluated) -> Any:
        before = _given(evaluated)
        try:
            value = metric(evaluated)
            changed.update(name for name, it in _given(evaluated).items() if not torch.equal(it, before[name]))
            return value
        except ValueError as error:
            if "read-only" in str(error):  # as numpy calls the array that the metric writes to
                changed.add("rows")
            refusals.append(error)
            raise

    found = measure([NamedMetric("it", lambda: partial(watched, case.build()))], case.evaluated())
    if refusals and not changed:
        return None, f"refused: {refusals[0]}"
    require(not changed, f"the metric must leave the {', '.join(sorted(changed))} as they are: compute on a copy")
    require("metric_errors" not in found, f"the metric fails: {found.get('metric_errors', {}).get('it')}")
    return found["metrics"]["it"], None


def _given(evaluated: Evaluated) -> dict[str, torch.Tensor]:
    """Copies of what a metric is given beside the model."""
    codes = torch.cat([z.flatten(1) for z in evaluated.codes.values()], dim=1)
    return {"codes": codes, "rows": torch.from_numpy(evaluated.rows.array()).clone()}
