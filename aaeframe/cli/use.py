"""`aaeframe sample`, `encode` and `reconstruct`: what a trained run is for."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aaeframe.cli import options

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from aaeframe import data as datasets
    from aaeframe.run import Run

OutFile = Annotated[Path | None, typer.Option(help="Where to write, .npz; in the run's folder if not given.")]


class Part(StrEnum):
    """Which rows of a data set."""

    test = "test"
    validation = "validation"
    train = "train"
    all = "all"


Split = Annotated[Part, typer.Option(help="Which rows; all are in the order of the file.")]


def sample(
    context: typer.Context,
    run: options.RunArgument,
    count: Annotated[int, typer.Option(min=1, help="How many.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same samples.")] = 0,
    out: OutFile = None,
    device: options.Device = "auto",
    raw_weights: options.RawWeights = False,
    json: options.Json = False,
) -> None:
    """Decode samples of the prior: x (count, ...) in the data's units, and the codes by block."""
    opened = options.load_run(context, run, device, raw_weights)
    code = opened.model.sample_prior(count, seed=seed)
    arrays = {"x": opened.decode(code).cpu().numpy(), **{name: z.cpu().numpy() for name, z in code.items()}}
    _write(out or run / "samples.npz", arrays, json)


def encode(
    context: typer.Context,
    run: options.RunArgument,
    data: options.Data = None,
    split: Split = Part.test,
    draws: Annotated[int, typer.Option(min=0, help="Draws of q(z|x) for each row; 0: one code with zero noise.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.")] = 0,
    out: OutFile = None,
    device: options.Device = "auto",
    raw_weights: options.RawWeights = False,
    json: options.Json = False,
) -> None:
    """Encode data: each block (N, ...), or (draws, N, ...), and the labels if the data has some."""
    import torch

    opened = options.load_run(context, run, device, raw_weights)
    rows = _rows(opened, data, split)
    codes = opened.encode(rows.array(), draws=draws, generator=torch.Generator().manual_seed(seed))
    arrays = {name: z.cpu().numpy() for name, z in codes.items()}
    if rows.labels is not None:
        arrays["labels"] = rows.labels
    _write(out or run / "codes.npz", arrays, json)


def reconstruct(
    context: typer.Context,
    run: options.RunArgument,
    data: options.Data = None,
    split: Split = Part.test,
    out: OutFile = None,
    device: options.Device = "auto",
    raw_weights: options.RawWeights = False,
    json: options.Json = False,
) -> None:
    """Reconstruct data with zero noise: x and x_hat (N, ...) in the data's units."""
    opened = options.load_run(context, run, device, raw_weights)
    x = _rows(opened, data, split).array()
    arrays = {"x": x, "x_hat": opened.reconstruct(x).cpu().numpy()}
    _write(out or run / "reconstructions.npz", arrays, json)


def _rows(run: Run, data: str | None, split: Part) -> datasets.Split:
    from aaeframe import data as datasets

    dataset = run.dataset() if data is None else datasets.load(data)
    return dataset.split(split)


def _write(path: Path, arrays: Mapping[str, np.ndarray], json: bool) -> None:
    """Write the arrays, whole or not at all, and say what and where."""
    import io

    import numpy as np

    from aaeframe.cli.console import out, print_json
    from aaeframe.files import write_atomically

    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    write_atomically(path, buffer.getvalue())
    if json:
        print_json({"file": str(path), "arrays": {name: list(x.shape) for name, x in arrays.items()}})
        return
    shapes = ", ".join(f"{name} {tuple(x.shape)}" for name, x in arrays.items())
    out().print(f"{path}: {shapes}", markup=False)
