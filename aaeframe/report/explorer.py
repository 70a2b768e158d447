"""The data of the latent explorer: codes, maps, pictures, and a decoder or a grid of decoded codes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from aaeframe.data import Split
from aaeframe.errors import PluginError
from aaeframe.evaluation.class_reports import decoder_labels
from aaeframe.model.autoencoder import Autoencoder
from aaeframe.model.representation import ClusterHeads
from aaeframe.protocols import SupportsCurve
from aaeframe.report.decoding import decoding
from aaeframe.report.maps import LatentMap, map_of
from aaeframe.report.pictures import MOST_CATEGORIES, MOST_POINTS, Json, Look, look_of, numbers, packed
from aaeframe.report.subject import Subject
from aaeframe.seeds import derive, generator, stream
from aaeframe.supports import is_one_hot

PRIOR_SAMPLES: Final = 2000
CURVE: Final = 240
"""The number of codes along a prior's curve."""
RANGE: Final = (0.005, 0.995)
"""The quantiles of codes and prior samples between which a slider moves."""
REPRESENTATION: Final = "W y + z"
"""The name of the map of the decoder's input, where clusters have heads."""


@dataclass(frozen=True, eq=False)
class Points:
    """The rows of the explorer with their codes."""

    x: Split
    positions: np.ndarray
    """(N,) the position of each row in its split."""
    codes: Mapping[str, Tensor]
    """Each block (N, D), on the CPU."""
    prior: Mapping[str, Tensor]
    """Samples of each block's prior (M, D), on the CPU."""
    x_hat: Tensor
    """(N, *shape), in the user's units."""
    labels: Tensor | None
    """(N,) for a decoder that takes labels."""
    look: Look


def explorer(subject: Subject) -> Json:
    """The data of a run's explorer, JSON-like."""
    points = _points(subject)
    model, categories = subject.model, _categories(subject)
    maps = [map_of(key, z, points.prior[key]) for key, z in _plane_codes(model, points.codes)]
    return {
        "name": subject.name,
        "kind": points.look.kind,
        "shape": list(points.look.shape),
        "columns": list(points.look.names),
        "rows": {"count": len(points.x), "of": len(subject.rows), "split": subject.split},
        "positions": points.positions.tolist(),
        "ids": None if points.x.ids is None else [str(it) for it in points.x.ids],
        "blocks": [_block(model, name, points) for name in model.priors],
        "representation": _representation(model),
        "categories": categories,
        "labels": _labels(model, points),
        "codes": {it.key: packed(it.codes.astype(np.float32)) for it in maps} | _one_hot_codes(model, points, maps),
        "prior": {it.key: packed(points.prior[it.key].numpy()) for it in maps},
        "maps": [it.as_dict() for it in maps],
        "colors": list(_colors(subject, points, categories)),
        "originals": points.look.gallery(_rows(points.x)),
        "heads": _heads(model, points, categories),
        "paths": list(_paths(subject)),
        "decoder": decoding(model, points.look, maps, points.codes, points.labels, points.x_hat),
    }


def _points(subject: Subject) -> Points:
    """Rows drawn at random, one code of each, and what the decoder makes of it."""
    model, rows, seed = subject.model, subject.rows, subject.seed
    with stream(seed, "report", "example", device=model.device):
        example = model.sample(256, seed=derive(seed, "report", "example")).cpu()
    look = look_of(model, subject.dataset, rows, example)
    most = min(MOST_POINTS, look.most_rows) if subject.points is None else subject.points
    index = np.random.default_rng(derive(seed, "report", "rows")).permutation(len(rows))[:most]
    x = rows.take(index).held()
    codes = {name: z[0] for name, z in model.encode(x, draws=1, generator=generator(seed, "report", "noise")).items()}
    labels = decoder_labels(model, x)
    prior = model.sample_prior(PRIOR_SAMPLES, seed=derive(seed, "report", "prior"))
    if isinstance(model.representation, ClusterHeads):
        codes[REPRESENTATION], prior[REPRESENTATION] = model.represent(codes), model.represent(prior)
    return Points(
        x,
        index,
        {name: z.flatten(1).cpu() for name, z in codes.items()},
        {name: z.flatten(1).cpu() for name, z in prior.items()},
        model.decode(codes, labels).cpu(),
        labels,
        look,
    )


def _rows(x: Split) -> Tensor:
    return torch.from_numpy(x.array())


