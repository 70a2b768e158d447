"""The decoder of a page: dense layers in float16, or a grid of decoded codes for other networks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from aaeframe.model.autoencoder import Autoencoder
from aaeframe.report.dense import Layer, NotDense, dense_layers
from aaeframe.report.maps import LatentMap
from aaeframe.report.pictures import MOST_CATEGORIES, MOST_PIXELS, MOST_VALUES, Json, Look, packed
from aaeframe.supports import is_one_hot

SIDES: Final = (6, 48)
"""The least and the largest number of codes along a side of a grid."""


def decoding(
    model: Autoencoder,
    look: Look,
    maps: Sequence[LatentMap],
    codes: Mapping[str, Tensor],
    labels: Tensor | None,
    x_hat: Tensor,
) -> Json:
    """The decoder for the page, JSON-like.

    Args:
        model: the model.
        look: the way its rows are shown.
        maps: the planes of the explorer.
        codes: each block (N, D), on the CPU.
        labels: (N,) the labels of these codes, for a decoder that takes them.
        x_hat: (N, *shape) the decoded codes in the user's units; the page gets them where it has a grid.
    """
    try:
        layers = dense_layers(model, look.features, _inputs(model, codes, labels))
    except NotDense as reason:
        grids = [_grid(model, look, it, codes, 1 / len(maps)) for it in maps]
        return {"kind": "grid", "reason": str(reason), "grids": grids, "reconstructions": look.gallery(x_hat)}
    scale, offset = look.affine(model)
    return {
        "kind": "dense",
        "layers": [_layer(it) for it in layers],
        "scale": packed(scale),
        "offset": packed(offset),
        "weights": sum(it.weight.size for it in layers),
    }


def _inputs(model: Autoencoder, codes: Mapping[str, Tensor], labels: Tensor | None) -> Tensor:
    """The blocks side by side (N, inputs), with the one-hot label where the decoder takes it."""
    parts = [codes[name].float() for name in model.priors]
    if labels is not None and model.num_classes is not None:
        parts.append(torch.eye(model.num_classes)[labels.cpu()])
    return torch.cat(parts, dim=1)


def _layer(layer: Layer) -> Json:
    return {
        "weight": packed(layer.weight),
        "bias": packed(layer.bias.astype(np.float32)),
        "scale": layer.scale,
        "activation": layer.activation,
        "slope": layer.slope,
    }


def _grid(model: Autoencoder, look: Look, plane: LatentMap, codes: Mapping[str, Tensor], share: float) -> Json:
    """Decoded codes over a map for each category, with other blocks at their mean; row by row from the lowest.

    Of many categories it has the first, as many as fit; the page says so.
    """
    budget = share * (MOST_PIXELS if look.kind == "image" else MOST_VALUES)
    size = math.prod(look.shape[1:]) if look.kind == "image" else math.prod(look.shape)
    total = _categories_over(model, plane)
    each = min(total, max(MOST_CATEGORIES, int(budget / (SIDES[0] ** 2 * size))))
    side = int(np.clip(math.isqrt(int(budget / each / size)), *SIDES))
    places = np.stack(np.meshgrid(*(np.linspace(plane.low[k], plane.high[k], side) for k in (0, 1))), -1).reshape(-1, 2)
    decoded = [_decoded(model, plane, places, codes, k) for k in range(each)]
    return {
        "key": plane.key,
        "side": side,
        "categories": each,
        "of": total,
        "pictures": look.gallery(torch.cat(decoded)),
    }


def _categories_over(model: Autoencoder, plane: LatentMap) -> int:
    """The number of categories between which a map's pictures differ: 1 where a place of the map tells the category."""
    if plane.key not in model.priors or model.num_classes is None:
        return 1
    by_block = model.class_block not in (None, plane.key) and is_one_hot(model.priors[model.class_block].support)
    return model.num_classes if by_block or model.representation.takes_labels else 1


def _decoded(
    model: Autoencoder, plane: LatentMap, places: np.ndarray, codes: Mapping[str, Tensor], category: int
) -> Tensor:
    """The decoded codes at places of a map, all of one category."""
    z = torch.from_numpy(plane.codes_at(places)).float()
    count, code = len(z), {}
    for name, prior in model.priors.items():
        shape = (count, *prior.event_shape)
        if name == plane.key:
            code[name] = z.reshape(shape)
        elif name == model.class_block and is_one_hot(prior.support):
            code[name] = torch.eye(shape[1])[category].expand(count, -1)
        else:
            code[name] = codes[name].float().mean(0).expand(count, -1).reshape(shape)
    labels = torch.full((count,), category) if model.representation.takes_labels else None
    if plane.key not in model.priors:  # the representation, which is the decoder's whole input
        return _represented(model, z)
    return model.decode(code, labels).cpu()


@torch.no_grad()
def _represented(model: Autoencoder, z: Tensor) -> Tensor:
    return model.unscale(torch.cat([model.decoder(part) for part in z.to(model.device).split(model.batch_size)])).cpu()
