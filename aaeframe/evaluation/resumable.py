"""The progress of a long likelihood estimate, in one safetensors file."""

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
from aaeframe.storage.formats import read_safetensors
from aaeframe.storage.shards import WHOLE, Share
from aaeframe_kernels import ParzenState

_DIGEST = 64
"""The number of hexadecimal digits of a SHA-256, which precedes the tensors in the file."""


@dataclass
class Keep:
    """The states of an estimate's passes over the samples, by the name of the pass.

    The file is named by the digest of `identity`: another model, other samples or other data have another file.
    """

    folder: Path
    identity: Mapping[str, object]
    """JSON-like: everything that the estimate depends on, except the rows, whose digest is in each state."""
    share: Share = WHOLE
    """The share of this process, if several share the estimate: each has its own file."""
    _tensors: dict[str, Tensor] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.path.exists():
            self._tensors = self._read()

    @property
    def path(self) -> Path:
        """The path of the file."""
        return self._path_of(self.share)

    @property
    def others(self) -> list[Path]:
        """The files of the same estimate that another number of processes left, and only as many can resume."""
        own = {self._path_of(Share(index, self.share.count)) for index in range(self.share.count)}
        return sorted({*self.folder.glob(f"{self._name}*.unfinished")} - own)

    @property
    def found(self) -> bool:
        """Whether there is a state to resume."""
        return bool(self._tensors)

    def state(self, name: str, x: Tensor, bandwidths: Sequence[float]) -> ParzenState | None:
        """The state of the named pass with these rows and bandwidths; None if there is none for them."""
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
        """Write the state of the named pass next to the others. RunError if that fails; the old file is kept."""
        self._tensors |= {f"{name}/{key}": tensor.cpu() for key, tensor in state.state_dict().items()}
        content = save(self._tensors)
        with writing(self.path):
            self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, hashlib.sha256(content).hexdigest().encode() + content)

    def remove(self) -> None:
        """Remove the file, after the estimate is done."""
        self._tensors = {}
        with writing(self.path):
            self.path.unlink(missing_ok=True)

    def remove_others(self) -> None:
        """Remove the files that another number of processes left, after the estimate is done."""
        for path in self.others:
            with writing(path):
                path.unlink(missing_ok=True)

    @property
    def _name(self) -> str:
        return hashlib.sha256(json.dumps(dict(self.identity), sort_keys=True).encode()).hexdigest()[:16]

    def _path_of(self, share: Share) -> Path:
        which = "" if share == WHOLE else f"-{share.index}-of-{share.count}"
        return self.folder / f"{self._name}{which}.unfinished"

    def _read(self) -> dict[str, Tensor]:
        try:
            data = read_safetensors(self.path, before=_DIGEST)
        except ValueError as error:
            raise CheckpointError(f"{self.path} is damaged: {error}. Remove it to begin anew") from error
        if hashlib.sha256(data[_DIGEST:]).hexdigest().encode() != data[:_DIGEST]:
            raise CheckpointError(
                f"{self.path} is damaged: its content is not what was written. Remove it to begin anew"
            )
        try:
            return decoded(data[_DIGEST:])
        except ValueError as error:
            raise CheckpointError(f"{self.path} is damaged: {error}. Remove it to begin anew") from error
