"""Training in several processes: rank, size, averages and agreement. A single process exchanges nothing."""

from aaeframe.processes.batch_norm import synchronized, unsynchronized
from aaeframe.processes.collective import agree, average, averaged, capturable, contents, gathered, share
from aaeframe.processes.comparison import require_same, require_same_tensors
from aaeframe.processes.failing import first, together
from aaeframe.processes.group import is_first, raised_by_all, rank, size
from aaeframe.processes.launch import joined, note_folder, restart_folder, training

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
