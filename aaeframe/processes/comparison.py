"""Comparisons of what must be the same in all processes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from aaeframe.errors import ProcessError
from aaeframe.processes.collective import texts
from aaeframe.processes.group import raised_by_all, size

MOST_NAMED = 3
"""The largest number of differences that a message names."""


def require_same(what: str, facts: Mapping[str, Any]) -> None:
    """ProcessError, in all processes, if these JSON-like values are not those of the first process."""
    if size() == 1:
        return
    found = [json.loads(it) for it in texts(json.dumps(_flat("", facts)))]
    for number, other in enumerate(found):
        names = [it for it in {**found[0], **other} if found[0].get(it) != other.get(it)]
        if names:
            differences = "; ".join(
                f"{name} is {_short(found[0].get(name))} in process 0 and {_short(other.get(name))} in process {number}"
                for name in names[:MOST_NAMED]
            )
            raise raised_by_all(
                ProcessError(f"the processes have different {what}: {differences}. Start all of them alike")
            )


def require_same_tensors(step: int, tensors: Mapping[str, Tensor]) -> None:
    """ProcessError, in all processes, that names the first tensor that is not equal, bit for bit, in all of them."""
    if size() == 1:
        return
    digests = {name: _digest(it) for name, it in tensors.items()}
    every = texts(hashlib.sha256(json.dumps(digests).encode()).hexdigest())
    if len(set(every)) == 1:
        return
    found = [json.loads(it) for it in texts(json.dumps(digests))]
    name = next(it for other in found for it in digests if other.get(it) != found[0].get(it))
    raise raised_by_all(
        ProcessError(
            f"step {step}: the processes have different values of {name}. A component that draws random numbers of its "
            "own does this, or a parameter that has a gradient in some processes only. Fix it, or train in one process"
        )
    )


def _digest(tensor: Tensor) -> str:
    content = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
    return hashlib.blake2b(content.numpy().data, digest_size=8).hexdigest()


def _flat(prefix: str, value: Any) -> dict[str, Any]:
    """The leaves of nested tables by dotted name."""
    if not isinstance(value, Mapping):
        return {prefix.rstrip("."): value}
    return {name: leaf for key, part in value.items() for name, leaf in _flat(f"{prefix}{key}.", part).items()}


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
