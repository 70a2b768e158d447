"""The check of an exported file: onnxruntime must give what the model gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch

from aaeframe.errors import ExportError
from aaeframe.export.parts import Part
from aaeframe.model.autoencoder import Autoencoder

ROWS: Final = 64
"""The number of rows of a check."""
MOST: Final = 1e-4
"""The largest accepted difference, as a share of the range of an output."""
FLAT: Final = 1e-2
"""The smallest range of a check, as a share of the largest magnitude: 1e-4 of it, 1e-6 in all, allows for rounding."""


@dataclass(frozen=True)
class Difference:
    """The difference of one output between the file and the model."""

    output: str
    largest: float
    """The largest difference, in the units of the output."""
    share: float
    """The largest difference as a share of the output's range, in the model's units."""

    def as_dict(self) -> dict[str, float]:
        """The difference as a manifest holds it."""
        return {"largest": self.largest, "share_of_range": self.share}


def check(part: Part, content: bytes, model: Autoencoder, feeds: list[np.ndarray]) -> list[Difference]:
    """The differences of an ONNX file from the model, output by output, on many rows and on one.

    ExportError if onnxruntime refuses the file, if it gives another shape or type, or if a difference is more than
    1e-4 of the range.
    """
    expected = part.expected(model, feeds)
    many, one = (_run(part, content, [it[:rows] for it in feeds]) for rows in (len(feeds[0]), 1))
    found = []
    for port, want, whole, single in zip(part.outputs, expected, many, one, strict=True):
        for got, part_of in ((whole, want), (single, want[:1])):
            if got.shape != part_of.shape or got.dtype != np.dtype(port.dtype):
                raise ExportError(
                    f"the exported {part.title} gives {port.name!r} as {got.dtype} of shape {got.shape}, where the "
                    f"model gives {port.dtype} of shape {part_of.shape}; the file was not written"
                )
        found.append(_difference(part, port.name, want, [whole, single]))
    return found


def _difference(part: Part, name: str, want: np.ndarray, results: list[np.ndarray]) -> Difference:
    """The difference of results from the first rows of what is wanted."""
    want = want.astype(np.float64)
    pairs = [(got.astype(np.float64), want[: len(got)]) for got in results]
    largest = float(max(np.abs(got - of).max() for got, of in pairs))
    scaled = [(part.in_model_units(got), part.in_model_units(of)) for got, of in pairs]
    share = float(max(np.abs(got - of).max() for got, of in scaled) / _range(part.in_model_units(want)))
    if not share <= MOST:  # not a number, too
        raise ExportError(
            f"the exported {part.title} is not the model: its {name!r} differs by up to {largest:.3g} on "
            f"{len(want)} rows, which is {share:.2g} of the range, where at most {MOST:g} is accepted; the file "
            "was not written. A model with values that are not finite cannot be exported; if these are finite, please "
            "report it"
        )
    return Difference(name, largest, share)


def _range(values: np.ndarray) -> float:
    """The range of an output, at least 1e-2 of its largest magnitude. One number has no range but its magnitude."""
    size = float(np.abs(values).max())
    return (size if values.size == 1 else max(float(np.ptp(values)), FLAT * size)) or 1.0


def _run(part: Part, content: bytes, feeds: list[np.ndarray]) -> list[np.ndarray]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    inputs = {port.name: rows for port, rows in zip(part.inputs, feeds, strict=True)}
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        outputs: list[Any] = session.run([port.name for port in part.outputs], inputs)
    except Exception as error:  # onnxruntime's own errors have no common class
        first = str(error).partition("\n")[0][:300]
        raise ExportError(
            f"onnxruntime does not run the exported {part.title} on {len(feeds[0])} rows: {first}; the file was not "
            "written"
        ) from error
    return [np.asarray(it) for it in outputs]
