"""What stands in the folder of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aaeframe import checkpoint as checkpoints
from aaeframe.config import Config
from aaeframe.errors import RunError
from aaeframe.metrics import MetricsFile, Row
from aaeframe.runs import RunFolder


@dataclass(frozen=True)
class Found:
    """A run as it is: finished or not, evaluated or not."""

    config: Config
    metrics: list[Row]
    """One row for each epoch that is done."""
    evaluations: Mapping[str, Any]
    """By split, and likelihoods by samples; empty before the first."""
    test_accesses: int
    """How often something was computed from test rows."""
    environment: Mapping[str, str]
    """Where it was trained, of late."""

    @property
    def epochs(self) -> int:
        """How many are done."""
        return len(self.metrics)

    @property
    def seconds(self) -> float:
        """Of training, without validation."""
        return sum(row["seconds"] for row in self.metrics)

    @property
    def criterion(self) -> float:
        """What tells good runs from bad without a label, less being better: how sure, balanced and smooth q(y|x) is
        and how well x is reconstructed.

        The sum, in the last epoch, of the label-free terms that the run has, each with its weight, and of the weighted
        reconstruction loss.
        """
        last, weight = self.metrics[-1], self.config.training.reconstruction_weight
        terms = sum(last.get(name, 0.0) for name in ("virtual_adversarial", "mutual_information"))
        return terms + (1.0 if weight is None else weight) * last["reconstruction"]


def find(path: Path) -> Found | None:
    """What a folder holds; None if there is no run in it. RunError if what is there cannot be read."""
    folder = RunFolder(path)
    if not folder.config.is_file():
        return None
    return Found(
        config=folder.read_config(),
        metrics=MetricsFile(folder.metrics).rows(),
        evaluations=_evaluations(folder.evaluation),
        test_accesses=len(_lines(folder.test_accesses)),
        environment=_environment(folder.checkpoints),
    )


def _evaluations(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError) as error:
        raise RunError(f"{path} is not JSON: {error}; remove it, and the run is evaluated anew") from error


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines() if path.exists() else []


def _environment(folder: Path) -> dict[str, str]:
    """What the newest checkpoint says; it is not verified here, as nothing is computed from it."""
    found = checkpoints.paths(folder)
    return dict(json.loads((found[-1] / "state.json").read_text("utf-8"))["environment"]) if found else {}
