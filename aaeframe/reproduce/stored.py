"""The table as JSON, and its two files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aaeframe.components.registry import Registry
from aaeframe.reproduce.curve import Curve
from aaeframe.reproduce.markdown import markdown
from aaeframe.reproduce.results import Judged, Result, results
from aaeframe.storage.atomic import write_atomically
from aaeframe.storage.locks import lock


def as_json(found: Sequence[Result]) -> dict[str, Any]:
    """By row, named with data that is not its own, and column; the same runs always give the same."""
    by_row: dict[str, Any] = {}
    for it in found:
        row = by_row.setdefault(it.name, {**_described(it), "columns": {}})
        row["columns"][it.column] = _result(it)
    return {"rows": by_row}


def write(out: Path, found: Sequence[Result]) -> None:
    """Write results.json and results.md, each whole or not at all. RunError if they cannot be written."""
    text = json.dumps(as_json(found), indent=1, sort_keys=True, allow_nan=False)
    write_atomically(out / "results.json", f"{text}\n".encode())
    write_atomically(out / "results.md", markdown(found).encode())


def refresh(out: Path, registry: Registry) -> list[Result]:
    """Write the table of all that is there now; of several processes, one at a time, so that none writes an older one
    over a newer. RunError if it cannot be written."""
    with lock(out / "results"):
        found = results(out, registry)
        write(out, found)
    return found


def _described(it: Result) -> dict[str, Any]:
    paper = None if it.row.paper is None else asdict(it.row.paper)
    return {
        "name": it.row.name,
        "title": it.title,
        **it.row.measure,
        "paper": paper,
        "cited": [asdict(cited) for cited in it.row.cited],
    }


def _result(it: Result) -> dict[str, Any]:
    return {
        **it.how.as_dict(),
        "made_by": _made_by(it),
        "tuned": it.how.tuned,
        "mean": it.mean,
        "standard_deviation": it.spread,
        "done": len(it.judged),
        "of": len(it.how.seeds),
        "seeds": [_judged(run) for run in it.judged],
        "pick": None
        if it.pick is None
        else {"seed": it.pick.cell.seed, "value": it.pick.value, "counts": it.pick.counts},
        "unfinished": [
            {"seed": run.cell.seed, "epoch": run.epoch, "epochs": run.epochs, "curve": _curve(run.curve)}
            for run in it.unfinished
        ],
        "aside": [{"seed": run.cell.seed, "state": run.state.value, "told": run.told} for run in it.aside],
    }


def _made_by(it: Result) -> dict[str, Any]:
    """The settings that the column's runs have in common, which is all but their seeds; empty before the first."""
    return {key: value for run in it.judged[:1] for key, value in run.made_by.items() if key != it.how.seed_key}


def _curve(curve: Curve | None) -> dict[str, Any] | None:
    return None if curve is None else curve.model_dump(mode="json")


def _judged(run: Judged) -> dict[str, Any]:
    return {
        "seed": run.cell.seed,
        "value": run.value,
        "counts": run.counts if run.cell.how.judged else None,
        "remarks": list(run.remarks),
        "criteria": [{**asdict(it), "met": it.met} for it in run.criteria],
        "criterion_without_labels": run.criterion,
        "epochs": run.epochs,
        "seconds": round(run.seconds, 1),
        "where": run.where,
        "recorded": run.recorded,
        "data": run.data.source,
        "held_out": run.data.held_out,
        "version": run.version,
        "test_accesses": run.test_accesses,
        "curve": _curve(run.curve),
        "commands": list(run.cell.commands()),
    }
