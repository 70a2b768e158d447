"""The processes of a training on several: rank, size, averages and agreement. A single process passes through all."""

from aaeframe.processes.batch_norm import synchronized
from aaeframe.processes.collective import agree, average, averaged, capturable, gathered, share
from aaeframe.processes.comparison import require_same, require_same_tensors
from aaeframe.processes.failing import first, together
from aaeframe.processes.group import is_first, rank, size
from aaeframe.processes.launch import command, is_first_of_launch, joined, local_rank, restart_folder

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
    "rank",
    "require_same",
    "require_same_tensors",
    "restart_folder",
    "share",
    "size",
    "synchronized",
    "together",
]
