"""Joining the processes that a launcher started."""

from __future__ import annotations

import atexit
import math
import os
import platform
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch
from torch import distributed as dist

from aaeframe import version
from aaeframe.errors import ConfigError, ProcessError
from aaeframe.processes.comparison import require_same
from aaeframe.processes.failing import first, together
from aaeframe.processes.group import TIMEOUT, Group, current, entered, leave
from aaeframe.processes.launcher import folder_of_launch, launch_size, may_restart
from aaeframe.torch_state import exclusive

if TYPE_CHECKING:
    from torch.distributed import Store  # type: ignore[attr-defined]
if dist.is_available():
    from torch.distributed import PrefixStore  # type: ignore[attr-defined]
    from torch.distributed.rendezvous import rendezvous

SECONDS: Final = 600.0
"""The default time limit of every exchange between processes."""


@contextmanager
def joined(task: str, seconds: float = SECONDS) -> Iterator[None]:
    """Inside, this process is one of those that a launcher started, if it started several. One thread at a time.

    All do the same task, as in "train a run". An exchange with the others takes at most so many seconds, unless the
    environment variable AAEFRAME_TIMEOUT is set.

    Raises:
        ProcessError: The processes do not find each other, run different versions or do different tasks, or an earlier
            training failed in one of them.
        ConfigError: A variable of the launch is not valid, or torch.distributed is in use already.
    """
    if launch_size() == 1:
        yield
        return
    with exclusive():  # or another thread would take the group of this one for its own
        if current() is not None:
            yield
            return
        with entered(_group(seconds)):
            require_same(
                "versions",
                {"aaeframe": version.__version__, "torch": torch.__version__, "python": platform.python_version()},
            )
            _require_same_task(task)
            yield


def _require_same_task(task: str) -> None:
    """ProcessError if processes do different tasks: their exchanges would not be the same."""
    require_same("tasks", {"the task": f"to {task}"})


@contextmanager
def training(task: str) -> Iterator[None]:
    """Inside, this process trains together with those that a launcher started, as in `joined`.

    ConfigError inside another training, as in an observer, which the first process alone calls.
    """
    with joined(task):
        group = current()
        if group is None:
            yield
            return
        if group.trains:
            raise ConfigError(
                "a training begins inside another, as in an observer or a component, and several processes train one "
                "run at a time; begin it after the other, or start one process"
            )
        _require_same_task(task)  # `joined` may have compared an outer call alone
        group.trains = True
        try:
            yield
        finally:
            group.trains = False


def restart_folder(out: Path | None) -> tuple[Path | None, bool]:
    """The folder of a new run, and whether this launch began that run before its processes were started again.

    Without `out` it is named by the id of the launch, if the launcher may restart processes.

    Raises:
        ConfigError: The launcher may restart processes, and nothing names the folder.
        ProcessError: Only some of the processes name a folder, or may be restarted.
    """
    group = current()
    if group is None:
        return out, False
    require_same("launches", {"--max-restarts": may_restart(), "a folder for the run": out is not None})
    if not may_restart():
        return out, False
    folder = together(lambda: folder_of_launch() if out is None else out)
    return folder, first(lambda: folder.exists() and group.began(folder))


def note_folder(folder: Path) -> None:
    """Note that this launch begins the run of a folder, before it is made, so that a restart resumes that run."""
    group = current()
    if group is not None and may_restart():
        group.begin(folder)


def _time_limit(default: float) -> float:
    text = os.environ.get(TIMEOUT, str(default))
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ConfigError(f"the environment variable {TIMEOUT} is {text!r}; give seconds, such as {TIMEOUT}=600")
    return seconds


@cache  # torch has one default group, until the process ends
def _group(default: float) -> Group:
    if not dist.is_available():
        raise ConfigError("this build of torch has no torch.distributed, so it trains in one process; install another")
    if dist.is_initialized():
        raise ConfigError(
            "torch.distributed has a process group already, and aaeframe makes the group of the launch itself; call "
            "aaeframe before torch.distributed.init_process_group, or after torch.distributed.destroy_process_group"
        )
    seconds = _time_limit(SECONDS)
    limit = max(seconds, _time_limit(default))
    gpus = torch.cuda.is_available() and dist.is_nccl_available()
    try:
        whole, rank, size = next(rendezvous("env://", timeout=timedelta(seconds=seconds)))
        store = PrefixStore(_name_of_start(whole, rank, size, seconds), whole)
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if gpus else "gloo",
            store=store,
            rank=rank,
            world_size=size,
            timeout=timedelta(seconds=limit),
        )
    except (RuntimeError, ValueError) as error:
        why = str(error).partition("\n")[0]
        raise ProcessError(
            f"the {launch_size()} processes of this launch did not find each other within {seconds:g} seconds: {why}. "
            f"Look whether all were started; the time limit is the environment variable {TIMEOUT}"
        ) from error
    atexit.register(leave)
    return Group(rank, size, PrefixStore("aaeframe", store), PrefixStore("aaeframe/began", whole), limit)


def _name_of_start(store: Store, rank: int, size: int, seconds: float) -> str:
    """A name that the processes of this start share, and those that were started before do not know.

    A launcher that starts processes again has one store for all of them, in which old addresses stand. Its count of
    restarts may differ between machines. So the first process names the start, and answers each of the others.
    """
    mine = secrets.token_hex(8)
    if rank != 0:
        store.set(f"aaeframe/hello/{rank}", mine)
        name: str = store.get(f"aaeframe/answer/{mine}").decode()
        store.set(f"aaeframe/{name}/{rank}", "here")
        return name
    answered, missing, end = set[str](), set(range(1, size)), time.monotonic() + seconds
    while missing:
        for other in tuple(missing):
            if store.check([f"aaeframe/{mine}/{other}"]):
                missing.discard(other)
            elif store.check([f"aaeframe/hello/{other}"]):
                hello = store.get(f"aaeframe/hello/{other}").decode()
                if hello not in answered:  # or it is of a process that was started before
                    store.set(f"aaeframe/answer/{hello}", mine)
                    answered.add(hello)
        if time.monotonic() > end:
            raise RuntimeError(f"missing: {', '.join(map(str, sorted(missing)))}")
        time.sleep(0.01)
    return mine
