"""Twenty thousand steps on the CPU take no more memory than the first thousand.

    python tests/soak/memory.py --steps 20000 --out RECORD.json

A small model learns from the digits through the whole loop: labels, an average of the weights, metrics and validation
after each epoch, a checkpoint after every tenth. What the process has resident is read after every thousand steps.
Linux only. Exit code 1 if it grew by 20 MiB or more after the first thousand.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import torch

import aaeframe

LIMIT_MIB = 20
WARM_UP = EVERY = 1000
BATCH, STEPS_PER_EPOCH = 25, 46
"""1,157 of the digits' training rows are left without their labels."""


class Reading:
    """Reads what is resident, in MiB, after every thousand steps."""

    def __init__(self) -> None:
        self.resident: dict[int, float] = {}

    def stepped(self, step: int, losses: Mapping[str, float]) -> None:
        if step % EVERY == 0:
            self.resident[step] = round(resident(), 2)


def resident() -> float:
    """VmRSS of this process in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (kibibytes,) = (line.split()[1] for line in lines if line.startswith("VmRSS:"))
    return int(kibibytes) / 1024


def main() -> None:
    """Train and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--out", type=Path, help="where to write the record too")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    reading, began = Reading(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        run = aaeframe.train(
            "digits", prior="mixture", labels=100, network="mlp(hidden=[8])", discriminator="mlp(hidden=[8])",
            epochs=-(-asked.steps // STEPS_PER_EPOCH), batch_size=BATCH, labeled_batch_size=5, ema=0.9,
            checkpoint_every=10, device="cpu", out=Path(folder) / "run", observers=[reading],
        )  # fmt: skip
    growth = max(reading.resident.values()) - reading.resident[WARM_UP]
    record = {
        "steps": run.step,
        "growth_mib": round(growth, 2),
        "limit_mib": LIMIT_MIB,
        "resident_mib_by_step": reading.resident,
        "seconds": round(time.monotonic() - began, 1),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "versions": {"aaeframe": aaeframe.__version__, "torch": torch.__version__, "python": platform.python_version()},
        "platform": platform.platform(),
    }
    print(json.dumps(record))
    if asked.out is not None:
        asked.out.write_text(json.dumps(record, indent=1) + "\n")
    sys.exit(run.step < asked.steps or growth >= LIMIT_MIB)


if __name__ == "__main__":
    main()
