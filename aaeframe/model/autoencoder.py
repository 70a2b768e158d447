"""The model of a run: encoder, decoder, priors and discriminators."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from torch import Tensor, nn

from aaeframe.data import Split
from aaeframe.data.dataset import row_type
from aaeframe.errors import ConfigError, DataError
from aaeframe.global_state import restoring
from aaeframe.model.posterior import Posterior
from aaeframe.model.priors import checked_bound
from aaeframe.model.representation import Representation, WithLabel
from aaeframe.protocols import (
    Code,
    DataSpec,
    Encoder,
    LabeledSample,
    Prior,
    SupportsBinding,
    SupportsLabels,
)
from aaeframe.seeds import stream
from aaeframe.torch_state import default_state, exclusive

Rows: TypeAlias = "Tensor | np.ndarray | Split"
"""Rows of data in the user's units, (N, *shape). A split is read in chunks."""

MOST_AT_ONCE = 1000
"""The largest batch outside training, in rows."""
MOST_ON_GPU = 10_000
"""The same on a GPU, which small batches leave waiting for launches."""
BYTES_AT_ONCE = 2**26
"""Memory limit for one batch outside training, in bytes of float32."""


class Autoencoder(nn.Module):
    """Encoder, decoder, priors and discriminators of one run.

    `encode`, `decode`, `reconstruct` and `sample` take and return the user's units. They work in batches, without
    gradient and in evaluation mode. Training uses the submodules directly. Calling the module reconstructs one batch.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        data: DataSpec,
        encoder: nn.Module,
        decoder: nn.Module,
        representation: Representation,
        priors: Mapping[str, Prior],
        discriminators: Mapping[str, nn.Module],
        *,
        class_block: str | None = None,
    ) -> None:
        super().__init__()
        self.data_shape, self._support = data.shape, data.support
        self.register_buffer("mean", data.mean.clone())
        self.register_buffer("std", data.std.clone())
        self.encoder = encoder
        self.decoder = decoder
        self.representation = representation
        self.class_block = class_block
        self.priors = dict(priors)
        # Only priors that are modules move, and are saved, with the model.
        self.prior_modules = nn.ModuleDict({k: p for k, p in priors.items() if isinstance(p, nn.Module)})
        self.discriminators = nn.ModuleDict(discriminators)

    def bind_priors(self, rows: Tensor | None = None) -> None:
        """Bind each prior that wants it to the encoder, the data and scaled training rows (M, *shape).

        ConfigError if a prior cannot be sampled afterwards.
        """
        data = DataSpec(self.data_shape, self._support, self.mean, self.std)
        for name, prior in self.priors.items():
            if isinstance(prior, SupportsBinding):
                self._bind(name, prior, data, rows)
                if isinstance(prior, nn.Module):
                    prior.to(self.device)  # with parameters that it has made now
                checked_bound(name, prior, self.encoder, drawn=rows is not None)

    def _bind(self, name: str, prior: SupportsBinding, data: DataSpec, rows: Tensor | None) -> None:
        """Bind a prior. ConfigError if it changes the encoder."""
        before = {key: value.clone() for key, value in self.encoder.state_dict().items()}
        who = f"the prior of block {name!r}, of type {type(prior).__name__},"
        own = replace(data, mean=data.mean.clone(), std=data.std.clone())
        with restoring(f"{who} in bind"):
            prior.bind(Posterior(self.encoder, name), own, None if rows is None else rows.clone())
        now = {} if self.mean.is_meta else self.encoder.state_dict()  # on the device meta there are no values
        if any(not _same(value, before[key]) for key, value in now.items()):
            raise ConfigError(f"{who} changes the encoder in bind, which others train; fix it, or choose another")

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        return self.mean.device

    @property
    def batch_size(self) -> int:
        """The batch size used outside training."""
        most = MOST_ON_GPU if self.device.type == "cuda" else MOST_AT_ONCE
        return max(1, min(most, BYTES_AT_ONCE // (4 * self.data_shape.numel())))

    @property
    def noise_shape(self) -> torch.Size:
        """The shape of the noise for encoding one row; empty if the encoder is deterministic."""
        return cast(Encoder, self.encoder).noise_shape

    def scale(self, x: Tensor) -> Tensor:
        """Convert from the user's units to the model's, float32, on the device of x.

        Data of type float64 is centered and scaled in float64: its offset may be large.
        """
        return scaled(x, self.mean, self.std)

    def unscale(self, x: Tensor) -> Tensor:
        """Convert from the model's units to the user's, float32, or float64 if the data is."""
        return unscaled(x, self.mean, self.std)

    def forward(self, x: Tensor, labels: Tensor | None = None, noise: Tensor | None = None) -> Tensor:
        """Reconstruct one batch x (N, *shape) -> (N, *shape), in the user's units, with gradients; nothing is checked.

        Args:
            x: rows on the device of the model.
            labels: (N,) class indices, for a decoder that takes labels.
            noise: (N, *noise_shape), for a stochastic encoder. By default it is drawn in training mode, and zero in
                evaluation mode, where the result is that of `reconstruct`.
        """
        if noise is None and not self.training:
            noise = self._noise(x.shape[0], 0, None)  # not len(x), which a trace takes for a constant
        return self.unscale(self.decoder(self.representation(self.encoder(self.scale(x), noise), labels)))

    @torch.no_grad()
    def encode(
        self, x: Rows, *, draws: int = 0, generator: torch.Generator | None = None, batch_size: int | None = None
    ) -> dict[str, Tensor]:
        """The codes of x (N, *shape): each block (N, *event_shape), or (draws, N, *event_shape).

        With draws=0 the noise of a stochastic encoder is zero. Otherwise each draw is a sample of q(z | x), with noise
        from `generator` (on the CPU) or, without it, torch's global one. DataError if x is not of the model's shape.
        """
        _check_count("draws", draws)
        self.eval()
        codes: dict[str, Tensor] = {}
        for drawn in range(max(draws, 1)):
            start = 0
            for rows in self.batches(x, batch_size):
                found = self.encoder(self.scale(rows), self._noise(len(rows), draws, generator))
                for name in self.priors:
                    if name not in codes:
                        shape = (max(draws, 1), len(x), *found[name].shape[1:])
                        codes[name] = torch.empty(shape, dtype=torch.float32, device=self.device)
                    # Copied into one tensor: small tensors kept between large temporary ones would fragment
                    # memory, which would then grow as if all rows were in it.
                    codes[name][drawn, start : start + len(rows)] = found[name]
                start += len(rows)
        return {name: z if draws else z[0] for name, z in codes.items()}

    @torch.no_grad()
    def decode(self, code: Code, labels: Tensor | None = None, *, batch_size: int | None = None) -> Tensor:
        """Decode codes, each block (N, *event_shape) -> (N, *shape) in the user's units.

        They are float32, or float64 if the data is.
        `labels` (N,) are for a model whose decoder takes labels (paper, section 4). DataError if they are missing
        there, or if the code lacks a block or has one of another shape.
        """
        batches = self.represent(code, labels).split(batch_size or self.batch_size)
        return self.unscale(torch.cat([self.decoder(rows) for rows in batches]))

    @torch.no_grad()
    def represent(self, code: Code, labels: Tensor | None = None) -> Tensor:
        """The decoder's input (N, R) for codes; with cluster heads W_C y + z. Otherwise as for `decode`."""
        self.eval()
        if not isinstance(code, Mapping):
            raise DataError(
                f"a code is a mapping of the blocks {list(self.priors)} to tensors, as encode gives it, found "
                f"{type(code).__name__}"
            )
        missing = self.priors.keys() - code.keys()
        if missing:
            raise DataError(
                f"the code has blocks {sorted(code)}, but this model decodes {list(self.priors)}: "
                f"{sorted(missing)} missing"
            )
        blocks = {name: torch.as_tensor(code[name], device=self.device).float() for name in self.priors}
        self._check_blocks(blocks)
        return self.representation(blocks, None if labels is None else self._checked(labels, blocks))

    def reconstruct(self, x: Rows, labels: Tensor | None = None) -> Tensor:
        """The result of decode(encode(x), labels), with zero noise: (N, *shape) -> (N, *shape) in the user's units."""
        return self.decode(self.encode(x), labels)

    @default_state()
    @torch.no_grad()
    def sample(self, count: int, *, seed: int | None = None, label: int | None = None) -> Tensor:
        """Decoded samples of the prior, (count, *shape) in the user's units; of one class if `label` is given.

        With a seed, the samples are the same every time and torch's global random state is not changed. Without one,
        they come from that state.
        """
        code, labels = self.sample_code(count, seed=seed, label=label)
        return self.decode(code, labels)

    @default_state()
    def sample_code(
        self, count: int, *, seed: int | None = None, label: int | None = None
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """Samples of the prior as from `sample_prior`, and the labels (count,) for decoding them, or None.

        If the decoder takes labels, they are uniform over the classes, or all equal to `label`. If the model has a
        class block instead, `label` sets it. DataError if the model has neither, or no such class.
        """
        code, classes = self.sample_prior(count, seed=seed), self.num_classes
        if label is not None:
            label = self._class_index(label)
        if not self.representation.takes_labels:
            if label is not None and self.class_block is not None:
                code[self.class_block] = torch.eye(code[self.class_block].shape[1], device=self.device)[label].expand(
                    count, -1
                )
            return code, None
        assert classes is not None
        if label is not None:
            return code, torch.full((count,), label, device=self.device)
        with nullcontext() if seed is None else stream(seed, "sample labels"):
            return code, torch.randint(classes, (count,), device="cpu").to(self.device)

    def _class_index(self, label: object) -> int:
        """The index of a class, a whole number of any type. DataError if the model does not have it."""
        classes = self.num_classes
        with suppress(TypeError):  # of what is no whole number
            index = int(operator.index(label))  # type: ignore[arg-type]
            if 0 <= index < (classes or 0):
                return index
        known = "has no classes" if classes is None else f"has the classes 0 to {classes - 1}"
        raise DataError(f"samples of class {label!r} were requested; this model {known}")

    @property
    def num_classes(self) -> int | None:
        """The number of classes for `sample`; None if the model has no classes."""
        if isinstance(self.representation, WithLabel):
            return self.representation.num_classes
        return None if self.class_block is None else torch.Size(self.priors[self.class_block].event_shape).numel()

    @default_state()
    def sample_prior(self, count: int, *, seed: int | None = None) -> dict[str, Tensor]:
        """Samples of the prior itself, each block (count, *event_shape), on the model's device."""
        _check_count("count", count)
        with nullcontext() if seed is None else stream(seed, "samples", device=self.device):
            return {name: sample(prior, count, self.device) for name, prior in self.priors.items()}

    def _check_blocks(self, code: Code) -> None:
        for name, prior in self.priors.items():
            shape, event_shape = tuple(code[name].shape), tuple(torch.Size(prior.event_shape))
            if shape[1:] != event_shape or not shape:
                raise DataError(
                    f"codes of block {name!r} are (N, {', '.join(map(str, event_shape))}), found {shape}; of several "
                    "draws, decode one at a time"
                )
        counts = {name: len(z) for name, z in code.items()}
        if len(set(counts.values())) > 1:
            raise DataError(f"each block has one row for each code, found {counts}")

    def _checked(self, labels: Tensor, code: Code) -> Tensor:
        size, labels = len(next(iter(code.values()))), as_indices(labels)
        if labels.shape != (size,):
            raise DataError(f"a label for each of {size} codes is needed, found labels of shape {tuple(labels.shape)}")
        if labels.is_floating_point() or labels.dtype == torch.bool:
            raise DataError(f"labels are indices of classes, integers, found {labels.dtype}")
        classes = self.num_classes
        if classes is not None and len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise DataError(
                f"this model has the classes 0 to {classes - 1}, found labels from {labels.min()} to {labels.max()}"
            )
        return labels.to(self.device, torch.long)

    def _noise(self, count: int, draws: int, generator: torch.Generator | None) -> Tensor | None:
        if not self.noise_shape:
            return None
        shape = (count, *self.noise_shape)
        if draws == 0:
            return torch.zeros(shape, dtype=torch.float32, device=self.device)
        with exclusive() if generator is None else nullcontext():
            return torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu").to(self.device)

    def batches(self, x: Rows, batch_size: int | None = None) -> Iterator[Tensor]:
        """Rows (N, *shape) in batches, as tensors on the model's device, in the user's units.

        DataError if they are not of the model's shape, or not finite.
        """
        batch_size = batch_size or self.batch_size
        if isinstance(x, np.ma.MaskedArray):
            raise DataError("masked arrays would lose their masks; give rows without masked values")
        if not isinstance(x, Split | Tensor):
            x = np.asarray(x)
        if x.dtype.is_complex if isinstance(x, Tensor) else x.dtype.kind not in "buif":
            raise DataError(f"rows are real numbers, found an array of type {x.dtype}")
        shape = (len(x), *x.shape) if isinstance(x, Split) else tuple(x.shape)
        if shape[1:] != tuple(self.data_shape) or len(x) == 0:
            raise DataError(
                f"rows of shape {tuple(self.data_shape)} are expected, found an array of shape {shape}; "
                f"pass (N, {', '.join(map(str, self.data_shape))}) with N > 0"
            )
        chunks = x.chunks(batch_size) if isinstance(x, Split) else _sliced(x, batch_size)
        for number, rows in enumerate(chunks):
            if isinstance(rows, np.ndarray):
                # torch takes no reversed, no read-only and no foreign array
                rows = torch.from_numpy(np.array(rows, dtype=row_type(rows.dtype), order="C"))
            rows = rows.to(self.device)
            if rows.is_floating_point() and not rows.isfinite().all():
                raise _not_finite(x, rows, number * batch_size)
            yield rows


def as_indices(labels: Any) -> Tensor:
    """Labels, of a list too, as a tensor. DataError for texts and the like."""
    try:
        return torch.as_tensor(labels)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"labels are indices of classes, integers, found {labels!r:.100}") from error


