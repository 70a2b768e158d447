"""`aaeframe sample`, `encode` and `reconstruct`: use a trained run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aaeframe.cli import options

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    from torch import Tensor

    from aaeframe import data as datasets
    from aaeframe.runs.run import Run
    from aaeframe.storage.npz import StoredArray

OutFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="File to write, .npz; default: in the folder of the run.")
]


def sample(
    context: typer.Context,
    run: options.RunArgument,
    count: Annotated[int, typer.Option(min=1, metavar="N", help="Number of samples.")] = 64,
    seed: options.Seed = 0,
    label: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS",
            help="Class of all samples, by its name in the data, or number of a category without names.",
        ),
    ] = None,
    out: OutFile = None,
    device: options.Device = "auto",
    raw_weights: options.RawWeights = False,
    best: options.Best = False,
    json: options.Json = False,
) -> None:
    """Decode samples of the prior. Writes x (count, ...) in the units of the data, the code of each block, labels."""
    import numpy as np

    opened = options.load_run(context, run, device, raw_weights, best)
    options.check_writable(run if out is None else out.parent)
    code, labels = opened.model.sample_code(
        count, seed=seed, label=None if label is None else opened.class_index(label)
    )
    arrays = {"x": _decoded(opened, code, labels), **{name: z.cpu().numpy() for name, z in code.items()}}
    if labels is not None:
        arrays |= {"labels": labels.cpu().numpy(), "class_names": np.array(opened.class_names or [])}
    _write(out or run / "samples.npz", arrays, json)


@options.with_row_options
def encode(
    context: typer.Context,
    run: options.RunArgument,
    asked: options.RowOptions,
    draws: Annotated[
        int, typer.Option(min=0, metavar="N", help="Codes drawn of q(z|x) for each row; 0: one, without noise.")
    ] = 0,
    seed: options.Seed = 0,
    representation: Annotated[
        bool, typer.Option("--representation", help="Also write the input of the decoder, as representation.")
    ] = False,
    out: OutFile = None,
    device: options.Device = "auto",
    raw_weights: options.RawWeights = False,
    best: options.Best = False,
    json: options.Json = False,
) -> None:
    """Encode data. Writes the code of each block, (N, ...) or (draws, N, ...), and labels, class names and ids."""
    import numpy as np
    import torch

    opened = options.load_run(context, run, device, raw_weights, best)
    options.check_writable(run if out is None else out.parent)
    found = asked.load(opened)
    codes = opened.encode(found.rows, draws=draws, generator=torch.Generator().manual_seed(seed))
    arrays = {name: z.cpu().numpy() for name, z in codes.items()}
    if representation:
        arrays["representation"] = _represented(opened, codes, _decoder_labels(opened, found), draws).cpu().numpy()
    if found.rows.labels is not None:
        arrays |= {"labels": found.rows.labels, "class_names": np.array(found.class_names)}
    _write(out or run / "codes.npz", arrays | _ids(found), json)


@options.with_row_options
def reconstruct(
    context: typer.Context,
    run: options.RunArgument,
    asked: options.RowOptions,
    out: OutFile = None,
    device: options.Device = "auto",
    raw_weights: options.RawWeights = False,
    best: options.Best = False,
    json: options.Json = False,
) -> None:
    """Reconstruct data without noise. Writes x and x_hat (N, ...) in the units of the data, and ids if any."""
    from aaeframe.storage.npz import Chunked

    opened = options.load_run(context, run, device, raw_weights, best)
    options.check_writable(run if out is None else out.parent)
    found = asked.load(opened)
    rows = found.rows
    x_hat = _decoded(opened, opened.encode(rows), _decoder_labels(opened, found))
    arrays = {"x": Chunked((len(rows), *rows.shape), rows.dtype, rows.chunks(opened.model.batch_size)), "x_hat": x_hat}
    _write(out or run / "reconstructions.npz", arrays | _ids(found), json)


def _ids(found: datasets.AllRows) -> dict[str, np.ndarray]:
    return {} if found.rows.ids is None else {"ids": found.rows.ids}


def _decoded(run: Run, code: Mapping[str, Tensor], labels: Tensor | None) -> StoredArray:
    """The decoded data of codes, each part decoded when it is read."""
    import numpy as np
    import torch

    from aaeframe.storage.npz import Chunked

    size = run.model.batch_size
    count = len(next(iter(code.values())))

    def chunks() -> Iterator[np.ndarray]:
        for at in (slice(start, start + size) for start in range(0, count, size)):
            part = {name: z[at] for name, z in code.items()}
            yield run.decode(part, None if labels is None else labels[at]).cpu().numpy()

    exact = np.float64 if run.model.mean.dtype == torch.float64 else np.float32
    return Chunked((count, *run.model.data_shape), np.dtype(exact), chunks())


def _decoder_labels(run: Run, found: datasets.AllRows) -> Tensor | None:
    """The labels that the decoder needs, if any, as classes of the run. DataError for a class that it does not have."""
    from aaeframe.evaluation.class_reports import decoder_labels
    from aaeframe.runs.new_data import with_classes

    return decoder_labels(run.model, with_classes(found.rows, found.class_names, run.class_names, "the rows"))


def _represented(run: Run, codes: Mapping[str, Tensor], labels: Tensor | None, draws: int) -> Tensor:
    """The input of the decoder for these codes, (N, R) or (draws, N, R)."""
    import torch

    if draws == 0:
        return run.model.represent(codes, labels)
    each = [{name: z[draw] for name, z in codes.items()} for draw in range(draws)]
    return torch.stack([run.model.represent(code, labels) for code in each])


def _write(path: Path, arrays: Mapping[str, StoredArray], json: bool) -> None:
    """Write all the arrays or nothing, and print what was written and where."""
    from aaeframe.cli.console import print_json, say
    from aaeframe.storage.npz import write_npz

    write_npz(path, arrays)
    if json:
        print_json({"file": str(path), "arrays": {name: list(x.shape) for name, x in arrays.items()}})
        return
    shapes = ", ".join(f"{name} {tuple(x.shape)}" for name, x in arrays.items())
    say(f"{path}: {shapes}")
