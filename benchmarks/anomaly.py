"""Anomaly scores of ours next to pyod's detectors: python benchmarks/anomaly.py tables|images|show FILE.json

`tables` reads the ten sets of ADBench in `$AAEFRAME_DATA/adbench` (NUMBER_NAME.npz with X and y, 1 for an anomaly).
70 % of the rows, stratified, are for training, with their anomalies and without labels; the rest is scored. Columns
are standardized by the training rows. `images` reads MNIST: one digit is normal, the others are anomalies.

Rivals have their default settings. Ours has one setting for all sets, chosen on the sets of TUNING alone. A number that
FILE.json has is not measured again, so that a stopped run continues. `show` prints the tables.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from functools import partial
from importlib import import_module
from importlib.metadata import version
from inspect import signature
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import train_test_split

import aaeframe
from aaeframe.anomaly import KINDS
from aaeframe.anomaly.density import features
from aaeframe.anomaly.gaussian import fit_gaussian
from aaeframe.data import load
from aaeframe.runs.run import Run

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Training rows, rows to score, and 0 or 1 of the latter."""
Cells = Iterator[tuple[str, int, str, Callable[[], Rows]]]
Scores = Callable[[np.ndarray, np.ndarray, int], np.ndarray | dict[str, np.ndarray]]
"""Training rows, rows to score and a seed -> a score for each of the latter, or several by name; higher is odder."""

TUNING = ("breastw", "cardio", "Ionosphere", "thyroid", "vowels")
"""The sets on which our setting was chosen. The verdict is of the others."""
IMAGES = 1000
"""The number of training rows, and of test rows, of each digit."""


