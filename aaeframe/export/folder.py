"""The folder of an export: a file for each part, and the manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np

from aaeframe.anomaly.density import Density
from aaeframe.anomaly.scores import Kind
from aaeframe.errors import ConfigError, DataError, RunError
from aaeframe.export.check import ROWS, check
from aaeframe.export.onnx import NEEDED, OPSET, require_packages, to_onnx
from aaeframe.export.parts import DecoderPart, EncoderPart, Part
from aaeframe.export.score import ScorePart
from aaeframe.model.autoencoder import Autoencoder
from aaeframe.storage.atomic import write_atomically
from aaeframe.storage.new_folder import new_folder
from aaeframe.version import __version__

FORMAT: Final = 1
"""The version of the manifest."""
MANIFEST: Final = "manifest.json"
PARTS: Final = ("encoder", "decoder")
"""The parts that are exported if none is named."""
QUANTILES: Final = (0.5, 0.9, 0.95, 0.99)
"""The quantiles of the scores of the training rows, from which a threshold is chosen."""


@dataclass(frozen=True)
class Scoring:
    """The kind of score to export, and for "density" the fitted density."""

    kind: Kind
    density: Density | None = None

    @property
    def entries(self) -> dict[str, Any]:
        """Entries of the manifest: the kind, and how the scores of the training rows are distributed."""
        if self.density is None:
            return {"kind": self.kind}
        quantiles = {f"{it:g}": float(np.quantile(self.density.training, it)) for it in QUANTILES}
        return {"kind": self.kind, "training_quantiles": quantiles}


def export_onnx(
    model: Autoencoder,
    rows: np.ndarray,
    path: Path,
    *,
    parts: Sequence[str] = PARTS,
    scoring: Callable[[], Scoring] | None = None,
    about: Mapping[str, Any] | None = None,
    origin: str = "the given rows",
) -> list[Path]:
    """Write parts of a model as ONNX files into a new folder, with a manifest; returns the paths, the manifest last.

    Args:
        model: the model. It is put into evaluation mode, as by `encode`, and not changed otherwise.
        rows: (M, *shape) in the user's units, of which the first 64 check the files. M is at least 1. Their type is
            that of the input.
        path: the new folder.
        parts: names of parts, "encoder", "decoder" or "score".
        scoring: called for the part "score" alone; by default it is the reconstruction error.
        about: more entries for the manifest.
        origin: the origin of the rows, for the manifest.

    Nothing is written unless every file gives what the model gives, to 1e-4 of the range of each output. ConfigError
    without the extra `export`, or for an unknown part. DataError without a row. ExportError if a part cannot be
    exported. RunError if the folder exists.
    """
    require_packages()
    unknown = [name for name in parts if name not in (*PARTS, ScorePart.title)]
    if unknown:
        raise ConfigError(f"--part {unknown[0]} is not a part of a model; parts are encoder, decoder and score")
    if path.exists():
        raise RunError(f"{path} exists already; an export is never overwritten. Choose another --out, or remove it")
    if not len(rows):
        raise DataError(f"{origin}: there are none to check the files on; give at least one")
    scored = (scoring or _reconstruction)() if ScorePart.title in parts else _reconstruction()
    make: dict[str, Callable[[], Part]] = {
        "encoder": lambda: EncoderPart(model, rows.dtype),
        "decoder": lambda: DecoderPart(model),
        "score": lambda: ScorePart(model, rows.dtype, scored.kind, scored.density),
    }
    chosen = [make[name]() for name in dict.fromkeys(parts or PARTS)]
    made = [_made(part, model, rows[:ROWS]) for part in chosen]
    if ScorePart.title in parts:
        made[[it.title for it in chosen].index(ScorePart.title)][1].update(scored.entries)
    manifest = {
        "format": FORMAT,
        **(about or {}),
        "versions": {"aaeframe": __version__, **{name: _version(name) for name in ("torch", *NEEDED)}},
        "check": {"rows": min(ROWS, len(rows)), "of": origin, "against": f"torch on {model.device.type}"},
        "parts": {part.title: entry for part, (_, entry) in zip(chosen, made, strict=True)},
    }
    files = {f"{part.title}.onnx": content for part, (content, _) in zip(chosen, made, strict=True)}
    files[MANIFEST] = json.dumps(manifest, indent=1, allow_nan=False).encode()

    def fill(aside: Path) -> None:
        for name, content in files.items():
            write_atomically(aside / name, content)

    folder = new_folder(path, fill)
    return [folder / name for name in files]


def _version(module: str) -> str:
    """The version of a module: its distribution may have another name, as onnxruntime-gpu."""
    return str(import_module(module).__version__)


def _reconstruction() -> Scoring:
    return Scoring("reconstruction")


def _made(part: Part, model: Autoencoder, rows: np.ndarray) -> tuple[bytes, dict[str, Any]]:
    """The checked file of a part, and its entry of the manifest."""
    feeds = part.feeds(model, rows)
    content = to_onnx(part.ready(), feeds)
    differences = check(part, content, model, feeds)
    return content, {
        "file": f"{part.title}.onnx",
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "opset": OPSET,
        "inputs": [port.as_dict() for port in part.inputs],
        "outputs": [port.as_dict() for port in part.outputs],
        "difference": {it.output: it.as_dict() for it in differences},
    }
