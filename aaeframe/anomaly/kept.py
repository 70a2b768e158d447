"""The fitted density in the file of a run, with the digest of the weights that it belongs to."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from aaeframe.anomaly.density import Density
from aaeframe.anomaly.gaussian import Gaussian
from aaeframe.errors import CheckpointError
from aaeframe.storage.atomic import write_atomically
from aaeframe.storage.checkpoint import decoded
from aaeframe.storage.formats import read_safetensors

_ARRAYS: Final = ("mean", "std", "whitening", "axes", "rest", "training")
_DIGESTS: Final = ("weights", "digest")
"""SHA-256 of the weights that it was fitted with, and of all that is above, as bytes."""


def write(path: Path, density: Density, weights: str) -> None:
    """Write a density with the digest (hex) of its weights. RunError if it cannot be written."""
    write_atomically(path, to_bytes(density, weights))


def to_bytes(density: Density, weights: str) -> bytes:
    """A density with the digest (hex) of its weights, as safetensors."""
    it = density.gaussian
    arrays = (it.mean, it.std, it.whitening, it.axes, np.array([it.rest]), density.training)
    tensors = {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in zip(_ARRAYS, arrays, strict=True)}
    tensors["weights"] = _bytes(weights)
    return save({**tensors, "digest": _bytes(_digest(tensors))})


def read(path: Path, weights: str, size: int) -> Density | None:
    """The density in a file; None if there is no file, or it belongs to other weights.

    `size` is the number of values of a row. CheckpointError if the file is damaged.
    """
    if not path.exists():
        return None
    try:
        return from_bytes(read_safetensors(path), weights, size)
    except (ValueError, OSError) as error:
        raise CheckpointError(f"{path} cannot be used: {error}. Remove it; the next score fits it again") from error


def from_bytes(content: bytes, weights: str, size: int) -> Density | None:
    """The density that `to_bytes` stored; None if it belongs to other weights. ValueError if it is damaged."""
    tensors = decoded(content)
    types = {**dict.fromkeys(_ARRAYS, torch.float64), **dict.fromkeys(_DIGESTS, torch.uint8)}
    if {name: it.dtype for name, it in tensors.items()} != types:
        raise ValueError("its tensors are not those of a density")
    digest = tensors.pop("digest")
    if digest.tolist() != _bytes(_digest(tensors)).tolist():
        raise ValueError("its digest is not that of its content")
    if tensors["weights"].tolist() != _bytes(weights).tolist():
        return None
    mean, std, whitening, axes, rest, training = (tensors[name].numpy() for name in _ARRAYS)
    shapes = (mean.shape, std.shape, whitening.shape, rest.shape, training.shape)
    wanted = ((mean.size,), (mean.size,), (len(axes), mean.size), (1,), (training.size,))
    if shapes != wanted or mean.size < size or not all(tensors[name].isfinite().all() for name in _ARRAYS):
        raise ValueError(f"its tensors do not fit rows of {size} values")
    return Density(Gaussian(mean, std, whitening, axes, float(rest[0])), training)


def _digest(tensors: dict[str, Tensor]) -> str:
    found = hashlib.sha256()
    for name, it in sorted(tensors.items()):
        found.update(f"{name} {it.dtype} {tuple(it.shape)}".encode() + it.numpy().tobytes())
    return found.hexdigest()


def _bytes(digest: str) -> Tensor:
    return torch.tensor(list(bytes.fromhex(digest)), dtype=torch.uint8)
