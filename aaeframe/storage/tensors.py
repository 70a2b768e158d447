"""Tensors out of bytes that may be anything."""

from __future__ import annotations

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor


def decoded(content: bytes) -> dict[str, Tensor]:
    """The tensors of a safetensors file; ValueError says why it is none, or of what type torch has none."""
    try:
        return load(content)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    except (ValueError, LookupError, TypeError, AssertionError, RuntimeError, OverflowError) as error:
        # beyond the header, the library looks types up and asserts
        raise ValueError(f"its tensors cannot be made: {type(error).__name__}: {error}") from error
