"""Everything trains with everything: digits, a few epochs, over the whole registry."""

from __future__ import annotations

import json
import math
from itertools import product

import pytest

import aaeframe
from aaeframe.components.registry import Registry
from aaeframe.data import load
from aaeframe.testing.factories import needed_options

OFFERS = Registry.load().offers()


def names(kind):
    ours = [offer for offer in OFFERS if offer.kind == kind and offer.distribution == "aaeframe"]
    return [offer.full_name for offer in ours if not needed_options(offer.factory())]


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def epochs_of(run):
    return [json.loads(line) for line in run.folder.metrics.read_text().splitlines()]


def check(run):
    first, *_, last = rows = epochs_of(run)
    assert run.finished
    assert all(math.isfinite(value) for row in rows for value in row.values() if isinstance(value, float))
    assert last["reconstruction"] < first["reconstruction"]


@pytest.mark.slow
@pytest.mark.parametrize("prior", [*names("prior"), "categorical+gaussian", "categorical+swissroll+mixture"])
@pytest.mark.parametrize("encoder", names("encoder"))
def test_every_encoder_trains_with_every_prior(encoder, prior, digits, tmp_path):
    run = aaeframe.train(
        digits,
        encoder=encoder,
        prior=prior,
        network="mlp(hidden=[64])",
        discriminator="mlp(hidden=[64])",
        epochs=3,
        out=tmp_path / "run",
    )

    check(run)


@pytest.mark.parametrize(("network", "discriminator"), list(product(names("network"), names("discriminator"))))
@pytest.mark.parametrize("labels", [None, 100])
def test_every_network_trains_with_every_discriminator(network, discriminator, labels, digits, tmp_path):
    run = aaeframe.train(
        digits,
        prior="mixture",
        network=network,
        discriminator=f"{discriminator}(hidden=[64])",
        labels=labels,
        epochs=2,
        out=tmp_path / "run",
    )

    check(run)


@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["alternating", "joint"])
def test_both_schedules_train(schedule, digits, tmp_path):
    run = aaeframe.train(
        digits,
        prior="categorical+gaussian",
        network="mlp(hidden=[64])",
        schedule=schedule,
        epochs=3,
        out=tmp_path / "run",
    )

    check(run)
