"""The model card of a run, in Markdown, made from the run's own numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from aaeframe.components.requirements import lines
from aaeframe.configuration.schema import ComponentConfig
from aaeframe.configuration.shorthand import write_component
from aaeframe.runs.exporting import without_folders
from aaeframe.storage.text import code, literal, plural

if TYPE_CHECKING:
    from aaeframe.runs.run import Run

MOST_NAMES: Final = 30
"""The number of classes and columns that are listed by name."""

USE: Final = """## Use

```python
import aaeframe

run = aaeframe.load("model.zip")  # verifies every file and runs no code of it
code = run.encode(x)
x_hat = run.decode(code)
samples = run.sample(16)
```
"""


def card(run: Run, evaluations: Mapping[str, Any]) -> str:
    """The model card. `evaluations` are the stored reports by split.

    Names from files of the user are escaped, so that they show as text. Numbers are those of these weights; reports on
    other weights are counted and left out.
    """
    name = literal(without_folders(run.data["name"]))
    own = {split: it for split, it in evaluations.items() if isinstance(it, Mapping) and _is_of(it, run)}
    parts = [
        f"# Adversarial autoencoder of {name}\n",
        _table(["", ""], _facts(run, name)),
        "## Evaluation\n",
        *([_evaluation(own)] if own else ["No evaluation of these weights is stored.\n"]),
        *_left_out(len(evaluations) - len(own)),
        *_last_epoch(run),
        USE,
        _needs(run),
    ]
    return "\n".join(parts)


def _facts(run: Run, name: str) -> Iterator[tuple[str, str]]:
    config, data = run.config, run.data
    yield "recipe", _component(config.recipe)
    for block, prior in config.prior.items():
        yield f"prior of block {literal(block)}", _component(prior)
    yield "encoder", _component(config.encoder)
    yield "network", _component(config.network)
    yield "parameters", f"{sum(it.numel() for it in run.model.parameters()):,}"
    rows = ", ".join(f"{count:,} {part}" for part, count in data["rows"].items())
    yield "data", f"{name}: rows of shape {tuple(data['shape'])}; {rows}"
    yield "labels used in training", literal(str(run.config.data.labels))
    for title, names in (("columns", data["columns"]), ("classes", data["class_names"])):
        if names:
            more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
            yield title, ", ".join(map(literal, names[:MOST_NAMES])) + more
    kind = f"their moving average, decay {config.training.ema:g}" if config.training.ema else "as trained"
    yield "weights", f"of step {run.step:,}, {kind}"
    end = "finished" if run.finished else "not finished"
    yield "training", f"{plural(config.training.epochs, 'epoch')}, {end}; seed {config.training.seed}"


def _evaluation(reports: Mapping[str, Mapping[str, Any]]) -> str:
    rows = ((literal(split), *it) for split, report in reports.items() for it in _numbers(report))
    return _table(["rows", "measure", "value"], rows)


def _numbers(report: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in report.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{above}{literal(key)} / ")
        elif isinstance(value, int | float) and not isinstance(value, bool) and key not in ("step", "seed"):
            yield f"{above}{literal(key)}", f"{value:.4g}" if isinstance(value, float) else f"{value}"


def _last_epoch(run: Run) -> list[str]:
    row = next((it for it in reversed(run.metrics) if it.get("step", 0) <= run.step), None)
    if row is None:
        return []
    shown = {key: it for key, it in row.items() if key not in ("seconds", "steps_per_second", "warnings")}
    return [f"## Epoch {row.get('epoch', '?')} of the training\n", _table(["measure", "value"], _numbers(shown))]


def _left_out(count: int) -> list[str]:
    verb = "is" if count == 1 else "are"
    found = f"{plural(count, 'stored report')} {verb} of other weights, and {verb} left out.\n"
    return [found] if count else []


def _needs(run: Run) -> str:
    versions = run.config.plugins
    packages = "\n".join(lines(versions)) or "aaeframe"
    return f"## Made with\n\n```text\n{packages}\n```\n\nA plugin is code. Install one only if you trust who made it.\n"


def _is_of(report: Mapping[str, Any], run: Run) -> bool:
    return report.get("step") == run.step and report.get("raw_weights") == (not run.config.training.ema)


def _component(part: ComponentConfig) -> str:
    return code(write_component(part.component, {name: it for name, it in part.options.items() if it is not None}))


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = list(header)
    body = [columns, ["---"] * len(columns), *map(list, rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in body) + "\n"
