"""Checkpoints: tensors in safetensors, the rest in JSON. Complete or absent, verified before use, and free of code.

checkpoints/step-00001200/
    model.safetensors        model.*: weights and buffers;  ema.*: their moving average
    optimizer.safetensors    optimizer.<phase>.<parameter>.<name>, sums.<metric>
    state.json               format, versions, position, digests of the two files and of itself
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from safetensors.torch import save as save_tensors
from torch import Tensor

from aaeframe.errors import CheckpointError, UnusableCheckpoint
from aaeframe.storage.atomic import flush_folder, writing
from aaeframe.storage.formats import loads_json, read_bounded, read_safetensors

FORMAT: Final = 2
"""The format's number. It grows when older versions can no longer read a checkpoint.

1: with the states of torch's random generators, `rng.<device>` in optimizer.safetensors. 2: without.
"""

KEPT: Final = 2
"""The number of checkpoints kept for a run."""

_NAME = re.compile(r"step-(\d{8,})")
_FILES = ("model.safetensors", "optimizer.safetensors")
_LARGEST_STATE = 64 * 2**20


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint."""

    model: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]
    state: Mapping[str, Any]
    """JSON-like: the position in the data, typed scalars, the environment."""


def path_of(folder: Path, step: int) -> Path:
    """The path of the checkpoint of a step."""
    return folder / f"step-{step:08d}"


def write(folder: Path, step: int, checkpoint: Checkpoint, *, keep: int | None = None) -> Path:
    """Write a checkpoint under `folder`: to a temporary folder first, then rename it.

    Only the last two are kept, and that of step `keep`.

    RunError if it cannot be written; then existing checkpoints are unchanged.
    """
    path = path_of(folder, step)
    aside = folder / f".{path.name}.{os.getpid()}.tmp"
    with writing(path):
        folder.mkdir(exist_ok=True)  # without parents: a run that was removed meanwhile is not recreated in part
        remove_leftovers(folder)
        try:
            aside.mkdir()
            for name, data in _files_of(checkpoint).items():
                _write_flushed(aside / name, data)
            flush_folder(aside)
            aside.rename(path)
            flush_folder(folder)
        finally:
            remove_leftovers(folder)
    for old in paths(folder)[:-KEPT]:
        if keep is None or old != path_of(folder, keep):
            _remove(old)
    return path


def paths(folder: Path) -> list[Path]:
    """The checkpoints under `folder`, oldest first."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_dir()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")))


def latest(folder: Path) -> Path:
    """The newest checkpoint; CheckpointError if there is none."""
    found = paths(folder)
    if not found:
        raise CheckpointError(f"there is no checkpoint in {folder}, though every run begins with one: train anew")
    return found[-1]


def read(path: Path) -> Checkpoint:
    """Read and verify a checkpoint. Nothing is used before all of it is verified.

    Raises UnusableCheckpoint if it is missing, truncated or altered in any bit. Raises CheckpointError if it is intact
    but of a newer format.
    """
    state = _read_state(path)
    data = {name: _read_bytes(path / name, read_safetensors) for name in _FILES}
    digests = state.get("digests")
    if not isinstance(digests, dict) or digests.keys() != data.keys():
        raise _damaged(path / "state.json", f"it holds no digests of {' and '.join(_FILES)}")
    for name, content in data.items():
        found, written = _digest(content), digests[name]
        if found != written:
            raise _damaged(path / name, f"its SHA-256 is {found[:12]}…, {str(written)[:12]}… was written")
    try:
        tensors = {name: decoded(content) for name, content in data.items()}
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    return Checkpoint(tensors[_FILES[0]], tensors[_FILES[1]], state)


def set_aside(path: Path) -> Path:
    """Rename a checkpoint so that it is not used any more but not lost; returns its new path.

    RunError if it cannot be renamed.
    """
    aside = path.with_name(f"set-aside-{path.name}")
    with writing(aside):
        if aside.exists():  # from an earlier time
            shutil.rmtree(aside)
        path.rename(aside)
        flush_folder(path.parent)
    return aside


def remove_leftovers(folder: Path) -> None:
    """Remove what an interrupted write or removal left. Only for a process that holds the run's lock."""
    for path in folder.glob(".step-*.tmp"):
        shutil.rmtree(path, ignore_errors=True)


def _files_of(checkpoint: Checkpoint) -> dict[str, bytes]:
    tensors = dict(zip(_FILES, (checkpoint.model, checkpoint.optimizer), strict=True))
    files = {name: encoded(part) for name, part in tensors.items()}
    digests = {name: _digest(data) for name, data in files.items()}
    state = {"format": FORMAT, **checkpoint.state, "digests": digests}
    state["digest"] = _digest(_canonical(state))
    return {**files, "state.json": _written(state)}


def copied(tensor: Tensor) -> Tensor:
    """A copy on the CPU: safetensors refuses tensors that share memory, such as tied weights."""
    return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)


