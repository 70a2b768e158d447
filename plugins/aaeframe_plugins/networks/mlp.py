"""The paper's fully connected autoencoder."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

from pydantic import Field
from torch import nn

from aaeframe.protocols import DataSpec
from aaeframe_plugins.networks.output import BatchNorm, output

Width = Annotated[int, Field(gt=0)]


class MLP(nn.Module):
    """ReLU layers to the features and from the representation, mirrored by default (paper, appendix A)."""

    def __init__(
        self,
        data: DataSpec,
        code_size: int,
        *,
        hidden: Annotated[tuple[Width, ...], Field(min_length=1, description="widths of the encoder's layers")] = (
            1000,
            1000,
        ),
        decoder_hidden: Annotated[
            tuple[Width, ...] | None,
            Field(min_length=1, description="widths of the decoder's layers; by default the encoder's, reversed"),
        ] = None,
        batch_norm: BatchNorm = "none",
    ) -> None:
        super().__init__()
        size, outer = data.shape.numel(), hidden[::-1] if decoder_hidden is None else decoder_hidden
        self.num_features = hidden[-1]
        inwards, outwards = batch_norm != "none", batch_norm == "everywhere"
        self.encoder = nn.Sequential(nn.Flatten(), *_relu_layers([size, *hidden], inwards))
        self.decoder = nn.Sequential(
            *_relu_layers([code_size, *outer], outwards),
            nn.Linear(outer[-1], size),
            *([nn.BatchNorm1d(size)] if outwards else []),
            nn.Unflatten(1, data.shape),
            output(data),
        )


def _relu_layers(widths: list[int], batch_norm: bool) -> list[nn.Module]:
    return [
        layer
        for inner, outer in pairwise(widths)
        for layer in (nn.Linear(inner, outer), *([nn.BatchNorm1d(outer)] if batch_norm else []), nn.ReLU())
    ]
