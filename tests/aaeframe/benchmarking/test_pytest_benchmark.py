"""pytest-benchmark's own saving, comparing and histograms, as benchmarks/README.md documents them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_runs_are_saved_compared_drawn_and_told_with_their_throughput(tmp_path):
    # pytest-benchmark measures nothing where these say that it runs in one of several workers.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST_")}

    def run(*options):
        command = [sys.executable, "-m", "pytest", "benchmarks/bench_discriminator_loss.py", "-n", "0", "-k", "200"]
        always = ["-p", "no:cacheprovider", f"--benchmark-storage={tmp_path / 'store'}"]
        done = subprocess.run(
            [*command, *always, *options], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    saved = run("--benchmark-autosave")
    assert len(list((tmp_path / "store").rglob("0001_*.json"))) == 1
    table = saved.partition("throughput of loss rows=200 width=1000 (cpu)")[2].splitlines()
    assert [line.split("  ")[0] for line in table[2:5]] == [
        "torch: Linear and BCE with logits",
        "reference",
        "aaeframe, few torch operations",
    ]
    assert all(line.endswith(" rows/s") for line in table[2:5])

    compared = run("--benchmark-compare", f"--benchmark-histogram={tmp_path / 'histogram'}")
    assert "aaeframe, few torch operations] (NOW)" in compared
    assert "aaeframe, few torch operations] (0001_" in compared
    (drawn,) = tmp_path.glob("histogram*.svg")
    assert "<svg" in drawn.read_text()
