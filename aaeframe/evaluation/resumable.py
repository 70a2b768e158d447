"""The place a long likelihood estimate has come to, in one safetensors file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from aaeframe.errors import CheckpointError
from aaeframe.storage.atomic import write_atomically, writing
from aaeframe.storage.checkpoint import decoded
from aaeframe_kernels import ParzenState

_DIGEST = 64
"""Hexadecimal digits of a SHA-256, which stand before the tensors in the file."""


@dataclass
class Keep:
    """The states of an estimate's passes over the samples, by the name of the pass.

    The file is named by what the estimate is of: another model, other samples or other data have another.
    """

    folder: Path
    identity: Mapping[str, object]
    """JSON-like: whatever the estimate depends on, apart from the rows, whose digest a state holds itself."""
    _tensors: dict[str, Tensor] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.path.exists():
            self._tensors = self._read()

    @property
    def path(self) -> Path:
        """Where the file is, or will be."""
        name = hashlib.sha256(json.dumps(dict(self.identity), sort_keys=True).encode()).hexdigest()[:16]
        return self.folder / f"{name}.unfinished"

    @property
    def found(self) -> bool:
        """Whether there is anything to go on from."""
        return bool(self._tensors)

    def state(self, name: str, x: Tensor, bandwidths: Sequence[float]) -> ParzenState | None:
        """Where the named pass had come to with these rows and bandwidths; None if it had not begun, or with others."""
        prefix = f"{name}/"
        tensors = {key.removeprefix(prefix): it for key, it in self._tensors.items() if key.startswith(prefix)}
        if not tensors:
            return None
        try:
            state = ParzenState.from_state_dict(tensors, x)
        except ValueError:  # the data set has changed
            return None
        return state if state.bandwidths.tolist() == list(bandwidths) else None

    def write(self, name: str, state: ParzenState) -> None:
        """Write the named pass beside those before it. RunError if it cannot be written; what was there stands."""
        self._tensors |= {f"{name}/{key}": tensor.cpu() for key, tensor in state.state_dict().items()}
        content = save(self._tensors)
        with writing(self.path):
            self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, hashlib.sha256(content).hexdigest().encode() + content)

    def remove(self) -> None:
        """Forget everything: the estimate is done."""
        self._tensors = {}
        with writing(self.path):
            self.path.unlink(missing_ok=True)

    def _read(self) -> dict[str, Tensor]:
        data = self.path.read_bytes()
        if hashlib.sha256(data[_DIGEST:]).hexdigest().encode() != data[:_DIGEST]:
            raise CheckpointError(
                f"{self.path} is damaged: its content is not what was written. Remove it to begin anew"
            )
        try:
            return decoded(data[_DIGEST:])
        except ValueError as error:
            raise CheckpointError(f"{self.path} is damaged: {error}. Remove it to begin anew") from error
