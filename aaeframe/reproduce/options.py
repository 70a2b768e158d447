"""What each option is worth: 100 labels of MNIST with one option less than the preset has, or one more. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

PRESET: Final = "modern-mnist-100-labels"

OPTIONS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "without virtual adversary": ("label_free.virtual_adversarial=0.0",),
        "without mutual information": ("label_free.mutual_information=0.0",),
        "without batch norm": ("network.options.batch_norm=none",),
        "without moving average": ("training.ema=0.0",),
        "without instance noise": ("prior.y.instance_noise=0.0",),
        "with input noise": ("training.input_noise=0.3",),
        "with input dropout": ("training.input_dropout=0.2",),
        "with batch norm on heads": ("encoder.options.batch_norm=true",),
        "with softened one-hots": ("prior.y.softening=0.1",),
        "with augmentation": ("label_free.augmentation=1.0",),
    }
)
"""The settings over the preset, as --set takes them, by what they do."""
