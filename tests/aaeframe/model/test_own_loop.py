"""The training loop of the room's README trains."""

from __future__ import annotations

import re
from pathlib import Path

import torch

import aaeframe.model

PAGE = Path(aaeframe.model.__file__).with_name("README.md")


def test_the_loop_of_the_page_trains_and_has_about_thirty_lines():
    (block,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    found = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        exec(block, found)
    model, x = found["model"], found["rows"].float()
    error = (model.reconstruct(x) - x).square().mean()
    codes = model.encode(x)["z"]

    assert error < (x.mean(0) - x).square().mean()  # of an untrained model it is more than twice as large
    assert codes.std(0).min() > 1  # as wide as the swiss roll, whose radius reaches 14, and not collapsed
    assert len([line for line in block.splitlines() if line and "import" not in line]) <= 30
