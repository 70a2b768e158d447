"""The folder of a run: its files, and its creation."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from aaeframe.errors import CheckpointError, RunError
from aaeframe.storage.atomic import append_whole, contents, flush_folder, leads_out, write_atomically, writing
from aaeframe.storage.formats import loads_json, read_bounded
from aaeframe.storage.locks import creation_lock, is_abandoned, lock


@dataclass(frozen=True)
class RunFolder:
    """The paths of one run."""

    path: Path
    may_be_numbered: bool = False
    """Whether `create` may append a number if the name is taken (the name was generated, not given by the user)."""

    @property
    def config(self) -> Path:
        """The path of the fully resolved configuration."""
        return self.path / "config.toml"

    @property
    def metrics(self) -> Path:
        """The path of the metrics, one row an epoch."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def figures(self) -> Path:
        """The folder of the figures."""
        return self.path / "figures"

    @property
    def evaluation(self) -> Path:
        """The path of the last evaluation of each split."""
        return self.path / "evaluation.json"

    @property
    def anomaly(self) -> Path:
        """The path of the density that anomaly scores are computed with."""
        return self.path / "anomaly.safetensors"

    @property
    def test_accesses(self) -> Path:
        """The path of the log with a line for each time that test rows were measured or plotted."""
        return self.path / "test_accesses.jsonl"

    def log_test_access(self, access: Mapping[str, Any]) -> None:
        """Append a line to the log of test accesses; RunError if it cannot be written."""
        line = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **access}
        with lock(self.test_accesses, required=False):
            append_whole(self.test_accesses, json.dumps(line).encode() + b"\n")

    def check(self) -> None:
        """RunError if this is not a run, or if a part of it lies outside the folder."""
        if not self.config.is_file():
            raise RunError(f"{self.path} is not a run: it has no config.toml. {_runs_beside(self.path)}")
        self._check_closed()

    def _check_closed(self) -> None:
        """RunError if the folder contains a link out of it, or anything that is neither a file nor a folder.

        A run may come from a stranger: reading, appending and removing must not reach outside it.
        """
        for path, mode in contents(self.path):
            if stat.S_ISLNK(mode) and leads_out(path, self.path):
                raise RunError(
                    f"{path} is a link that leads out of the run {self.path}. Copy what it points to into the folder "
                    "if you trust it, or remove it"
                )
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
                raise RunError(f"{path} is neither a file nor a folder; nothing else belongs into a run. Remove it")

    def write_evaluation(self, split: str, report: Mapping[str, Any]) -> None:
        """Store the report of one split next to the reports of the other splits, one process at a time."""
        with lock(self.evaluation, required=False):
            reports = {**self.read_evaluation(), split: report}
            write_atomically(self.evaluation, json.dumps(reports, indent=1).encode())

    def read_evaluation(self) -> dict[str, Any]:
        """The stored reports by split, none without the file. CheckpointError if it holds anything else."""
        if not self.evaluation.exists():
            return {}
        try:
            reports = loads_json(read_bounded(self.evaluation))
        except ValueError as error:
            raise CheckpointError(f"{self.evaluation} is not JSON: {error}; remove it") from error
        if not isinstance(reports, dict):
            raise CheckpointError(
                f"{self.evaluation} is not JSON of reports by split: it holds {str(reports)[:40]}; remove it"
            )
        return reports


def create(folder: RunFolder, config: str, fill: Callable[[RunFolder], None]) -> RunFolder:
    """Make the folder with its config.toml and what `fill` adds: completely or not at all.

    It is made under a temporary name, given to `fill`, and then renamed. If a generated name is taken, the next number
    is appended. RunError if the folder cannot be made or the name is taken. On an error, nothing is left.
    """
    parent = folder.path.parent
    missing = [path for path in folder.path.parents if not path.exists()]
    aside = RunFolder(parent / f".{folder.path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with writing(folder.path):
            if not parent.exists():
                parent.mkdir(parents=True, exist_ok=True)
            _remove_leftovers(folder)
            aside.path.mkdir()
        with creation_lock(aside.path):
            write_atomically(aside.config, config.encode())
            fill(aside)
            with writing(folder.path):
                made = _renamed(aside, folder)
    except BaseException:
        shutil.rmtree(aside.path, ignore_errors=True)
        for path in missing:
            with suppress(OSError):  # it may contain another run by now
                path.rmdir()
        raise
    with suppress(OSError):  # the run is complete; at worst, a power cut undoes the renaming
        flush_folder(parent)
    return made


def _renamed(aside: RunFolder, folder: RunFolder) -> RunFolder:
    """Rename the folder. Processes that ask for the same name each get a folder of their own."""
    for number in count(1):
        path = folder.path if number == 1 else folder.path.with_name(f"{folder.path.name}-{number}")
        try:
            if path.exists():  # otherwise rename would replace an empty folder
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            aside.path.rename(path)
        except OSError as error:
            if not folder.may_be_numbered or error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
        else:
            break
    return RunFolder(path)


def _remove_leftovers(folder: RunFolder) -> None:
    """Remove folders left by an interrupted `create` of this name, or of any generated name."""
    name = r"\d{8}-\d{6}-.+" if folder.may_be_numbered else re.escape(folder.path.name)
    form = re.compile(rf"\.{name}\.[0-9a-f]+\.tmp")
    for path in folder.path.parent.iterdir():
        if form.fullmatch(path.name):
            with is_abandoned(path) as left:
                if left:
                    shutil.rmtree(path, ignore_errors=True)


def _runs_beside(path: Path) -> str:
    if not path.parent.is_dir():
        return f"There is no folder {path.parent}"
    runs = sorted(found.parent.name for found in path.parent.glob("[!.]*/config.toml"))
    return f"Runs in {path.parent}: {', '.join(runs[-5:]) or 'none'}"
