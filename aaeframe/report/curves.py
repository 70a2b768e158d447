"""The curves of several runs in shared panels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from aaeframe.figures.curves import MetricLine, Panel, metric_panels
from aaeframe.report.pictures import Json
from aaeframe.report.subject import Subject

MOST_EPOCHS: Final = 2000
"""The largest number of epochs in a curve; of more, evenly spaced ones are kept."""


def curve_panels(subjects: Sequence[Subject]) -> list[Json]:
    """The panels of the metrics of all runs, JSON-like: title, unit, references and one series a run and metric."""
    panels: dict[str, Json] = {}
    for number, subject in enumerate(subjects):
        keys = sorted({key for row in subject.metrics for key in row})
        for panel in (*metric_panels(keys, subject.informed, subject.config.training.loss), _entropy(keys)):
            if panel.curves:
                known = panels.setdefault(panel.title, _empty(panel))
                known["references"] |= panel.references
                known["series"] += _series(panel, subject, number)
    return list(panels.values())


def _empty(panel: Panel) -> Json:
    return {"title": panel.title, "unit": panel.ylabel, "references": {}, "series": []}


def _series(panel: Panel, subject: Subject, number: int) -> Iterator[Json]:
    rows = subject.metrics[:: max(1, -(-len(subject.metrics) // MOST_EPOCHS))]
    for curve in panel.curves:
        yield {
            "run": number,
            "key": curve.key,
            "label": curve.label,
            "dashed": curve.linestyle != "-",
            "reference": curve.key == "mean_image_error",
            "x": [row.get("epoch", index + 1) for index, row in enumerate(rows)],
            "y": [_number(row.get(curve.key)) for row in rows],
        }


def _entropy(keys: Sequence[str]) -> Panel:
    """The entropy of the mean code of categorical blocks, by which a collapse is seen."""
    found = [MetricLine(key, key.removeprefix("entropy/"), "") for key in keys if key.startswith("entropy/")]
    return Panel("Entropy of the mean code", "nats", found, {})


def _number(value: Any) -> float | None:
    """A finite number; None is a gap in the curve."""
    finite = isinstance(value, int | float) and abs(value) < float("inf")
    return float(value) if finite else None
