"""`aaeframe sample`, `encode` and `reconstruct`: use a trained run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aaeframe.cli import options

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    from torch import Tensor

    from aaeframe import data as datasets
    from aaeframe.data import Split
    from aaeframe.runs.run import Run
    from aaeframe.storage.npz import StoredArray
    from aaeframe.storage.output import Output
    from aaeframe.storage.results import Results
    from aaeframe.storage.shards import Share


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
    out: options.OutFile = None,
    form: options.Form = None,
    device: options.Device = "auto",
    raw_weights: options.RawWeights = False,
    best: options.Best = False,
    json: options.Json = False,
) -> None:
    """Decode samples of the prior: x (count, ...) in the units of the data, the code of each block, labels.

    A table (.csv, .parquet) and .npy hold x alone, with the names of its columns and the labels.
    """
    from aaeframe.storage.results import Results

    output = output_of(out, run / "samples.npz", form, json)
    opened = options.load_run(context, run, device, raw_weights, best)
    options.check_not_read(output, opened.config.data.source)
    code, labels = opened.model.sample_code(
        count, seed=seed, label=None if label is None else opened.class_index(label)
    )
    results = Results(
        {"x": _decoded(opened, code, labels), **{name: z.cpu().numpy() for name, z in code.items()}},
        ["x"],
        {"x": opened.data["columns"] or ()},
        labels=None if labels is None else labels.cpu().numpy(),
        class_names=opened.class_names,
        flat=len(opened.model.data_shape) == 1,
    )
    write(output, results, json)


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
    out: options.OutFile = None,
    form: options.Form = None,
    device: options.Device = "auto",
    raw_weights: options.RawWeights = False,
    best: options.Best = False,
    shard: options.Shard = None,
    json: options.Json = False,
) -> None:
    """Encode data: the code of each block, (N, ...) or (draws, N, ...), and labels, class names and ids.

    A table (.csv, .parquet) has a row for each row and draw: ids, labels, then <block>_1, <block>_2 ...; a block of
    classes has their names. It can be read again as --data.
    """
    from aaeframe.cli.shards import share_of, work_of
    from aaeframe.runs.new_data import decoder_labels_of
    from aaeframe.storage.results import Results

    share = share_of(shard)
    output = output_of(out, run / "codes.npz", form, json, share)
    opened = options.load_run(context, run, device, raw_weights, best)
    options.check_not_read(output, asked.data, opened.config.data.source)
    work = work_of(opened, asked, share)
    found = work.found
    codes = _codes(opened, found.rows, draws, seed, work.start)
    arrays = {name: z.cpu().numpy() for name, z in codes.items()}
    if representation:
        arrays["representation"] = _represented(opened, codes, decoder_labels_of(opened, found), draws).cpu().numpy()
    block, names = opened.model.class_block, opened.category_names
    columns = {} if block is None or names is None else {block: names}
    results = Results(arrays, list(arrays), columns, **known(found), draws=draws)
    own = {"--draws": draws, "--seed": seed if draws else None, "--representation": representation}
    work.write(output, results, json, command="encode", **own)


def _codes(run: Run, rows: Split, draws: int, seed: int, start: int) -> Mapping[str, Tensor]:
    """The codes of rows, the first of which has the place `start` among all.

    The noise of a batch depends on the seed and its place alone, so that a shard draws what one process would.
    """
    import numpy as np
    import torch

    from aaeframe.seeds import generator

    if draws == 0:
        return run.encode(rows)
    size, parts = run.model.batch_size, []
    for at in range(0, len(rows), size):
        batch = rows.take(np.arange(at, min(at + size, len(rows))))
        parts.append(run.encode(batch, draws=draws, generator=generator(seed, "encode", start + at)))
    return {name: torch.cat([part[name] for part in parts], dim=1) for name in parts[0]}


@options.with_row_options
def reconstruct(
    context: typer.Context,
    run: options.RunArgument,
    asked: options.RowOptions,
    out: options.OutFile = None,
    form: options.Form = None,
    device: options.Device = "auto",
    raw_weights: options.RawWeights = False,
    best: options.Best = False,
    json: options.Json = False,
) -> None:
    """Reconstruct data without noise: x and x_hat (N, ...) in the units of the data, and ids and labels if any.

    A table (.csv, .parquet) and .npy hold x_hat alone, in the columns of the data.
    """
    from aaeframe.runs.new_data import decoder_labels_of
    from aaeframe.storage.npz import Chunked
    from aaeframe.storage.results import Results

    output = output_of(out, run / "reconstructions.npz", form, json)
    opened = options.load_run(context, run, device, raw_weights, best)
    options.check_not_read(output, asked.data, opened.config.data.source)
    found = asked.load(opened)
    rows = found.rows
    x_hat = _decoded(opened, opened.encode(rows), decoder_labels_of(opened, found))
    arrays = {"x": Chunked((len(rows), *rows.shape), rows.dtype, rows.chunks(opened.model.batch_size)), "x_hat": x_hat}
    columns = {"x_hat": opened.data["columns"] or ()}
    flat = len(rows.shape) == 1
    write(output, Results(arrays, ["x_hat"], columns, **known(found), flat=flat), json)


def known(found: datasets.AllRows) -> dict[str, Any]:
    """The labels, class names and ids of rows."""
    return {"labels": found.rows.labels, "class_names": found.class_names, "ids": found.rows.ids}


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


def _represented(run: Run, codes: Mapping[str, Tensor], labels: Tensor | None, draws: int) -> Tensor:
    """The input of the decoder for these codes, (N, R) or (draws, N, R)."""
    import torch

    if draws == 0:
        return run.model.represent(codes, labels)
    each = [{name: z[draw] for name, z in codes.items()} for draw in range(draws)]
    return torch.stack([run.model.represent(code, labels) for code in each])


def output_of(out: str | None, default: Path, form: str | None, json: bool, share: Share | None = None) -> Output:
    """The file to write, checked before any work; without a name, the one in the folder of the run."""
    from aaeframe.cli.shards import output_of_shard
    from aaeframe.storage.output import Output
    from aaeframe.storage.results import SUFFIXES

    if share is not None:
        return output_of_shard(out, default, form, share)
    form = options.form_of(form, out)
    if out is not None:
        return options.output(out, SUFFIXES, json=json, form=form)
    options.check_writable(default.parent)
    return Output(default, ".npz", follows=False)


def write(output: Output, results: Results, json: bool, about: str | None = None) -> None:
    """Write the results or nothing, and print what was written and where. `about` describes a shard."""
    from aaeframe.cli.console import beside, note, print_json, say
    from aaeframe.storage import results as storage

    suffix = storage.write(output, results, about)
    left = results.left_out(suffix)
    if left:
        note(f"{output}: {suffix} is without {', '.join(left)}; .npz has all")
    written = {name: list(x.shape) for name, x in results.all.items() if name not in left}
    if json:
        print_json({"file": str(output), "arrays": written})
        return
    shapes = ", ".join(f"{name} {tuple(shape)}" for name, shape in written.items())
    say(f"{output}: {shapes}", beside(output))
