"""The launch of several processes, as torchrun describes it in environment variables."""

from __future__ import annotations

import atexit
import math
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Final

import torch
from torch import distributed as dist
from torch.distributed import PrefixStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from aaeframe import version
from aaeframe.errors import ConfigError, ProcessError
from aaeframe.processes.collective import agree
from aaeframe.processes.comparison import require_same
from aaeframe.processes.group import TIMEOUT, Group, current, entered

SECONDS: Final = 600.0
"""The default time limit of every exchange between processes."""
_LAUNCHED: Final = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""The variables that every launcher sets."""


@contextmanager
def joined() -> Iterator[None]:
    """Inside, this process is one of those that a launcher started, if it started several.

    Raises:
        ProcessError: The processes do not find each other, or run different versions.
        ConfigError: A variable of the launch is not valid.
    """
    if current() is not None or _size() == 1:
        yield
        return
    with entered(_group()):
        require_same(
            "versions",
            {"aaeframe": version.__version__, "torch": torch.__version__, "python": platform.python_version()},
        )
        yield


def is_first_of_launch() -> bool:
    """Whether this is the first process of a launch, or the only one; known before and after they are joined."""
    return _size() == 1 or _number("RANK", 0) == 0


def local_rank() -> int:
    """The number of this process on its machine, from 0."""
    return _number("LOCAL_RANK", 0)


def command() -> str:
    """The words before a command that start it in as many processes again."""
    if _size() == 1:
        return "aaeframe"
    local, nodes = _number("LOCAL_WORLD_SIZE", _size()), _number("GROUP_WORLD_SIZE", 1)
    several = f"--nnodes {nodes} " if nodes > 1 else ""
    return f"torchrun {several}--nproc-per-node {local} -m aaeframe"


def restart_folder(out: Path | None) -> tuple[Path | None, bool]:
    """The folder of a new run, and whether it is to be resumed: the launcher has started its processes before.

    Without `out` it is named by the id of the launch, if the launcher may restart processes.

    ConfigError if it may, and nothing names the folder.
    """
    if current() is None or _number("TORCHELASTIC_MAX_RESTARTS", 0) == 0:
        return out, False
    launch = os.environ.get("TORCHELASTIC_RUN_ID", "none")
    if out is None and launch == "none":
        raise ConfigError(
            "the launcher may restart the processes (--max-restarts), which then need the folder of the run: give "
            '--out FOLDER, in Python out="FOLDER"; or give the launcher --rdzv-id NAME, which names runs/NAME'
        )
    folder = Path("runs") / Path(launch).name if out is None else out
    # A machine whose own processes did not fail counts no restart.
    (restarted,) = agree(_number("TORCHELASTIC_RESTART_COUNT", 0))
    return folder, restarted > 0


def _size() -> int:
    """The number of processes of the launch; 1 without a launcher."""
    return _number("WORLD_SIZE", 1) if all(it in os.environ for it in _LAUNCHED) else 1


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise ConfigError(f"the environment variable {name} is {text!r}, not a number; it is set by the launcher")
    return int(text)


def _seconds() -> float:
    text = os.environ.get(TIMEOUT, str(SECONDS))
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ConfigError(f"the environment variable {TIMEOUT} is {text!r}; give seconds, such as {TIMEOUT}=600")
    return seconds


@cache  # torch has one default group, until the process ends
def _group() -> Group:
    seconds = _seconds()
    gpus = torch.cuda.is_available() and dist.is_nccl_available()
    try:
        store, rank, size = next(rendezvous("env://", timeout=timedelta(seconds=seconds)))
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if gpus else "gloo",
            store=store,
            rank=rank,
            world_size=size,
            timeout=timedelta(seconds=seconds),
        )
    except (RuntimeError, ValueError) as error:
        first_line = str(error).partition("\n")[0]
        raise ProcessError(
            f"the {_size()} processes of this launch did not find each other within {seconds:g} seconds: {first_line}. "
            f"Look whether all were started; the time limit is the environment variable {TIMEOUT}"
        ) from error
    atexit.register(_leave)
    return Group(rank, size, PrefixStore("aaeframe", store), seconds)


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
