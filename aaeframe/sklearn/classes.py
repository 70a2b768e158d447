"""The class block of clusterers and classifiers: its prior, and its codes as probabilities."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from aaeframe.errors import RunError
from aaeframe.runs.fixed_batches import codes
from aaeframe.runs.objects import PriorObject
from aaeframe.runs.run import Run
from aaeframe.sklearn.blocks import CLASS, STYLE


def product(count: int, style: str | PriorObject) -> dict[str, str | PriorObject]:
    """The product of a categorical prior of so many classes and the prior of the style."""
    return {CLASS: f"categorical(classes={count})", STYLE: style}


def probabilities(run: Run, x: np.ndarray) -> np.ndarray:
    """The probability of each class (N, K), float64."""
    y = codes(run, x)[class_block(run)].astype(np.float64)
    return np.asarray(y / y.sum(1, keepdims=True))


def style_codes(run: Run, every: Mapping[str, np.ndarray]) -> np.ndarray:
    """The codes of all other blocks, side by side (N, n). RunError if there are none."""
    block = class_block(run)
    others = [z for name, z in every.items() if name != block]
    if not others:
        raise RunError(f"this run has no block besides {block!r}, so there is no style; use predict_proba")
    return np.concatenate(others, axis=1)


def class_block(run: Run) -> str:
    """The name of the class block. RunError for a run that has none."""
    block = run.model.class_block
    if block is None:
        raise RunError(f"the recipe {run.config.recipe.component!r} has no class block; clusterers and classifiers do")
    return block


def class_metric(run: Run) -> str | None:
    """The measure of a run's class block: "classification", "clustering", or None without."""
    return run.needs.class_metric(run.config.data.labels)


def values_of(names: tuple[str, ...]) -> np.ndarray:
    """Classes by their names, sorted: whole numbers if all names are written so, otherwise texts."""
    numbers = all(name.removeprefix("-").isdecimal() and str(int(name)) == name for name in names)
    return np.sort(np.array([int(name) for name in names]) if numbers else np.array(names))
