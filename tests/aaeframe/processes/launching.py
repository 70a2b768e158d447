"""Several processes of one launch, forked from a server that has imported everything, so that each starts at once."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from torch.distributed import TCPStore

LIMIT = 300
"""Seconds until processes that hang are killed; they take a few on a quiet machine."""

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["aaeframe.api", "aaeframe.cli.train", "aaeframe.cli.summary", "workers"])


@dataclass(frozen=True)
class Ended:
    """A process that has ended."""

    code: int
    """The exit code, negative for a signal."""
    result: Any
    out: str
    err: str


def launcher_store() -> TCPStore:
    """The store of a launcher, which outlives every process."""
    return TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)


def launched(
    folder: Path,
    work: Callable[..., Any],
    *arguments: Any,
    size: int = 2,
    environment: Mapping[str, str] | None = None,
    each: Sequence[Mapping[str, str]] | None = None,
    terminating: bool = True,
    store: TCPStore | None = None,
) -> list[Ended]:
    """Run `work(*arguments)` in `size` processes, as torchrun starts them; how each ended.

    `each` has variables for each process alone, `store` is that of an earlier start by the same launcher. When one
    process fails, the others get SIGTERM, as from torchrun, if `terminating`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    store = store or launcher_store()
    shared = {
        **{"WORLD_SIZE": str(size), "LOCAL_WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1"},
        **{
            "MASTER_PORT": str(store.port),
            "TORCHELASTIC_USE_AGENT_STORE": "True",
            "GLOO_SOCKET_IFNAME": "lo",
            **(environment or {}),
        },
    }
    children = []
    for rank in range(size):
        own = {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank), **(each[rank] if each else {})}
        children.append(_CONTEXT.Process(target=_work, args=(folder, rank, own, str(Path.cwd()), work, arguments)))
    for child in children:
        child.start()
    waiting, end = {child.sentinel: child for child in children}, time.monotonic() + LIMIT
    while waiting and (ended := wait(list(waiting), max(0.0, end - time.monotonic()))):
        failed = [child for it in ended if (child := waiting.pop(it)).exitcode != 0]
        for child in waiting.values() if failed and terminating else ():
            child.terminate()
    late = list(waiting.values())
    for child in late:
        child.kill()
    for child in children:
        child.join()
    assert not late, f"processes hang: {[_text(folder, rank, 'err') for rank in range(size)]}"
    return [
        Ended(child.exitcode, _result(folder, rank), _text(folder, rank, "out"), _text(folder, rank, "err"))
        for rank, child in enumerate(children)
    ]


def results(ended: list[Ended]) -> list[Any]:
    """The results of processes that all ended well."""
    assert [it.code for it in ended] == [0] * len(ended), [it.err for it in ended]
    return [it.result for it in ended]


def _work(folder: Path, rank: int, environment: dict[str, str], cwd: str, work: Callable[..., Any], arguments: Any):
    os.environ.update(environment)
    os.chdir(environment.get("WORKING_FOLDER", cwd))
    for number, name in ((1, "out"), (2, "err")):
        descriptor = os.open(folder / f"{rank}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, number)
    sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code = 0
    try:
        result = work(*arguments)
        (folder / f"{rank}.json").write_text(json.dumps(result))
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _text(folder: Path, rank: int, name: str) -> str:
    file = folder / f"{rank}.{name}"
    return file.read_text() if file.exists() else ""


def _result(folder: Path, rank: int) -> Any:
    file = folder / f"{rank}.json"
    return json.loads(file.read_text()) if file.exists() else None
