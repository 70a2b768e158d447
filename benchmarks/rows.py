"""Training on Parquet files: its memory by the size of the folder, and its speed next to that of rows in memory.

    python benchmarks/rows.py memory --folder /tmp/rows --out RECORD.json
    python benchmarks/rows.py speed --folder /tmp/rows --out RECORD.json

`memory` trains for some windows on folders of 1, 2 and 4 GB, each in a process of its own, and reads the peak of what
was resident, first statistics included. What the same training takes on 2000 rows is subtracted. The files of a folder
are links to a few that are written, so that 0.3 GB of disk are enough; names differ, and each is read.

`speed` trains in rounds on rows in files and on the same rows in memory, in turn, and compares the steps a second.
Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

FILE_ROWS, WRITTEN = 160_000, 4
"""The rows of a file, and how many files are written; of more, others are links to them."""
GROUP_ROWS = 32_768
STEPS = 2500
"""The steps of a training: four windows of 256 MiB of 100 columns. The peak comes with the second."""
LIMIT_MIB, LIMIT_SPREAD, LIMIT_SPEED = 1024, 0.05, 0.9


def write_folder(
    folder: Path, size: float, columns: int, group_rows: int = GROUP_ROWS, suffix: str = ".parquet"
) -> int:
    """Files of `size` bytes in all, of normal numbers; returns their number of rows."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files = max(1, round(size / (4 * columns * FILE_ROWS)))
    for i in range(files):
        path = folder / f"part-{i:05d}{suffix}"
        if i >= WRITTEN:
            path.hardlink_to(folder / f"part-{i % WRITTEN:05d}{suffix}")
            continue
        x = np.random.default_rng(i).normal(size=(FILE_ROWS, columns)).astype(np.float32)
        if suffix == ".npy":
            np.save(path, x)
        else:
            _write_parquet(path, x, group_rows)
    return files * FILE_ROWS


def _write_parquet(path: Path, x: np.ndarray, group_rows: int) -> None:
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table({f"c{k}": it for k, it in enumerate(x.T)})
    parquet.write_table(table, path, row_group_size=group_rows, use_dictionary=False)


def train(source: object, width: int, **settings: object) -> object:
    """A training on a source, in memory, without a word."""
    import aaeframe

    given = {
        "prior": "gaussian(size=2)", "network": f"mlp(hidden=[{width}])", "discriminator": f"mlp(hidden=[{width}])",
        "batch_size": 1024, "device": "cpu", "keep": False, "progress": False,
    }  # fmt: skip
    return aaeframe.train(source, **{**given, **settings})


def peak_of(source: Path, asked: argparse.Namespace) -> dict[str, float]:
    """The peak of what is resident, in MiB, in a process that trains; the seconds that it took."""
    began = time.monotonic()
    options = {"--folder": source, "--width": asked.width, "--window": asked.window, "--steps": asked.steps}
    command = [sys.executable, __file__, "child", *(str(it) for pair in options.items() for it in pair)]
    # By itself glibc moves the size from which on it gives memory back at once, which alone is 60 MiB more or less.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(2**20)}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if ended.returncode:
        sys.exit(ended.stderr)
    return {**json.loads(ended.stdout.splitlines()[-1]), "seconds": round(time.monotonic() - began, 1)}


