"""Coverage and power of the classifier two-sample test, as a table in Markdown.

    python benchmarks/two_sample.py --repetitions 1000 --sizes 100 500 2500

Coverage: the share of repetitions on two sets of one distribution in which a 95 % interval holds chance, one half.
Power: the share in which the interval of the larger accuracy lies above chance, and the mean of that accuracy.
Repetition i draws everything from seed i.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from aaeframe.evaluation import TwoSample, classifier_two_sample
from aaeframe_plugins.priors.swissroll import SwissRoll

CHANCE = 0.5


def gaussian(size: int, draw: Generator) -> Tensor:
    """A standard normal in eight dimensions."""
    return torch.randn(size, 8, generator=draw)


def roll(size: int, draw: Generator) -> Tensor:
    """The swiss roll of aaeframe."""
    with torch.random.fork_rng():
        torch.manual_seed(int(torch.randint(2**31, (), generator=draw)))
        return SwissRoll().sample(torch.Size([size]))


def column_halved(size: int, draw: Generator) -> Tensor:
    """The Gaussian with one column of half the width."""
    return gaussian(size, draw) * torch.tensor([0.5, *[1.0] * 7])


def narrow(size: int, draw: Generator) -> Tensor:
    """The Gaussian nine tenths as wide."""
    return 0.9 * gaussian(size, draw)


def correlated(size: int, draw: Generator) -> Tensor:
    """The Gaussian with two columns that have a correlation of 0.5."""
    z = gaussian(size, draw)
    z[:, 1] = 0.5 * z[:, 0] + 0.75**0.5 * z[:, 1]
    return z


def blurred(size: int, draw: Generator) -> Tensor:
    """The swiss roll with noise of standard deviation 0.2."""
    return roll(size, draw) + 0.2 * torch.randn(size, 2, generator=draw)


Draw = Callable[[int, Generator], Tensor]
SAME: tuple[Draw, ...] = (gaussian, roll)
DIFFERENT: tuple[tuple[Draw, Draw], ...] = (
    (gaussian, column_halved),
    (gaussian, narrow),
    (gaussian, correlated),
    (roll, blurred),
)


def tested(first: Draw, second: Draw, size: int, repetition: int) -> TwoSample:
    """The test of two sets."""
    draw = Generator().manual_seed(repetition)
    a, b = first(size, draw), second(size, draw)
    return classifier_two_sample(a, b, generator=draw)


def coverage(draw: Draw, size: int, repetitions: int) -> dict[str, float]:
    """The share of intervals that hold chance, of each classifier and of the larger accuracy."""
    covered: Counter[str] = Counter()
    for repetition in range(repetitions):
        found = tested(draw, draw, size, repetition)
        intervals = {name: found.interval_of(name) for name in found.accuracies} | {"larger": found.interval}
        covered.update(name for name, (low, high) in intervals.items() if low <= CHANCE <= high)
    return {name: covered[name] / repetitions for name in ("trees", "perceptron", "larger")}


def power(first: Draw, second: Draw, size: int, repetitions: int) -> tuple[float, float]:
    """The share of intervals above chance, and the mean accuracy."""
    found = [tested(first, second, size, repetition) for repetition in range(repetitions)]
    above = sum(it.interval[0] > CHANCE for it in found)
    return above / repetitions, sum(it.accuracy for it in found) / repetitions


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 500, 2500], help="rows of each set")
    asked = parser.parse_args()
    print("| equal sets | rows of each | trees | perceptron | larger |\n| --- | --- | --- | --- | --- |")
    for draw in SAME:
        for size in asked.sizes:
            shares = coverage(draw, size, asked.repetitions).values()
            print(f"| {draw.__doc__} | {size} | {' | '.join(f'{it:.1%}' for it in shares)} |", flush=True)
    few = max(1, asked.repetitions // 20)
    print(
        f"\n| unlike sets, {few} repetitions | rows of each | told apart | mean accuracy |\n| --- | --- | --- | --- |"
    )
    for first, second in DIFFERENT:
        for size in asked.sizes:
            share, accuracy = power(first, second, size, few)
            print(f"| {second.__doc__} | {size} | {share:.0%} | {accuracy:.1%} |", flush=True)


if __name__ == "__main__":
    main()
