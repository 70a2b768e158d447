"""The labeled subset for training with few labels."""

from __future__ import annotations

import numpy as np

from aaeframe.errors import DataError


def labeled_subset(labels: np.ndarray, count: int, num_classes: int, seed: int) -> np.ndarray:
    """The sorted rows (count,) of labeled examples, with equal numbers per class, up to one; or all rows.

    A pure function of its arguments. With the same seed, a smaller subset is part of every larger one.

    Raises:
        DataError: there are fewer examples than requested, fewer requested than classes, or too few of one class.
    """
    if not num_classes <= count <= len(labels):
        raise DataError(
            f"{count} labeled examples were requested, balanced over {num_classes} classes: there are "
            f"{len(labels)} labeled examples. Ask for {num_classes} to {len(labels)}."
        )
    sizes = np.bincount(labels, minlength=num_classes)
    if len(sizes) > num_classes:
        raise DataError(f"the labels reach class {len(sizes) - 1}, but there are {num_classes} classes.")
    if count == len(labels):
        return np.arange(count)
    share = _shares(sizes, count, seed)
    rows = [
        np.random.default_rng((seed, label)).permutation(np.flatnonzero(labels == label))[: share[label]]
        for label in range(num_classes)
    ]
    return np.sort(np.concatenate(rows))


def _shares(sizes: np.ndarray, count: int, seed: int) -> np.ndarray:
    share = np.full(len(sizes), count // len(sizes))
    order = np.random.default_rng(seed).permutation(len(sizes))
    roomy = order[sizes[order] > share[order]]  # only classes with examples left can give an extra one
    share[roomy[: count % len(sizes)]] += 1
    if (sizes < share).any() or share.sum() < count:
        least = int(sizes.argmin())
        if not sizes[least]:
            raise DataError(f"{count} labeled examples of each of {len(sizes)} classes: class {least} has no example.")
        raise DataError(
            f"{count} labeled examples balanced over {len(sizes)} classes are up to "
            f"{-(-count // len(sizes))} of each, but class {least} has only {sizes[least]}. Ask for at most "
            f"{len(sizes) * int(sizes[least])}."
        )
    return share