def _read_state(path: Path) -> dict[str, Any]:
    """Read state.json, verify its digest and return it without the digest.

    `format` and `digest` mean the same in every format, also in later ones: otherwise a newer checkpoint could not be
    distinguished from a damaged one.
    """
    file = path / "state.json"
    content = _read_bytes(file, lambda it: read_bounded(it, _LARGEST_STATE))
    try:
        state = loads_json(content)
        _canonical(state)  # the JSON may be too deeply nested to be written, which its digest needs
    except (ValueError, RecursionError) as error:
        raise _damaged(file, f"it is not JSON ({error})") from error
    if not isinstance(state, dict) or type(state.get("format")) is not int:
        raise _damaged(file, "it names no format")
    without = {key: value for key, value in state.items() if key != "digest"}
    newer = f"it has format {state['format']}; this version of aaeframe reads up to {FORMAT}: upgrade aaeframe"
    if state.get("digest") != _digest(_canonical(without)):
        more = f", and {newer} if that is so" if state["format"] > FORMAT else ""
        raise _damaged(file, f"its digest is not that of its content{more}")
    if state["format"] > FORMAT:
        raise CheckpointError(f"the checkpoint {path} cannot be used: {newer}")
    if content != _written(state):  # white space, a repeated key, or 1e0 for 1.0
        raise _damaged(file, "its content is not formatted as it was written")
    return without


def _read_bytes(path: Path, reader: Callable[[Path], bytes]) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # reading a pipe would block
            raise _damaged(path, "it is not a file")
        return reader(path)
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    except OSError as error:
        raise _damaged(path, error.strerror or str(error)) from error


def _damaged(path: Path, why: str) -> UnusableCheckpoint:
    return UnusableCheckpoint(f"the checkpoint file {path} cannot be used: {why}")


def _write_flushed(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _remove(path: Path) -> None:
    """Remove a checkpoint. It is intact until it is renamed; if the removal fails, a later write tries again."""
    with suppress(OSError):
        shutil.rmtree(path.rename(path.with_name(f".{path.name}.{os.getpid()}.tmp")))


def _written(state: Mapping[str, Any]) -> bytes:
    """The bytes of state.json. Equal contents give equal bytes."""
    return json.dumps(state, indent=1).encode()


def _canonical(state: Mapping[str, Any]) -> bytes:
    return json.dumps(state, sort_keys=True, separators=(",", ":")).encode()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Newest:
    """The newest intact checkpoint of a run."""

    path: Path
    checkpoint: Checkpoint
    skipped: dict[Path, str]
    """The newer checkpoints that cannot be used, each with the reason."""


def newest_intact(folder: Path, require: Callable[[Checkpoint], None] = lambda checkpoint: None) -> Newest:
    """The newest intact checkpoint under `folder` for which `require` raises no UnusableCheckpoint.

    CheckpointError if there is none, with the reason for each, or if the newest intact one is of a newer format.
    """
    while True:
        latest(folder)
        found, skipped = paths(folder), dict[Path, str]()
        newest = _search(found, require, skipped)
        if skipped and paths(folder) != found:
            continue  # a training in progress removed them, and has written newer ones
        if newest is None:
            raise CheckpointError(_none_of(folder, skipped))
        return newest


def newest_or_raise(folder: Path) -> Checkpoint:
    """The newest checkpoint, for computing results. An older one would give different results, so damage is an error.

    CheckpointError if it is damaged, with advice, or if `newest_intact` raises it.
    """
    newest = newest_intact(folder)
    if not newest.skipped:
        return newest.checkpoint
    unusable = " and ".join(path.name for path in newest.skipped)
    raise CheckpointError(
        f"{'; '.join(newest.skipped.values())}. {newest.path.name} is intact, but would give other results. Resume "
        f"from it, bit for bit, with aaeframe train --resume {folder.parent}. Or remove {unusable} to use it as "
        "it is"
    )


def _search(found: list[Path], require: Callable[[Checkpoint], None], skipped: dict[Path, str]) -> Newest | None:
    for path in reversed(found):
        try:
            checkpoint = read(path)
            require(checkpoint)
        except UnusableCheckpoint as error:
            skipped[path] = str(error)
        else:
            return Newest(path, checkpoint, skipped)
    return None


def _none_of(folder: Path, skipped: dict[Path, str]) -> str:
    listed = "".join(f"\n  {why}" for why in skipped.values())
    return (
        f"no checkpoint in {folder} can be used; restore one of them and its files from a copy, or train anew:{listed}"
    )


def decoded(content: bytes) -> dict[str, Tensor]:
    """The tensors of a safetensors file; ValueError if it is invalid or has a type that torch lacks."""
    try:
        return load(content)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    except (ValueError, LookupError, TypeError, AssertionError, RuntimeError, OverflowError) as error:
        # the library checks types and sizes by lookups and assertions
        raise ValueError(f"its tensors cannot be read: {type(error).__name__}: {error}") from error


def encoded(tensors: Mapping[str, Tensor]) -> bytes:
    """The tensors as a safetensors file."""
    return save_tensors({name: copied(it) for name, it in tensors.items()})


def tensors_below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, under their names without it."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
