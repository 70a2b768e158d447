"""The processes of a training on several: rank, size, averages and agreement. A single process passes through all.

Each name is imported on first use: those of `environment` do not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aaeframe.processes.batch_norm import synchronized
    from aaeframe.processes.collective import agree, average, averaged, capturable, gathered, share
    from aaeframe.processes.comparison import require_same, require_same_tensors
    from aaeframe.processes.environment import command, is_first_of_launch, local_rank
    from aaeframe.processes.failing import first, together
    from aaeframe.processes.group import is_first, rank, size
    from aaeframe.processes.launch import joined, note_folder, restart_folder

__all__ = [
    "agree",
    "average",
    "averaged",
    "capturable",
    "command",
    "first",
    "gathered",
    "is_first",
    "is_first_of_launch",
    "joined",
    "local_rank",
    "note_folder",
    "rank",
    "require_same",
    "require_same_tensors",
    "restart_folder",
    "share",
    "size",
    "synchronized",
    "together",
]

_HOMES = {
    "batch_norm": ("synchronized",),
    "collective": ("agree", "average", "averaged", "capturable", "gathered", "share"),
    "comparison": ("require_same", "require_same_tensors"),
    "environment": ("command", "is_first_of_launch", "local_rank"),
    "failing": ("first", "together"),
    "group": ("is_first", "rank", "size"),
    "launch": ("joined", "note_folder", "restart_folder"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            found = globals()[name] = getattr(import_module(f"aaeframe.processes.{home}"), name)
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
