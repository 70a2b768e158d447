"""The parts of a model that are exported: modules from the user's units to the user's units, of fixed inputs."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from aaeframe.model.autoencoder import Autoencoder, scaled, unscaled

CHECK_SEED: Final = 0
"""The seed of the noise for checks."""


@dataclass(frozen=True)
class Port:
    """An input or an output, as a manifest describes it."""

    name: str
    dtype: str
    """A name of numpy."""
    shape: tuple[int, ...]
    """The shape of one row; the rows are the first axis."""
    meaning: str
    """The meaning and the units, in words."""

    def as_dict(self) -> dict[str, Any]:
        """The port as a manifest holds it; the first axis is "N"."""
        return {"name": self.name, "dtype": self.dtype, "shape": ["N", *self.shape], "meaning": self.meaning}


class Part(nn.Module):
    """A part of a model with its own weights alone, on the CPU and in evaluation mode.

    Inputs and outputs are positional: the exporter refuses arguments that are not used.
    """

    title: str
    """The name of the part, and of its file."""
    mean: Tensor
    std: Tensor

    def __init__(self, model: Autoencoder, inputs: list[Port], outputs: list[Port], **parts: nn.Module) -> None:
        super().__init__()
        self.inputs, self.outputs, self.blocks = inputs, outputs, tuple(model.priors)
        self.register_buffer("mean", model.mean.detach())
        self.register_buffer("std", model.std.detach())
        for name, part in parts.items():
            self.add_module(name, part)

    def ready(self) -> Part:
        """The part on the CPU: itself, or a copy if the model is elsewhere."""
        elsewhere = any(it.device.type != "cpu" for it in (*self.parameters(), *self.buffers()))
        return (copy.deepcopy(self).cpu() if elsewhere else self).eval()

    def feeds(self, model: Autoencoder, rows: np.ndarray) -> list[np.ndarray]:
        """The inputs for a check on these rows (M, *shape)."""
        raise NotImplementedError

    def expected(self, model: Autoencoder, feeds: list[np.ndarray]) -> list[np.ndarray]:
        """The outputs that the model itself gives for the inputs."""
        raise NotImplementedError

    def in_model_units(self, output: np.ndarray) -> np.ndarray:
        """An output in units in which its features can be compared."""
        return output


class EncoderPart(Part):
    """x, and noise for a stochastic encoder -> the blocks of the code."""

    title = "encoder"
    encoder: nn.Module

    def __init__(self, model: Autoencoder, dtype: np.dtype) -> None:
        names = block_names(model)
        inputs = [Port("x", dtype.name, tuple(model.data_shape), f"rows, {UNITS}")]
        if model.noise_shape:
            meaning = "standard normal noise of the encoder; zeros give the code of `encode`"
            inputs.append(Port("noise", "float32", tuple(model.noise_shape), meaning))
        outputs = [
            Port(names[name], "float32", tuple(prior.event_shape), _meaning_of(name, model))
            for name, prior in model.priors.items()
        ]
        super().__init__(model, inputs, outputs, encoder=model.encoder)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The blocks of the code, in the order of the outputs."""
        x, *noise = inputs
        code = self.encoder(scaled(x, self.mean, self.std), *noise)
        return tuple(code[name].float() for name in self.blocks)

    def feeds(self, model: Autoencoder, rows: np.ndarray) -> list[np.ndarray]:
        """The rows, and noise: of zeros for the first half of them, drawn for the others."""
        if not model.noise_shape:
            return [rows]
        noise = np.random.default_rng(CHECK_SEED).standard_normal((len(rows), *model.noise_shape), dtype=np.float32)
        noise[: len(rows) // 2] = 0
        return [rows, noise]

    @torch.no_grad()
    def expected(self, model: Autoencoder, feeds: list[np.ndarray]) -> list[np.ndarray]:
        """The codes by the model's encoder."""
        model.eval()
        x, *noise = (torch.from_numpy(it).to(model.device) for it in feeds)
        size = model.batch_size
        chunks = zip(*(it.split(size) for it in (x, *noise)), strict=True)
        codes = [model.encoder(model.scale(rows), *more) for rows, *more in chunks]
        return [torch.cat([code[name].float() for code in codes]).cpu().numpy() for name in model.priors]


class DecoderPart(Part):
    """The blocks of a code, and labels for a decoder that takes them -> x_hat."""

    title = "decoder"
    decoder: nn.Module
    representation: nn.Module

    def __init__(self, model: Autoencoder) -> None:
        names = block_names(model)
        inputs = [
            Port(names[name], "float32", tuple(prior.event_shape), _meaning_of(name, model))
            for name, prior in model.priors.items()
        ]
        if model.representation.takes_labels:
            inputs.append(labels_port(model))
        dtype = str(model.mean.dtype).removeprefix("torch.")
        outputs = [Port("x_hat", dtype, tuple(model.data_shape), f"reconstructions or samples, {UNITS}")]
        super().__init__(model, inputs, outputs, decoder=model.decoder, representation=model.representation)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The decoded rows."""
        code = dict(zip(self.blocks, inputs, strict=False))
        labels = inputs[len(self.blocks)] if len(inputs) > len(self.blocks) else None
        return (unscaled(self.decoder(self.representation(code, labels)), self.mean, self.std),)

    def feeds(self, model: Autoencoder, rows: np.ndarray) -> list[np.ndarray]:
        """The codes of the rows without noise, and every class in turn."""
        codes = [z.cpu().numpy() for z in model.encode(rows).values()]
        return [*codes, np.arange(len(rows)) % (model.num_classes or 1)] if len(self.inputs) > len(codes) else codes

    def expected(self, model: Autoencoder, feeds: list[np.ndarray]) -> list[np.ndarray]:
        """The rows that the model decodes."""
        code = {name: torch.from_numpy(z) for name, z in zip(self.blocks, feeds, strict=False)}
        labels = torch.from_numpy(feeds[-1]) if len(feeds) > len(self.blocks) else None
        return [model.decode(code, labels).cpu().numpy()]

    def in_model_units(self, output: np.ndarray) -> np.ndarray:
        """The rows in the model's units: the columns of a table may have very different ranges."""
        return (output - self.mean.cpu().numpy()) / self.std.cpu().numpy()


UNITS: Final = "in the units of the data; the scaling of the model is inside"
RESERVED: Final = frozenset({"x", "noise", "labels", "x_hat", "score"})
"""Names of inputs and outputs; a block of such a name gets a `_` behind it."""


def block_names(model: Autoencoder) -> Mapping[str, str]:
    """The name of the input or output of each block: its own, if that is free."""
    taken, names = set(RESERVED) | set(model.priors), dict[str, str]()
    for block in model.priors:
        name = block
        while name in RESERVED or (name != block and name in taken):
            name += "_"
        names[block] = name
        taken.add(name)
    return names


def labels_port(model: Autoencoder) -> Port:
    """The input of labels. The file cannot check them: an index beyond the classes counts as no class."""
    return Port("labels", "int64", (), f"class indices from 0 to {(model.num_classes or 0) - 1}")


def _meaning_of(block: str, model: Autoencoder) -> str:
    if block == model.class_block:
        return f"block {block!r} of the code: a vector on the simplex, one-hot for a class"
    return f"block {block!r} of the code"
