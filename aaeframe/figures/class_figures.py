"""The figures of a model that separates class and style: styles, clusters and the reduced representation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from aaeframe.data import Split
from aaeframe.figures.cluster_plane import reduced, to_circle
from aaeframe.figures.clusters import cluster_heads
from aaeframe.figures.styles import style_grid
from aaeframe.model.autoencoder import Autoencoder
from aaeframe.model.representation import ClusterHeads
from aaeframe.protocols import Code
from aaeframe.supports import is_one_hot

STYLES: Final = 10
"""The number of style codes in the grid of styles, one a row."""
MEMBERS: Final = 8
"""The number of images next to each cluster head."""
MOST_CLASSES: Final = 30
"""The largest number of classes for these figures; more would be unreadable."""


def class_figures(
    model: Autoencoder,
    x: Split,
    codes: Code,
    pixels: Callable[[Tensor], Tensor],
    names: Sequence[str] | None,
    prior: Code,
) -> Iterator[tuple[str, Figure]]:
    """The possible figures of rows x, their codes and prior samples, each with its name.

    `pixels` converts rows in the user's units to [0, 1]; `names` are those of the model's categories, if any.
    """
    classes = model.num_classes
    if classes is None or classes > MOST_CLASSES or len(model.data_shape) != 3:
        return
    yield "styles", _styles(model, classes, prior, pixels, names)
    if model.class_block is not None:
        yield "clusters", _clusters(model, model.class_block, classes, x, codes, pixels, names)


def _styles(
    model: Autoencoder, classes: int, prior: Code, pixels: Callable[[Tensor], Tensor], names: Sequence[str] | None
) -> Figure:
    """Styles drawn from the prior, each with every class."""
    code = {name: z[:STYLES].repeat_interleave(classes, 0) for name, z in prior.items()}
    each = torch.arange(classes, device=model.device).repeat(STYLES)
    if model.class_block is not None:
        code[model.class_block] = torch.eye(classes, device=model.device)[each]
    images = pixels(model.decode(code, each if model.representation.takes_labels else None))
    return style_grid(images.unflatten(0, (STYLES, classes)), title="Styles by class", class_names=names)


def _clusters(
    model: Autoencoder,
    block: str,
    classes: int,
    x: Split,
    codes: Code,
    pixels: Callable[[Tensor], Tensor],
    names: Sequence[str] | None,
) -> Figure:
    """The heads decode(one-hot y, z = 0), and the first images assigned to each y."""
    heads = {
        name: torch.eye(classes, device=model.device) if name == block else _middle(model, name, z, classes)
        for name, z in codes.items()
    }
    assigned = codes[block].argmax(1).cpu().numpy()
    members = torch.zeros(classes, MEMBERS, *model.data_shape)
    present = torch.zeros(classes, MEMBERS, dtype=torch.bool)
    for cluster in range(classes):
        found = x.rows(np.flatnonzero(assigned == cluster)[:MEMBERS])
        if len(found):
            members[cluster, : len(found)] = pixels(torch.from_numpy(found))
        present[cluster, : len(found)] = True
    title = "Heads (framed), and images assigned to them"
    return cluster_heads(pixels(model.decode(heads)), members, present, title=title, names=names)


def _middle(model: Autoencoder, name: str, z: Tensor, count: int) -> Tensor:
    """The code z = 0 `count` times; for another one-hot block, the uniform distribution."""
    one_hot = is_one_hot(model.priors[name].support)
    return z.new_full((count, *z.shape[1:]), 1 / z.shape[-1] if one_hot else 0.0)


def representation(model: Autoencoder, codes: Code, labels: np.ndarray | None, names: Sequence[str] | None) -> Figure:
    """The representation W_C y + z, plotted in its plane or, if it has more dimensions, mapped to one.

    The affine map sends the heads to a circle. The model's representation must have cluster heads. `labels` are those
    of the rows, `names` those of the labels.
    """
    heads = model.representation
    assert isinstance(heads, ClusterHeads)
    points, centers = model.represent(codes).cpu().numpy(), heads.weight.detach().cpu().numpy()
    size = centers.shape[1]
    if size == 2:
        return reduced(points, labels, centers, title="Representation W y + z", class_names=names)
    sent = to_circle(centers)
    title = f"Representation W y + z, from {size} dimensions by an affine map"
    return reduced(sent(points), labels, sent(centers), title=title, class_names=names)
