"""Measure what a step in bf16 would gain by weights that stay bfloat16: python benchmarks/bf16_masters.py --batch 100

Autocast casts float32 weights to bfloat16 in every phase, and their gradients back. Three plain scripts of one joint
step, on one thread, timed in turn:

- "autocast": as `--precision bf16` does it, with torch's fused Adam on float32 weights;
- "masters": layers whose weights and gradients are bfloat16; Adam, compiled into one loop for each tensor, reads those
  gradients, keeps the weights in float32 as well, and writes the bfloat16 ones;
- "no update": the same without any optimizer, which is the most that a better one could gain.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

PIXELS, CODE = 784, 8
RATE, BETAS, EPSILON = 1e-4, (0.9, 0.999), 1e-8
BURST = 5
"""Steps of one alternative in a row, so that its weights are in the caches as in a training."""


def joint_step(dtype: torch.dtype, batch: int, width: int, optimizer: Callable[..., object]) -> Callable[[], Tensor]:
    """A step of encoder, decoder and discriminator with weights of `dtype`, on random images; returns its loss."""
    torch.manual_seed(0)
    sizes = ((PIXELS, width, width, CODE), (CODE, width, width, PIXELS), (CODE, width, width, 1))
    encoder, decoder, discriminator = (_mlp(it).to(dtype) for it in sizes)
    adversary = optimizer([*discriminator.parameters()])
    autoencoder = optimizer([*encoder.parameters(), *decoder.parameters()])
    x, ones, zeros = torch.rand(batch, PIXELS), torch.ones(batch), torch.zeros(batch)

    def descend(loss: Tensor, optimizer: object) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def step() -> Tensor:
        code = encoder(x.to(dtype)).float()
        rows = torch.cat([torch.randn(batch, CODE), code.detach()])
        logits = discriminator(rows.to(dtype)).float()[:, 0]
        descend(cross_entropy(logits, torch.cat([ones, zeros])), adversary)
        discriminator.requires_grad_(False)
        generator = cross_entropy(discriminator(code.to(dtype)).float()[:, 0], ones)
        discriminator.requires_grad_(True)
        loss = cross_entropy(decoder(code.to(dtype)).float(), x) + generator
        descend(loss, autoencoder)
        return loss.detach()

    return step


def _mlp(sizes: Sequence[int]) -> nn.Sequential:
    layers = [it for pair in pairwise(sizes) for it in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


class NoUpdate:
    """An optimizer that leaves the weights as they are."""

    def __init__(self, weights: Sequence[Tensor]) -> None:
        self.weights = weights

    def zero_grad(self) -> None:
        """Drop the gradients."""
        for weight in self.weights:
            weight.grad = None

    def step(self) -> None:
        """Do nothing."""


class MasterAdam(NoUpdate):
    """Adam on float32 copies of bfloat16 weights, which it writes too."""

    def __init__(self, weights: Sequence[Tensor]) -> None:
        super().__init__(weights)
        self.masters = [weight.detach().float() for weight in weights]
        self.means, self.squares = ([torch.zeros_like(it) for it in self.masters] for _ in range(2))
        self.steps = torch.zeros(())

    @torch.no_grad()
    def step(self) -> None:
        """Update every weight."""
        self.steps += 1
        corrections = [1 - beta**self.steps for beta in BETAS]
        for weight, *state in zip(self.weights, self.masters, self.means, self.squares, strict=True):
            _update(weight.data.view(-1), weight.grad.reshape(-1), *(it.view(-1) for it in state), *corrections)


@torch.compile(dynamic=True, fullgraph=True)
def _update(weight: Tensor, gradient: Tensor, master: Tensor, mean: Tensor, square: Tensor, c1: Tensor, c2: Tensor):
    gradient = gradient.float()
    mean.lerp_(gradient, 1 - BETAS[0])
    square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
    master.sub_(RATE / c1 * mean / ((square / c2).sqrt() + EPSILON))
    weight.copy_(master)


def alternatives(batch: int, width: int) -> dict[str, Callable[[], Tensor]]:
    """The three steps by name."""
    plain = joint_step(torch.float32, batch, width, lambda weights: torch.optim.Adam(weights, RATE, fused=True))

    def autocast() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
            return plain()

    return {
        "autocast": autocast,
        "masters": joint_step(torch.bfloat16, batch, width, MasterAdam),
        "no update": joint_step(torch.bfloat16, batch, width, NoUpdate),
    }


def measure(batch: int, width: int, rounds: int) -> dict[str, list[float]]:
    """Seconds a step of each alternative, by round."""
    steps = alternatives(batch, width)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 1):
        for name, step in steps.items():
            begun = time.perf_counter()
            for _ in range(BURST):
                step()
            if number:  # the first round warms up
                seconds[name].append((time.perf_counter() - begun) / BURST)
    return seconds


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("batch", 100), ("width", 1000), ("rounds", 25)):
        parser.add_argument(f"--{name}", type=int, default=value)
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    found = measure(asked.batch, asked.width, asked.rounds)
    print(f"batch {asked.batch}, {asked.width} wide, {asked.rounds} rounds: median ms a step, and speed to autocast")
    for name, seconds in found.items():
        ratio = statistics.median(first / it for first, it in zip(found["autocast"], seconds, strict=True))
        print(f"{name:10} {1e3 * statistics.median(seconds):8.2f} {ratio:6.2f}")


if __name__ == "__main__":
    main()
