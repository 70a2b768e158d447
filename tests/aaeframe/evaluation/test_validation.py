"""The quick look at validation rows after each epoch."""

import json

import pytest
import torch

import aaeframe

SMALL = {"network": "mlp(hidden=[16])", "discriminator": "mlp(hidden=[8])", "epochs": 1}


def test_the_entropies_of_a_class_block_are_those_of_the_validation_rows(tmp_path):
    prior = "y=categorical(classes=4)+style=gaussian(size=2)"
    run = aaeframe.train("digits", prior=prior, recipe="clustering", out=tmp_path / "run", **SMALL)
    (row,) = map(json.loads, run.folder.metrics.read_text().splitlines())

    y = run.encode(run.dataset().validation.array())["y"].double()

    assert row["entropy/y"] == pytest.approx(float(torch.special.entr(y.mean(0)).sum()), rel=1e-5)
    assert row["uncertainty/y"] == pytest.approx(float(torch.special.entr(y).sum(1).mean()), rel=1e-5)
    assert 0 < row["uncertainty/y"] < row["entropy/y"]
