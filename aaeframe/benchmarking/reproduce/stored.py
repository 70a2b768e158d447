"""The table as JSON, and its two files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aaeframe.benchmarking.reproduce.markdown import markdown
from aaeframe.benchmarking.reproduce.results import Judged, Result
from aaeframe.benchmarking.reproduce.rows import Row
from aaeframe.files import write_atomically


def as_json(results: Sequence[Result]) -> dict[str, Any]:
    """By row and column; the same runs always give the same."""
    found: dict[str, Any] = {}
    for it in results:
        row = found.setdefault(it.row.name, {**_described(it.row), "columns": {}})
        row["columns"][it.column] = _result(it)
    return {"rows": found}


def write(out: Path, results: Sequence[Result]) -> None:
    """Write results.json and results.md, each whole or not at all. RunError if they cannot be written."""
    text = json.dumps(as_json(results), indent=1, sort_keys=True, allow_nan=False)
    write_atomically(out / "results.json", f"{text}\n".encode())
    write_atomically(out / "results.md", markdown(results).encode())


def _described(row: Row) -> dict[str, Any]:
    paper = None if row.paper is None else asdict(row.paper)
    return {"title": row.title, "unit": row.unit, "paper": paper, "cited": [asdict(it) for it in row.cited]}


def _result(it: Result) -> dict[str, Any]:
    return {
        **it.how.as_dict(),
        "tuned": it.how.tuned,
        "mean": it.mean,
        "standard_deviation": it.spread,
        "done": len(it.judged),
        "of": len(it.how.seeds),
        "seeds": [_judged(run) for run in it.judged],
        "pick": None if it.pick is None else {"seed": it.pick.cell.seed, "value": it.pick.value},
        "unfinished": [
            {"seed": run.cell.seed, "epoch": run.epoch, "epochs": run.epochs, run.measure: [list(p) for p in run.curve]}
            for run in it.unfinished
        ],
    }


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
        "data": run.data,
        "test_accesses": run.test_accesses,
        "commands": list(run.cell.commands()),
    }
