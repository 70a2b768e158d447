"""Checks of an encoder, built on a tiny network and two blocks, one of them a class block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.distributions import constraints

from aaeframe import supports
from aaeframe.protocols import BlockSpec, Code
from aaeframe.testing.case import FALSE_ALARM, USES, instances, refusal, require, seeded
from aaeframe.testing.goodness_of_fit import two_sample_p_value
from aaeframe.testing.modules import (
    hand_over_state,
    require_device,
    require_gradients,
    require_independent_rows,
    require_module,
    require_tensor,
)
from aaeframe.testing.repeats import Call, CallableCase

ROWS: Final = 8
BLOCKS: Final[Mapping[str, BlockSpec]] = {
    "style": BlockSpec(torch.Size([2]), constraints.independent(constraints.real, 1)),
    "y": BlockSpec(torch.Size([3]), constraints.one_hot),
}


class TinyNetwork(nn.Module):
    """A network for rows of 5 numbers."""

    num_features = 8

    def __init__(self) -> None:
        super().__init__()
        self.encoder: nn.Module = nn.Sequential(nn.Linear(5, self.num_features), nn.Tanh())
        self.decoder: nn.Module = nn.Linear(5, 5)


@dataclass(frozen=True)
class EncoderCase(CallableCase):
    """A factory of an encoder, and the blocks of its code."""

    blocks: Mapping[str, BlockSpec] = field(default_factory=lambda: BLOCKS)

    def arguments(self) -> tuple[TinyNetwork, Mapping[str, BlockSpec]]:
        """A network of its own and the blocks."""
        return TinyNetwork(), self.blocks

    def build_on(self, network: TinyNetwork) -> Any:
        """A new instance on this network."""
        return self.factory(network, self.blocks)

    def calls(self, built: Any) -> list[Call]:
        """Codes of noise that is given, and of noise that the encoder draws."""
        x = _data()
        return [Call("the encoder", built, (x, _noise(built, len(x)))), Call("the encoder without noise", built, (x,))]


def encoder_cases(factory: Callable[..., Any]) -> tuple[EncoderCase, ...]:
    """A product of a real block and a class block; each alone for an encoder that refuses the product."""
    product = EncoderCase(factory)
    if refusal(product) is None:
        return (product,)
    return (product, *(EncoderCase(factory, name, {name: block}) for name, block in BLOCKS.items()))


@seeded
def check_code_blocks(case: EncoderCase) -> None:
    """The code has the requested blocks, each (N, *event_shape), finite and float32."""
    code = case.build()(_data())
    require(isinstance(code, Mapping), f"the code must be a mapping of blocks, not {type(code).__name__}")
    require(set(code) == set(case.blocks), f"the code must have the blocks {sorted(case.blocks)}, not {sorted(code)}")
    for name, block in case.blocks.items():
        require_tensor(code[name], (ROWS, *block.event_shape), f"the block {name!r}")


@seeded
def check_code_support(case: EncoderCase) -> None:
    """Codes lie in the relaxation of their block's support; one-hot vectors relax to the simplex."""
    code = case.build()(_data())
    for name, block in case.blocks.items():
        relaxation = supports.relaxation(block.support, block.event_shape)
        inside: Tensor = relaxation.check(code[name])
        require(
            bool(inside.all()),
            f"the block {name!r} must lie in {supports.described(relaxation)}, as its support is "
            f"{supports.described(block.support)}",
        )


@seeded
def check_code_gradient(case: EncoderCase) -> None:
    """Gradients reach the input and every parameter of the encoder and of the network's encoder."""
    network = TinyNetwork()
    encoder = require_module(case.build_on(network), "an encoder")
    x = _data().requires_grad_()
    code = encoder(x, _noise(encoder, len(x)))
    require_gradients([code[name] for name in case.blocks], {"the input x": x}, encoder, network.encoder)


