"""The folder of a run: its files, and its creation."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aaeframe.errors import CheckpointError, RunError
from aaeframe.storage.atomic import append_whole, contents, leads_out, write_atomically
from aaeframe.storage.formats import loads_json, read_bounded
from aaeframe.storage.locks import lock
from aaeframe.storage.new_folder import new_folder


@dataclass(frozen=True)
class RunFolder:
    """The paths of one run."""

    path: Path
    may_be_numbered: bool = False
    """Whether `create` may append a number if the name is taken (the name was generated, not given by the user)."""

    def from_anywhere(self) -> RunFolder:
        """The same folder by its path from the root, which holds if the working folder changes."""
        return RunFolder(self.path.absolute())

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
        if self.path.is_file():
            raise RunError(
                f"{self.path} is a file, and the folder of a run is needed here. The archive of a run can be loaded, "
                "not resumed or changed"
            )
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
    """Make the folder with its config.toml and what `fill` adds: completely or not at all, see `new_folder`."""

    def fill_all(aside: Path) -> None:
        write_atomically(RunFolder(aside).config, config.encode())
        fill(RunFolder(aside))

    return RunFolder(new_folder(folder.path, fill_all, may_be_numbered=folder.may_be_numbered))


def _runs_beside(path: Path) -> str:
    if not path.parent.is_dir():
        return f"There is no folder {path.parent}"
    runs = sorted(found.parent.name for found in path.parent.glob("[!.]*/config.toml"))
    return f"Runs in {path.parent}: {', '.join(runs[-5:]) or 'none'}"
