"""Warn when training fails in one of the known ways.

Each failure is a rule over the metrics of the last few epochs, with one warning for each affected block. A rule needs
its metrics in every one of those epochs; without them it gives no warning. Torch-free.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from numbers import Real
from typing import Any, Final, TypeAlias

FiniteRow: TypeAlias = Mapping[str, float]
"""The finite metrics of one epoch by key, such as "reconstruction", "accuracy/<block>" or "mismatch/<block>"."""
Rule: TypeAlias = Callable[[Sequence[FiniteRow]], dict[str, str]]
"""A function from the last epochs, oldest first, to warnings by key."""

WINDOW: Final = 5
"""The number of epochs remembered: as many as the rule with the longest memory needs."""
WON: Final = 0.95
WON_EPOCHS: Final = 3
CHANCE: Final = (0.45, 0.55)
GROWTH: Final = 1.25
"""The ratio of last to first mismatch from which a rise is more than noise."""
NOISE: Final = 3.0
"""The multiple of the prior's mismatch with itself up to which a mismatch counts as a good match."""
RECONSTRUCTION_EPOCHS: Final = 3
COLLAPSED: Final = 0.5
"""The share of log K below which the entropy of the mean code counts as a collapse."""


class Monitor:
    """Checks the metrics of each epoch. A warning is given once, and again only after its condition has cleared."""

    def __init__(self) -> None:
        self._rows: list[dict[str, float]] = []
        self._standing: set[str] = set()

    def observe(self, row: Mapping[str, Any]) -> list[str]:
        """Add the metrics of one epoch and return the new warnings, as sentences.

        It reads "reconstruction", "validation/reconstruction" and "mean_image_error". For each block it reads
        "accuracy/<block>", "mismatch/<block>", "mismatch_floor/<block>", "entropy/<block>" (H of the mean code, nats)
        and "classes/<block>".
        """
        self._rows = [*self._rows, _finite(row)][-WINDOW:]
        found = failures(self._rows)
        new = [text for key, text in found.items() if key not in self._standing]
        self._standing = set(found)
        return new

    def state_dict(self) -> dict[str, Any]:
        """The state that `load_state_dict` restores, as JSON-like values."""
        return {"rows": [dict(row) for row in self._rows], "standing": sorted(self._standing)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a `state_dict`."""
        self._rows = [dict(row) for row in state["rows"]]
        self._standing = set(state["standing"])


def failures(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The failures that stand at the end of these epochs, oldest first: a warning for each, by rule and block."""
    finite = [_finite(row) for row in rows[-WINDOW:]]
    return {key: text for rule in RULES for key, text in rule(finite).items()} if finite else {}


def discriminator_won(rows: Sequence[FiniteRow]) -> dict[str, str]:
    """The discriminator's accuracy is above 95 % for three epochs in a row."""
    last = rows[-WON_EPOCHS:]
    return {
        f"discriminator_won/{block}": (
            f"block {block}: the discriminator has separated codes from prior samples with over {WON:.0%} "
            f"accuracy for {WON_EPOCHS} epochs ({last[-1][f'accuracy/{block}']:.1%} now). It has won: the "
            "encoder hardly gets a gradient from it, and the codes do not match the prior. Try instance "
            "noise on the discriminator's input, a lower discriminator learning rate, the spectral "
            "discriminator, or a larger weight of the generator's loss."
        )
        for block in _blocks(last, "accuracy", epochs=WON_EPOCHS)
        if all(row[f"accuracy/{block}"] > WON for row in last)
    }


def discriminator_blind(rows: Sequence[FiniteRow]) -> dict[str, str]:
    """The discriminator's accuracy is at chance for five epochs while the mismatch grows.

    The mismatch must rise in each epoch, by a quarter in all, and be more than noise. Noise is three times the mismatch
    of two sets of prior samples, where that was measured.
    """
    found = {}
    for block in _blocks(rows, "accuracy", "mismatch", epochs=WINDOW):
        at_chance = all(CHANCE[0] <= row[f"accuracy/{block}"] <= CHANCE[1] for row in rows)
        mismatch = [row[f"mismatch/{block}"] for row in rows]
        rising = all(before < after for before, after in pairwise(mismatch))
        noise = NOISE * rows[-1].get(f"mismatch_floor/{block}", 0.0)
        if at_chance and rising and mismatch[-1] > max(GROWTH * mismatch[0], noise):
            found[f"discriminator_blind/{block}"] = (
                f"block {block}: the discriminator has been at chance for {WINDOW} epochs, while the "
                f"mismatch of codes and prior grew from {mismatch[0]:.3g} to {mismatch[-1]:.3g}. Chance is "
                "where a good match ends, but here the discriminator has stopped learning. Try a higher "
                "discriminator learning rate, a wider discriminator, less instance noise, or a smaller "
                "weight of the generator's loss."
            )
    return found


def reconstruction_stuck(rows: Sequence[FiniteRow]) -> dict[str, str]:
    """The reconstruction error, on validation data if there are any, is not below the mean row's for three epochs."""
    last = rows[-RECONSTRUCTION_EPOCHS:]
    key = next((k for k in ("validation/reconstruction", "reconstruction") if k in rows[-1]), None)
    if key is None or len(last) < RECONSTRUCTION_EPOCHS or not _present(last, key, "mean_image_error"):
        return {}
    if any(row[key] < row["mean_image_error"] for row in last):
        return {}
    return {
        "reconstruction_stuck": (
            f"the reconstruction error has not been below that of the mean row for "
            f"{RECONSTRUCTION_EPOCHS} epochs ({last[-1][key]:.4g} against {last[-1]['mean_image_error']:.4g} "
            "now). The decoder ignores the codes, or learns nothing. Try another learning rate of the "
            "autoencoder, a smaller weight of the generator's loss, or a larger code. Check the data and their "
            "scaling, too."
        )
    }


def category_collapse(rows: Sequence[FiniteRow]) -> dict[str, str]:
    """The entropy of the mean code of a categorical block is below half of log K."""
    last = rows[-1]
    found = {}
    for block in _blocks([last], "entropy", "classes", epochs=1):
        entropy, classes = last[f"entropy/{block}"], last[f"classes/{block}"]
        if entropy < COLLAPSED * math.log(classes):
            found[f"category_collapse/{block}"] = (
                f"block {block}: its categories are collapsing. The entropy of the mean code is "
                f"{entropy:.2f} nats, that of {math.exp(entropy):.1f} evenly used categories; all "
                f"{classes:.0f} would give {math.log(classes):.2f}. Try a larger weight of this block's "
                "generator loss, a lower learning rate of the reconstruction phase, or instance noise on "
                "this block's discriminator."
            )
    return found


RULES: Final[tuple[Rule, ...]] = (
    discriminator_won,
    discriminator_blind,
    reconstruction_stuck,
    category_collapse,
)


def _finite(row: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers of a row, which can be compared and written as JSON."""
    return {key: float(value) for key, value in row.items() if isinstance(value, Real) and math.isfinite(value)}


def _blocks(rows: Sequence[FiniteRow], *metrics: str, epochs: int) -> list[str]:
    """The blocks whose metrics exist in each of `rows`; none if there are fewer rows than `epochs`."""
    if len(rows) < epochs:
        return []
    names = [key.removeprefix(f"{metrics[0]}/") for key in rows[-1] if key.startswith(f"{metrics[0]}/")]
    return [name for name in names if _present(rows, *(f"{metric}/{name}" for metric in metrics))]


def _present(rows: Sequence[FiniteRow], *keys: str) -> bool:
    return all(key in row for row in rows for key in keys)
