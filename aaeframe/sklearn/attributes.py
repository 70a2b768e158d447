"""Fitted attributes as plain values, so that a pickle of an estimator names no class but the estimator's."""

from __future__ import annotations

from typing import Any

import numpy as np

Packed = dict[str, Any]


def pack(value: Any) -> Packed:
    """An array, or a number of numpy, as plain values; anything else as it is."""
    if isinstance(value, np.generic):
        value = value.item()
    if not isinstance(value, np.ndarray):
        return {"value": value}
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
