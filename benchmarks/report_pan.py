"""Time of a pan in the explorer of a report: the frame that redraws 50,000 points, in headless Chromium.

    python benchmarks/report_pan.py [--points 50000] [--chromium /usr/bin/chromium]

It needs playwright and a Chromium.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
from pathlib import Path

import numpy as np

import aaeframe

PANS = 40
PAN = """
async (count) => {
  const { scatter } = aaeframe.explorer;
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
  const found = [];
  for (let k = 0; k < count; k++) {
    const began = performance.now();
    scatter.pan(k % 2 ? -7 : 7, 3);
    await frame();
    found.push([scatter.milliseconds, performance.now() - began]);
  }
  return found;
}
"""


def page_with(points: int, folder: Path) -> Path:
    """The report of a short run on a table, with so many points."""
    rows = np.random.default_rng(0).normal(size=(2 * points, 4)).astype(np.float32)
    small = {"network": "mlp(hidden=[8])", "discriminator": "mlp(hidden=[8])", "batch_size": 1000, "progress": False}
    run = aaeframe.train(rows, epochs=1, keep=False, **small)
    return run.report(folder / "report.html", split="train", points=points, warn=lambda sentence: None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--points", type=int, default=50_000)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    asked = parser.parse_args()
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as started:
        path = page_with(asked.points, Path(folder))
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = started.chromium.launch(executable_path=asked.chromium, args=arguments)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]")
        drawn, frames = zip(*page.evaluate(PAN, PANS), strict=True)
        browser.close()
    for name, times in (("draw", drawn), ("frame", frames)):
        print(
            f"{name}: median {statistics.median(times):.1f} ms, slowest {max(times):.1f} ms ({asked.points:,} points)"
        )


if __name__ == "__main__":
    main()
