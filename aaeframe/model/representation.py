"""The representation: (code, labels) -> the decoder's input, (N, size)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from aaeframe.errors import DataError
from aaeframe.protocols import BlockSpec, Code


class Representation(nn.Module):
    """The decoder's input as a function of the code, and of labels where `takes_labels`."""

    size: int
    """The width of the representation."""
    takes_labels = False

    def forward(self, code: Code, labels: Tensor | None = None) -> Tensor:
        """Code, each block (N, *event_shape), and labels (N,) -> (N, size)."""
        raise NotImplementedError


class Concatenate(Representation):
    """The latent blocks side by side, in the order of the prior (paper, sections 2 and 5). Labels are not used."""

    def __init__(self, blocks: Mapping[str, BlockSpec]) -> None:
        super().__init__()
        self.blocks = tuple(blocks)
        self.size = sum(block.event_shape.numel() for block in blocks.values())

    def forward(self, code: Code, labels: Tensor | None = None) -> Tensor:
        """Code, each block (N, *event_shape) -> (N, size)."""
        return torch.cat([code[name].flatten(1) for name in self.blocks], dim=1)


class WithLabel(Representation):
    """The latent blocks and the one-hot label (paper, section 4)."""

    takes_labels = True

    def __init__(self, blocks: Mapping[str, BlockSpec], num_classes: int) -> None:
        super().__init__()
        self.code = Concatenate(blocks)
        self.num_classes = num_classes
        self.size = self.code.size + num_classes

    def forward(self, code: Code, labels: Tensor | None = None) -> Tensor:
        """Code, each block (N, *event_shape), and labels (N,) -> (N, size). DataError without labels."""
        if labels is None:
            raise DataError("this model decodes a code together with the label of its class; give labels (N,)")
        z = self.code(code)
        return torch.cat([z, one_hot(labels, self.num_classes).to(z.dtype)], dim=1)


class ClusterHeads(Representation):
    """W_C y + z: the head of the class, plus the style, in the style's few dimensions (paper, section 7)."""

    weight: nn.Parameter
    """W_C, (m, n): one head for each of m classes, drawn from N(0, 1)."""

    def __init__(self, blocks: Mapping[str, BlockSpec], class_block: str, style_block: str) -> None:
        super().__init__()
        self.class_block, self.style_block = class_block, style_block
        self.size = blocks[style_block].event_shape.numel()
        self.weight = nn.Parameter(torch.randn(blocks[class_block].event_shape.numel(), self.size))

    def forward(self, code: Code, labels: Tensor | None = None) -> Tensor:
        """Code -> (N, n), the representation and the decoder's whole input. Labels are not used."""
        return code[self.class_block] @ self.weight + code[self.style_block].flatten(1)
