"""Python tells what the command line tells: warnings of a training, and a bar if it is asked for."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch.distributions import Independent, Normal

import aaeframe
from aaeframe.errors import TrainingWarning
from aaeframe.evaluation import match
from aaeframe.evaluation.evaluate import misses

ROWS = np.random.default_rng(0).normal(size=(200, 4)).astype("float32")
SMALL = {"prior": "gaussian(size=2)", "network": "mlp(hidden=[8])", "discriminator": "mlp(hidden=[8])"}


def test_what_the_monitor_finds_is_a_warning():
    stuck = {"autoencoder": {"lr": 1e-9}, "discriminator": {"lr": 0.05}, "generator": {"lr": 1e-9}}
    stuck["reconstruction"] = stuck.pop("autoencoder")
    with pytest.warns(TrainingWarning, match=r"^epoch \d+: "):
        aaeframe.train(ROWS * 9, keep=False, epochs=12, config={"optimizers": stuck}, **SMALL)


def test_a_run_that_misses_its_prior_is_told_so():
    run = aaeframe.train(ROWS, keep=False, epochs=1, **SMALL)
    for part in run.model.encoder.parameters():
        part.data.fill_(3.0)
    with pytest.warns(TrainingWarning, match="the codes of block 'gaussian' do not follow its prior: .* of cases"):
        run.evaluate(aaeframe.data.from_arrays(np.tile(ROWS, (4, 1))))


@pytest.mark.parametrize(
    ("accuracy", "interval", "count"),
    [(1.0, [0.99, 1], 1), (0.9, [0.7, 1], 0), (0.6, [0.59, 0.61], 0), (None, None, 0)],
)
def test_only_a_clear_miss_is_told(accuracy, interval, count):
    report = {"blocks": {"z": {"tested": True, "two_sample": accuracy, "two_sample_interval": interval}}}
    assert len(misses(report)) == count


@pytest.mark.parametrize(("mmd", "count"), [(0.5, 1), (0.062, 1), (0.058, 0), (-0.001, 0), (None, 0)])
def test_without_a_test_a_clear_discrepancy_is_told(mmd, count):
    assert len(misses({"blocks": {"z": {"tested": False, "mmd": mmd, "mmd_floor": 0.01}}})) == count


@pytest.mark.parametrize("change", [lambda z: z * 0.6, lambda z: z * torch.tensor([1.0, 0.0]), lambda z: z + 1])
def test_codes_that_miss_their_prior_are_told_without_a_test(change):
    prior = Independent(Normal(torch.zeros(2), 1.0), 1)
    codes = torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    found = [match(it, prior, seed=0, draws=5, two_sample=False).as_dict() for it in (codes, change(codes))]
    assert [len(misses({"blocks": {"z": it}})) for it in found] == [0, 1]


@pytest.mark.parametrize(("progress", "shown"), [(True, True), (False, False), (None, False)])
def test_progress_is_shown_where_it_is_asked_for(capsys, progress, shown):
    aaeframe.train(ROWS, keep=False, epochs=2, progress=progress, **SMALL)
    found = capsys.readouterr()
    assert bool(re.search(r"epoch 2/2", found.err)) is shown
    assert found.out == ""
