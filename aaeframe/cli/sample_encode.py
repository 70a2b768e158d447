"""`aaeframe sample`, `encode` and `reconstruct`: use a trained run."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aaeframe.cli import options
from aaeframe.errors import ConfigError

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


class Part(StrEnum):
    """The rows of a data set."""

    test = "test"
    validation = "validation"
    train = "train"
    all = "all"


Split = Annotated[
    Part | None,
    typer.Option(metavar="SPLIT", help="Rows to use: test, validation, train or all; default: test, or all of --data."),
]
Data = Annotated[
    str | None,
    typer.Option(metavar="NAME|PATH", help="Data of the same kind as the run's; default: the data of the run."),
]
LabelKey = Annotated[str | None, typer.Option(metavar="NAME", help="Column or array of --data that holds the labels.")]


def sample(
    context: typer.Context,
    run: options.RunArgument,
    count: Annotated[int, typer.Option(min=1, metavar="N", help="Number of samples.")] = 64,
    seed: options.Seed = 0,
    label: Annotated[
        int | None, typer.Option(min=0, metavar="CLASS", help="Class of all samples, if the model has classes.")
    ] = None,
    out: OutFile = None,
    device: options.Device = "auto",
    raw_weights: options.RawWeights = False,
    json: options.Json = False,
) -> None:
    """Decode samples of the prior. Writes x (count, ...) in the units of the data, the code of each block, labels."""
    opened = options.load_run(context, run, device, raw_weights)
    code, labels = opened.model.sample_code(count, seed=seed, label=label)
    arrays = {"x": _decoded(opened, code, labels), **{name: z.cpu().numpy() for name, z in code.items()}}
    if labels is not None:
        arrays["labels"] = labels.cpu().numpy()
    _write(out or run / "samples.npz", arrays, json)


def encode(
    context: typer.Context,
    run: options.RunArgument,
    data: Data = None,
    label_key: LabelKey = None,
    split: Split = None,
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
    json: options.Json = False,
) -> None:
    """Encode data. Writes the code of each block, (N, ...) or (draws, N, ...), and labels and class names if any."""
    import numpy as np
    import torch

    opened = options.load_run(context, run, device, raw_weights)
    rows, class_names = _rows(opened, data, label_key, split)
    codes = opened.encode(rows, draws=draws, generator=torch.Generator().manual_seed(seed))
    arrays = {name: z.cpu().numpy() for name, z in codes.items()}
    if representation:
        labels = _decoder_labels(opened, rows, class_names)
        arrays["representation"] = _represented(opened, codes, labels, draws).cpu().numpy()
    if rows.labels is not None:
        arrays |= {"labels": rows.labels, "class_names": np.array(class_names)}
    _write(out or run / "codes.npz", arrays, json)


def reconstruct(
    context: typer.Context,
    run: options.RunArgument,
    data: Data = None,
    label_key: LabelKey = None,
    split: Split = None,
    out: OutFile = None,
    device: options.Device = "auto",
    raw_weights: options.RawWeights = False,
    json: options.Json = False,
) -> None:
    """Reconstruct data without noise. Writes x and x_hat (N, ...) in the units of the data."""
    from aaeframe.storage.npz import Chunked

    opened = options.load_run(context, run, device, raw_weights)
    rows, class_names = _rows(opened, data, label_key, split)
    labels = _decoder_labels(opened, rows, class_names)
    x_hat = _decoded(opened, opened.encode(rows), labels)
    arrays = {"x": Chunked((len(rows), *rows.shape), rows.dtype, rows.chunks(opened.model.batch_size)), "x_hat": x_hat}
    _write(out or run / "reconstructions.npz", arrays, json)


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


def _decoder_labels(run: Run, rows: datasets.Split, class_names: tuple[str, ...] | None) -> Tensor | None:
    """The labels that the decoder needs, if any. DataError if the rows' classes are not those of the run."""
    from aaeframe.errors import DataError
    from aaeframe.evaluation.class_reports import decoder_labels

    labels = decoder_labels(run.model, rows)
    if labels is not None and (known := run.dataset().class_names) != class_names:
        raise DataError(
            f"the run has the classes {known}, but these rows have {class_names}; give rows of the same classes"
        )
    return labels


def _represented(run: Run, codes: Mapping[str, Tensor], labels: Tensor | None, draws: int) -> Tensor:
    """The input of the decoder for these codes, (N, R) or (draws, N, R)."""
    import torch

    if draws == 0:
        return run.model.represent(codes, labels)
    each = [{name: z[draw] for name, z in codes.items()} for draw in range(draws)]
    return torch.stack([run.model.represent(code, labels) for code in each])


def _rows(
    run: Run, data: str | None, label_key: str | None, split: Part | None
) -> tuple[datasets.Split, tuple[str, ...] | None]:
    """The rows, and the names of their classes."""
    from aaeframe import data as datasets
    from aaeframe.data.read import usable

    if data is None and label_key is not None:
        raise ConfigError("--label-key names the labels of --data, which is not given; leave it out")
    if data is None:
        dataset = run.dataset()
    elif split in (None, Part.all):
        found = run.new_rows(data, label_key=label_key)
        return found.rows, found.class_names
    else:
        dataset = datasets.load(data, usable(data, run.config.data.reading).model_copy(update={"label_key": label_key}))
    return dataset.split(split or Part.test), dataset.class_names


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
