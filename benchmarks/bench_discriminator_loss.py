"""Forward and backward of the discriminator's last layer and its loss."""

from __future__ import annotations

SUITE = "loss"


def bench_discriminator_loss(timed):
    timed()
