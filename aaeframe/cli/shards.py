"""The option --shard of `encode` and `score`, and `aaeframe concat`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer

from aaeframe.cli import options
from aaeframe.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aaeframe.data import AllRows, Split
    from aaeframe.runs.run import Run
    from aaeframe.storage.output import Output
    from aaeframe.storage.results import Results
    from aaeframe.storage.shards import Share

LOOKED_AT: Final = 2**16
"""The number of bytes of a large mapped file, spread over it, by which other data is recognized."""


Origin: TypeAlias = "Mapping[str, str | int | float | bool | None]"


@dataclass(frozen=True)
class Work:
    """The rows that a command computes: all that were asked for, or those of a shard."""

    found: AllRows
    start: int = 0
    """The place of the first row among all rows."""
    share: Share | None = None
    stop: int = 0
    rows: int = 0
    origin: Origin | None = None

    @property
    def count(self) -> int:
        """The number of rows whose results are written."""
        return len(self.found.rows) if self.share is None else self.stop - self.start

    def write(self, output: Output, results: Results, json: bool, **origin: str | int | float | bool | None) -> None:
        """Write the results, with a description if they are of a shard, and print what was written and where.

        `origin` are the options of the command that the numbers depend on, by name.
        """
        from aaeframe.cli.sample_encode import write
        from aaeframe.storage.shards import Layout, Shard

        if self.share is None:
            write(output, results, json)
            return
        results = results.first(self.count)
        shard = Shard(
            index=self.share.index,
            count=self.share.count,
            start=self.start,
            stop=self.stop,
            rows=self.rows,
            origin={**(self.origin or {}), **origin},
            layout=Layout.of(results),
        )
        write(output, results, json, shard.model_dump_json())


def work_of(run: Run, asked: options.RowOptions, share: Share | None) -> Work:
    """The rows that were asked for, or those of a share: whole batches, so that each row is computed as in one process.

    A share without a batch has one row, the mean of the training, of which nothing is written.
    """
    import numpy as np

    from aaeframe.version import __version__

    if share is None:
        return Work(asked.load(run))
    whole = asked.load(run, check=False)
    size, count = run.model.batch_size, len(whole.rows)
    start, stop = (min(size * it, count) for it in share.bounds(-(-count // size)))
    if start == stop:
        mean = np.broadcast_to(run.means, (1, *whole.rows.shape)).astype(whole.rows.dtype)
        rows = replace(whole.rows.take(np.arange(1)), data=mean, index=None)
    else:
        rows = whole.rows.take(np.arange(start, stop))
        if asked.data is not None:
            _check_finite(rows, asked.data, start, size)
            run.check_range(rows, asked.data)
    origin: Origin = {
        "version of aaeframe": __version__,
        "weights of the run": run.weights_digest(),
        "data": fingerprint(whole.rows),
        "--label-key": asked.label_key,
        "--ids": asked.ids,
        "rows of a batch": size,
    }
    return Work(replace(whole, rows=rows), start, share, stop, count, origin)


def _check_finite(rows: Split, where: str, start: int, size: int) -> None:
    """DataError for a value that is not finite in float32, with its place among all rows; `start` is the first row's.

    It reads `size` rows at a time. Rows of a source are checked when they are surveyed.
    """
    import numpy as np

    from aaeframe.data.statistics import as_single, not_finite

    if rows.is_stored or rows.dtype.kind != "f":
        return
    for at, part in enumerate(rows.chunks(size)):
        flat = part.reshape(len(part), -1)
        finite = np.isfinite(as_single(flat))
        if not finite.all():
            row, feature = np.argwhere(~finite)[0]
            raise not_finite(where, "some", flat[row, feature], (start + at * size + int(row), int(feature)))


def fingerprint(rows: Split, *, whole: bool = False) -> str:
    """The digest by which rows are told from others: of their values, labels and ids.

    Of a mapped file above 64 MiB it reads a few rows, as each shard does. `whole` reads every row.
    """
    from hashlib import sha256

    from aaeframe.data.identity import MOST_BYTES, digest

    most = LOOKED_AT if rows.is_mapped and rows.nbytes > MOST_BYTES else MOST_BYTES
    found = digest(rows, max(most, rows.nbytes) if whole else most)
    if rows.ids is None:
        return found
    return sha256(found.encode() + f"{rows.ids.dtype.str}".encode() + rows.ids.tobytes()).hexdigest()


def share_of(shard: str | None) -> Share | None:
    """The share that --shard names. ConfigError if it is not I/N."""
    from aaeframe.storage.shards import Share

    return None if shard is None else Share.named(shard)


def output_of_shard(out: str | None, default: Path, form: str | None, share: Share) -> Output:
    """The file of a shard. ConfigError for a stream, and for a format that cannot store its description."""
    from aaeframe.storage.output import Output, is_stream
    from aaeframe.storage.shards import SUFFIXES

    if form is not None:
        raise ConfigError(f"--format {form} is for streams, and a shard is a file; leave it out")
    if out is None:
        options.check_writable(default.parent)
        return Output(share.path(default), default.suffix, follows=False)
    path = Path(out)
    if path.suffix.lower() in (".csv", ".npy"):
        raise ConfigError(
            f"--out {out}: {path.suffix} cannot store the shard's description; give .npz or .parquet, and "
            f"{path.suffix} to aaeframe concat"
        )
    if Output.named(out, SUFFIXES).descriptor is not None or is_stream(path):
        raise ConfigError(f"--out {out} is a stream, and a shard is a file, .npz or .parquet; give a file")
    return Output.named(share.path(path), SUFFIXES)


def concat(
    shards: Annotated[
        list[Path],
        typer.Argument(metavar="SHARD...", help="Files that --shard wrote, in any order.", show_default=False),
    ],
    out: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="File to write: .npz, .npy, .csv or .parquet; - is standard output.",
            show_default=False,
        ),
    ],
    form: options.Form = None,
    json: options.Json = False,
) -> None:
    """Join the shards of `encode` or `score` into the file that one process would have written.

    One shard is in memory at a time. Missing and doubled shards are refused, and those of other runs, data or options.
    """
    from aaeframe.cli.sample_encode import write
    from aaeframe.storage.results import SUFFIXES
    from aaeframe.storage.shards import ShardFile, concatenated

    output = options.output(out, SUFFIXES, json=json, form=form)
    if any(output.path.resolve() == it.resolve() for it in shards):
        raise ConfigError(f"--out {out} is one of the shards; give another file")
    write(output, concatenated([ShardFile.open(it) for it in shards]), json)
