"""Rows of data as a page shows them: images as sprite sheets, tables and series as numbers."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from PIL import Image
from torch import Tensor
from torch.distributions import constraints

from aaeframe.data import Dataset, Split
from aaeframe.errors import ConfigError
from aaeframe.figures.images import pixels
from aaeframe.model.autoencoder import Autoencoder
from aaeframe.protocols import DataSpec

Kind: TypeAlias = Literal["image", "table", "series"]
Json: TypeAlias = dict[str, Any]

SPRITE: Final = 64
"""The longest side of an image in a sheet, in pixels; larger images are reduced."""
MOST_PIXELS: Final = 4_200_000
"""The largest number of pixels of a sheet."""
MOST_SIDE: Final = 16_383
"""The longest side of a sheet, in pixels: the limit of WebP."""
MOST_VALUES: Final = 600_000
"""The largest number of values of tables or series."""
MOST_COLUMNS: Final = 64
"""The largest number of columns of a table that are shown."""
MOST_POINTS: Final = 5000
"""The number of rows in the explorer unless another one is asked for."""
VISIBLE: Final = 1e-3
"""The share of the range of a value that can be seen."""
MOST_CATEGORIES: Final = 64
"""The largest number of categories that get buttons, and a picture each. More are a list to choose from."""


def packed(array: np.ndarray) -> Json:
    """An array for the page: its type, its shape and its little-endian bytes in base64."""
    values = np.ascontiguousarray(array)
    data = values.astype(values.dtype.newbyteorder("<")).tobytes()
    return {"type": values.dtype.name, "shape": list(values.shape), "data": base64.b64encode(data).decode()}


def numbers(values: np.ndarray) -> Json:
    """Numbers (N, ...) for the page: float32, or float64 if float32 would hide the differences between rows."""
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float32)
    span = np.ptp(values, axis=0)
    hidden = (np.abs(values - rounded).max(0) > VISIBLE * span) & (span > 0)
    return packed(values.astype(np.float64) if hidden.any() else rounded)


@dataclass(frozen=True, eq=False)
class Look:
    """The way the rows of a model are shown."""

    kind: Kind
    shape: tuple[int, ...]
    """The shape of what is shown of a row: (C, H, W), (D,) or (C, T)."""
    features: np.ndarray | None
    """The positions of the features that are shown, in a row as one vector; None for all."""
    names: Sequence[str]
    """The names of the columns or channels that are shown; none for images."""
    low: float = 0.0
    span: float = 1.0
    """The lowest value of images and their range, in the user's units, shown as black and white."""

    @property
    def most_rows(self) -> int:
        """The number of rows that fit in a page."""
        if self.kind != "image":
            return max(1, MOST_VALUES // math.prod(self.shape))
        return max(1, MOST_PIXELS // math.prod(_reduced(self.shape[1:])))

    def shown(self, x: Tensor) -> np.ndarray:
        """Rows (N, *shape) in the user's units as they are shown (N, *self.shape); images are in [0, 1]."""
        flat = x.detach().cpu().flatten(1).double().numpy()
        flat = flat if self.features is None else flat[:, self.features]
        if self.kind == "image":
            flat = np.clip((flat - self.low) / self.span, 0, 1)
        return np.asarray(flat.reshape(len(flat), *self.shape))

    def affine(self, model: Autoencoder) -> tuple[np.ndarray, np.ndarray]:
        """The factor and the offset (F,) that bring scaled features to what is shown, float64."""
        shape = model.data_shape
        std, mean = (it.double().cpu().expand(shape).flatten().numpy() for it in (model.std, model.mean))
        if self.features is not None:
            std, mean = std[self.features], mean[self.features]
        return std / self.span, (mean - self.low) / self.span

    def gallery(self, x: Tensor) -> Json:
        """Rows (N, *shape) in the user's units, for the page."""
        found = self.shown(x)
        return sheet(found) if self.kind == "image" else {"kind": "values", "values": numbers(found)}


def look_of(model: Autoencoder, dataset: Dataset, rows: Split, example: Tensor) -> Look:
    """The look of a model's rows.

    Args:
        model: the model.
        dataset: the data, with the names of a table's columns.
        rows: the rows that are shown. By their range standardized images get their black and white.
        example: decoded rows (N, *shape). Of a table with many columns, those that vary most among them are shown.
    """
    shape = tuple(model.data_shape)
    if len(shape) in (3, 4):
        low, span = _range(model, dataset.spec, rows)
        if len(shape) == 3:
            return Look("image", shape, None, (), low, span)
        position = np.arange(math.prod(shape)).reshape(shape)[:, shape[1] // 2]
        return Look("image", position.shape, position.ravel(), (), low, span)
    if len(shape) == 1:
        names = list(dataset.columns or (f"column {k + 1}" for k in range(shape[0])))
        if shape[0] <= MOST_COLUMNS:
            return Look("table", shape, None, names)
        spread = (example.double() / model.std.double().cpu()).std(0).numpy()
        chosen = np.sort(np.argsort(-spread, kind="stable")[:MOST_COLUMNS])
        return Look("table", (len(chosen),), chosen, [names[k] for k in chosen])
    channels = shape[0] if len(shape) == 2 else 1
    length = math.prod(shape) // channels
    return Look("series", (channels, length), None, [f"channel {k + 1}" for k in range(channels)])


def require_points(shape: Sequence[int], points: int) -> None:
    """ConfigError if a page has no room for this number of rows (*shape): images must fit in one sheet."""
    if len(shape) not in (3, 4):
        return
    height, width = _reduced(shape[-2:])
    most = (MOST_SIDE // height) * (MOST_SIDE // width)
    if points > most:
        raise ConfigError(
            f"a report has room for {most:,} of these images ({height} x {width} pixels each), found {points:,} to "
            f"show; ask for fewer: --points {most}, in Python points={most}"
        )


def sheet(images: np.ndarray) -> Json:
    """Images (N, C, H, W) in [0, 1] as one picture, row by row, for the page."""
    colors = np.round(pixels(images) * 255).astype(np.uint8)
    height, width = _reduced(images.shape[2:])
    gray = images.shape[1] not in (3, 4)
    across = min(max(1, math.ceil(math.sqrt(len(images) * height / width))), MOST_SIDE // width)
    across = max(across, math.ceil(len(images) / (MOST_SIDE // height)))
    mode = "L" if gray else {3: "RGB", 4: "RGBA"}[images.shape[1]]
    whole = Image.new(mode, (across * width, math.ceil(len(images) / across) * height))
    for k, image in enumerate(colors):
        part = Image.fromarray(image[..., 0] if gray else image)
        if part.size != (width, height):
            part = part.resize((width, height), Image.Resampling.BOX)
        whole.paste(part, (k % across * width, k // across * height))
    buffer = io.BytesIO()
    whole.save(buffer, "WEBP", lossless=gray, quality=90, method=4)
    source = f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return {"kind": "sheet", "src": source, "across": across, "width": width, "height": height, "count": len(images)}


def _reduced(size: Sequence[int]) -> tuple[int, int]:
    """Height and width of an image in a sheet."""
    factor = min(1.0, SPRITE / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _range(model: Autoencoder, spec: DataSpec, rows: Split) -> tuple[float, float]:
    """The value that is black and the distance to white, in the user's units."""
    if spec.support is constraints.unit_interval:
        return float(spec.mean.min()), float(spec.std.max())
    ranges = [(float(part.min()), float(part.max())) for part in rows.chunks(model.batch_size)]
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    return low, high - low or 1.0
