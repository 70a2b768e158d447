"""The anomaly score of a row as a part to export."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from aaeframe.anomaly.density import Density, numeric_blocks
from aaeframe.anomaly.scores import DECODED, Kind, check_kind, scores
from aaeframe.export.parts import UNITS, Part, Port, labels_port
from aaeframe.model.autoencoder import Autoencoder, scaled
from aaeframe.model.priors import on_device
from aaeframe.protocols import Prior, SupportsLogProb


class ScorePart(Part):
    """x, and labels for a decoder that takes them -> the score; codes are without noise."""

    title = "score"
    encoder: nn.Module

    def __init__(self, model: Autoencoder, dtype: np.dtype, kind: Kind, density: Density | None = None) -> None:
        check_kind(model, kind)
        self.kind, self.density = kind, density
        inputs = [Port("x", dtype.name, tuple(model.data_shape), f"rows, {UNITS}")]
        if model.representation.takes_labels and kind in DECODED:
            inputs.append(labels_port(model))
        output = Port("score", "float64", (), f"the anomaly score of kind {kind!r}; higher is odder")
        super().__init__(model, inputs, [output], encoder=model.encoder, **_parts(model, kind, density))
        self.noise_shape, self.numeric = tuple(model.noise_shape), numeric_blocks(model)
        self.priors: dict[str, Prior] = {}
        if kind == "prior":
            cpu = torch.device("cpu")
            self.priors = {name: _unchecked(on_device(model.priors[name], cpu)) for name in self.numeric}

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The score (N,), float64."""
        x, *labels = inputs
        x = scaled(x, self.mean, self.std)
        noise = [x.new_zeros(x.shape[0], *self.noise_shape)] if self.noise_shape else []
        code = self.encoder(x, *noise)
        if self.kind == "prior":
            found = [it.log_prob(code[name]) for name, it in self.priors.items() if isinstance(it, SupportsLogProb)]
            return (-torch.stack(found).sum(0).double(),)
        if self.kind == "discriminator":
            found = [it(code[name]) for name, it in self.get_submodule("discriminators").named_children()]
            return (-torch.stack(found).sum(0).double(),)
        representation, decoder = self.get_submodule("representation"), self.get_submodule("decoder")
        residual = (decoder(representation(code, *labels)) - x).flatten(1)
        if self.kind == "reconstruction":
            return (0.5 * residual.square().sum(1).double(),)
        blocks = [code[name].flatten(1) for name in self.numeric]
        return (self.get_submodule("distance")(torch.cat([residual, *blocks], dim=1).double()),)

    def feeds(self, model: Autoencoder, rows: np.ndarray) -> list[np.ndarray]:
        """The rows, and every class in turn."""
        return [rows, np.arange(len(rows)) % (model.num_classes or 1)] if len(self.inputs) > 1 else [rows]

    def expected(self, model: Autoencoder, feeds: list[np.ndarray]) -> list[np.ndarray]:
        """The scores of the run."""
        labels = torch.from_numpy(feeds[1]) if len(feeds) > 1 else None
        return [scores(model, feeds[0], self.kind, labels=labels, density=self.density)]


class Distance(nn.Module):
    """The squared Mahalanobis distance of features (N, F), float64, as `Gaussian.distances` gives it."""

    mean: Tensor
    std: Tensor
    whitening: Tensor
    axes: Tensor

    def __init__(self, density: Density) -> None:
        super().__init__()
        for name in ("mean", "std", "whitening", "axes"):
            self.register_buffer(name, torch.from_numpy(getattr(density.gaussian, name)))
        self.rest = density.gaussian.rest if len(self.axes) < len(self.mean) else 0.0

    def forward(self, features: Tensor) -> Tensor:
        """(N, F) -> (N,)."""
        u = (features - self.mean) / self.std
        along = u @ self.whitening.T
        distance = along.square().sum(1)
        if not self.rest:
            return distance
        beyond = u.square().sum(1) - (along * self.axes).square().sum(1)
        return distance + beyond.clamp_min(0) / self.rest


def _unchecked(prior: Any) -> Any:
    """The prior; of a torch distribution a copy that does not check values, because a check cannot be traced."""
    if not isinstance(prior, Distribution):
        return prior
    made = copy.copy(prior)
    made._validate_args = False
    for name, part in vars(prior).items():
        if isinstance(part, Distribution):
            setattr(made, name, _unchecked(part))
    return made


def _parts(model: Autoencoder, kind: Kind, density: Density | None) -> dict[str, nn.Module]:
    """The modules that a kind of score needs besides the encoder."""
    if kind == "prior":
        return {}
    if kind == "discriminator":
        return {"discriminators": model.discriminators}
    parts: dict[str, nn.Module] = {"decoder": model.decoder, "representation": model.representation}
    if kind == "density":
        assert density is not None, "the density is fitted first, by fit_density"
        parts["distance"] = Distance(density)
    return parts
