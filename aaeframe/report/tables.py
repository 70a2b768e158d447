"""The tables of a report: settings, measurements and test accesses of all runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from aaeframe.configuration.schema import Config
from aaeframe.report.subject import Subject

TOO_FEW: Final = "too few rows"
Cells: TypeAlias = Sequence[str]
_BLOCK: Final = re.compile(r"^prior\.[^.]+\.")


@dataclass(frozen=True)
class Setting:
    """One key of the configuration with its value in each run."""

    key: str
    values: Cells
    is_default: bool
    """Whether it has the default value in every run."""
    differs: bool
    """Whether runs have different values."""


def settings(subjects: Sequence[Subject]) -> list[Setting]:
    """Every key that some run has, in the order of the configuration; a component with its options is one line."""
    default = dict(_lines(Config().model_dump(mode="json")))
    each = [dict(_lines(it.config.model_dump(mode="json", exclude={"observers"}))) for it in subjects]
    found = []
    for key in dict.fromkeys(key for it in each for key in it):
        values = [it.get(key, "") for it in each]
        if any(values):
            usual = default.get(_BLOCK.sub("prior.gaussian.", key))
            found.append(Setting(key, values, set(values) == {usual}, len(set(values)) > 1))
    return found


def _lines(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """The keys and values of a configuration in short form."""
    if "component" in table:
        yield above.removesuffix("."), _component(table)
        table = {key: value for key, value in table.items() if key not in ("component", "options")}
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _lines(value, f"{above}{key}.")
        elif value is not None:
            yield f"{above}{key}", _value(value)


def _component(table: Mapping[str, Any]) -> str:
    """A component as the command line takes it."""
    given = ", ".join(f"{key}={_value(value)}" for key, value in table["options"].items() if value is not None)
    name = str(table["component"]).removeprefix("aaeframe:")
    return f"{name}({given})" if given else name


def match_rows(subjects: Sequence[Subject]) -> list[Cells]:
    """A row for each run and block: codes against the prior, and in parentheses the prior against itself."""
    return [
        [
            subject.name,
            name,
            _pair(block, "sliced_wasserstein", ".3g"),
            _pair(block, "mmd", ".2g"),
            _accuracy(block),
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
        found.append(
            (f"class read from {name!r} by a linear probe", f"{it['accuracy']:.1%} (chance {it['chance']:.1%})")
        )
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


def _accuracy(block: Mapping[str, Any]) -> str:
    """The two-sample accuracy and its interval."""
    if block["two_sample"] is None:
        return TOO_FEW
    low, high = block["two_sample_interval"]
    return f"{block['two_sample']:.1%} ({low:.1%} to {high:.1%})"


def _number(value: float | None) -> str:
    return TOO_FEW if value is None else f"{value:.4g}"


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)
