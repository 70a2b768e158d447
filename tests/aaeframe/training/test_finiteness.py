from __future__ import annotations

import math

import pytest
import torch

from aaeframe.errors import TrainingDiverged
from aaeframe.training.finiteness import check_finite


def test_numbers_and_tensors_must_be_finite():
    tensors = {"weight": torch.ones(3), "rng": torch.tensor([1], dtype=torch.uint8), "empty": torch.ones(0)}
    check_finite(5, {"epoch": 1, "loss": 0.5, **tensors})
    with pytest.raises(TrainingDiverged, match="step 5: loss is not finite"):
        check_finite(5, {"epoch": 1, "loss": math.nan, "other": math.inf})
    with pytest.raises(TrainingDiverged, match=r"step 5: model.weight is not finite"):
        check_finite(5, {**tensors, "model.weight": torch.tensor([1.0, -math.inf])})


def test_divergence_is_not_the_users_mistake():
    assert TrainingDiverged.exit_code == 1
