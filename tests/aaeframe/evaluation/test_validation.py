"""The quick look at validation rows after each epoch."""

import json

import pytest
import torch
from torch.distributions import Independent, OneHotCategorical

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


def test_the_entropies_of_several_one_hot_vectors_are_means_over_these():
    prior = Independent(OneHotCategorical(logits=torch.zeros(3, 4)), 1)
    run = aaeframe.train("digits", prior={"y": prior}, keep=False, **SMALL)
    (row,) = run.metrics
    y = run.encode(run.dataset().validation.array())["y"].double()
    assert row["classes/y"] == 4
    assert row["entropy/y"] == pytest.approx(float(torch.special.entr(y.mean(0)).sum(1).mean()), rel=1e-5)
    assert row["uncertainty/y"] == pytest.approx(float(torch.special.entr(y).sum(2).mean()), rel=1e-5)
