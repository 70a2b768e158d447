"""All figures of a run, from its model, its data and its metrics."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.distributions import constraints

from aaeframe.data import Dataset, Split
from aaeframe.errors import RunError
from aaeframe.evaluation.class_reports import decoder_labels
from aaeframe.figures.canvas import save
from aaeframe.figures.class_figures import class_figures, representation
from aaeframe.figures.codes import codes_by_class, codes_side_by_side
from aaeframe.figures.curves import loss_curves
from aaeframe.figures.images import VOLUMES, decoded_plane, reconstructions, samples
from aaeframe.figures.plane import plane_codes
from aaeframe.figures.table_figures import (
    DOTS,
    column_errors,
    column_reconstructions,
    column_samples,
    correlations,
)
from aaeframe.figures.table_statistics import column_statistics
from aaeframe.model.autoencoder import Autoencoder
from aaeframe.model.representation import ClusterHeads
from aaeframe.seeds import derive, generator
from aaeframe.storage.atomic import writing
from aaeframe.storage.output import Output

MOST_CODES = 10_000
"""The number of rows whose codes are plotted; of more, a random part that depends on the seed alone."""
PRIOR_SAMPLES = 5000
MOST_IMAGES = 100
MOST_SAMPLES = 2000
"""The number of decoded samples whose distributions are plotted."""


def plot_gallery(
    model: Autoencoder,
    dataset: Dataset,
    split: str,
    metrics: Sequence[Mapping[str, Any]],
    folder: Path,
    *,
    seed: int,
    informed: Collection[str] = (),
    loss: str = "bce",
    knows_classes: bool = False,
) -> list[Path]:
    """Plot codes, reconstructions, samples, class figures, decoded planes and loss curves into `folder`; returns the
    paths.

    `informed` names the blocks whose discriminator takes labels; `loss` is the adversarial loss. `knows_classes` says
    that categories of the model are classes of the data, not clusters. RunError if the folder cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    paths = []
    names = dataset.class_names if knows_classes else None
    for name, figure in _figures(model, dataset, split, metrics, seed, informed, loss, names):
        paths.append(folder / f"{name}.png")
        save(figure, paths[-1])
    if not paths:
        raise RunError(f"there is nothing to draw of {folder.parent}")
    return paths


def plot_comparison(
    models: Mapping[str, Autoencoder], block: str, dataset: Dataset, split: str, to: Output, *, seed: int = 0
) -> None:
    """Plot the 2-D codes of a split for several models with one prior, next to each other (paper, figure 2).

    DataError if the block is not two-dimensional; RunError if the file cannot be written.
    """
    rows = dataset.split(split)
    index = np.random.default_rng(derive(seed, "figures", "rows")).permutation(len(rows))[:MOST_CODES]
    x = rows.take(index).held()
    noise = [generator(seed, "figures", "noise") for _ in models]
    codes = {
        name: model.encode(x, draws=1, generator=it)[block][0]
        for (name, model), it in zip(models.items(), noise, strict=True)
    }
    prior = next(iter(models.values())).sample_prior(PRIOR_SAMPLES, seed=derive(seed, "figures", "prior"))[block]
    labels, class_names = _classes(x, dataset)
    title = f"Codes of {_some(x, rows, split)} over samples of the prior"
    figure = codes_side_by_side(codes, labels, prior, title=title, class_names=class_names)
    save(figure, to)


def _figures(
    model: Autoencoder,
    dataset: Dataset,
    split: str,
    metrics: Sequence[Mapping[str, Any]],
    seed: int,
    informed: Collection[str],
    loss: str,
    category_names: Sequence[str] | None,
) -> Iterator[tuple[str, Figure]]:
    rows = dataset.split(split)
    # In random order, because the file may be sorted by class.
    index = np.random.default_rng(derive(seed, "figures", "rows")).permutation(len(rows))[:MOST_CODES]
    x = rows.take(index).held()
    labels, class_names = _classes(x, dataset)
    codes = model.encode(x, draws=1, generator=generator(seed, "figures", "noise"))
    prior = model.sample_prior(PRIOR_SAMPLES, seed=derive(seed, "figures", "prior"))
    for name, z in codes.items():
        title = f"Codes of {_some(x, rows, split)}, block {name!r}"
        yield (
            f"codes-{name}",
            codes_by_class(z[0], labels, prior[name], title=title, class_names=class_names),
        )
    pixels = _Pixels(model, dataset, x)
    one_draw = {name: z[0] for name, z in codes.items()}
    if len(model.data_shape) == 1:
        drawn = model.sample(MOST_SAMPLES, seed=derive(seed, "figures", "prior"))
        yield from _of_table(model, x, one_draw, drawn, dataset.columns, category_names, _some(x, rows, split))
    else:
        some = x.take(np.arange(min(MOST_IMAGES, len(x))))
        few, x_hat = torch.from_numpy(some.array()), model.reconstruct(some, decoder_labels(model, some))
        yield "reconstructions", reconstructions(pixels(few), pixels(x_hat), title=f"Reconstructions of {split} rows")
        yield "samples", samples(pixels(model.sample(MOST_IMAGES, seed=derive(seed, "figures", "prior"))))
    if isinstance(model.representation, ClusterHeads):
        yield "representation", representation(model, one_draw, labels, class_names)
    yield from class_figures(model, x, one_draw, pixels, category_names, prior)
    yield from _plane(model, pixels)
    if metrics:
        yield "losses", loss_curves(metrics, informed=informed, loss=loss)


