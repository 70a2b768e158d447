"""The folder of an export: a file for each part, and the manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from aaeframe.errors import ConfigError, RunError
from aaeframe.export.check import ROWS, check
from aaeframe.export.onnx import NEEDED, OPSET, require_packages, to_onnx
from aaeframe.export.parts import Part, parts_of
from aaeframe.model.autoencoder import Autoencoder
from aaeframe.storage.atomic import write_atomically
from aaeframe.storage.new_folder import new_folder

FORMAT: Final = 1
"""The version of the manifest."""
MANIFEST: Final = "manifest.json"


def export_onnx(
    model: Autoencoder,
    rows: np.ndarray,
    path: Path,
    *,
    parts: Sequence[str] = (),
    about: Mapping[str, Any] | None = None,
    origin: str = "the given rows",
) -> list[Path]:
    """Write parts of a model as ONNX files into a new folder, with a manifest; returns the paths, the manifest last.

    Args:
        model: the model; it is not changed.
        rows: (M, *shape) in the user's units, of which the first 64 check the files. Their type is that of the input.
        path: the new folder.
        parts: names of parts; all if none is given.
        about: more entries for the manifest.
        origin: the origin of the rows, for the manifest.

    Nothing is written unless every file gives what the model gives, to 1e-4 of the range of each output. ConfigError
    without the extra `export`, or for an unknown part. ExportError if a part cannot be exported. RunError if the folder
    exists.
    """
    require_packages()
    available = parts_of(model, rows.dtype)
    unknown = [name for name in parts if name not in available]
    if unknown:
        raise ConfigError(f"--part {unknown[0]} is not a part of this model; it has {', '.join(available)}")
    if path.exists():
        raise RunError(f"{path} exists already; an export is never overwritten. Choose another --out, or remove it")
    chosen = [available[name] for name in dict.fromkeys(parts or available)]
    made = [_made(part, model, rows[:ROWS]) for part in chosen]
    manifest = {
        "format": FORMAT,
        **(about or {}),
        "versions": {name: version(name) for name in ("aaeframe", "torch", *NEEDED)},
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
