"""Images for measurements: like MNIST, but made from the built-in digits, so that every machine has the same ones."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from aaeframe import data as datasets

CHUNK: Final = 100_000
"""The number of samples made at once, so that many take little more memory than they are."""


def digit_images(count: int, side: int, seed: int = 0) -> Tensor:
    """Scanned digits enlarged to `side` x `side`, all shifted by up to an eighth: (count, 1, side, side) uint8."""
    rows = torch.from_numpy(datasets.load("digits").split("train").array()).float()
    generator = torch.Generator().manual_seed(seed)
    chosen = rows[torch.randint(len(rows), (count,), generator=generator)]
    large = interpolate(chosen, size=(side, side), mode="bilinear", align_corners=False)
    reach = side // 8
    moves = torch.randint(-reach, reach + 1, (2,), generator=generator).tolist()
    return (large.roll(moves, dims=(2, 3)) * (255 / rows.max())).round().to(torch.uint8)


def decoder_like(count: int, side: int, seed: int = 1) -> Tensor:
    """Images like a trained decoder's samples: blurred, off the pixel grid; (count, 1, side, side) in (0, 1)."""
    made = torch.empty(count, 1, side, side)
    for start in range(0, count, CHUNK):
        number = min(CHUNK, count - start)
        generator = torch.Generator().manual_seed(seed + start)
        x = avg_pool2d(digit_images(number, side, seed + start).float() / 255, 3, stride=1, padding=1)
        noise = 0.02 * torch.rand(x.shape, generator=generator)
        made[start : start + number] = 0.01 + 0.96 * x + noise
    return made
