"""The launch of several processes, as torchrun describes it in environment variables. Torch-free."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from aaeframe.errors import ConfigError

_LAUNCHED: Final = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""The variables that every launcher sets."""


def launch_size() -> int:
    """The number of processes of the launch; 1 without a launcher."""
    return _number("WORLD_SIZE", 1) if all(it in os.environ for it in _LAUNCHED) else 1


def is_first_of_launch() -> bool:
    """Whether this is the first process of a launch, or the only one; known before and after they are joined."""
    return launch_size() == 1 or _number("RANK", 0) == 0


def local_rank() -> int:
    """The number of this process on its machine, from 0."""
    return _number("LOCAL_RANK", 0)


def command() -> str:
    """The words before a command that start it in as many processes again."""
    if launch_size() == 1:
        return "aaeframe"
    if _number("GROUP_WORLD_SIZE", 1) > 1:
        return "torchrun [the options of this launch] -m aaeframe"  # which name a machine: they are not known here
    return f"torchrun --nproc-per-node {_number('LOCAL_WORLD_SIZE', launch_size())} -m aaeframe"


def may_restart() -> bool:
    """Whether the launcher starts the processes again if one fails."""
    return launch_size() > 1 and _number("TORCHELASTIC_MAX_RESTARTS", 0) > 0


def folder_of_launch() -> Path:
    """The folder of a run that is named by the id of the launch; ConfigError without an id."""
    launch = Path(os.environ.get("TORCHELASTIC_RUN_ID", "none")).name
    if launch in ("none", "", ".."):
        raise ConfigError(
            "the launcher may restart the processes (--max-restarts), which then need the folder of the run: give "
            '--out FOLDER, in Python out="FOLDER"; or give the launcher --rdzv-id NAME, which names the run runs/NAME'
        )
    return Path("runs") / launch


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise ConfigError(f"the environment variable {name} is {text!r}, not a number; it is set by the launcher")
    return int(text)
