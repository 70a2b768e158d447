"""Why clusters without labels take up style: python benchmarks/clusters.py run FOLDER [VARIANT ...]

Each variant trains MNIST in 16 clusters, or in --classes of them, by the paper's terms alone, with the networks of the
preset `adversarial-mnist-16-clusters`, in fp32, without a moving average. Rates of SGD are constant, those of Adam fall
to 0 over the second half of the epochs.
Variants differ in the schedule (one joint step, or the paper's phases) and in the optimizers (Adam, or SGD at the
paper's rates). "quiet" is without noise and with less dropout. "averaged", of SGD in a joint step alone, has a moving
average on top, and rates that fall to 0 over the last 40 % of the epochs; "-following" has a class prior that follows,
"-fast" three times the rate, "-wide" networks 1000 wide, discriminators too. `--set` changes settings as that of
`aaeframe train` does; each change takes a folder of its own. After each epoch, of the 10,000 validation images:

- error: the share that is not of its cluster's most frequent class;
- named: the share that is not of its cluster's name, the class of its surest image (the paper's protocol);
- digit: the mutual information of the cluster with the digit, in nats;
- slant, thickness: the same with ten bins of these, given the digit, less that of bins shuffled within the digit;
- entropy of y: how soft y is, in nats; reconstruction: the error over that of the mean image;
- style share: of what the reconstruction loses when y is another image's, the part that it also loses when that image
  shows the same digit. 1 means that the decoder reads nothing but style in y, 0 nothing but the digit.

A variant whose file is in FOLDER is not trained again. `show FOLDER [VARIANT ...]` prints the last epochs,
`plot FOLDER FILE.png` draws all. No test image is used.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import aaeframe
from aaeframe.configuration.compose import compose
from aaeframe.data import Dataset, load
from aaeframe.evaluation.clustering import name_clusters
from aaeframe.runs.run import Run

BINS = 10
ADAM, SGD = "adam(lr={}, betas=[0.5, 0.999])", "sgd(lr={}, momentum={})"
OPTIMIZERS = {
    "joint": {
        "adam": {"autoencoder": ADAM.format(0.001), "discriminator": ADAM.format(0.001)},
        "sgd": {"autoencoder": SGD.format(0.1, 0.1), "discriminator": SGD.format(0.1, 0.1)},
    },
    "alternating": {
        "adam": {
            "reconstruction": ADAM.format(0.0001),
            "discriminator": ADAM.format(0.001),
            "generator": ADAM.format(0.001),
        },
        "sgd": {
            "reconstruction": SGD.format(0.01, 0.9),
            "discriminator": SGD.format(0.1, 0.1),
            "generator": SGD.format(0.1, 0.1),
        },
    },
}
"""The optimizers by schedule and kind. SGD at rate r with momentum m moves by r / (1 - m) in the end, 0.1 here."""
WEIGHTS = {"adam": (0.02, 1.0, 0.3), "sgd": (0.9, 1.0, 1.0)}
"""The weights of reconstruction, y and style in a joint step: those of the preset before
2026-11-30, and the ratio of the paper's rates, which the preset has now."""
QUIET = ("joint-adam-quiet", "joint-sgd-quiet", "alternating-sgd-quiet")
"""Variants without noise on the input of y's discriminator, and with the paper's dropout."""
AVERAGED = tuple(f"joint-sgd-averaged{how}" for how in ("", "-following", "-fast", "-wide"))
"""Quiet variants with a moving average and falling rates."""
VARIANTS = [*(f"{schedule}-{kind}" for schedule in OPTIMIZERS for kind in ("adam", "sgd")), *QUIET, *AVERAGED]
MEASURES = ("error", "named", "digit", "slant", "thickness", "style share", "entropy of y", "reconstruction")


