"""A convolutional autoencoder for images of any size."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import nn

from aaeframe.protocols import DataSpec
from aaeframe_plugins.networks.output import BatchNorm, output

Width = Annotated[int, Field(gt=0)]
SMALLEST = 8


class Conv(nn.Module):
    """Each stage halves the image with a strided convolution; the decoder enlarges and convolves in reverse order.

    Nearest-neighbor enlarging to the recorded size supports odd sizes and avoids checkerboard artifacts (Odena et al.,
    2016).
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
        batch_norm: BatchNorm = "none",
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
        inwards, outwards = batch_norm != "none", batch_norm == "everywhere"
        stages = range(1, len(channels))
        self.num_features = hidden
        self.encoder = nn.Sequential(
            *[it for i in range(len(channels)) for it in _relu(_down(depth[i], depth[i + 1]), depth[i + 1], inwards)],
            nn.Flatten(),
            *_relu(nn.Linear(flat, hidden), hidden, inwards, flat=True),
        )
        self.decoder = nn.Sequential(
            *_relu(nn.Linear(code_size, hidden), hidden, outwards, flat=True),
            *_relu(nn.Linear(hidden, flat), flat, outwards, flat=True),
            nn.Unflatten(1, (depth[-1], *sizes[-1])),
            *[it for i in reversed(stages) for it in _relu(_up(depth[i + 1], depth[i], sizes[i]), depth[i], outwards)],
            _up(depth[1], data.shape[0], sizes[0]),
            *([nn.BatchNorm2d(data.shape[0])] if outwards else []),
            output(data),
        )


def _down(inner: int, outer: int) -> nn.Module:
    return nn.Conv2d(inner, outer, 3, stride=2, padding=1)


def _up(inner: int, outer: int, size: tuple[int, int]) -> nn.Module:
    return nn.Sequential(nn.Upsample(size=size), nn.Conv2d(inner, outer, 3, padding=1))


def _relu(layer: nn.Module, width: int, batch_norm: bool, *, flat: bool = False) -> list[nn.Module]:
    """A layer of `width` channels or features, batch norm if requested, and a ReLU."""
    norm = nn.BatchNorm1d if flat else nn.BatchNorm2d
    return [layer, *([norm(width)] if batch_norm else []), nn.ReLU()]