def _some(x: Split, rows: Split, split: str) -> str:
    """The rows that are plotted, in words: all of a split, or a random part."""
    if len(x) == len(rows):
        return f"{len(x):,} {split} rows"
    return f"{len(x):,} of {len(rows):,} {split} rows (drawn at random)"


def _of_table(
    model: Autoencoder,
    x: Split,
    codes: Mapping[str, Tensor],
    drawn: Tensor,
    columns: Sequence[str] | None,
    category_names: Sequence[str] | None,
    rows: str,
) -> Iterator[tuple[str, Figure]]:
    """The figures of a table: errors and correlations of its columns, and their values."""
    names = columns or [f"column {k + 1}" for k in range(model.data_shape[0])]
    found = column_statistics(model, x, codes)
    some = x.take(np.arange(min(DOTS, len(x))))
    x_hat = model.reconstruct(some, decoder_labels(model, some))
    title = f"Reconstructions of {rows}"
    yield "reconstructions", column_reconstructions(some.array(), x_hat, found.errors, names, title=title)
    if np.isfinite(found.errors).any():
        yield "errors", column_errors(found.errors, names, title=f"Reconstruction error of {rows}")
    for block, r in found.correlations.items():
        own = category_names if block == model.class_block else None
        title = f"Correlation of block {block!r} with columns, {rows}"
        yield f"correlations-{block}", correlations(r, names, own, title=title)
    part = x.take(np.arange(min(MOST_SAMPLES, len(x))))
    yield "samples", column_samples(part.array(), drawn, names)


def _classes(x: Split, dataset: Dataset) -> tuple[np.ndarray | None, tuple[str, ...] | None]:
    """The labels to color by, and their names. Rows without a label are one more class."""
    if x.labels is None or dataset.class_names is None or (x.labels >= 0).all():
        return x.labels, dataset.class_names
    return np.where(x.labels < 0, len(dataset.class_names), x.labels), (*dataset.class_names, "no label")


def _plane(model: Autoencoder, pixels: _Pixels) -> Iterator[tuple[str, Figure]]:
    """The decoded plane of a model of images whose only block is two-dimensional."""
    if len(model.priors) != 1 or len(model.data_shape) != 3 or model.representation.takes_labels:
        return
    name, prior = next(iter(model.priors.items()))
    if tuple(prior.event_shape) != (2,):
        return
    plane = plane_codes(prior, device=model.device)
    side = len(plane.codes)
    images = pixels(model.decode({name: plane.codes.flatten(0, 1)}))
    yield (
        f"plane-{name}",
        decoded_plane(
            images.unflatten(0, (side, side)), title=f"The decoded plane, {plane.meaning}", codes=plane.codes
        ),
    )


class _Pixels:
    """Converts the user's units to [0, 1] for pictures, by the range of the data or, without one, of the given rows."""

    def __init__(self, model: Autoencoder, dataset: Dataset, x: Split) -> None:
        self._scale: Callable[[Tensor], Tensor] = model.scale
        self._device, self._low, self._span = model.device, 0.0, 1.0
        if dataset.spec.support is not constraints.unit_interval:
            self._scale = Tensor.double  # the model's own scale differs for each pixel
            ranges = [(float(part.min()), float(part.max())) for part in x.chunks(model.batch_size)]
            self._low = min(low for low, _ in ranges)
            self._span = max(high for _, high in ranges) - self._low or 1.0

    def __call__(self, x: Tensor) -> Tensor:
        """Convert (N, *shape); rows that are neither images nor volumes stay in the user's units."""
        if x.ndim not in (4, VOLUMES):
            return x.cpu()  # float64 where float32 would round the values
        return ((self._scale(x.to(self._device)) - self._low) / self._span).clamp(0, 1).float().cpu()
