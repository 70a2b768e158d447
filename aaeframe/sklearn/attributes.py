"""Fitted attributes as plain values, so that a pickle of an estimator names no class but the estimator's."""

from __future__ import annotations

from typing import Any

import numpy as np

Packed = dict[str, Any]


def pack(value: Any) -> Packed:
    """A number, a text, None or an array as plain values. TypeError for anything else."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return {"value": value}
    if not isinstance(value, np.ndarray):
        raise TypeError(f"a fitted attribute of type {type(value).__name__} cannot be stored")
    if value.dtype.kind in "OU":
        return {"list": value.tolist(), "dtype": value.dtype.str}
    return {"bytes": value.tobytes(), "dtype": value.dtype.str, "shape": value.shape}


def unpack(packed: Packed) -> Any:
    """The value that `pack` took."""
    if "value" in packed:
        return packed["value"]
    if "list" in packed:
        return np.array(packed["list"], dtype=packed["dtype"])
    return np.frombuffer(packed["bytes"], packed["dtype"]).reshape(packed["shape"]).copy()
