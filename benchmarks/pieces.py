"""The pieces of the adversarial autoencoder, one exchanged at a time: python benchmarks/pieces.py run|show|plot

    run --out FOLDER               trains, evaluates, and writes FOLDER/pieces.json
    show FILE.json                 prints the tables
    plot FILE.json --out FILE.png  draws them; with --runs FOLDER the codes too, in FILE-codes.png

Every run is of the digits inside, with the same networks, optimizers and epochs. Test rows are evaluated once a run, at
its end; codes are drawn of validation rows. A run that FOLDER has finished is not made again, and one that was stopped
is resumed.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from itertools import combinations, product
from pathlib import Path
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.stats import ttest_ind

import aaeframe
from aaeframe.errors import AaeframeError, ConfigError
from aaeframe.figures.canvas import INK, MUTED, PRIOR, class_colors, new_figure, save, styled
from aaeframe.figures.points import mark, plot_points
from aaeframe.runs.run import Run
from aaeframe.seeds import generator
from aaeframe.storage.atomic import write_atomically

EXAMPLE = Path(__file__).parents[1] / "plugins/examples/aaeframe-wasserstein"


class Piece(NamedTuple):
    """A way to train: adversarial unless its title says otherwise."""

    title: str
    settings: Mapping[str, Any]


PIECES = {
    "deterministic": Piece("deterministic encoder", {"encoder": "deterministic"}),
    "gaussian": Piece("Gaussian encoder", {"encoder": "gaussian"}),
    "universal": Piece("universal encoder", {"encoder": "universal"}),
    "labels": Piece("deterministic encoder, all labels", {"encoder": "deterministic", "labels": "all"}),
    "variational": Piece("variational, Gaussian", {"encoder": "gaussian", "recipe": "variational"}),
    "wasserstein": Piece("Wasserstein, deterministic", {"encoder": "deterministic"}),
}
PRIORS = {"swiss roll": "swissroll", "ten petals": "mixture"}
PARTS = {
    "Encoders": ("deterministic", "gaussian", "universal"),
    "Labels": ("deterministic", "labels"),
    "Wasserstein": ("deterministic", "wasserstein"),
    "Variational": ("gaussian", "variational"),
}


class Measure(NamedTuple):
    """A number of a cell; where its bars begin, and its value for a reference."""

    title: str
    base: float
    reference: float
    name: str


MEASURES = {
    "distance": Measure("sliced Wasserstein, codes over prior itself", 1.0, 1.0, "samples of the prior"),
    "two_sample": Measure("two-sample accuracy", 0.5, 0.5, "chance"),
    "reconstruction": Measure("reconstruction error over the mean image's", 0.0, 1.0, "mean image"),
    "agreement": Measure("codes in their class's component", 0.0, 0.1, "chance"),
}
SIGNIFICANT = 0.05
"""The level of Welch's t test of two pieces, without a correction for the number of tests."""


def recipe_of(piece: str) -> Any:
    """The recipe as an object from Python, for a piece whose recipe is not installed; else None."""
    if piece != "wasserstein":
        return None
    if str(EXAMPLE) not in sys.path:
        sys.path.append(str(EXAMPLE))  # after what is installed
    return import_module("aaeframe_wasserstein.recipe").Wasserstein


def folder_of(out: Path, prior: str, piece: str, seed: int) -> Path:
    """The folder of a run."""
    return out / f"{PRIORS[prior]}-{piece}-{seed}"


def trained(folder: Path, prior: str, piece: str, seed: int, epochs: int, width: int) -> Run:
    """The finished run of a folder: loaded, resumed or made. ConfigError for a prior that the recipe cannot have."""
    recipe = recipe_of(piece)
    if folder.exists():
        run = aaeframe.load(folder, recipe=recipe)
        made = run.config.training.epochs, *run.config.network.options["hidden"]
        if made != (epochs, width, width):
            raise ConfigError(f"{folder} has epochs and widths of {made}; use another --out")
        return run if run.finished else aaeframe.resume(folder, recipe=recipe, progress=False)
    network = f"mlp(hidden=[{width}, {width}])"
    settings = {**PIECES[piece].settings, **({} if recipe is None else {"recipe": recipe})}
    return aaeframe.train(
        "digits",
        prior=PRIORS[prior],
        network=network,
        discriminator=network,
        epochs=epochs,
        seed=seed,
        out=folder,
        progress=False,
        **settings,
    )


