"""Parzen states of shards of the samples, each in a safetensors file, and the estimate of them all."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from aaeframe.errors import DataError
from aaeframe.evaluation.likelihood import Estimate
from aaeframe.storage.checkpoint import decoded
from aaeframe.storage.formats import read_safetensors
from aaeframe.storage.output import Output
from aaeframe.storage.problems import problems
from aaeframe.storage.shards import Count, Description, differences, given_twice
from aaeframe_kernels import BandwidthChoice, ParzenState
from aaeframe_kernels.parzen.bandwidth import choose_bandwidth

SUFFIX: Final = ".safetensors"
_ABOUT: Final = "aaeframe.parzen"
_DIGEST: Final = "sha256"
Rows = Literal["validation", "test"]


class Record(Description):
    """The samples that a state has seen, and what it was computed from."""

    rows: Rows
    """The rows whose likelihood it holds: those that choose the bandwidth, or those to evaluate."""
    shards: tuple[Count, ...]
    """The shards of samples that it has seen, rising."""
    count: Annotated[int, Field(ge=1)]
    """The number of shards of all samples."""
    samples: Count
    """The number of all samples."""
    moves: bool
    """Whether the grid of bandwidths is ours, which is moved while its best is at its edge."""
    seconds: Annotated[float, Field(ge=0)]
    origin: dict[str, str | int]
    """Everything that the states of an estimate share, by the name in messages."""


@dataclass(frozen=True, eq=False)
class StateFile:
    """A state and its record, as a file holds them."""

    path: Path
    record: Record
    state: ParzenState

    @classmethod
    def read(cls, path: Path) -> StateFile:
        """The state in a file. DataError if there is none, or it is damaged."""
        if not path.is_file():
            raise DataError(f"{path}: there is no such file; give the files that aaeframe parzen --shard wrote")
        try:
            tensors = decoded(read_safetensors(path))
            with safe_open(path, "pt") as file:
                about: Mapping[str, str] = file.metadata() or {}
            if _ABOUT not in about:
                raise DataError(f"{path} is not a state of aaeframe parzen; give the files that --shard wrote")
            record = Record.model_validate_json(about[_ABOUT], strict=False)
            if about.get(_DIGEST) != _digest(tensors, about[_ABOUT]):
                raise ValueError("its digest is not that of its content")
            state = ParzenState.from_state_dict(tensors)
        except ValidationError as error:
            raise DataError(f"{path} cannot be read as a state: {'; '.join(problems(error))}") from error
        except (ValueError, KeyError, OSError, SafetensorError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{path} cannot be read as a state: {error}. Compute it again") from error
        return cls(path, record, state)

    def write(self, output: Output) -> None:
        """Write it to this file. RunError if that fails."""
        tensors, about = self.state.state_dict(), self.record.model_dump_json()
        content = save(tensors, {_ABOUT: about, _DIGEST: _digest(tensors, about)})
        with output.writing() as file:
            file.write(content)

    @property
    def missing(self) -> list[int]:
        """The shards whose samples it has not seen."""
        return sorted(set(range(self.record.count)) - set(self.record.shards))


def merged(files: Sequence[StateFile]) -> StateFile:
    """The state of all samples that these have seen. DataError, which names the files, if they do not fit together.

    The states of `files` are not changed.
    """
    ordered = sorted(files, key=lambda it: it.record.shards)
    first, *others = ordered
    state = ParzenState.from_state_dict(first.state.state_dict())
    seen = dict.fromkeys(first.record.shards, first.path)
    for it in others:
        _check_alike(first, it)
        for shard in it.record.shards:
            if shard in seen:
                raise given_twice(shard, it.record.count, seen[shard], it.path)
        seen |= dict.fromkeys(it.record.shards, it.path)
        try:
            state.merge(it.state)
        except ValueError as error:
            raise DataError(f"{first.path} and {it.path} cannot be merged: {error}") from error
    seconds = sum(it.record.seconds for it in files)
    return StateFile(
        first.path, first.record.model_copy(update={"shards": tuple(sorted(seen)), "seconds": seconds}), state
    )


def chosen(validation: StateFile) -> BandwidthChoice:
    """The bandwidth that all samples choose. DataError if a number is NaN."""
    try:
        return choose_bandwidth(validation.state)
    except ValueError as error:
        raise DataError(f"{validation.path}: {error}") from error


def estimate_of(test: StateFile, validation: StateFile | None = None) -> Estimate:
    """The estimate of a complete state of test rows; with the choice of its bandwidth, if those are given, too.

    DataError if the bandwidth is not the chosen one.
    """
    (bandwidth,) = test.state.bandwidths.tolist()
    choice, seconds = None, test.record.seconds
    if validation is not None:
        shared = {name: it for name, it in validation.record.origin.items() if name in test.record.origin}
        if different := differences(test.record.origin, shared):
            raise DataError(
                f"{test.path} and {validation.path} are not of one estimate; different are: {'; '.join(different)}"
            )
        choice, seconds = chosen(validation), seconds + validation.record.seconds
        if choice.bandwidth != bandwidth:
            raise DataError(
                f"{test.path} has the bandwidth {bandwidth!r}, and the validation rows choose {choice.bandwidth!r}; "
                f"compute the shards of the test rows again with --bandwidth {choice.bandwidth!r}"
            )
    values = test.state.log_likelihood()[:, 0]
    return Estimate(values, bandwidth, choice, test.record.samples, dict(test.state.paths), seconds)


def _check_alike(one: StateFile, other: StateFile) -> None:
    """DataError unless both are of one estimate."""
    different = differences(_basis(one), _basis(other))
    if different:
        raise DataError(
            f"{one.path} and {other.path} are not states of one estimate; different are: {'; '.join(different)}. Give "
            "the states of one command"
        )


def _basis(file: StateFile) -> dict[str, object]:
    """Everything that the states of an estimate share, by the name in messages."""
    record = file.record
    own = {"rows": record.rows, "bandwidths": file.state.bandwidths.tolist()}
    return {"number of shards": record.count, "number of samples": record.samples, **own, **record.origin}


def _digest(tensors: Mapping[str, Tensor], about: str) -> str:
    found = hashlib.sha256(about.encode())
    for name, it in sorted(tensors.items()):
        found.update(f"{name} {it.dtype} {tuple(it.shape)}".encode() + it.cpu().numpy().tobytes())
    return found.hexdigest()