def _check_count(name: str, value: object) -> None:
    """DataError unless the value is a whole number, 0 or more, of which torch can form shapes."""
    if not isinstance(value, int | np.integer) or not 0 <= value <= 2**40:
        raise DataError(f"{name} is a whole number from 0 to 2**40, found {value!r}")


def _not_finite(x: Rows, rows: Tensor, start: int) -> DataError:
    """The error for a batch of x that begins at the position `start`; rows of a file are counted in it."""
    row, *feature = (~rows.isfinite()).nonzero()[0].tolist()
    row += start
    if isinstance(x, Split) and x.index is not None:
        row = int(np.asarray(x.index[np.array([row])])[0])
    return DataError(
        f"some values are not finite, the first in row {row}, feature "
        f"{feature[0] if len(feature) == 1 else tuple(feature)} (counted from 0); remove these rows, or fill them in"
    )


def _sliced(x: Tensor | np.ndarray, size: int) -> Iterator[Tensor | np.ndarray]:
    return (x[start : start + size] for start in range(0, len(x), size))


def scaled(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Convert from the user's units to the model's: see `Autoencoder.scale`."""
    return ((x.to(mean.dtype) - mean) / std).float()


def unscaled(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Convert from the model's units to the user's: see `Autoencoder.unscale`."""
    return x.to(mean.dtype) * std + mean


def sample(prior: Prior, count: int, device: torch.device) -> Tensor:
    """Samples of one prior (count, *event_shape): detached, float32, on `device`, from torch's global generator."""
    return _moved(prior.sample(torch.Size([count])), device)


def sample_labeled(prior: SupportsLabels, count: int, device: torch.device) -> LabeledSample:
    """Samples of one prior as from `sample`, and the class of each (count,)."""
    value, labels = prior.sample_labeled(torch.Size([count]))
    return LabeledSample(_moved(value, device), labels.to(device, non_blocking=True))


def _moved(samples: Tensor, device: torch.device) -> Tensor:
    # Not waiting for the device is safe: torch has read the samples from pageable memory before it returns.
    return samples.detach().to(device, torch.float32, non_blocking=True)


def _same(value: Tensor, before: Tensor) -> bool:
    """Whether all entries are the same. Two that are not a number are the same."""
    return value.shape == before.shape and bool(((value == before) | (value.isnan() & before.isnan())).all())
