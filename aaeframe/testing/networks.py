"""Checks of a network on a table, images and series, of which it must serve at least one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.distributions import constraints
from torch.distributions.constraints import Constraint

from aaeframe.protocols import DataSpec
from aaeframe.testing.case import USES, instances, require, seeded
from aaeframe.testing.modules import (
    hand_over_state,
    require_device,
    require_gradients,
    require_independent_rows,
    require_module,
    require_tensor,
)
from aaeframe.testing.repeats import Call, CallableCase

ROWS: Final = 4
CODE_SIZE: Final = 3


@dataclass(frozen=True)
class NetworkCase(CallableCase):
    """A network for one shape and scale of data."""

    label: str = "table"
    shape: tuple[int, ...] = (7,)
    support: Constraint = constraints.real

    def arguments(self) -> tuple[DataSpec, int]:
        """The data and the size of the representation."""
        return DataSpec(torch.Size(self.shape), self.support, torch.zeros(1), torch.ones(1)), CODE_SIZE

    def data(self) -> Tensor:
        """Scaled data (N, *shape)."""
        return torch.rand(ROWS, *self.shape)

    def representation(self) -> Tensor:
        """Inputs of the decoder (N, code_size)."""
        return torch.randn(ROWS, CODE_SIZE)

    def calls(self, built: Any) -> list[Call]:
        """Features and reconstructions."""
        return [
            Call("the encoder", built.encoder, (self.data(),)),
            Call("the decoder", built.decoder, (self.representation(),)),
        ]


def network_cases(factory: Callable[..., Any]) -> tuple[NetworkCase, ...]:
    """The data on which a network is checked."""
    return (
        NetworkCase(factory),
        NetworkCase(factory, "image", (1, 8, 8), constraints.unit_interval),
        NetworkCase(factory, "odd-image", (3, 9, 11), constraints.unit_interval),
        NetworkCase(factory, "standardized-image", (1, 8, 8)),
        NetworkCase(factory, "series", (2, 24)),
    )


@seeded
def check_features(case: NetworkCase) -> None:
    """The encoder maps (N, *shape) to finite float32 features (N, num_features)."""
    network = case.build()
    encoder = require_module(network.encoder, "a network's encoder")
    require_tensor(encoder(case.data()), (ROWS, network.num_features), "the features")


@seeded
def check_data_kept(case: NetworkCase) -> None:
    """Building the network leaves the mean and the standard deviation of the data as they are."""
    data, size = case.arguments()
    case.factory(data, size)
    expected, _ = case.arguments()
    same = torch.equal(data.mean, expected.mean) and torch.equal(data.std, expected.std)
    require(same, "a network must leave the mean and std that it is given as they are: the model scales by them")


@seeded
def check_reconstruction(case: NetworkCase) -> None:
    """The decoder maps (N, code_size) to finite float32 data (N, *shape)."""
    decoder = require_module(case.build().decoder, "a network's decoder")
    require_tensor(decoder(case.representation()), (ROWS, *case.shape), "the reconstruction")


@seeded
def check_reconstruction_range(case: NetworkCase) -> None:
    """The decoder stays in [0, 1] for data in [0, 1], and is unbounded for standardized data."""
    x_hat = case.build().decoder(1000 * torch.randn(100, CODE_SIZE)).detach()
    low, high = float(x_hat.min()), float(x_hat.max())
    inside = low >= 0 and high <= 1
    if case.support is constraints.unit_interval:
        require(inside, f"for data in [0, 1] the reconstruction must lie there too, not in [{low:.3g}, {high:.3g}]")
    else:
        require(not inside, "for standardized data the reconstruction must be able to leave [0, 1]")


@seeded
def check_network_gradient(case: NetworkCase) -> None:
    """Gradients reach the input and all parameters, of the encoder and of the decoder."""
    network = case.build()
    x, representation = case.data().requires_grad_(), case.representation().requires_grad_()
    require_gradients([network.encoder(x)], {"the input x": x}, network.encoder)
    require_gradients([network.decoder(representation)], {"the representation": representation}, network.decoder)


@seeded
def check_network_state(case: NetworkCase) -> None:
    """The state_dicts have everything that features and reconstructions depend on; `from_state` builds the same."""
    first = case.build()
    state: dict[str, Tensor] = {}
    values = {"encoder": case.data(), "decoder": case.representation()}
    for part, value in values.items():
        one = _part(first, part).train()
        for _ in range(USES):
            one(torch.rand_like(value))
        within = "encoder.body." if part == "encoder" else "decoder."  # as a run's encoder may name it
        state |= {within + name: it for name, it in one.eval().state_dict().items()}
    for origin, second in instances(case, state):
        for part, value in values.items():
            one, other = _part(first, part), _part(second, part)
            hand_over_state(one, other)
            same = torch.equal(one(value), other(value))
            require(same, f"the {part} of {origin} with the state_dict of the first must give the same output")


@seeded
def check_network_device(case: NetworkCase) -> str | None:
    """Encoder and decoder compute on the device that they were moved to."""
    network = case.build()

    def obstacle(part: str, value: Tensor) -> str | None:
        module = _part(network, part)
        return require_device(module, lambda device: [module(value.to(device))], f"the {part}")

    return obstacle("encoder", case.data()) or obstacle("decoder", case.representation())


@seeded
def check_network_rows(case: NetworkCase) -> None:
    """Features and reconstructions of a row do not depend on its batch in evaluation mode."""
    network = case.build()
    require_independent_rows(_part(network, "encoder"), case.data(), name="the features")
    require_independent_rows(_part(network, "decoder"), case.representation(), name="the reconstruction")


def _part(network: Any, name: str) -> nn.Module:
    return require_module(getattr(network, name), f"a network's {name}").eval()
