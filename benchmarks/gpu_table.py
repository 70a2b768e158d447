"""The GPU's column of the README's table of kernels: python benchmarks/gpu_table.py benchmarks/results/*-gpu-*.json

Reads what gpu.py writes, newest last, and prints a line for each row of the table and the caption beneath it. A row
that is in no file is "not measured".
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

Found: TypeAlias = Any
"""A result of a part of gpu.py."""
NOT_MEASURED = "not measured"
CHUNK = 10_000
"""Samples in a chunk, as `aaeframe evaluate --likelihood` sends them."""


class Unusable(Exception):
    """A file that is no result of a GPU, and why."""


def parzen(found: Found) -> str | None:
    """10,000 images, 10 million samples, one bandwidth."""
    row = found.get(f"fp16, 1 bandwidths, chunks of {CHUNK}")
    return row and f"{row['seconds']:.2f} s, {row['seconds'] / row['product_seconds']:.2f} of one fp16 product"


def loss(found: Found) -> str | None:
    """The largest batch, to torch's Linear and BCEWithLogitsLoss."""
    ratio = ratio_of(found[-1], "aaeframe, Triton") if found else None
    return None if ratio is None else f"{ratio:.2f} of `Linear` and `BCEWithLogitsLoss`"


def step(found: Found) -> str | None:
    """The precision in which training is fastest, to the plain script in the same."""
    seconds = {row["alternative"]: row["seconds"] for case in found for row in case["rows"]}
    ours = {it: seconds.get(f"aaeframe {it}, with the training loop") for it in ("fp32", "tf32", "bf16")}
    timed = {it: time for it, time in ours.items() if time is not None and f"plain script {it}" in seconds}
    if not timed:
        return None
    best = min(timed, key=lambda it: timed[it])
    return (
        f"{timed[best] * 1e3:.2f} ms in {best}, {timed[best] / seconds[f'plain script {best}']:.2f} of a plain script"
    )


ROWS: Mapping[str, tuple[str, Callable[[Found], str | None]]] = {
    "Parzen log-likelihood": ("parzen-speed", parzen),
    "discriminator loss": ("loss", loss),
    "training step": ("step-100", step),
}
"""The part of gpu.py that measures each row of the table, and the function that makes its cell."""


def ratio_of(case: Mapping[str, Any], alternative: str) -> float | None:
    return next((row["ratio"] for row in case["rows"] if row["alternative"] == alternative), None)


def column(results: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The cell of each row, from the last result that has it."""
    cells = dict.fromkeys(ROWS, NOT_MEASURED)
    for result in results:
        for row, (part, cell) in ROWS.items():
            found = result["parts"].get(part, {}).get("found")
            text = None if found is None else cell(found)
            cells[row] = text or cells[row]
    return cells


def caption(results: Sequence[Mapping[str, Any]]) -> str:
    """The origin of the column."""
    if not results:
        return f"GPU: {NOT_MEASURED}."
    return "GPU: " + "; ".join(dict.fromkeys(map(origin, results))) + "."


def origin(result: Mapping[str, Any]) -> str:
    machine = result["machine"]
    versions = ", ".join(f"{name} {machine['versions'][name]}" for name in ("torch", "triton"))
    return f"{machine['device']}, {versions}, {result['date'][:10]}, commit {(result['commit'] or 'unknown')[:7]}"


def read(path: Path) -> dict[str, Any]:
    """A result. Raises Unusable for a rehearsal and for what gpu.py does not write."""
    try:
        result = json.loads(path.read_text("utf-8"))
        rehearsed, machine, *_ = (result[key] for key in ("dry", "machine", "parts", "date", "commit"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unusable(f"{path} is not what gpu.py writes: {error!r}") from error
    if rehearsed or machine is None:
        raise Unusable(f"{path} is a rehearsal (--dry) or measured nothing: its figures are not a GPU's")
    return result


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="RESULT.json")
    try:
        results = [read(file) for file in parser.parse_args(arguments).files]
    except Unusable as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for row, cell in column(results).items():
        print(f"{row}: {cell}")
    print(caption(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
