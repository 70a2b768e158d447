"""Shares of an estimate: between processes of one launch, and as states in files."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
import torch

from aaeframe.data import Split
from aaeframe.errors import DataError
from aaeframe.evaluation import likelihood
from aaeframe.evaluation.likelihood import Ranks, Stored, Stream, estimate
from aaeframe.evaluation.parzen_shards import Record, StateFile, merged
from aaeframe.evaluation.resumable import Keep
from aaeframe.storage.shards import WHOLE, Share
from aaeframe_kernels import ParzenState
from aaeframe_kernels.parzen import state as parzen_state

CHUNK, ABOUT_ONE = 100, 1e-9


def normal(count, seed, scale=0.2):
    return scale * torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))


TEST, VALIDATION = normal(50, 1), normal(200, 2)
SAMPLES = Stored(Split(normal(7 * CHUNK + 13, 4).numpy()))


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(likelihood, "CHUNK", CHUNK)


def together(size, function):
    """The results of a function of `Ranks` that runs in as many threads, which gather what they pass in."""
    passed, barrier = [b""] * size, Barrier(size)

    def ranks(index):
        def gather(own):
            passed[index] = own
            barrier.wait(60)
            found = list(passed)
            barrier.wait(60)
            return found

        return Ranks(Share(index, size), gather)

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(lambda index: function(ranks(index)), range(size)))


@pytest.mark.parametrize("size", [2, 3, 10])
def test_processes_that_share_the_samples_get_the_estimate_of_one(size):
    """With 10 processes and 8 chunks, two of them have no samples."""
    alone = estimate(TEST, SAMPLES, validation=VALIDATION)
    for found in together(size, lambda ranks: estimate(TEST, SAMPLES, validation=VALIDATION, ranks=ranks)):
        assert found.bandwidth == alone.bandwidth
        torch.testing.assert_close(found.log_likelihood, alone.log_likelihood, rtol=0, atol=ABOUT_ONE)
        np.testing.assert_allclose(
            found.choice.mean_log_likelihoods, alone.choice.mean_log_likelihoods, rtol=0, atol=ABOUT_ONE
        )
        assert (found.samples, found.paths) == (alone.samples, alone.paths)


def test_each_process_reads_its_own_samples_alone(monkeypatch):
    read = []
    rows = Stored.rows
    monkeypatch.setattr(Stored, "rows", lambda self, start, stop: read.append((start, stop)) or rows(self, start, stop))
    together(3, lambda ranks: estimate(TEST, SAMPLES, bandwidths=[0.1], ranks=ranks))
    assert sorted(read) == [(at, min(at + CHUNK, SAMPLES.count)) for at in range(0, SAMPLES.count, CHUNK)]


def test_a_killed_process_goes_on_from_its_own_state(tmp_path, monkeypatch):
    monkeypatch.setattr(likelihood, "KEEP_EVERY", -1.0)
    share = Ranks(Share(1, 2))

    def die(now, at, of):
        assert of == SAMPLES.count - 4 * CHUNK
        if at == 2 * CHUNK:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Stream(SAMPLES, Keep(tmp_path, {}), die, share).own(TEST, [0.1], "test")
    seen = []
    again = Stream(SAMPLES, Keep(tmp_path, {}), lambda now, at, of: seen.append(at), share).own(TEST, [0.1], "test")
    assert seen[0] == 2 * CHUNK
    whole = Stream(SAMPLES, None, lambda *_: None, share).own(TEST, [0.1], "test")
    assert torch.equal(again.log_likelihood(), whole.log_likelihood())
    assert again.count == SAMPLES.count - 4 * CHUNK


def test_a_state_of_later_samples_compiles_when_one_of_all_would(monkeypatch):
    """Compiled sums round otherwise, so parts must be compiled for the same samples as the whole."""
    asked = []
    prepare = parzen_state.prepare
    monkeypatch.setattr(
        parzen_state,
        "prepare",
        lambda *given, compiled: asked.append(compiled) or prepare(*given, compiled=False),
    )
    monkeypatch.setattr(parzen_state, "WORTH", 50 * 4 * CHUNK)
    for share, compiled in ((WHOLE, [False, True]), (Share(0, 2), [False]), (Share(1, 2), [True])):
        asked.clear()
        Stream(SAMPLES, None, lambda *_: None, Ranks(share)).own(TEST, [0.1], "test")
        assert asked == compiled
    restored = ParzenState.from_state_dict(ParzenState(TEST, 0.1, before=4 * CHUNK).state_dict(), TEST)
    asked.clear()
    restored.update(normal(10, 3))
    assert asked == [True]


def test_states_of_rows_that_only_their_states_tell_apart_are_refused_by_name():
    files = []
    for k, rows in enumerate((TEST, TEST + 1e-3)):
        about = {"moves": False, "seconds": 0.0, "origin": {"rows of --test": "the same"}}
        record = Record(rows="test", shards=(k,), count=2, samples=SAMPLES.count, **about)
        files.append(StateFile(Path(f"{k}.safetensors"), record, ParzenState(rows, 0.1)))
    with pytest.raises(DataError, match=r"0\.safetensors and 1\.safetensors cannot be merged: "):
        merged(files)
