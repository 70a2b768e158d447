"""`aaeframe parzen`: the likelihood estimator for samples from anywhere."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aaeframe.cli import options
from aaeframe.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from aaeframe.data import Split
    from aaeframe.evaluation.likelihood import Estimate

FAR_BEYOND = 2.0
"""Where [0, 1] was meant, a value up to which a sample may have strayed; beyond, it is in other units."""

_FILE = "rows (.npy, .npz, .csv ...); uint8 counts as value / 255"


def parzen(
    samples: Annotated[Path, typer.Option(metavar="FILE", help=f"The model's samples: {_FILE}.", show_default=False)],
    test: Annotated[Path, typer.Option(metavar="FILE", help="Rows to judge, of the same shape.", show_default=False)],
    validation: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Rows that choose the bandwidth; never the test rows.")
    ] = None,
    bandwidth: Annotated[
        list[float] | None,
        typer.Option(help="Standard deviation of the kernel. With --validation it may be repeated: the grid."),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write each row's log-likelihood, .npy.")] = None,
    json: options.Json = False,
) -> None:
    """The Parzen log-likelihood of test rows under samples: mean over rows and standard error, in nats."""
    from aaeframe.cli.console import likelihood_table, print_json
    from aaeframe.cli.console import out as standard_output
    from aaeframe.data import load_rows

    bandwidths = _checked(bandwidth, validation)
    parts = {"samples": samples, "test": test} | ({} if validation is None else {"validation": validation})
    rows = {name: load_rows(str(path))[0] for name, path in parts.items()}
    _require_alike(rows)
    found = _estimate(rows, bandwidths)
    if out is not None:
        _write(out, found.log_likelihood)
    if json:
        print_json(found.as_dict())
    else:
        standard_output().print(likelihood_table(found.as_dict()))


def _checked(bandwidth: list[float] | None, validation: Path | None) -> list[float] | None:
    """The bandwidths as given; ConfigError if there is none and nothing to choose one by, or several and nothing."""
    if validation is None and len(bandwidth or ()) != 1:
        raise ConfigError(
            f"{len(bandwidth or ()) or 'no'} bandwidths were given and no validation rows to choose one by; give "
            "--validation FILE, or --bandwidth once"
        )
    for value in bandwidth or ():
        if not 0 < value < math.inf:
            raise ConfigError(f"--bandwidth is a standard deviation, above 0 and finite, found {value}")
    return bandwidth


def _require_alike(rows: dict[str, Split]) -> None:
    """DataError if rows differ in shape, or some are pixels and others on another scale than pixels / 255."""
    import numpy as np

    shapes = {name: part.shape for name, part in rows.items()}
    if len(set(shapes.values())) > 1:
        found = ", ".join(f"{name} has {shape}" for name, shape in shapes.items())
        raise DataError(f"rows must be of one shape, found: {found}; reshape the files to the same layout")
    pixels = [name for name, part in rows.items() if part.dtype == np.uint8]
    peaks = {name: _peak(part) for name, part in rows.items() if name not in pixels}
    beyond = [f"{name} reaches {peak:.4g}" for name, peak in peaks.items() if peak > FAR_BEYOND]
    if pixels and beyond:
        raise DataError(
            f"{' and '.join(pixels)} hold uint8, which counts as value / 255, but {' and '.join(beyond)}; divide by "
            "255 there, or give all as floating point in the same units"
        )


def _peak(part: Split) -> float:
    """The largest value of the first rows."""
    import numpy as np

    return float(part.rows(np.arange(min(1000, len(part)))).max())


def _estimate(rows: dict[str, Split], bandwidths: Sequence[float] | None) -> Estimate:
    import torch

    from aaeframe.cli.progress import samples_shown
    from aaeframe.evaluation.likelihood import Stored, estimate

    def whole(name: str) -> Tensor | None:
        return torch.from_numpy(rows[name].array()) if name in rows else None

    test = torch.from_numpy(rows["test"].array())
    with samples_shown() as progress:
        return estimate(
            test, Stored(rows["samples"]), validation=whole("validation"), bandwidths=bandwidths, progress=progress
        )


def _write(path: Path, values: Tensor) -> None:
    import io

    import numpy as np

    from aaeframe.files import write_atomically

    buffer = io.BytesIO()
    np.save(buffer, values.cpu().numpy(), allow_pickle=False)
    write_atomically(path, buffer.getvalue())
