"""Sizes on the command line: one number, a list, or a range by decades. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from aaeframe.benchmarking import SUITES
from aaeframe.errors import ConfigError

FORMS: Final = "a size such as 1000 or 1e4, a list such as 100,250,1000, or a range of decades such as 1e4..1e7"
LARGEST: Final = 10**12


class Sweep(NamedTuple):
    """The sizes of each measurement."""

    swept: str | None
    """The size that changes; None if none does."""
    each: tuple[Mapping[str, int], ...]
    """The sizes that were given, once for each value of the one that changes."""


def sweep(given: Mapping[str, str | None], suites: Sequence[str]) -> Sweep:
    """The measurements that the options ask for.

    Args:
        given: the text of each size, by its name; None if it is not given.
        suites: the suites that are measured.

    Raises:
        ConfigError: A text is no size, a suite does not know a size, or more than one size has several values.
    """
    values = {name: parse(f"--{name}", text) for name, text in given.items() if text is not None}
    for suite in suites:
        for name in values:
            _check_known(name, suite, suites)
    several = [name for name, found in values.items() if len(found) > 1]
    if len(several) > 1:
        raise ConfigError(
            f"--{several[0]} and --{several[1]} both have several values; sweep over one of them, and give the other "
            "a single value"
        )
    fixed = {name: found[0] for name, found in values.items() if name not in several}
    if not several:
        return Sweep(None, (fixed,))
    (name,) = several
    return Sweep(name, tuple({**fixed, name: value} for value in values[name]))


def parse(option: str, text: str) -> tuple[int, ...]:
    """The sizes that a text stands for, in ascending order for a range. ConfigError if it stands for none.

    A range begins with its first size. Each further one is ten times the one before, and the last is its end.
    """
    first, dots, last = text.partition("..")
    if not dots:
        return tuple(dict.fromkeys(_size(option, it, text) for it in text.split(",")))
    begin, end = _size(option, first, text), _size(option, last, text)
    if begin > end:
        raise ConfigError(f"{option} {text} begins above its end; give the smaller size first: {last}..{first}")
    found = [begin]
    while 10 * found[-1] < end:
        found.append(10 * found[-1])
    return tuple(dict.fromkeys((*found, end)))


def _size(option: str, word: str, text: str) -> int:
    try:
        size = float(word)
    except ValueError:
        size = 0.5
    if not (1 <= size <= LARGEST and size.is_integer()):
        raise ConfigError(f"{option} {text}: {word.strip()!r} is not a whole number from 1 to 1e12; give {FORMS}")
    return int(size)


def _check_known(name: str, suite: str, suites: Sequence[str]) -> None:
    known = SUITES[suite].sizes
    if name not in known:
        others = [it for it in SUITES if name in SUITES[it].sizes]
        advice = f"; --case {' --case '.join(others)} knows it" if len(suites) > 1 else ""
        raise ConfigError(
            f"--{name} is not a size of the case {suite}, which has {', '.join(f'--{it}' for it in known)}{advice}"
        )
