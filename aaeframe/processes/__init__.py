"""Training in several processes: rank, size, averages and agreement. A single process exchanges nothing.

Names are imported on first use, so that the command line reads `launcher` without importing torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aaeframe.processes.batch_norm import synchronized, unsynchronized
    from aaeframe.processes.collective import agree, average, averaged, capturable, contents, gathered, share
    from aaeframe.processes.comparison import require_same, require_same_tensors
    from aaeframe.processes.failing import first, together
    from aaeframe.processes.group import is_first, raised_by_all, rank, size
    from aaeframe.processes.joining import joined, note_folder, restart_folder, training

__all__ = [
    "agree",
    "average",
    "averaged",
    "capturable",
    "contents",
    "first",
    "gathered",
    "is_first",
    "joined",
    "note_folder",
    "raised_by_all",
    "rank",
    "require_same",
    "require_same_tensors",
    "restart_folder",
    "share",
    "size",
    "synchronized",
    "together",
    "training",
    "unsynchronized",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        for home in ("group", "collective", "failing", "comparison", "batch_norm", "joining"):
            found = getattr(import_module(f"aaeframe.processes.{home}"), name, None)
            if found is not None:
                globals()[name] = found
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
