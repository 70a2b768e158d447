"""The option --shard of `aaeframe parzen`, and `aaeframe parzen merge`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aaeframe.cli import options
from aaeframe.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aaeframe.data import Split
    from aaeframe.evaluation.parzen_shards import StateFile


def write_state(
    rows: dict[str, Split],
    bandwidths: Sequence[float] | None,
    shard: str,
    out: str | None,
    form: str | None,
    json: bool,
) -> None:
    """Write the state of one shard of the samples: of validation rows if there are some, else of the test rows.

    ConfigError unless `out` is a .safetensors file. A stopped shard is resumed by the same command.
    """
    import time

    from aaeframe.cli.console import err
    from aaeframe.cli.interrupts import leaving
    from aaeframe.cli.parzen import whole
    from aaeframe.cli.progress import samples_shown
    from aaeframe.evaluation.likelihood import Ranks, Stored, Stream, centered
    from aaeframe.evaluation.parzen_shards import SUFFIX, Record, StateFile
    from aaeframe.evaluation.resumable import Keep
    from aaeframe.storage.output import Output
    from aaeframe.storage.shards import Share
    from aaeframe_kernels import default_bandwidths

    share = Share.named(shard)
    if out is None or form is not None:
        raise ConfigError(f"--shard writes a state into a file; give --out FILE{SUFFIX}, without --format")
    if Output.named(out, [SUFFIX]).descriptor is not None:
        raise ConfigError(f"--out {out} is a stream, and a state is a file; give --out FILE{SUFFIX}")
    output = Output.named(share.path(Path(out)), [SUFFIX])
    tensors = {name: whole(it) for name, it in rows.items() if name != "samples"}
    test, validation, samples = centered(tensors["test"], tensors.get("validation"), Stored(rows["samples"]))
    x = test if validation is None else validation
    record = Record(
        rows="test" if validation is None else "validation",
        shards=(share.index,),
        count=share.count,
        samples=samples.count,
        moves=validation is not None and bandwidths is None,
        seconds=0.0,
        origin=_origin(rows),
    )
    keep = Keep(output.path.parent, {**record.model_dump(), "bandwidths": bandwidths})
    began = time.monotonic()
    with (
        leaving(err(), "stopped", after="these samples") as stop,
        samples_shown() as progress,
        stop.between(progress, "stopped; run the same command to resume from here") as shown,
    ):
        stream = Stream(samples, keep, shown, Ranks(share))
        state = stream.own(x, bandwidths or default_bandwidths(x), record.rows)
    found = StateFile(output.path, record.model_copy(update={"seconds": time.monotonic() - began}), state)
    found.write(output)
    keep.remove()
    _say(found, json)


def _origin(rows: dict[str, Split]) -> dict[str, str | int]:
    from aaeframe.cli.shards import fingerprint
    from aaeframe.version import __version__

    origin: dict[str, str | int] = {"version of aaeframe": __version__}
    return origin | {f"rows of --{name}": fingerprint(it, whole=name != "samples") for name, it in rows.items()}


def merge(
    states: Annotated[
        list[Path],
        typer.Argument(metavar="STATE...", help="Files that --shard or merge wrote, in any order.", show_default=False),
    ],
    out: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="File for the merged state of some or all shards, .safetensors; or for the log-likelihood of each "
            "row: .npy, .npz, .csv or .parquet; - is standard output.",
        ),
    ] = None,
    form: options.Form = None,
    json: options.Json = False,
) -> None:
    """Merge states of shards: all give the bandwidth, or the estimate; some give a state to merge further.

    States of validation rows choose the bandwidth for the shards of the test rows. Given both, the estimate reports the
    choice, too. Missing and doubled shards are refused, and those of other rows, samples or bandwidths.
    """
    from aaeframe.cli.parzen import show
    from aaeframe.evaluation.parzen_shards import SUFFIX, StateFile, estimate_of, merged
    from aaeframe.storage.results import SUFFIXES

    output = (
        None if out is None else options.output(out, (*SUFFIXES, SUFFIX), json=json, form=options.form_of(form, out))
    )
    files = [StateFile.read(it) for it in states]
    parts = {kind: [it for it in files if it.record.rows == kind] for kind in ("validation", "test")}
    validation, test = (merged(it) if it else None for it in parts.values())
    if output is not None and output.suffix == SUFFIX:
        found = test if validation is None else validation
        if found is None or (test is not None and validation is not None):
            raise ConfigError(f"--out {out} holds one state, of validation rows or of test rows; merge them apart")
        found.write(output)
        _say(StateFile(output.path, found.record, found.state), json)
        return
    for it in (validation, test):
        _require_all(it)
    if test is not None:
        show(estimate_of(test, validation), output, json)
    elif output is not None:
        raise ConfigError(
            f"--out {out} is for the log-likelihood of test rows, and these states are of validation rows; leave it out"
        )
    elif validation is not None:
        _show_choice(validation, json)


def _require_all(file: StateFile | None) -> None:
    """DataError unless a state has seen all samples."""
    from aaeframe.evaluation.parzen_shards import SUFFIX

    if file is None or not file.missing:
        return
    count, named = file.record.count, ", ".join(f"{it}/{file.record.count}" for it in file.missing[:20])
    more = f" and {len(file.missing) - 20} more" if len(file.missing) > 20 else ""
    raise DataError(
        f"{len(file.missing)} of {count} shards of the {file.record.rows} rows are missing: {named}{more}. Give them "
        f"all, or --out FILE{SUFFIX} to merge these"
    )


def _show_choice(validation: StateFile, json: bool) -> None:
    """Print the bandwidth that validation rows choose, and what to do next."""
    from aaeframe.cli.console import note, print_json, say
    from aaeframe.evaluation.parzen_shards import chosen
    from aaeframe_kernels.parzen.bandwidth import moved_grid

    choice = chosen(validation)
    moved = moved_grid(choice) if validation.record.moves and choice.edge is not None else None
    if json:
        found = {"bandwidth": choice.bandwidth, "bandwidths": choice.bandwidths, "moved": moved}
        print_json({**found, "validation_log_likelihoods": choice.mean_log_likelihoods, "warning": choice.warning})
        return
    best = max(choice.mean_log_likelihoods)
    say(f"bandwidth {choice.bandwidth!r}: log-likelihood of the validation rows {best:.4f} nats")
    if moved is not None:
        given = " ".join(f"--bandwidth {it!r}" for it in moved)
        note(f"it is the {choice.edge} of the grid; one process would continue with this grid: {given}")
        return
    if choice.warning is not None:
        note(choice.warning)
    note(f"for the test rows run the shards with --bandwidth {choice.bandwidth!r} in place of --validation")


def _say(file: StateFile, json: bool) -> None:
    """Print what was written."""
    from aaeframe.cli.console import print_json, say

    record, seen = file.record, file.state.count
    if json:
        which = {"shards": list(record.shards), "of": record.count}
        print_json({"file": str(file.path), "rows": record.rows, **which, "samples": seen})
        return
    shards = f"shard {record.shards[0]}" if len(record.shards) == 1 else f"{len(record.shards)} shards"
    say(f"{file.path}: {record.rows} rows under {seen:,} of {record.samples:,} samples, {shards} of {record.count}")