def numbers(run: Run) -> dict[str, Any]:
    """The measures of a run on test rows, whose report is kept in its folder: they are evaluated once."""
    path = run.folder.path / "test.json"
    if not path.exists():
        report = run.evaluate(split="test", warn=lambda sentence: None)
        write_atomically(path, json.dumps(report).encode())
    report = json.loads(path.read_text())
    (block,) = report["blocks"].values()
    return {
        "distance": block["sliced_wasserstein"] / block["sliced_wasserstein_floor"],
        "two_sample": block["two_sample"],
        "two_sample_interval": block["two_sample_interval"],
        "reconstruction": report["reconstruction"]["ratio"],
        "shuffled": report["reconstruction"]["shuffled_error"] / report["reconstruction"]["mean_image_error"],
        "agreement": block["classes"]["agreement"],
        "prior_agreement": block["classes"]["prior_agreement"],
        "steps": report["step"],
        "rows": report["rows"],
        "test_accesses": len(run.folder.test_accesses.read_text().splitlines()),
        "seconds": round(sum(row["seconds"] for row in run.metrics), 1),
    }


def machine() -> dict[str, Any]:
    """The processor, threads and version, as they are stored next to the numbers."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    cpu = next((it.partition(": ")[2] for it in lines if it.startswith("model name")), platform.processor())
    return {
        "cpu": cpu,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "precision": "fp32",
        "torch": version("torch"),
    }


def fill_in(out: Path, seeds: int, epochs: int, width: int, pieces: Sequence[str]) -> None:
    """Measure what FOLDER/pieces.json does not have; each number is stored when it is there."""
    file = out / "pieces.json"
    settings = {"epochs": epochs, "width": width}
    found = json.loads(file.read_text()) if file.exists() else {"settings": settings, "cells": []}
    if found["settings"] != settings:
        raise ConfigError(f"{out} has runs of {found['settings']}, asked for {settings}; use another --out")
    out.mkdir(parents=True, exist_ok=True)
    for seed, prior, piece in product(range(seeds), PRIORS, pieces):
        place = {"prior": prior, "piece": piece, "seed": seed}
        if any(place.items() <= it.items() for it in found["cells"]):
            continue
        try:
            run = trained(folder_of(out, prior, piece, seed), prior, piece, seed, epochs, width)
        except ConfigError as error:
            if piece != "variational":
                raise
            cell = {**place, "refused": str(error)}
        else:
            cell = {**place, **numbers(run)}
        date = time.strftime("%Y-%m-%d")
        found = {"date": date, "machine": machine(), **found, "cells": [*found["cells"], cell]}
        lines = ",\n  ".join(map(json.dumps, found["cells"]))
        whole = json.dumps({**found, "cells": 0}, indent=1).replace('"cells": 0', f'"cells": [\n  {lines}\n ]')
        write_atomically(file, f"{whole}\n".encode())
        print(lines.splitlines()[-1].strip(), flush=True)


Cells = Sequence[Mapping[str, Any]]


def of(cells: Cells, prior: str, piece: str, key: str) -> list[Any]:
    """A number of a piece and a prior, seed by seed; empty if there are none."""
    found = sorted((it for it in cells if (it["prior"], it["piece"]) == (prior, piece)), key=lambda it: it["seed"])
    return [it[key] for it in found if key in it]


def spread(values: Sequence[float]) -> tuple[float, float]:
    """The mean and the sample standard deviation, 0 of a single value."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def shown(values: Sequence[float]) -> str:
    """Mean ± sample standard deviation."""
    mean, deviation = spread(values)
    return f"{mean:.3f} ± {deviation:.3f}"


