"""The parsers, each with what it is given: it returns or raises an error of ours, and nothing else."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from aaeframe.configuration import schema as configuration
from aaeframe.configuration.compose import compose
from aaeframe.configuration.shorthand import expand, parse_component, parse_product
from aaeframe.data import load, load_rows
from aaeframe.errors import AaeframeError, ConfigError
from aaeframe.storage import checkpoint
from aaeframe.storage.metrics_file import MetricsFile
from fuzzing import arrays, checkpoints, pictures, texts


class Finding(Exception):
    """Something came out of a parser that may not."""


@dataclass(frozen=True)
class Target:
    """A parser, and the cases it is given."""

    name: str
    cases: st.SearchStrategy[Any]
    parse: Callable[[Any, Path], object]
    """Takes a case and an empty folder."""

    def outcome(self, case: Any, folder: Path) -> str:
        """ "accepted", or the name of our error; Finding for anything else."""
        folder.mkdir()
        try:
            self.parse(case, folder)
        except AaeframeError as error:
            _check_error(error)
            return type(error).__name__
        except Exception as error:
            raise Finding(f"{self.name}: {type(error).__name__}: {error}") from error
        finally:
            shutil.rmtree(folder)
        return "accepted"


def _check_error(error: AaeframeError) -> None:
    message = str(error)
    if not message or len(message) > 100_000:
        raise Finding(f"a message of {len(message)} characters") from error
    causes: BaseException | None = error
    while causes is not None:
        if isinstance(causes, MemoryError):
            raise Finding(f"memory was asked for before it was refused: {message}") from error
        causes = causes.__cause__


def _expression(text: str, _: Path) -> None:
    for parse in (parse_component, lambda text: expand({"prior": text, "encoder": text})):
        try:
            parse(text)
        except ConfigError as error:
            _check_error(error)
    parse_product(text)


def _comes_back(config: configuration.Config) -> None:
    text = config.to_toml()
    again = configuration.parse(tomllib.loads(text.encode().decode()))
    assert again.to_toml() == text


def _settings(settings: list[str], _: Path) -> None:
    _comes_back(compose(None, None, {}, settings))


def _toml(content: bytes, folder: Path) -> None:
    path = folder / "config.toml"
    path.write_bytes(content)
    configuration.read(path)
    _comes_back(compose(None, path, {}))


def _state(content: bytes, folder: Path) -> None:
    found = checkpoint.read(checkpoints.laid_out(folder, content, checkpoints.TENSORS))
    json.dumps(found.state)


def _tensors(content: bytes, folder: Path) -> None:
    state = checkpoints.signed(checkpoints.state_of(content))
    found = checkpoint.read(checkpoints.laid_out(folder, checkpoints.spelled(state), content))
    for tensor in found.model.values():
        tensor.clone()


def _metrics(content: bytes, folder: Path) -> None:
    (folder / "metrics.jsonl").write_bytes(content)
    for row in MetricsFile(folder / "metrics.jsonl").rows():
        assert isinstance(row, dict)


def _data(case: tuple[str, bytes], folder: Path) -> None:
    name, content = case
    (folder / name).write_bytes(content)
    _check_data(folder / name)


def _pictures(described: tuple, folder: Path) -> None:
    root = pictures.laid_out(described, folder)
    with suppress(AaeframeError):
        _check_data(root, frames="all", image_size=(3, 2))
    _check_data(root)


def _check_data(path: Path, **given: Any) -> None:
    found = load_rows(path, **given)
    rows, names = found.rows, found.class_names
    assert np.isfinite(rows.array()).all()
    if rows.labels is not None:
        assert len(rows.labels) == len(rows)
        "\n".join(names).encode()
    for split in (data := load(path, **given)).train, data.validation, data.test:
        assert len(split)
        assert split.array().dtype in (np.uint8, np.float32, np.float64)


_rows = st.lists(checkpoints.states, max_size=3).map(b"\n".join)

TARGETS = (
    Target("expression", texts.expressions, _expression),
    Target("setting", texts.settings, _settings),
    Target("toml", texts.toml, _toml),
    Target("state", checkpoints.states, _state),
    Target("safetensors", checkpoints.tensors, _tensors),
    Target("metrics", _rows, _metrics),
    Target("idx", arrays.idx, _data),
    Target("npy", arrays.npy, _data),
    Target("npz", arrays.npz, _data),
    Target("csv", arrays.csv, _data),
    Target("mat", arrays.mat, _data),
    Target("images", pictures.folders, _pictures),
)
