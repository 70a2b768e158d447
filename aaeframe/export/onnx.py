"""A part of a model as an ONNX file."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
import torch

from aaeframe.errors import ConfigError, ExportError
from aaeframe.export.parts import Part, Port
from aaeframe.version import __version__

OPSET: Final = 20
"""The version of the operators: onnxruntime knows it from 1.17 on."""
NEEDED: Final = ("onnx", "onnxscript", "onnxruntime")
"""The packages of the extra `export`."""


def require_packages() -> None:
    """ConfigError, with the command that installs them, if a package for the export is missing."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"the export to ONNX needs {', '.join(NEEDED)}; not installed: {', '.join(missing)}. Install the extra: "
            'pip install "aaeframe[export]"'
        )


def to_onnx(part: Part, feeds: list[np.ndarray]) -> bytes:
    """The ONNX file of a part, for any number of rows. `feeds` are example inputs.

    The file holds the weights and no trace of where it was made. ExportError if the part cannot be traced.
    """
    example = tuple(torch.from_numpy(_two(it)) for it in feeds)
    rows = torch.export.Dim("N", min=1)
    try:
        with _quietly():
            program = torch.onnx.export(
                part,
                example,
                dynamic_shapes=(tuple({0: rows} for _ in example),),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # a component is someone else's code, and the exporter raises of any type
        raise ExportError(
            f"the {part.title} cannot be exported to ONNX: {_reason(error)}. Its components must be traceable by "
            "torch.export (no branch on the values of a tensor, no numpy) and use operators that ONNX has"
        ) from error
    assert program is not None
    _tidy(program.model, part)
    return _serialized(part, program)


def _two(rows: np.ndarray) -> np.ndarray:
    """Two rows or more: torch takes an axis of one for a constant."""
    return rows if len(rows) > 1 else np.concatenate([rows, rows])


def _serialized(part: Part, program: Any) -> bytes:
    try:
        content: bytes = program.model_proto.SerializeToString()
    except ValueError as error:
        raise ExportError(f"the {part.title} is too large for one ONNX file, which holds up to 2 GiB") from error
    return content


def _tidy(model: Any, part: Part) -> None:
    """Name inputs and outputs, and remove what the exporter notes: source lines and paths of this machine."""
    graph = model.graph
    ports = [*zip(graph.inputs, part.inputs, strict=True), *zip(graph.outputs, part.outputs, strict=True)]
    wanted, named = {port.name for _, port in ports}, {value for value, _ in ports}
    inner = [*graph.initializers.values(), *(it for node in graph.all_nodes() for it in node.outputs)]
    for value in inner:
        value.metadata_props.clear()
        if value not in named and value.name in wanted:
            value.name = f"{value.name}.inner"
    for node in graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
    for value, port in ports:
        _describe(value, port)
    graph.metadata_props.clear()
    model.metadata_props.clear()
    model.producer_name, model.producer_version = "aaeframe", __version__
    graph.name = part.title


def _describe(value: Any, port: Port) -> None:
    import onnx_ir

    value.metadata_props.clear()
    value.name, value.doc_string = port.name, port.meaning
    value.shape = onnx_ir.Shape(["N", *port.shape])


@contextmanager
def _quietly() -> Iterator[None]:
    """Hide what the exporter prints and warns of: packages that are not needed, and its own deprecated calls."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)


def _reason(error: BaseException) -> str:
    """The first cause of an error in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    first = next((line for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first.strip()[:300]}"
