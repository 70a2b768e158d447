"""What stands in the folder of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aaeframe.configuration.schema import Config, weight_at
from aaeframe.errors import RunError
from aaeframe.reproduce.cells import Given
from aaeframe.runs.run import read_config
from aaeframe.storage import checkpoint as checkpoints
from aaeframe.storage.formats import loads_json
from aaeframe.storage.metrics_file import MetricsFile, MetricsRow
from aaeframe.storage.run_folder import RunFolder

TERMS: Final = ("virtual_adversarial", "mutual_information", "augmentation")
"""The label-free terms, as metrics name them; each has its weight in it."""
_FREE: Final = (("plugins",), ("data", "source"), ("data", "held_out"), ("training", "device"))
"""Parts of a configuration in which a run may differ from its preset."""
_READ: Final = ("epoch", "step", "seconds", "reconstruction", "validation/reconstruction")
"""What is read of every row of metrics."""


@dataclass(frozen=True)
class Found:
    """A run as it is: finished or not, evaluated or not."""

    config: Config
    metrics: list[MetricsRow]
    """One row for each epoch that is done."""
    evaluations: Mapping[str, Any]
    """By split, and likelihoods by samples; those of the finished run and of the weights that it is judged by."""
    test_accesses: int
    """How often something was computed from test rows."""
    environment: Mapping[str, str]
    """Where it was trained, of late."""

    @property
    def epochs(self) -> int:
        """How many are done."""
        return len(self.metrics)

    @property
    def trained(self) -> bool:
        """Whether every epoch is done."""
        return _trained(self.config, self.metrics)

    @property
    def seconds(self) -> float:
        """Of training, without validation."""
        return sum(row["seconds"] for row in self.metrics)

    @property
    def data(self) -> Given:
        """The name of the data, or of its file."""
        return Given(self.config.data.source, self.config.data.held_out).named

    @property
    def version(self) -> str:
        """Of aaeframe, which made it."""
        return self.config.plugins.get("aaeframe", "")

    @property
    def made_by(self) -> dict[str, Any]:
        """The settings that make it what it is: see `comparable`."""
        return comparable(self.config)

    @property
    def criterion(self) -> float:
        """What tells good runs from bad without a label, less being better: how sure, balanced and smooth q(y|x) is
        and how well x is reconstructed.

        The sum, in the last epoch, of the weighted reconstruction loss and of the label-free terms that the run has,
        each with its weight. Without such terms the mutual information of x and y, on validation rows, stands for
        them: reconstruction alone is best where a soft y is one more continuous code.
        """
        last, training = self.metrics[-1], self.config.training
        terms = [last[name] for name in TERMS if name in last] or [-information(last)]
        weight = weight_at(training.reconstruction_weight, training.epochs - 1, training.epochs)
        return sum(terms) + weight * last["reconstruction"]


def information(row: MetricsRow) -> float:
    """I(x; y) = H(mean q(y|x)) - mean H(q(y|x)) in nats, over the class blocks of a row of metrics."""
    blocks = [key.partition("/")[2] for key in row if key.startswith("uncertainty/")]
    return sum((row[f"entropy/{name}"] - row[f"uncertainty/{name}"] for name in blocks), 0.0)


def comparable(config: Config) -> dict[str, Any]:
    """JSON-like, by dotted keys: all of a resolved configuration in which a run may not differ from its preset."""
    flat = _flat(config.model_dump(mode="json"))
    return {".".join(keys): value for keys, value in flat if not any(keys[: len(free)] == free for free in _FREE)}


def _flat(table: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, (*above, key))
        else:
            yield (*above, key), value


def find(path: Path) -> Found | None:
    """What a folder holds; None if there is no run in it. RunError or ConfigError if what is there cannot be read."""
    folder = RunFolder(path)
    if not folder.config.is_file():
        return None
    config, metrics = read_config(folder), _metrics(folder.metrics)
    return Found(
        config=config,
        metrics=metrics,
        evaluations=_counting(_evaluations(folder.evaluation), config, metrics),
        test_accesses=count_lines(folder.test_accesses),
        environment=_environment(folder.checkpoints),
    )


def count_lines(path: Path) -> int:
    """How many a file has; none if it is not there."""
    return len(path.read_bytes().splitlines()) if path.exists() else 0


def _trained(config: Config, metrics: list[MetricsRow]) -> bool:
    return len(metrics) >= config.training.epochs


def _metrics(path: Path) -> list[MetricsRow]:
    rows = MetricsFile(path).rows()
    for row in rows:
        missing = [name for name in _READ if name not in row]
        if missing:
            raise RunError(f"a row of {path} lacks {', '.join(missing)}; restore it, or remove the run's folder")
    return rows


def _evaluations(path: Path) -> dict[str, dict[str, Any]]:
    if not path.exists():
        return {}
    try:
        return {name: dict(report) for name, report in dict(loads_json(path.read_text("utf-8"))).items()}
    except (ValueError, TypeError) as error:
        raise RunError(f"{path} is not JSON: {error}; remove it, and the run is evaluated anew") from error


def _counting(reports: Mapping[str, dict[str, Any]], config: Config, metrics: list[MetricsRow]) -> dict[str, Any]:
    """Of all reports those that count: of other steps, or of other weights, are those that were made by hand."""
    if not metrics or not _trained(config, metrics):
        return {}
    judged = metrics[-1]["step"], config.training.ema == 0
    return {name: it for name, it in reports.items() if (it.get("step"), it.get("raw_weights")) == judged}


def _environment(folder: Path) -> dict[str, str]:
    """What the newest checkpoint that can be read says; it is not verified here, as nothing is computed from it."""
    unreadable = []
    for checkpoint in reversed(checkpoints.paths(folder)):
        path = checkpoint / "state.json"
        try:
            environment = loads_json(path.read_text("utf-8"))["environment"]
            return {name: environment[name] for name in ("device", "threads")}
        except (OSError, ValueError, KeyError, TypeError) as error:
            unreadable.append(f"{path} cannot be read: {error!r}; remove {checkpoint}, or the run's folder")
    if unreadable:
        raise RunError(unreadable[0])
    return {}
