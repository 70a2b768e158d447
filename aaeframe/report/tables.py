"""The tables of a report: settings, measurements and test accesses of all runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aaeframe.configuration.changes import as_saved
from aaeframe.configuration.schema import Config
from aaeframe.report.subject import Subject

TOO_FEW: Final = "too few rows"
Cells = Sequence[str]


@dataclass(frozen=True)
class Setting:
    """One key of the configuration with its value in each run."""

    key: str
    values: Cells
    changed: bool
    """Whether it is not the default in some run."""
    differs: bool
    """Whether runs have different values."""


def settings(subjects: Sequence[Subject]) -> list[Setting]:
    """Every key that some run has, in the order of the configuration."""
    default = as_saved(Config())
    each = [as_saved(it.config) for it in subjects]
    keys = list(dict.fromkeys(key for it in each for key in it))
    found = []
    for key in keys:
        values = [_value(it.get(key)) for it in each]
        if set(values) != {""}:
            changed = any(it.get(key) != default.get(key) for it in each)
            found.append(Setting(key, values, changed, len(set(values)) > 1))
    return found


def match_rows(subjects: Sequence[Subject]) -> list[Cells]:
    """A row for each run and block: codes against the prior, and in parentheses the prior against itself."""
    return [
        [
            subject.name,
            name,
            _pair(block, "sliced_wasserstein", ".3g"),
            _pair(block, "mmd", ".2g"),
            _pair(block, "two_sample", ".1%"),
        ]
        for subject in subjects
        for name, block in subject.evaluation["blocks"].items()
    ]


def measure_rows(subjects: Sequence[Subject]) -> list[Cells]:
    """A row for each further measurement, with a cell for each run: reconstruction, classes, own metrics."""
    each = [dict(_measures(it.evaluation)) for it in subjects]
    names = dict.fromkeys(name for it in each for name in it)
    return [[name, *(it.get(name, "") for it in each)] for name in names]


def access_rows(subjects: Sequence[Subject]) -> list[Cells]:
    """A row for each logged test access: run, time, purpose, step."""
    return [
        [subject.name, *(str(access.get(key, "")) for key in ("time", "purpose", "step"))]
        for subject in subjects
        for access in subject.accesses
    ]


def _measures(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = [
        (f"reconstruction: {name}", _number(report["reconstruction"][key]))
        for name, key in (
            ("half squared error", "error"),
            ("with shuffled codes", "shuffled_error"),
            ("of the mean row", "mean_image_error"),
        )
    ]
    classes, clusters = report.get("classification"), report.get("clustering")
    if classes is not None:
        found.append(("classes: error", f"{classes['error']:.2%} ± {classes['standard_error']:.2%}"))
    if clusters is not None:
        found += [
            ("clusters: error, named by validation rows", f"{clusters['error']:.2%}"),
            ("clusters: error, one cluster a class", f"{clusters['hungarian_error']:.2%}"),
            ("clusters: normalized mutual information", _number(clusters["normalized_mutual_information"])),
            ("clusters: adjusted Rand index", _number(clusters["adjusted_rand_index"])),
            ("clusters: used", f"{clusters['clusters_used']} of {len(clusters['names'])}"),
        ]
    for name, it in report.get("leakage", {}).items():
        found.append((f"class read from {name!r} by a linear probe", f"{it['accuracy']:.1%} (chance {it['chance']:.1%})"))
    for name, block in report["blocks"].items():
        if "classes" in block:
            agreement = block["classes"]["agreement"]
            found.append((f"codes of {name!r} in their class's component", f"{agreement:.1%}"))
    for key, value in report.get("metrics", {}).items():
        parts = {f"{key}, {it}": part for it, part in value.items()} if isinstance(value, Mapping) else {key: value}
        found += [(name, "failed" if it is None else _number(it)) for name, it in parts.items()]
    return found


def _pair(block: Mapping[str, Any], key: str, form: str) -> str:
    value, floor = block[key], block[f"{key}_floor"]
    return TOO_FEW if value is None or floor is None else f"{value:{form}} ({floor:{form}})"


def _number(value: float | None) -> str:
    return TOO_FEW if value is None else f"{value:.4g}"


def _value(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
