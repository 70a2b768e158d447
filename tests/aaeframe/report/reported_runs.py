"""Small runs in memory, and the subjects of their reports."""

from __future__ import annotations

import numpy as np

import aaeframe
from aaeframe.report.subject import Subject

SMALL = {"network": "mlp(hidden=[8])", "discriminator": "mlp(hidden=[8])", "epochs": 1, "batch_size": 20}
LABELS = np.arange(200) % 2
ROWS = np.random.default_rng(0).normal(size=(200, 6)).astype(np.float32) + 2 * LABELS[:, None]
BLOCK = {
    "sliced_wasserstein": 0.125,
    "sliced_wasserstein_floor": 0.0625,
    "mmd": 0.5,
    "mmd_floor": 0.25,
    "two_sample": 0.55,
    "two_sample_interval": [0.50, 0.60],
    "two_sample_by": {"trees": 0.55, "perceptron": 0.5},
    "two_sample_rows": 400,
    "tested": True,
}
EVALUATION = {"rows": 7, "reconstruction": {"error": 1.0, "mean_image_error": 4.0, "ratio": 0.25, "shuffled_error": 6}}


def trained(data=(ROWS, LABELS), **options):
    return aaeframe.train(data, keep=False, **{**SMALL, **options})


def subject_of(run, split="train", **given):
    """The subject of a run, with measurements that are not its own."""
    blocks = dict.fromkeys(run.model.priors, BLOCK)
    known = {"evaluation": {**EVALUATION, "blocks": blocks}, "metrics": run.metrics, "step": run.step}
    return Subject(
        "run", run.config, run.model, run.dataset(), split, **{**known, "weights": "", "finished": True, **given}
    )