def settings(variant: str, classes: int = 16) -> dict[str, Any]:
    """The configuration of a variant."""
    schedule, kind = variant.split("-")[:2]
    averaged, wide = variant in AVERAGED, variant.endswith("-wide")
    noise, dropout = (None, 0.2) if variant in QUIET or averaged else (0.3, 0.5)
    reconstruction, y, style = WEIGHTS[kind] if schedule == "joint" else (None, None, None)
    following = {"follow": 0.002, "follow_after": 2000} if variant.endswith("-following") else {}
    falling = f"sgd(lr={0.3 if variant.endswith('-fast') else 0.1}, momentum=0.1, anneal_from=0.6)"
    table: dict[str, Any] = {
        "prior": {
            "y": {
                "component": "categorical",
                "options": {"classes": classes, **following},
                "instance_noise": noise,
                "weight": y,
            },
            "style": {"component": "gaussian", "options": {"size": 5}, "weight": style},
        },
        "encoder": {"component": "deterministic", "options": {"batch_norm": True}},
        "network": {"component": "mlp", "options": {"hidden": [1000 if wide else 500] * 2, "batch_norm": "encoder"}},
        "discriminator": {"component": "mlp", "options": {"hidden": [1000 if wide else 250] * 2}},
        "recipe": {"component": "clustering"},
        "training": {
            "schedule": schedule,
            "input_dropout": dropout,
            "ema": 0.999 if averaged else None,
            "reconstruction_weight": reconstruction,
            "checkpoint_every": 1,
        },
        "optimizers": dict.fromkeys(OPTIMIZERS["joint"]["sgd"], falling) if averaged else OPTIMIZERS[schedule][kind],
    }
    return without_none(table)


def without_none(table: Mapping[str, Any]) -> dict[str, Any]:
    """The table without the entries that are None."""
    return {k: without_none(it) if isinstance(it, dict) else it for k, it in table.items() if it is not None}


def slant(images: np.ndarray) -> np.ndarray:
    """The slant of images (N, H, W): horizontal shift for each row of height, by second moments."""
    rows, columns = np.indices(images.shape[1:])
    ink = images.sum((1, 2))
    down, across = ((images * it).sum((1, 2)) / ink for it in (rows, columns))
    down, across = rows - down[:, None, None], columns - across[:, None, None]
    return (images * down * across).sum((1, 2)) / (images * down**2).sum((1, 2))


def thickness(images: np.ndarray) -> np.ndarray:
    """The thickness of the strokes of images (N, H, W): ink for each unit of edge."""
    edges = sum(np.abs(np.diff(images, axis=axis)).sum((1, 2)) for axis in (1, 2))
    return images.sum((1, 2)) / edges


def information(a: np.ndarray, b: np.ndarray) -> float:
    """The mutual information of two whole numbers (N,) and (N,), in nats."""
    joint = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(joint, (a, b), 1 / len(a))
    independent = joint.sum(1, keepdims=True) * joint.sum(0)
    there = joint > 0
    return float((joint[there] * np.log(joint[there] / independent[there])).sum())


def bins(values: np.ndarray) -> np.ndarray:
    """The tenth in which each value is, from 0."""
    return np.searchsorted(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]), values)


class Watch:
    """An observer that measures the validation images after each epoch, and writes a line of JSON."""

    def __init__(self, path: Path, images: np.ndarray, digits: np.ndarray, **said: Any) -> None:
        self.path, self.images, self.digits, self.said = path, images, digits, said
        flat = images.reshape(len(images), *images.shape[-2:]).astype(np.float64)
        self.styles = {"slant": bins(slant(flat)), "thickness": bins(thickness(flat))}

    def checkpoint_saved(self, path: Path, step: int) -> None:
        """Measure the run as the checkpoint has it."""
        if step:
            line = {**self.said, "step": step, **self.measured(aaeframe.load(path.parents[1]))}
            with self.path.open("a") as file:
                file.write(json.dumps(line) + "\n")

    def measured(self, run: Run) -> dict[str, float]:
        """Measure what y knows, and what the decoder reads in it."""
        code = run.encode(self.images)
        y = code["y"].double()
        cluster = y.argmax(1).numpy()
        names = name_clusters(y, torch.from_numpy(self.digits))
        counts = np.zeros((y.shape[1], 10))
        np.add.at(counts, (cluster, self.digits), 1)
        random = np.random.default_rng(0)
        own, any_other, same_digit = (
            self._error(run, {**code, "y": code["y"][order]})
            for order in (np.arange(len(cluster)), random.permutation(len(cluster)), self._within(random))
        )
        return {
            "error": 1 - counts.max(1).sum() / counts.sum(),
            "named": float((names[cluster].numpy() != self.digits).mean()),
            "digit": information(cluster, self.digits),
            **{name: self._given_digit(cluster, it, random) for name, it in self.styles.items()},
            "style share": (same_digit - own) / (any_other - own),
            "entropy of y": float(torch.special.entr(y).sum(1).mean()),
            "reconstruction": own / self._squared(self.images.mean(0, keepdims=True)),
        }

    def _error(self, run: Run, code: dict[str, torch.Tensor]) -> float:
        """The squared error of the images decoded from a code."""
        return self._squared(run.decode(code).numpy())

    def _squared(self, found: np.ndarray) -> float:
        return float(((found - self.images) ** 2).mean())

    def _within(self, random: np.random.Generator) -> np.ndarray:
        """For each image the place of another of the same digit."""
        order = np.arange(len(self.digits))
        for digit in np.unique(self.digits):
            places = np.flatnonzero(self.digits == digit)
            order[places] = random.permutation(places)
        return order

    def _given_digit(self, cluster: np.ndarray, style: np.ndarray, random: np.random.Generator) -> float:
        """I(cluster; style | digit), less what shuffled styles have by chance."""
        shuffled = style[self._within(random)]
        total = 0.0
        for digit in np.unique(self.digits):
            places = self.digits == digit
            found, chance = (information(cluster[places], it[places]) for it in (style, shuffled))
            total += places.mean() * (found - chance)
        return total


