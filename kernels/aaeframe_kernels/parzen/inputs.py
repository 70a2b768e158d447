"""Checks and conversions of x, samples and bandwidths."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor


def check_rows(tensor: Tensor, name: str) -> None:
    """ValueError unless a tensor is (n, *shape) of uint8 or floating point, TypeError for non-tensors; reads no
    values."""
    if not isinstance(tensor, Tensor):
        raise TypeError(
            f"{name} must be a tensor (n, *shape), found {type(tensor).__name__}; torch.as_tensor makes one"
        )
    if tensor.ndim < 2 or tensor.numel() == 0:
        raise ValueError(f"{name} must be (n, *shape) with n >= 1 and D >= 1, found {tuple(tensor.shape)}")
    if tensor.dtype != torch.uint8 and not tensor.is_floating_point():
        raise ValueError(
            f"{name} must be uint8 pixels (counted as value/255) or floating point, found {tensor.dtype}; "
            "convert it, and scale it as the other side is scaled"
        )


def rows(tensor: Tensor, name: str) -> Tensor:
    """Rows (n, D) of a tensor that passes `check_rows`, as `flat` makes them. ValueError for infinity."""
    check_rows(tensor, name)
    found = flat(tensor)
    _refuse_infinity(found, name)
    return found


def flat(tensor: Tensor) -> Tensor:
    """Rows (n, D), contiguous: half precision becomes float32, other types are kept. Reads no values on the host."""
    found = tensor.detach().flatten(1)
    return (found.float() if found.dtype in (torch.float16, torch.bfloat16) else found).contiguous()


def bandwidth_tensor(bandwidths: float | Sequence[float] | Tensor) -> Tensor:
    """Bandwidths as float64 (S,) on the CPU. ValueError unless there is at least one, and all are positive and
    finite."""
    values = torch.as_tensor(bandwidths, dtype=torch.float64, device="cpu").detach().reshape(-1).clone()
    if values.numel() == 0 or not bool((values.isfinite() & (values > 0)).all()):
        raise ValueError(f"bandwidths must be positive, finite numbers, one at least; found {values.tolist()}")
    return values


def as_pixels(x: Tensor) -> Tensor:
    """Rows as uint8 pixels if every value equals k/255 in float32; otherwise the rows unchanged."""
    if x.dtype == torch.uint8:
        return x
    pixels = (x * 255).round().clamp(0, 255)
    on_grid = bool((pixels.float() / 255 == x.float()).all())
    return pixels.to(torch.uint8) if on_grid else x


def as_data(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Rows in the units of the data: pixels/255; floating point unchanged."""
    scaled = values.to(dtype)
    return scaled / 255 if values.dtype == torch.uint8 else scaled


def within_pixels(chunk: Tensor) -> bool:
    """Whether a chunk has the range of pixels: uint8, or all values in [0, 1] without NaN."""
    if chunk.dtype == torch.uint8:
        return True
    least, greatest = chunk.aminmax()
    return bool((least >= 0) & (greatest <= 1))


def digest(x: Tensor) -> Tensor:
    """SHA-256 of the rows of x, with their dtype and shape: uint8 (32,). Two states can merge only if these are
    equal."""
    head = f"{x.dtype} {tuple(x.shape)}".encode()
    body = x.cpu().contiguous().view(torch.uint8).numpy()
    return torch.frombuffer(bytearray(hashlib.sha256(head + body.tobytes()).digest()), dtype=torch.uint8)


def _refuse_infinity(values: Tensor, name: str) -> None:
    """ValueError for an infinite value. A finite sum proves that there is none, in one cheap pass."""
    if values.dtype == torch.uint8 or bool(values.sum().isfinite()):
        return
    infinite = int(values.isinf().any(1).sum())
    if infinite:
        raise ValueError(
            f"{name} must be finite, or NaN where a result of NaN is wanted; {infinite} of {len(values)} rows hold "
            "infinity; drop them or clip them knowingly"
        )
