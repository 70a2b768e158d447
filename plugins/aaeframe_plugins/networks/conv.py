"""A convolutional autoencoder for images of any size."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import nn

from aaeframe.protocols import DataSpec
from aaeframe_plugins.networks.output import output

Width = Annotated[int, Field(gt=0)]
SMALLEST = 8


class Conv(nn.Module):
    """Each stage halves the picture with a strided convolution; the decoder enlarges and convolves, in reverse.

    Enlarging by nearest neighbors to the recorded size serves odd sizes and leaves no checkerboard
    (Odena et al., 2016).
    """

    def __init__(
        self,
        data: DataSpec,
        code_size: int,
        *,
        channels: Annotated[
            tuple[Width, ...],
            Field(min_length=1, description="channels of the stages; each stage halves height and width"),
        ] = (32, 64),
        hidden: Annotated[int, Field(gt=0, description="width of the layer between pictures and code")] = 256,
    ) -> None:
        super().__init__()
        if len(data.shape) != 3 or min(data.shape[1:]) < SMALLEST:
            raise ValueError(
                f"conv takes images (channels, height, width) from {SMALLEST}x{SMALLEST} up, found data of shape "
                f"{tuple(data.shape)}; use --network mlp"
            )
        sizes = [(data.shape[1], data.shape[2])]
        for _ in channels:
            sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
        depth = [data.shape[0], *channels]
        flat = depth[-1] * sizes[-1][0] * sizes[-1][1]
        self.num_features = hidden
        self.encoder = nn.Sequential(
            *[layer for i in range(len(channels)) for layer in _down(depth[i], depth[i + 1])],
            nn.Flatten(),
            nn.Linear(flat, hidden),
            nn.ReLU(),
        )
        self.decoder = nn.Sequential(
            nn.Linear(code_size, hidden),
            nn.ReLU(),
            nn.Linear(hidden, flat),
            nn.ReLU(),
            nn.Unflatten(1, (depth[-1], *sizes[-1])),
            *[layer for i in reversed(range(1, len(channels))) for layer in _up(depth[i + 1], depth[i], sizes[i])],
            nn.Upsample(size=sizes[0]),
            nn.Conv2d(depth[1], data.shape[0], 3, padding=1),
            output(data),
        )


def _down(inner: int, outer: int) -> list[nn.Module]:
    return [nn.Conv2d(inner, outer, 3, stride=2, padding=1), nn.ReLU()]


def _up(inner: int, outer: int, size: tuple[int, int]) -> list[nn.Module]:
    return [nn.Upsample(size=size), nn.Conv2d(inner, outer, 3, padding=1), nn.ReLU()]