def run(
    folder: Path,
    variants: Iterable[str],
    epochs: int,
    seed: int,
    data: str | Dataset = "mnist",
    classes: int = 16,
    changes: Sequence[str] = (),
) -> None:
    """Train and measure the variants, with these changes of their settings."""
    folder.mkdir(parents=True, exist_ok=True)
    dataset = load(data) if isinstance(data, str) else data
    rows, said = dataset.validation, {"seed": seed, "epochs": epochs, "classes": classes, "set": [*changes]}
    variants = [*variants]
    for variant, lines in read(folder).items():
        if variant in variants and any(
            {"classes": 16, "set": [], **it}[name] != value for it in lines for name, value in said.items()
        ):
            other = "of another seed, other epochs, classes or settings"
            sys.exit(f"{folder / variant}.jsonl is {other}; take another folder")
    for variant in variants:
        done, part = folder / f"{variant}.jsonl", folder / f"{variant}.part"
        if not done.exists():
            part.unlink(missing_ok=True)
            given = compose(None, settings(variant, classes), {}, changes).model_dump(exclude_none=True)
            aaeframe.train(
                dataset, config=given, epochs=epochs, seed=seed, device="cpu", progress=False,
                out=next(it for n in range(1000) if not (it := folder / f"{variant}-{n}").exists()),
                observers=[Watch(part, rows.array(), np.asarray(rows.labels), **said)],
            )  # fmt: skip
            if not part.exists() or len(part.read_text().splitlines()) < epochs:
                sys.exit(f"{variant} was not measured in each of {epochs} epochs; the warning above says why")
            part.rename(done)
        show(folder, [variant])


def read(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The lines of each variant that is done."""
    files = [folder / f"{variant}.jsonl" for variant in VARIANTS]
    return {it.stem: [json.loads(line) for line in it.read_text().splitlines()] for it in files if it.exists()}


def show(folder: Path, variants: Sequence[str] = ()) -> None:
    """Print the last epoch of each variant."""
    print(f"| | epochs | {' | '.join(MEASURES)} |\n| --- |{' --- |' * (len(MEASURES) + 1)}")
    for variant, lines in read(folder).items():
        if variant in (variants or VARIANTS):
            print(f"| {variant} | {len(lines)} | {' | '.join(f'{lines[-1][it]:.3f}' for it in MEASURES)} |")


def plot(folder: Path, path: Path) -> None:
    """Draw each measure by epoch."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5), layout="constrained")
    for axes, name in zip(figure.subplots(2, 4).flat, MEASURES, strict=True):
        for variant, lines in read(folder).items():
            axes.plot(
                range(1, len(lines) + 1),
                [it.get(name, math.nan) for it in lines],
                label=variant,
                marker=".",
                markersize=3,
            )
        axes.set(title=name, xlabel="epoch")
        axes.set_ylim(bottom=0)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Run, show or plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "show", "plot"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("rest", nargs="*", help="variants to run, or the picture to draw")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--classes", type=int, default=16)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="changes")
    asked = parser.parse_args()
    unknown = set(asked.rest) - set(VARIANTS)
    if asked.what != "plot" and unknown:
        parser.error(f"no variant is named {', '.join(sorted(unknown))}; there are {', '.join(VARIANTS)}")
    if asked.what == "run":
        run(asked.folder, asked.rest or VARIANTS, asked.epochs, asked.seed, "mnist", asked.classes, asked.changes)
    elif asked.what == "show":
        show(asked.folder, asked.rest)
    elif len(asked.rest) == 1:
        plot(asked.folder, Path(asked.rest[0]))
    else:
        parser.error("plot takes one picture: plot FOLDER FILE.png")


if __name__ == "__main__":
    main()