def pyod(module: str, name: str) -> Scores:
    """A detector of pyod with its defaults; those that take no seed have torch's and numpy's."""

    def scores(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
        detector = getattr(import_module(f"pyod.models.{module}"), name)
        np.random.seed(seed)
        torch.manual_seed(seed)
        given = {"random_state": seed, "n_features": train.shape[1]}
        fitted = detector(**{key: it for key, it in given.items() if key in signature(detector).parameters})
        with redirect_stdout(sys.stderr):
            return fitted.fit(train).decision_function(test)

    return scores


def mahalanobis(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    """The distance under one Gaussian on x, fitted as ours is, without a network."""
    return fit_gaussian(train).distances(test)


STEPS, BATCH, NOISE = 1500, 64, 0.5
"""Our setting: training steps, rows of a minibatch, and the input noise in standard deviations of a column."""
RUNS = 3
"""The number of runs whose scores are averaged."""
MEAN = f"aaeframe density, mean of {RUNS} runs"


def trained(train: np.ndarray, seed: int) -> Run:
    """A run on all training rows. The code has a third as many numbers as the row, 2 to 8."""
    return aaeframe.train(
        train,
        held_out=(0, 0),
        scale="none",
        prior=f"gaussian(size={max(2, min(8, train.shape[1] // 3))})",
        network="mlp(hidden=[64, 32])",
        discriminator="mlp(hidden=[64, 64])",
        schedule="joint",
        steps=STEPS,
        batch_size=BATCH,
        input_noise=NOISE,
        seed=seed,
        keep=False,
        progress=False,
    )


def with_row(run: Run, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """The distance under one Gaussian on residual, code and row together."""
    whole = [np.concatenate([np.concatenate([*features(run.model, x)]), x], axis=1) for x in (train, test)]
    return fit_gaussian(whole[0]).distances(whole[1])


def ours(train: np.ndarray, test: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Every kind of score of one run, and the density with the row."""
    run = trained(train, seed)
    kinds = {f"aaeframe {kind}": run.scores(test, kind=kind) for kind in KINDS}
    return {**kinds, "aaeframe density, with the row": with_row(run, train, test)}


def averaged(train: np.ndarray, test: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """The logarithms of the distances, averaged over RUNS runs that differ in their seed alone."""
    runs = [trained(train, seed + 100 * k) for k in range(RUNS)]
    found = {
        MEAN: [run.scores(test) for run in runs],
        f"{MEAN}, with the row": [with_row(it, train, test) for it in runs],
    }
    return {name: np.log(it).mean(0) for name, it in found.items()}


DEEP = {
    "pyod AutoEncoder": pyod("auto_encoder", "AutoEncoder"),
    "pyod VAE": pyod("vae", "VAE"),
    "pyod DeepSVDD": pyod("deep_svdd", "DeepSVDD"),
    "pyod ALAD": pyod("alad", "ALAD"),
}
OTHERS = {
    "pyod IForest": pyod("iforest", "IForest"),
    "pyod ECOD": pyod("ecod", "ECOD"),
    "pyod KNN": pyod("knn", "KNN"),
    "pyod LOF": pyod("lof", "LOF"),
    "Mahalanobis, trimmed": mahalanobis,
}
METHODS: dict[str, Scores] = {"aaeframe": ours, MEAN: averaged, **OTHERS, **DEEP}
IMAGE_METHODS = ("aaeframe", "pyod KNN", "pyod IForest")


def table_sets() -> dict[str, Path]:
    """The files of ADBench by name."""
    folder = Path(os.environ["AAEFRAME_DATA"], "adbench")
    return {path.stem.partition("_")[2]: path for path in sorted(folder.glob("*.npz"))}


def table_rows(path: Path, seed: int) -> Rows:
    """Training rows, rows to score, and 0/1 of these; standardized by the training rows."""
    with np.load(path) as file:
        x, y = file["X"].astype(np.float64), file["y"].astype(np.int64)
    train, test, _, labels = train_test_split(x, y, test_size=0.3, stratify=y, random_state=seed)
    spread = train.std(0)
    scaled = [((it - train.mean(0)) / np.where(spread > 0, spread, 1)).astype(np.float32) for it in (train, test)]
    return scaled[0], scaled[1], labels


def measured(method: str, rows: Rows, seed: int) -> list[dict[str, Any]]:
    """AUROC, average precision and seconds of a method, or of each of the scores that it gives."""
    train, test, labels = rows
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = METHODS[method](train, test, seed)
    seconds = round(time.perf_counter() - start, 2)
    return [
        {
            "method": name,
            "auroc": round(float(roc_auc_score(labels, it)), 5),
            "ap": round(float(average_precision_score(labels, it)), 5),
            "seconds": seconds,
        }
        for name, it in (found.items() if isinstance(found, dict) else [(method, found)])
    ]


def device() -> dict[str, str]:
    """The machine and the versions, as they are stored next to the numbers."""
    names = ("torch", "numpy", "scikit-learn", "pyod")
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((it.partition(": ")[2] for it in lines if it.startswith("model name")), platform.processor())
    return {"cpu": model, "threads": str(torch.get_num_threads()), **{it: version(it) for it in names}}


def fill(file: Path, cells: Iterable[tuple[str, int, str, Callable[[], Rows]]]) -> None:
    """Measure the cells (set, seed, method, rows) that a file does not have; each is stored when it is done."""
    found = json.loads(file.read_text()) if file.exists() else {"cells": []}
    for name, seed, method, rows in cells:
        known = {(it["set"], it["seed"], it["method"]) for it in found["cells"]}
        if (name, seed, f"aaeframe {KINDS[0]}" if method == "aaeframe" else method) in known:
            continue
        new = [{"set": name, "seed": seed, **it} for it in measured(method, rows(), seed)]
        found = {"date": time.strftime("%Y-%m-%d"), "device": device(), "cells": [*found["cells"], *new]}
        lines = ",\n  ".join(map(json.dumps, found["cells"]))
        aside = file.with_suffix(".tmp")
        aside.write_text(
            json.dumps({**found, "cells": 0}, indent=1).replace('"cells": 0', f'"cells": [\n  {lines}\n ]')
        )
        aside.replace(file)
        for it in new:
            print(name, seed, it["method"], it["auroc"], it["ap"], f"{it['seconds']} s", flush=True)


def table_cells(seeds: int, methods: Sequence[str], sets: Sequence[str]) -> Cells:
    """The cells of the tables, seed after seed."""
    paths = table_sets()
    for seed, method, name in product(range(seeds), methods, sets or paths):
        yield name, seed, method, partial(table_rows, paths[name], seed)


def image_rows(digit: int, seed: int) -> Rows:
    """IMAGES training rows of one digit, pixels within 0..1, and IMAGES test rows of all digits; 1 for another."""
    data = load("mnist")
    rng = np.random.default_rng(seed)
    normal = rng.permutation(np.flatnonzero(data.train.labels == digit))[:IMAGES]
    test = rng.permutation(len(data.test))[:IMAGES]
    train, scored = data.train.take(normal), data.test.take(test)
    rows = [it.array().reshape(len(it), -1).astype(np.float32) / 255 for it in (train, scored)]
    return rows[0], rows[1], (scored.labels != digit).astype(int)


def image_cells(seeds: int, methods: Sequence[str], digits: Sequence[str]) -> Cells:
    """The cells of the images: each digit in turn is the normal one."""
    for seed, method, digit in product(range(seeds), methods, digits or map(str, range(10))):
        yield digit, seed, method, partial(image_rows, int(digit), seed)


def table(cells: Sequence[Mapping[str, Any]], sets: Sequence[str], key: str) -> list[str]:
    """Lines of Markdown: the mean of each set over the seeds that all sets have, times 100; the best method first."""
    found = {(it["method"], it["set"], it["seed"]): it[key] for it in cells}
    lines = []
    for method in dict.fromkeys(it["method"] for it in cells):
        of_set = [{seed for known, its_set, seed in found if (known, its_set) == (method, name)} for name in sets]
        if seeds := set.intersection(*of_set):
            means = [100 * float(np.mean([found[method, name, seed] for seed in seeds])) for name in sets]
            row = f"| {method} | {' | '.join(f'{it:.1f}' for it in means)} | {np.mean(means):.1f} | {len(seeds)} |"
            lines.append((np.mean(means), row))
    head = [f"| {key} | {' | '.join(sets)} | mean | seeds |", "| --- " * (len(sets) + 3) + "|"]
    return [*head, *(row for _, row in sorted(lines, reverse=True))]


def show(file: Path, seeds: int) -> None:
    """Print the tables of a file by its first seeds: the sets of the verdict, then those of TUNING."""
    cells = [it for it in json.loads(file.read_text())["cells"] if it["seed"] < seeds]
    names = list(dict.fromkeys(it["set"] for it in cells))
    for sets in ([it for it in names if it not in TUNING], [it for it in names if it in TUNING]):
        for key in ("auroc", "ap"):
            print("\n".join([*table(cells, sets, key), ""]) if sets else "", end="\n" if sets else "")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["tables", "images", "show"])
    parser.add_argument("file", type=Path, metavar="FILE.json")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", nargs="*", default=(), help="names of sets, or digits; default: all")
    parser.add_argument("--methods", nargs="*", choices=METHODS, help="default: all")
    asked = parser.parse_args(arguments)
    if asked.what == "show":
        show(asked.file, asked.seeds)
        return 0
    torch.set_num_threads(1)
    cells, methods = (table_cells, METHODS) if asked.what == "tables" else (image_cells, IMAGE_METHODS)
    fill(asked.file, cells(asked.seeds, asked.methods or list(methods), asked.sets))
    return 0


if __name__ == "__main__":
    sys.exit(main())
