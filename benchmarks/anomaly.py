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
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib import import_module
from importlib.metadata import version
from inspect import signature
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import train_test_split

Scores = Callable[[np.ndarray, np.ndarray, int], np.ndarray]
"""Training rows, rows to score and a seed -> a score for each of the latter; higher is odder."""

TUNING = ("breastw", "cardio", "Ionosphere", "thyroid", "vowels")
"""The sets on which our setting was chosen. The verdict is of the others."""


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
    from aaeframe.anomaly.gaussian import fit_gaussian

    return fit_gaussian(train).distances(test)


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
}
METHODS: dict[str, Scores] = {**DEEP, **OTHERS, "Mahalanobis, trimmed": mahalanobis}


def table_sets() -> dict[str, Path]:
    """The files of ADBench by name."""
    folder = Path(os.environ["AAEFRAME_DATA"], "adbench")
    return {path.stem.partition("_")[2]: path for path in sorted(folder.glob("*.npz"))}


def table_rows(path: Path, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training rows, rows to score, and 0/1 of these; standardized by the training rows."""
    with np.load(path) as file:
        x, y = file["X"].astype(np.float64), file["y"].astype(np.int64)
    train, test, _, labels = train_test_split(x, y, test_size=0.3, stratify=y, random_state=seed)
    spread = train.std(0)
    scaled = [((it - train.mean(0)) / np.where(spread > 0, spread, 1)).astype(np.float32) for it in (train, test)]
    return scaled[0], scaled[1], labels


def measured(scores: Scores, rows: tuple[np.ndarray, np.ndarray, np.ndarray], seed: int) -> dict[str, float]:
    """AUROC and average precision of one method, and its seconds."""
    train, test, labels = rows
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = scores(train, test, seed)
    seconds = time.perf_counter() - start
    return {
        "auroc": round(float(roc_auc_score(labels, found)), 5),
        "ap": round(float(average_precision_score(labels, found)), 5),
        "seconds": round(seconds, 2),
    }


def device() -> dict[str, str]:
    """The machine and the versions, as they are stored next to the numbers."""
    names = ("torch", "numpy", "scikit-learn", "pyod")
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((it.partition(": ")[2] for it in lines if it.startswith("model name")), platform.processor())
    return {"cpu": model, "threads": str(torch.get_num_threads()), **{it: version(it) for it in names}}


def fill(file: Path, cells: list[tuple[str, int, str, Scores, Callable]]) -> None:
    """Measure the cells (set, seed, method, scores, rows) that a file does not have, each stored when it is done."""
    found = json.loads(file.read_text()) if file.exists() else {"cells": []}
    known = {(it["set"], it["seed"], it["method"]) for it in found["cells"]}
    for name, seed, method, scores, rows in cells:
        if (name, seed, method) in known:
            continue
        cell = {"set": name, "seed": seed, "method": method, **measured(scores, rows(), seed)}
        found |= {"date": time.strftime("%Y-%m-%d"), "device": device()}
        found["cells"].append(cell)
        aside = file.with_suffix(".tmp")
        aside.write_text(
            json.dumps({**found, "cells": None}, indent=1).replace('"cells": null', _lines(found["cells"]))
        )
        aside.replace(file)
        print(name, seed, method, cell["auroc"], cell["ap"], f"{cell['seconds']} s", flush=True)


def _lines(cells: list[dict]) -> str:
    return '"cells": [\n  ' + ",\n  ".join(map(json.dumps, cells)) + "\n ]"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["tables", "images", "show"])
    parser.add_argument("file", type=Path, metavar="FILE.json")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", nargs="*")
    parser.add_argument("--methods", nargs="*")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    sets, methods = asked.sets or list(table_sets()), asked.methods or list(METHODS)
    cells = [
        (name, seed, method, METHODS[method], lambda name=name, seed=seed: table_rows(table_sets()[name], seed))
        for seed in range(asked.seeds)
        for method in methods
        for name in sets
    ]
    fill(asked.file, cells)
    return 0


if __name__ == "__main__":
    sys.exit(main())
