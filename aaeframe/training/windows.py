"""Passes over rows in a source: chunks in random order, rows in random order within windows of several chunks.

The order is a function of (seed, turn) only. While one window is used, a thread reads the next.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aaeframe.data import Split
from aaeframe.errors import AaeframeError, DataError
from aaeframe.seeds import generator


@dataclass(frozen=True, eq=False)
class WindowOrder:
    """The order of the rows of each pass."""

    bounds: np.ndarray
    """(C + 1,) the places among the rows of a pass where chunks begin, and the number of rows."""
    most: int
    """The number of rows in a window, unless its first chunk has more."""
    seed: int
    name: str
    """The name of the passes in the random streams."""

    @property
    def is_single(self) -> bool:
        """Whether one window holds all rows. The order is then that of rows in memory."""
        return int(self.bounds[-1]) <= self.most

    def windows(self, turn: int) -> list[np.ndarray]:
        """The chunks of each window of a pass, rising."""
        sizes = np.diff(self.bounds)
        chunks = np.flatnonzero(sizes)
        if self.is_single:
            return [chunks]
        order = chunks[torch.randperm(len(chunks), generator=self._stream(turn, "chunks")).numpy()]
        found, start, rows = [], 0, 0
        for place, size in enumerate(sizes[order]):
            if place > start and rows + size > self.most:
                found.append(np.sort(order[start:place]))
                start, rows = place, 0
            rows += int(size)
        return [*found, np.sort(order[start:])]

    def places(self, chunks: np.ndarray) -> np.ndarray:
        """The places of the rows of some chunks, rising if these do."""
        return np.concatenate([np.arange(self.bounds[it], self.bounds[it + 1]) for it in chunks])

    def permutation(self, turn: int, window: int, count: int) -> np.ndarray:
        """The order (count,) of the rows of a window."""
        names = () if self.is_single else ("window", window)
        order: np.ndarray = torch.randperm(count, generator=self._stream(turn, *names)).numpy()
        return order

    def digest(self) -> str:
        """A digest of all that the order depends on, besides the seed."""
        return hashlib.sha256(f"{self.most} ".encode() + self.bounds.astype(np.int64).tobytes()).hexdigest()

    def _stream(self, turn: int, *names: object) -> torch.Generator:
        return generator(self.seed, "order", self.name, turn, *names)


@dataclass(frozen=True, eq=False)
class _Window:
    """A window of a pass."""

    start: int
    """The place in the pass of its first row."""
    places: np.ndarray
    """(n,) the places among all rows of the pass of its rows, in their order in the pass."""
    rows: np.ndarray
    """(n, *shape) the rows, rising by place."""
    order: np.ndarray
    """(n,) the row of each place."""


class WindowReader:
    """Gives the rows of passes in order, a part at a time, and reads one window ahead."""

    def __init__(self, split: Split, order: WindowOrder, index: Tensor | None = None) -> None:
        self.order = order
        self._split = split
        self._index = None if index is None else index.numpy()
        """(N,) the rows of the split that a pass has, rising; None: all."""
        self._now: tuple[tuple[int, int], _Window] | None = None
        self._next: tuple[tuple[int, int], Future[_Window]] | None = None
        self._plans: dict[int, tuple[list[np.ndarray], np.ndarray]] = {}
        self._thread: ThreadPoolExecutor | None = None
        self._stop = threading.Event()

    def part(self, turn: int, start: int, stop: int) -> tuple[Tensor, Tensor, Tensor]:
        """Some rows of a pass, from `start` up to `stop` or its end; DataError if a file cannot be read.

        Returns their places among the rows of all passes, their rows of the split, and their values.
        """
        _, starts = self._plan(turn)
        stop = min(stop, int(starts[-1]))
        places, values = [], []
        number = int(np.searchsorted(starts, start, side="right")) - 1
        while start < stop:
            window = self._window(turn, number)
            end = min(stop, int(starts[number + 1]))
            at = slice(start - window.start, end - window.start)
            places.append(window.places[at])
            values.append(window.rows[window.order[at]])
            start, number = end, number + 1
        found = torch.from_numpy(_joined(places))
        chosen = found if self._index is None else torch.from_numpy(self._index[found.numpy()])
        return found, chosen, torch.from_numpy(_joined(values))

    def close(self) -> None:
        """End the thread, after the chunk that it reads, and free the windows."""
        self._stop.set()
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)
        self._thread, self._now, self._next = None, None, None
        self._stop.clear()

    def _plan(self, turn: int) -> tuple[list[np.ndarray], np.ndarray]:
        """The windows of a pass, and (W + 1,) the places in the pass where they begin."""
        if turn not in self._plans:
            windows = self.order.windows(turn)
            sizes = np.diff(self.order.bounds)
            self._plans = {it: plan for it, plan in self._plans.items() if abs(it - turn) < 2}
            self._plans[turn] = windows, np.cumsum([0, *(int(sizes[it].sum()) for it in windows)])
        return self._plans[turn]

    def _window(self, turn: int, number: int) -> _Window:
        """A window, which was read ahead if it is the next one; then the one after it is."""
        key = (turn, number)
        if self._now is None or self._now[0] != key:
            self._now = None  # before another is read, so that there are two at most
            ahead, self._next = self._next, None
            if ahead is not None and ahead[0] == key:
                window = ahead[1].result()
            else:
                if ahead is not None:
                    self.close()
                window = self._read(*key)
            self._now = key, window
            self._read_ahead((turn, number + 1) if number + 1 < len(self._plan(turn)[0]) else (turn + 1, 0))
        return self._now[1]

    def _read_ahead(self, key: tuple[int, int]) -> None:
        self._plan(key[0])  # in this thread, which alone changes the plans
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="aaeframe-rows")
        self._next = key, self._thread.submit(self._read, *key)

    def _read(self, turn: int, number: int) -> _Window:
        windows, starts = self._plan(turn)
        chunks = windows[number]
        places = self.order.places(chunks)
        order = self.order.permutation(turn, number, len(places))
        return _Window(int(starts[number]), places[order], self._values(chunks, len(places)), order)

    def _values(self, chunks: Sequence[int] | np.ndarray, count: int) -> np.ndarray:
        """The rows of some chunks, which rise. DataError if they cannot be read, or the training has ended."""
        found, start = np.empty((count, *self._split.shape), self._split.dtype), 0
        for chunk in chunks:
            if self._stop.is_set():
                raise DataError("the training has ended")
            at = np.arange(self.order.bounds[chunk], self.order.bounds[chunk + 1])
            try:
                self._split.fill(found[start : start + len(at)], at if self._index is None else self._index[at])
            except AaeframeError:
                raise
            except (OSError, MemoryError) as error:
                raise DataError(f"rows for the training cannot be read: {error or type(error).__name__}") from error
            start += len(at)
        self._split.release()
        return found


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
