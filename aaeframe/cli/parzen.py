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

STRAYED = 0.5
"""How far outside [0, 1] a value may lie where that was meant; beyond, it is in other units."""
LOOKED_AT = 10_000
"""Rows of a file whose values are looked at."""

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
    from aaeframe.cli.console import out as standard_output
    from aaeframe.cli.console import print_json
    from aaeframe.cli.tables import likelihood_table
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
    """DataError if rows differ in shape, or if some lie in [0, 1], as pixels do, and others far outside."""
    shapes = {name: part.shape for name, part in rows.items()}
    if len(set(shapes.values())) > 1:
        found = ", ".join(f"{name} has {shape}" for name, shape in shapes.items())
        raise DataError(f"rows must be of one shape, found: {found}; reshape the files to the same layout")
    ranges = {name: _range(part) for name, part in rows.items()}
    within = [name for name, (least, greatest) in ranges.items() if least >= 0 and greatest <= 1]
    beyond = [name for name, (least, greatest) in ranges.items() if least < -STRAYED or greatest > 1 + STRAYED]
    if within and beyond:
        found = ", ".join(f"{name} from {least:.4g} to {greatest:.4g}" for name, (least, greatest) in ranges.items())
        raise DataError(
            f"rows must be in the same units, but these reach {found}, where uint8 counts as value / 255; bring "
            f"{' and '.join(beyond)} to the scale of {' and '.join(within)}: divide pixels by 255, map [-1, 1] to "
            "[0, 1]"
        )


def _range(part: Split) -> tuple[float, float]:
    """The least and the greatest value of rows spread over the split; those of uint8 are parts of one."""
    import numpy as np

    if part.dtype == np.uint8:
        return 0.0, 1.0
    values = part.rows(np.linspace(0, len(part) - 1, min(LOOKED_AT, len(part))).astype(np.int64))
    return float(values.min()), float(values.max())


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

    from aaeframe.storage.atomic import write_atomically

    buffer = io.BytesIO()
    np.save(buffer, values.cpu().numpy(), allow_pickle=False)
    write_atomically(path, buffer.getvalue())
