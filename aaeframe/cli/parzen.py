"""`aaeframe parzen`: the likelihood estimator for samples of any model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aaeframe.cli import options
from aaeframe.cli.commands import App, refuse_options
from aaeframe.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from aaeframe.data import Split
    from aaeframe.evaluation.likelihood import Estimate
    from aaeframe.storage.output import Output

STRAYED = 0.5
"""Values this far outside [0, 1] are not in the units of pixels."""
LOOKED_AT = 10_000
"""The number of rows of a file whose range is checked."""

_FILE = "rows (.npy, .npz, .csv ...); uint8 images count as value / 255"


app = App(invoke_without_command=True, no_args_is_help=False)


@app.callback()
def parzen(
    context: typer.Context,
    samples: Annotated[Path | None, typer.Option(metavar="FILE", help=f"Samples of the model: {_FILE}.")] = None,
    test: Annotated[Path | None, typer.Option(metavar="FILE", help="Rows to evaluate, of the same shape.")] = None,
    validation: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Rows that choose the bandwidth; not the test rows.")
    ] = None,
    bandwidth: Annotated[
        list[float] | None,
        typer.Option(
            metavar="STD", help="Standard deviation of the kernel. Repeat it with --validation: the best is used."
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="File for the log-likelihood of each row: .npy, .npz, .csv or .parquet; - is standard output. With "
            "--shard, the file of the state, .safetensors.",
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Add only shard I of N of the samples, counted from 0, and write a state for aaeframe parzen merge: "
            "of the validation rows, if they are given, else of the test rows.",
        ),
    ] = None,
    form: options.Form = None,
    json: options.Json = False,
) -> None:
    """Estimate the Parzen log-likelihood of test rows under samples, in nats."""
    if context.invoked_subcommand is not None:
        refuse_options(context)
        return
    from aaeframe.cli.parzen_shards import write_state
    from aaeframe.data import load_rows
    from aaeframe.storage.results import SUFFIXES

    form = options.form_of(form, out)
    output = None if out is None or shard is not None else options.output(out, SUFFIXES, json=json, form=form)
    bandwidths = _checked(bandwidth, validation)
    paths = {"--samples": samples, "--test": test, "--validation": validation}
    if lacking := [name for name in ("--samples", "--test") if paths[name] is None]:
        raise ConfigError(f"{' and '.join(lacking)} not given; give the files of the samples and of the test rows")
    options.check_not_read(output, *paths.values())
    rows = {name.removeprefix("--"): load_rows(str(path)).rows for name, path in paths.items() if path is not None}
    _require_alike(rows)
    if shard is not None:
        write_state(rows, bandwidths, shard, out, form, json)
    else:
        show(_estimate(rows, bandwidths), output, json)


def show(found: Estimate, output: Output | None, json: bool) -> None:
    """Write the log-likelihood of each row, if a file is given, and print the estimate."""
    from aaeframe.cli.console import beside, print_json
    from aaeframe.cli.tables import likelihood_table
    from aaeframe.storage.results import Results, write

    if output is not None:
        values = found.log_likelihood.cpu().numpy()
        write(output, Results({"log_likelihood": values}, ["log_likelihood"], {"log_likelihood": ["log_likelihood"]}))
    if json:
        print_json(found.as_dict())
    else:
        beside(output).print(likelihood_table(found.as_dict()))


def _checked(bandwidth: list[float] | None, validation: Path | None) -> list[float] | None:
    """The bandwidths. ConfigError unless there is exactly one, or validation rows to choose it."""
    if validation is None and len(bandwidth or ()) != 1:
        raise ConfigError(
            f"found {len(bandwidth or ()) or 'no'} bandwidths and no validation rows to choose one; give "
            "--validation FILE, or --bandwidth once"
        )
    for value in bandwidth or ():
        if not 0 < value < math.inf:
            raise ConfigError(f"--bandwidth is a standard deviation, positive and finite, found {value}; give another")
    return bandwidth


def _require_alike(rows: dict[str, Split]) -> None:
    """DataError if the files differ in shape, or if some lie in [0, 1], like pixels, and others far outside."""
    shapes = {name: part.shape for name, part in rows.items()}
    if len(set(shapes.values())) > 1:
        found = ", ".join(f"{name} has {shape}" for name, shape in shapes.items())
        raise DataError(f"all rows must have the same shape, found: {found}; reshape the files to the same layout")
    ranges = {name: _range(part) for name, part in rows.items()}
    within = [name for name, (least, greatest) in ranges.items() if least >= 0 and greatest <= 1]
    beyond = [name for name, (least, greatest) in ranges.items() if least < -STRAYED or greatest > 1 + STRAYED]
    if within and beyond:
        found = ", ".join(f"{name} from {least:.4g} to {greatest:.4g}" for name, (least, greatest) in ranges.items())
        raise DataError(
            f"all rows must be in the same units, found values of {found}, where uint8 images count as value / 255. "
            f"Bring {' and '.join(beyond)} to the scale of {' and '.join(within)}: divide pixels by 255, "
            "map [-1, 1] to [0, 1]"
        )


def _range(part: Split) -> tuple[float, float]:
    """The least and the greatest value in rows spread over the split. Values of uint8 images count as value / 255."""
    import numpy as np

    if part.dtype == np.uint8 and len(part.shape) > 1:
        return 0.0, 1.0
    values = part.rows(np.linspace(0, len(part) - 1, min(LOOKED_AT, len(part))).astype(np.int64))
    return float(values.min()), float(values.max())


def _estimate(rows: dict[str, Split], bandwidths: Sequence[float] | None) -> Estimate:
    from aaeframe.cli.progress import samples_shown
    from aaeframe.evaluation.likelihood import Stored, estimate

    with samples_shown() as progress:
        return estimate(
            whole(rows["test"]),
            Stored(rows["samples"]),
            validation=whole(rows["validation"]) if "validation" in rows else None,
            bandwidths=bandwidths,
            progress=progress,
        )


def whole(rows: Split) -> Tensor:
    """All rows as a tensor."""
    import torch

    from aaeframe.evaluation.likelihood import as_numbers

    return as_numbers(torch.from_numpy(rows.array()))