def interval(ends: Sequence[Sequence[float]]) -> str:
    """The mean lower and upper end of intervals."""
    low, high = np.mean(ends, axis=0)
    return f"{low:.3f} to {high:.3f}"


def table(cells: Cells, pieces: Sequence[str]) -> list[str]:
    """Lines of Markdown: a row for each prior and piece."""
    named = ["prior", "piece", *(it.title for it in MEASURES.values()), "seeds"]
    named.insert(4, "its 95 % interval")
    lines = [f"| {' | '.join(named)} |", "| --- " * len(named) + "|"]
    for prior, piece in product(PRIORS, pieces):
        values = {key: of(cells, prior, piece, key) for key in (*MEASURES, "two_sample_interval")}
        title = PIECES[piece].title
        if of(cells, prior, piece, "refused"):
            lines.append(f"| {prior} | {title} |{' no density |' + ' |' * (len(named) - 3)}")
        elif values["distance"]:
            row = [shown(values[key]) for key in MEASURES]
            row.insert(2, interval(values["two_sample_interval"]))
            lines.append(f"| {prior} | {title} | {' | '.join(row)} | {len(values['distance'])} |")
    return lines


def differences(cells: Cells, pieces: Sequence[str]) -> Iterator[str]:
    """The pairs of pieces that Welch's t test tells apart, a line for each."""
    for prior, key, (one, other) in product(PRIORS, MEASURES, combinations(pieces, 2)):
        both = [of(cells, prior, it, key) for it in (one, other)]
        if all(len(values) > 2 for values in both) and ttest_ind(*both, equal_var=False).pvalue < SIGNIFICANT:
            a, b = map(np.mean, both)
            yield f"- {prior}, {MEASURES[key].title}: {one} {a:.3f} {'<' if a < b else '>'} {other} {b:.3f}"


def show(file: Path) -> None:
    """Print the table, the differences beyond the spread in each part, and why cells are refused."""
    found = json.loads(file.read_text())
    cells = found["cells"]
    print("\n".join(table(cells, [*PIECES])))
    for part, pieces in PARTS.items():
        apart = [*differences(cells, pieces)] or ["- no pair differs beyond the spread"]
        print("\n".join([f"\n{part}:", "", *apart]))
    print()
    for why in dict.fromkeys(it["refused"] for it in cells if "refused" in it):
        print(f"Refused: {why}.")
    made = [it for it in cells if "seconds" in it]
    share = spread([it["prior_agreement"] for it in made])[0]
    print(
        f"{len(made)} runs of {found['settings']['epochs']} epochs, {sum(it['seconds'] for it in made) / 60:.0f} "
        f"minutes of training; test rows used {max(it['test_accesses'] for it in made)} time by each. "
        f"Prior samples in their own component: {share:.3f}."
    )


@styled
def bars(cells: Cells, title: str) -> Figure:
    """A panel for each prior and measure, with a bar for each piece, its deviation, and a dot for each seed."""
    figure = new_figure(13.2, 5.0, title)
    colors = dict(zip(PIECES, class_colors(len(PIECES)), strict=True))
    for index, (prior, (key, measure)) in enumerate(product(PRIORS, MEASURES.items())):
        axes = figure.add_subplot(len(PRIORS), len(MEASURES), index + 1)
        axes.grid(axis="x")
        for height, piece in enumerate(PIECES):
            values = of(cells, prior, piece, key)
            if values:
                mean, deviation = spread(values)
                axes.barh(height, mean - measure.base, left=measure.base, color=colors[piece], height=0.75, alpha=0.7)
                axes.errorbar(mean, height - 0.15, xerr=deviation, color=INK, linewidth=1.1, capsize=2.5)
                axes.plot(values, [height + 0.2] * len(values), ".", color=INK, markersize=4)
            elif of(cells, prior, piece, "refused"):
                place = axes.get_yaxis_transform()  # at the edge, wherever the numbers are
                axes.text(0.02, height, "needs a density", va="center", color=MUTED, size=8, transform=place)
        axes.axvline(measure.reference, color=INK, linewidth=1.1, linestyle=(0, (1, 2)))
        first = index % len(MEASURES) == 0
        axes.set_yticks(range(len(PIECES)), [it.title for it in PIECES.values()] if first else [""] * len(PIECES))
        axes.set_ylabel(prior if first else "", size=12)
        axes.tick_params(axis="y", length=0)
        axes.tick_params(axis="x", labelsize=9)
        axes.invert_yaxis()
        axes.margins(x=0.08)
        if index < len(MEASURES):
            axes.set_title(fill(measure.title, 30), size=10)
        else:
            axes.set_xlabel(f"dotted: {measure.name}", color=MUTED, size=9)
    return figure


