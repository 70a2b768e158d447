"""The paper's own training with 100 labels, resumed until it is done: python benchmarks/paper_curve.py run FOLDER

The preset `paper-mnist-100-labels`: three phases of SGD, networks 1000 wide, 5,000 epochs, which take days on a CPU.
`run` begins it in FOLDER, or goes on from its newest checkpoint, at most two epochs back. After each checkpoint the
error on the 10,000 validation images becomes a line of FOLDER/curve.jsonl. `run` uses no test image.

`record FOLDER RECORD` copies what is small: this curve, the metrics (whose errors are of 1,000 validation images), the
configuration, the commit and versions of each start, the digest of the newest weights, and what `aaeframe evaluate
FOLDER/run` found on test images, if it was asked. `plot RECORD FILE.png` draws it over the errors that the paper
reports along its own curve, as recalled.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import aaeframe
from aaeframe.benchmarking.report import this_machine
from aaeframe.data import Dataset, load

EVALUATION = "evaluation.json"
PRESET, EVERY = "paper-mnist-100-labels", 2
"""The preset, of whose seeds the run has the first, 0, and the epochs between checkpoints."""
RECALLED = {1: 16.5, 50: 3.4, 500: 2.2, 5000: 1.9}
"""The paper's test errors in % by epoch. Those after 1, 50 and 500 epochs are recalled; no copy was at hand."""


class Watch:
    """An observer that writes the error on validation images after each checkpoint."""

    def __init__(self, path: Path, data: Dataset) -> None:
        self.path, self.images = path, data.validation.array()
        self.digits = np.asarray(data.validation.labels)

    def checkpoint_saved(self, path: Path, step: int) -> None:
        """Measure the run as the checkpoint has it."""
        if step:
            found = aaeframe.load(path.parents[1]).encode(self.images)["y"].argmax(1).numpy()
            with self.path.open("a") as file:
                file.write(json.dumps({"step": step, "error": float((found != self.digits).mean())}) + "\n")


def run(folder: Path, data: str = "mnist", **settings: Any) -> None:
    """Begin the run, or go on, with the settings that it began with."""
    folder.mkdir(parents=True, exist_ok=True)
    watch, out = Watch(folder / "curve.jsonl", load(data)), folder / "run"
    newest = max((out / "checkpoints").glob("step-*"), default=None)
    step = 0 if newest is None else int(newest.name.removeprefix("step-"))
    if newest is not None and settings:
        sys.exit(f"{out} has begun, and goes on with its own settings; leave {', '.join(settings)} out")
    with (folder / "starts.jsonl").open("a") as file:
        file.write(json.dumps({"step": step, **about()}) + "\n")
    if newest is None:
        aaeframe.train(data, preset=PRESET, out=out, observers=[watch], **{"checkpoint_every": EVERY, **settings})
    else:
        if step not in curve(folder):  # killed between the checkpoint and its line
            watch.checkpoint_saved(newest, step)
        aaeframe.resume(out, observers=[watch])


def about() -> dict[str, Any]:
    """The commit, the machine and the versions that a start, or the next one, trains with."""
    command = ["git", "rev-parse", "HEAD"]
    commit = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True).stdout
    machine = this_machine(torch.device("cpu"))
    return {
        "commit": commit.strip(),
        "processor": machine.processor,
        "threads": machine.threads,
        "versions": machine.versions,
    }


def record(folder: Path, to: Path) -> None:
    """Copy what is small, and say where it comes from."""
    newest = max((folder / "run/checkpoints").glob("step-*"))
    to.mkdir(parents=True, exist_ok=True)
    always = ("curve.jsonl", "starts.jsonl", "run/metrics.jsonl", "run/config.toml")
    for path in (*map(folder.joinpath, always), *(folder / "run").glob(EVALUATION)):
        shutil.copy(path, to)
    digest = hashlib.sha256((newest / "model.safetensors").read_bytes()).hexdigest()
    (to / "newest.json").write_text(json.dumps({"checkpoint": newest.name, "sha256": digest}, indent=2) + "\n")


def curve(folder: Path) -> dict[int, float]:
    """The error in % by step on all validation images. A line that a kill cut off is left out."""
    written = folder / "curve.jsonl"
    text = written.read_text() if written.exists() else ""
    lines = (json.loads(line) for line in text.splitlines() if line.endswith("}"))
    return dict(sorted((it["step"], 100 * it["error"]) for it in lines))


def plot(folder: Path, path: Path) -> None:
    """Draw both errors by epoch, next to the paper's."""
    from matplotlib.figure import Figure

    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    steps_of_epoch, found = rows[0]["step"], curve(folder)
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    watched = [100 * it["validation/error"] for it in rows]
    axes.plot([it["epoch"] for it in rows], watched, color="0.8", label="1,000 validation images")
    epochs = [step / steps_of_epoch for step in found]
    axes.plot(epochs, list(found.values()), label="10,000 validation images")
    evaluated = folder / EVALUATION
    if report := json.loads(evaluated.read_text() if evaluated.exists() else "{}").get("test"):
        tested = report["step"] / steps_of_epoch, 100 * report["classification"]["error"]
        axes.plot(*tested, "*", markersize=10, label="10,000 test images, once")
    axes.plot(list(RECALLED), list(RECALLED.values()), "o", label="the paper, 10,000 test images (recalled)")
    axes.set(
        xscale="log", yscale="log", xlabel="epoch", ylabel="error, %", title=f"{PRESET}, epoch {rows[-1]['epoch']}"
    )
    axes.legend()
    figure.savefig(path, dpi=110)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run, record or plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("run", "record", "plot"):
        command = commands.add_parser(name)
        command.add_argument("folder", type=Path)
        if name == "run":
            command.add_argument("--precision", help="of a run that begins: bf16, or fp32 by default")
        else:
            command.add_argument("to", type=Path)
    asked = parser.parse_args(arguments)
    match asked.command:
        case "run":
            run(asked.folder, **({} if asked.precision is None else {"precision": asked.precision}))
        case "record":
            record(asked.folder, asked.to)
        case "plot":
            plot(asked.folder, asked.to)


if __name__ == "__main__":
    main()