def child(asked: argparse.Namespace) -> None:
    """Train and print the peak."""
    import torch

    torch.set_num_threads(1)
    if asked.folder.name == "none":
        x = np.random.default_rng(0).normal(size=(2000, int(asked.folder.parent.name))).astype(np.float32)
        train(x, asked.width, epochs=2)
    else:
        train(asked.folder, asked.width, steps=asked.steps, config={"data": {"window_mib": asked.window}})
    print(json.dumps({"peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def memory(asked: argparse.Namespace) -> dict[str, object]:
    """The memory of a training above that of the model, by the size of the folder."""
    os.environ["XDG_CACHE_HOME"] = str(asked.folder / "cache")
    base = peak_of(asked.folder / str(asked.columns) / "none", asked)["peak_mib"]
    found = {}
    for gigabytes in asked.sizes:
        suffix = ".npy" if asked.npy else ".parquet"
        rows = write_folder(asked.folder / "data", gigabytes * 1e9, asked.columns, asked.group_rows, suffix)
        first, second = (peak_of(asked.folder / "data", asked) for _ in range(2))
        found[f"{gigabytes:g} GB"] = {
            "rows": rows,
            "above_model_mib": round(first["peak_mib"] - base, 1),
            "seconds": first["seconds"],
            "above_model_mib_again": round(second["peak_mib"] - base, 1),
            "seconds_again": second["seconds"],
        }
        print(gigabytes, found[f"{gigabytes:g} GB"], file=sys.stderr, flush=True)
    above = [it["above_model_mib"] for it in found.values()]
    again = [it["above_model_mib_again"] for it in found.values()]
    spread = max((max(it) - min(it)) / max(it) for it in (above, again))
    return {
        "model_mib": round(base, 1),
        "sizes": found,
        "columns": asked.columns,
        "group_rows": asked.group_rows,
        "window_mib": asked.window,
        "steps": asked.steps,
        "limit_mib": LIMIT_MIB,
        "spread": round(spread, 4),
        "limit_spread": LIMIT_SPREAD,
        "holds": max(*above, *again) <= LIMIT_MIB and spread <= LIMIT_SPREAD,
    }


def speed(asked: argparse.Namespace) -> dict[str, object]:
    """The steps a second on rows in files over those on the same rows in memory, in rounds one after the other."""
    import torch

    from aaeframe.data import load, load_rows

    torch.set_num_threads(asked.threads)
    os.environ["XDG_CACHE_HOME"] = str(asked.folder / "cache")
    write_folder(asked.folder / "data", asked.sizes[0] * 1e9, asked.columns, asked.group_rows)
    stored, x = load(asked.folder / "data"), load_rows(asked.folder / "data").rows.array()
    rates: dict[str, list[float]] = {"files": [], "memory": []}
    for _ in range(asked.rounds):
        for name, source in (("files", stored), ("memory", x)):
            table = {"data": {"max_resident_mib": 16384, "window_mib": asked.window}}
            run = train(source, asked.width, steps=asked.steps, config=table)
            seconds = sum(row["seconds"] for row in run.metrics)
            rates[name].append(run.step / seconds)
        print({name: round(it[-1], 2) for name, it in rates.items()}, file=sys.stderr, flush=True)
    ratios = [a / b for a, b in zip(rates["files"], rates["memory"], strict=True)]
    return {
        "columns": asked.columns,
        "batch_size": 1024,
        "width": asked.width,
        "threads": asked.threads,
        "gigabytes": asked.sizes[0],
        "steps_per_second": {name: [round(it, 3) for it in found] for name, found in rates.items()},
        "ratio": round(statistics.median(ratios), 4),
        "limit": LIMIT_SPEED,
        "load": os.getloadavg(),
        "holds": statistics.median(ratios) >= LIMIT_SPEED,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["memory", "speed", "child"])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "aaeframe-rows")
    parser.add_argument("--sizes", type=float, nargs="+", default=[1, 2, 4], help="of the folders, in GB")
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--group-rows", type=int, default=GROUP_ROWS, help="rows of a row group")
    parser.add_argument("--width", type=int, help="of the hidden layers; default: 64 for `memory`, 1000 for `speed`")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=STEPS, help="of each training")
    parser.add_argument("--window", type=float, default=256, help="data.window_mib")
    parser.add_argument("--npy", action="store_true", help="shards of .npy in place of Parquet files, for `memory`")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="where to write the record too")
    asked = parser.parse_args()
    asked.width = asked.width or (1000 if asked.part == "speed" else 64)
    if asked.part == "child":
        child(asked)
        return
    import aaeframe

    try:
        record = {
            **(memory if asked.part == "memory" else speed)(asked),
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "versions": {"aaeframe": aaeframe.__version__, "python": platform.python_version()},
            "platform": platform.platform(),
        }
    finally:
        shutil.rmtree(asked.folder, ignore_errors=True)
    print(json.dumps(record))
    if asked.out is not None:
        asked.out.write_text(json.dumps(record, indent=1) + "\n")
    sys.exit(not record["holds"])


if __name__ == "__main__":
    main()