@styled
def codes(out: Path, cells: Cells, seed: int) -> Figure:
    """The codes of validation rows over prior samples: a row of panels for each prior, a panel for each piece."""
    figure = new_figure(14.4, 5.2, f"Codes of validation digits over samples of the prior (gray), seed {seed}")
    names: Sequence[str] = ()
    for index, (prior, piece) in enumerate(product(PRIORS, PIECES)):
        axes = figure.add_subplot(len(PRIORS), len(PIECES), index + 1)
        axes.set(xticks=[], yticks=[], title="" if index // len(PIECES) else fill(PIECES[piece].title, 24))
        axes.title.set_size(9)
        axes.spines[:].set_visible(False)
        folder = folder_of(out, prior, piece, seed)
        if folder.exists():
            run = aaeframe.load(folder, recipe=recipe_of(piece))
            rows = run.dataset().validation
            names = run.class_names or names
            (block,) = run.model.priors
            z = run.encode(rows, draws=1, generator=generator(seed, "figures", "noise"))[block][0]
            prior_codes = run.model.sample_prior(2500, seed=seed)[block].numpy()
            axes.scatter(*prior_codes.T, s=5, color=PRIOR, linewidths=0)
            plot_points(axes, z.numpy(), rows.labels)
            axes.set_aspect("equal", adjustable="datalim")
        elif of(cells, prior, piece, "refused"):
            axes.text(0.5, 0.5, "needs a density", ha="center", color=MUTED, transform=axes.transAxes)
    handles = [mark("prior", PRIOR), *(mark(*it) for it in zip(names, class_colors(len(names)), strict=True))]
    figure.legend(handles=handles, loc="outside right center", handletextpad=0.3)
    return figure


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    run = commands.add_parser("run")
    run.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="of the runs and of pieces.json")
    run.add_argument("--seeds", type=int, default=3)
    run.add_argument("--epochs", type=int, default=50)
    run.add_argument("--width", type=int, default=256, help="of the two hidden layers of each network")
    run.add_argument("--pieces", nargs="+", choices=PIECES, default=[*PIECES])
    tables = commands.add_parser("show")
    plot = commands.add_parser("plot")
    for command in (tables, plot):
        command.add_argument("file", type=Path, metavar="FILE.json")
    plot.add_argument("--out", type=Path, required=True, metavar="FILE.png")
    plot.add_argument("--runs", type=Path, metavar="FOLDER", help="of the runs, to draw the codes of seed 0, too")
    asked = parser.parse_args(arguments)
    try:
        if asked.what == "run":
            torch.set_num_threads(1)
            fill_in(asked.out, asked.seeds, asked.epochs, asked.width, asked.pieces)
        elif asked.what == "show":
            show(asked.file)
        else:
            found = json.loads(asked.file.read_text())
            save(bars(found["cells"], "One piece exchanged at a time: mean, deviation and seeds"), asked.out, dpi=110)
            if asked.runs is not None:
                save(codes(asked.runs, found["cells"], 0), asked.out.with_name(f"{asked.out.stem}-codes.png"), dpi=90)
    except (AaeframeError, OSError) as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