@seeded
def check_code_noise(case: EncoderCase) -> None:
    """The noise, of shape noise_shape, is the only randomness of a code; None draws it; zeros are valid noise."""
    encoder = _built(case).eval()
    shape = encoder.noise_shape
    require(isinstance(shape, torch.Size), f"noise_shape must be a torch.Size, not {shape!r}")
    x, noise = _data(), _noise(encoder, ROWS)
    drawn, again = _flat(case, encoder(x)), _flat(case, encoder(x))
    if noise is None:
        require(torch.equal(drawn, again), "an encoder with an empty noise_shape must be deterministic")
        return
    require(not torch.equal(drawn, again), f"with noise_shape {tuple(shape)}, noise=None must draw new noise each time")
    one = _flat(case, encoder(x[:1].expand(ROWS, -1)))
    shared = torch.allclose(one, one[:1].expand_as(one), rtol=1e-6, atol=1e-6)
    require(not shared, "noise=None must draw noise for each row, and equal rows have equal codes")
    given = _flat(case, encoder(x, noise))
    require(torch.equal(given, _flat(case, encoder(x, noise))), "the same noise must give the same code")
    other = _flat(case, encoder(x, _noise(encoder, ROWS)))
    require(not torch.equal(given, other), "different noise must change the code")
    zero = _flat(case, encoder(x, torch.zeros_like(noise)))
    require(bool(zero.isfinite().all()), "zero noise must give a finite code")


@seeded
def check_encoder_state(case: EncoderCase) -> None:
    """The state_dict has everything that a code depends on; `from_state` builds the same."""
    first = _built(case)
    for _ in range(USES):
        first(_data())
    x, noise = _data(), _noise(first, ROWS)
    for origin, second in instances(case, first.eval().state_dict()):
        hand_over_state(first, require_module(second, "an encoder").eval())
        same = torch.equal(_flat(case, first(x, noise)), _flat(case, second(x, noise)))
        require(same, f"{origin} with the state_dict of the first must give the same codes")


@seeded
def check_decoder_kept(case: EncoderCase) -> None:
    """Building the encoder leaves the decoder of the network as it is."""
    network, z = TinyNetwork(), _data()
    before = network.decoder(z)
    case.build_on(network)
    require(torch.equal(network.decoder(z), before), "an encoder must leave the decoder of its network as it is")


@seeded
def check_encoder_device(case: EncoderCase) -> str | None:
    """An encoder that was moved to another device draws its noise and computes its codes there."""
    encoder = _built(case).eval()

    def outputs(device: torch.device) -> Iterator[Tensor]:
        x, noise = _data().to(device), _noise(encoder, ROWS)
        yield from encoder(x).values()
        yield from encoder(x, None if noise is None else noise.to(device)).values()

    return require_device(encoder, outputs, "the encoder")


@seeded
def check_encoder_rows(case: EncoderCase) -> None:
    """In evaluation mode and with the noise given, the code of a row does not depend on its batch."""
    encoder = _built(case).eval()
    noise = _noise(encoder, ROWS)
    inputs = (_data(),) if noise is None else (_data(), noise)
    require_independent_rows(lambda *rows: _flat(case, encoder(*rows)), *inputs, name="the code")


@seeded
def check_posterior(case: EncoderCase) -> None:
    """`posterior(x)` has batch_shape (N,), the block's event_shape, and is the distribution of the codes."""
    encoder = _built(case).eval()
    posterior = encoder.posterior(_data())
    require(
        set(posterior) <= set(case.blocks),
        f"posterior must give blocks among {sorted(case.blocks)}, not {sorted(posterior)}",
    )
    many = _data()[:1].expand(20_000, -1)
    codes = encoder(many)
    for name, distribution in posterior.items():
        event_shape = case.blocks[name].event_shape
        found = (tuple(distribution.batch_shape), tuple(distribution.event_shape))
        require(
            found == ((ROWS,), tuple(event_shape)),
            f"the posterior of {name!r} must have batch_shape ({ROWS},) and event_shape {tuple(event_shape)}, "
            f"not {found[0]} and {found[1]}",
        )
        samples = encoder.posterior(many)[name].sample()
        p_value = two_sample_p_value(samples.detach().flatten(1), codes[name].detach().flatten(1))
        require(p_value >= FALSE_ALARM, f"the codes of {name!r} do not follow their posterior (p-value {p_value:.1e})")


def _built(case: EncoderCase) -> Any:
    return require_module(case.build(), "an encoder")


def _data() -> Tensor:
    return torch.randn(ROWS, 5)


def _noise(encoder: Any, rows: int) -> Tensor | None:
    """Standard normal noise for each row; None for an encoder that takes none."""
    shape = encoder.noise_shape
    return torch.randn(rows, *shape) if len(shape) else None


def _flat(case: EncoderCase, code: Code) -> Tensor:
    """The concatenated blocks: (N, D)."""
    return torch.cat([code[name].detach().flatten(1) for name in case.blocks], dim=1)