def _plane_codes(model: Autoencoder, codes: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """The codes that get a map: the representation, then blocks that are not one-hot; all if there is no other."""
    if REPRESENTATION in codes:
        yield REPRESENTATION, codes[REPRESENTATION]
    plane = [name for name, prior in model.priors.items() if not is_one_hot(prior.support)]
    for name in plane or list(model.priors):
        yield name, codes[name]


def _one_hot_codes(model: Autoencoder, points: Points, maps: list[LatentMap]) -> Json:
    """The codes of the blocks without a map."""
    return {name: packed(points.codes[name].numpy()) for name in model.priors if name not in {it.key for it in maps}}


def _block(model: Autoencoder, name: str, points: Points) -> Json:
    one_hot = is_one_hot(model.priors[name].support)
    both = torch.cat([points.codes[name], points.prior[name]]).double().numpy()
    low, high = np.quantile(both, RANGE, axis=0)
    return {
        "name": name,
        "size": both.shape[1],
        "one_hot": one_hot,
        "low": low.tolist(),
        "high": np.where(high > low, high, low + 1).tolist(),
        "mean": points.codes[name].double().mean(0).tolist(),
    }


def _representation(model: Autoencoder) -> Json | None:
    """The blocks of W y + z: the map of this name sets the style alone."""
    heads = model.representation
    if not isinstance(heads, ClusterHeads):
        return None
    weight = heads.weight.detach().float().cpu().numpy()
    return {
        "key": REPRESENTATION,
        "class_block": heads.class_block,
        "style_block": heads.style_block,
        "heads": packed(weight),
    }


def _categories(subject: Subject) -> Json | None:
    """The categories of the model: those of its class block, or of labels that its decoder takes."""
    model, count = subject.model, subject.model.num_classes
    if count is None:
        return None
    if model.representation.takes_labels:
        known = subject.dataset.class_names
        return {"block": None, "what": "class", "names": list(known or map(str, range(count)))}
    if subject.category_names is not None:
        return {"block": model.class_block, "what": "class", "names": list(subject.category_names)}
    named, classes = subject.evaluation.get("clustering", {}).get("names"), subject.dataset.class_names
    meaning = None if named is None or classes is None else [classes[k] for k in named]
    return {"block": model.class_block, "what": "cluster", "names": list(map(str, range(count))), "meaning": meaning}


def _labels(model: Autoencoder, points: Points) -> Json | None:
    """The labels of the rows and their number of classes, where the decoder takes labels."""
    if points.labels is None:
        return None
    return {"count": model.num_classes, "values": packed(points.labels.numpy().astype(np.int32))}


def _heads(model: Autoencoder, points: Points, categories: Json | None) -> Json | None:
    """Each category decoded with every other block at the middle of its prior; None for too many categories."""
    if categories is None or len(categories["names"]) > MOST_CATEGORIES:
        return None
    count, block = len(categories["names"]), categories["block"]
    code = {
        name: torch.eye(count) if name == block else _middle(model, name, points).expand(count, *prior.event_shape)
        for name, prior in model.priors.items()
    }
    return points.look.gallery(model.decode(code, torch.arange(count) if block is None else None))


def _middle(model: Autoencoder, name: str, points: Points) -> Tensor:
    """The middle of a block's prior (*event_shape): equal shares if it is one-hot, else 0.

    Where the prior has no 0, as on a circle or of positive numbers, it is the sample nearest to the samples' mean.
    """
    prior, samples = model.priors[name], points.prior[name]
    shape = torch.Size(prior.event_shape)
    if is_one_hot(prior.support):
        return torch.full(shape, 1 / shape[-1])
    if prior.support.check(torch.zeros(shape)).all():
        return torch.zeros(shape)
    nearest = (samples - samples.mean(0)).square().sum(1).argmin()
    return samples[nearest].reshape(shape)


def _colors(subject: Subject, points: Points, categories: Json | None) -> Iterator[Json]:
    """The values by which points may be colored: classes first, then numbers.

    The page finds its own by their key, as a column may have any name.
    """
    x, names = points.x, subject.dataset.class_names
    if x.labels is not None and names is not None and (x.labels >= 0).any():
        values = packed(x.labels.astype(np.int32))
        yield {"name": "class", "key": "class", "type": "class", "names": list(names), "values": values}
    block = None if categories is None else categories["block"]
    if categories is not None and block is not None:
        chosen = points.codes[block].argmax(1).numpy().astype(np.int32)
        called = {"names": categories["names"], "meaning": categories.get("meaning")}
        name = f"{categories['what']} by {block}"
        yield {"name": name, "key": "category", "type": "class", **called, "values": packed(chosen)}
    model = subject.model
    gap = (model.scale(_rows(x)) - model.scale(points.x_hat)).flatten(1) if model.device.type == "cpu" else None
    if gap is None:
        gap = (model.scale(_rows(x).to(model.device)) - model.scale(points.x_hat.to(model.device))).flatten(1).cpu()
    yield {**_number("reconstruction error", 0.5 * gap.double().square().sum(1).numpy()), "key": "error"}
    for name in model.priors:
        if not is_one_hot(model.priors[name].support):
            for k, values in enumerate(points.codes[name].T[:MOST_CATEGORIES]):
                yield _number(f"{name}[{k + 1}]", values.numpy())
    if points.look.kind == "table":
        shown = points.look.shown(_rows(x))
        for name, column in zip(points.look.names, shown.T, strict=True):
            yield {**_number(str(name), column), "group": "columns"}


def _number(name: str, values: np.ndarray) -> Json:
    return {"name": name, "type": "number", "values": numbers(values)}


def _paths(subject: Subject) -> Iterator[Json]:
    """The curves of the priors that have one."""
    for name, prior in subject.model.priors.items():
        if isinstance(prior, SupportsCurve):
            codes = _curve(name, prior)
            kind = subject.config.prior[name].component.rpartition(":")[2]
            yield {"block": name, "label": f"along the {kind}", "codes": packed(codes)}


def _curve(block: str, prior: SupportsCurve) -> np.ndarray:
    """The codes (CURVE, D) along a prior's curve. PluginError if they are not finite codes of the block."""
    codes, wanted = prior.curve(CURVE), (CURVE, *torch.Size(prior.event_shape))
    if not isinstance(codes, Tensor) or tuple(codes.shape) != wanted or not codes.isfinite().all():
        found = tuple(codes.shape) if isinstance(codes, Tensor) else type(codes).__name__
        raise PluginError(
            f"the prior of block {block!r} has a curve for the report: curve({CURVE}) must give a finite tensor of "
            f"shape {wanted}, found {found}; fix the plugin, or remove its curve"
        )
    return np.asarray(codes.detach().flatten(1).float().cpu().numpy())
