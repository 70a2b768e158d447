"""Whether runs err on the same images: python benchmarks/shared_errors.py RUN RUN ... [--plot FILE.png]

RUN is the folder of a run with classes or clusters. A cluster stands for its most frequent class. The table has, for
each pair of runs, the number of validation images that both get wrong; its diagonal is the errors of each. `--plot`
draws the images that all of them get wrong, each with its class and what most runs take it for. No test image is used.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import aaeframe

COLUMNS = 13


def predicted(q: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N,) the most frequent class of each row's cluster, of q(y|x) (N, K) and labels (N,)."""
    cluster = q.argmax(1)
    table = np.zeros((q.shape[1], labels.max() + 1), dtype=int)
    np.add.at(table, (cluster, labels), 1)
    return table.argmax(1)[cluster]


def shared(wrong: np.ndarray) -> np.ndarray:
    """(R, R) the number of rows that both of two runs get wrong, of (R, N) whether a run gets a row wrong."""
    counts = wrong.astype(int)
    return counts @ counts.T


def plot(x: np.ndarray, labels: np.ndarray, votes: np.ndarray, path: Path) -> None:
    """Draw images (M, C, H, W) with their classes (M,) and the votes of the runs (R, M)."""
    from matplotlib.figure import Figure

    rows = max(1, -(-len(x) // COLUMNS))
    figure = Figure(figsize=(COLUMNS * 0.75, rows * 0.95), layout="constrained")
    cells = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for cell in cells:
        cell.axis("off")
    for cell, image, label, seen in zip(cells, x, labels, votes.T, strict=False):
        picture = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
        cell.imshow(picture, cmap="gray_r" if picture.ndim == 2 else None)
        cell.set_title(f"{label} as {np.bincount(seen).argmax()}", fontsize=7)
    figure.savefig(path, dpi=110)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    asked = parser.parse_args(arguments)
    runs = [aaeframe.load(path) for path in asked.runs]
    blocks = [run.model.class_block for run in runs]
    if None in blocks:
        parser.error(f"{asked.runs[blocks.index(None)]} has neither classes nor clusters")
    digests = {run.data["digests"]["validation"] for run in runs}
    if len(digests) > 1:
        parser.error("the runs have different validation rows")
    held = runs[0].dataset().validation
    if held.labels is None or (held.labels < 0).any():
        parser.error("not all validation rows have labels")
    x, labels = held.array(), held.labels
    votes = np.stack([predicted(run.encode(x)[block], labels) for run, block in zip(runs, blocks, strict=True)])
    wrong = votes != labels
    for path, counts in zip(asked.runs, shared(wrong), strict=True):
        print(*(f"{count:4d}" for count in counts), path)
    everywhere = wrong.all(0)
    some, all_of_them = wrong.any(0).sum(), everywhere.sum()
    print(f"of {len(labels):,} validation rows {some} are wrong in a run, {all_of_them} in all {len(runs)}")
    if asked.plot is not None:
        plot(x[everywhere], labels[everywhere], votes[:, everywhere], asked.plot)


if __name__ == "__main__":
    main()
