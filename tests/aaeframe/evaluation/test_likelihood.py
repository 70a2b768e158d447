from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from aaeframe.data import Split
from aaeframe.errors import CheckpointError, DataError
from aaeframe.evaluation import likelihood
from aaeframe.evaluation.likelihood import Decoded, Stored, estimate
from aaeframe.evaluation.resumable import Keep
from aaeframe_kernels import ParzenState, parzen_log_likelihood

SCALE = 0.2
"""The standard deviation of every row, and so the best bandwidth for samples that all lie at their mean."""


def normal(count, seed, scale=SCALE):
    return scale * torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))


TEST, VALIDATION = normal(50, 1), normal(200, 2)
CHUNK = 100


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(likelihood, "CHUNK", CHUNK)


def stored(samples):
    return Stored(Split(samples.numpy()))


def test_a_given_bandwidth_gives_the_mean_over_rows_and_its_standard_error():
    samples = normal(CHUNK + 500, 3)
    found = estimate(TEST, stored(samples), bandwidths=[0.1])
    expected = parzen_log_likelihood(TEST, samples, 0.1, precision="float64")
    torch.testing.assert_close(found.log_likelihood, expected, atol=1e-4, rtol=0)
    report = found.as_dict()
    assert report["log_likelihood"] == pytest.approx(float(expected.mean()), abs=1e-4)
    assert report["standard_error"] == pytest.approx(float(expected.std()) / math.sqrt(50), rel=1e-3)
    assert (report["rows"], report["samples"], report["bandwidth"]) == (50, CHUNK + 500, 0.1)
    assert sum(report["paths"].values()) == CHUNK + 500
    assert "bandwidths" not in report


def test_one_row_has_no_standard_error():
    assert estimate(TEST[:1], stored(normal(10, 3)), bandwidths=[0.1]).as_dict()["standard_error"] is None


def test_the_bandwidth_is_the_one_that_makes_validation_rows_most_likely():
    found = estimate(TEST, stored(torch.zeros(5, 3)), validation=VALIDATION)
    assert found.bandwidth == pytest.approx(SCALE, rel=0.1)
    best = estimate(TEST, stored(torch.zeros(5, 3)), bandwidths=[found.bandwidth])
    torch.testing.assert_close(found.log_likelihood, best.log_likelihood)
    report = found.as_dict()
    curve = dict(zip(report["bandwidths"], report["validation_log_likelihoods"], strict=True))
    assert max(curve, key=curve.get) == report["bandwidth"]
    assert report["warning"] is None


def test_test_rows_do_not_choose_the_bandwidth():
    other = estimate(100 * TEST, stored(torch.zeros(5, 3)), validation=VALIDATION)
    assert other.bandwidth == estimate(TEST, stored(torch.zeros(5, 3)), validation=VALIDATION).bandwidth


@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_a_grid_whose_best_value_is_at_its_edge_is_moved_on(offset):
    """Rows close together but far from every sample want a bandwidth that no grid about their scale has."""
    samples = torch.full((5, 3), offset) if offset else normal(2000, 3)
    found = estimate(TEST, stored(samples), validation=VALIDATION)
    grid = found.as_dict()["bandwidths"]
    assert min(grid) < found.bandwidth < max(grid)
    if offset:
        assert found.bandwidth == pytest.approx(offset, rel=0.1)


def test_a_given_grid_is_not_moved_but_its_edge_is_told():
    found = estimate(TEST, stored(torch.zeros(5, 3)), validation=VALIDATION, bandwidths=[0.01, 0.02])
    assert found.bandwidth == 0.02
    assert found.as_dict()["bandwidths"] == [0.01, 0.02]
    assert "0.02" in found.as_dict()["warning"]


class Killed(BaseException):
    """Raised to end a process."""


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Makes the file of an estimate, which is written after every chunk."""
    monkeypatch.setattr(likelihood, "KEEP_EVERY", -1.0)
    return lambda **identity: Keep(tmp_path / "likelihood", {"weights": "a", **identity})


SAMPLES = stored(normal(3 * CHUNK + 7, 4))


def killed(keep, doing, done):
    """An estimate that dies at some place of some pass."""

    def die(now, at, of):
        if now.startswith(doing) and at == done:
            raise Killed

    with pytest.raises(Killed):
        estimate(TEST, SAMPLES, validation=VALIDATION, keep=keep, progress=die)


@pytest.mark.parametrize(("doing", "done"), [("bandwidth", CHUNK), ("test", 0), ("test", 2 * CHUNK)])
def test_an_interrupted_estimate_goes_on_to_the_same_bits(kept, doing, done):
    whole = estimate(TEST, SAMPLES, validation=VALIDATION)
    killed(kept(), doing, done)
    assert kept().found
    seen = []
    found = estimate(
        TEST, SAMPLES, validation=VALIDATION, keep=kept(), progress=lambda now, at, of: seen.append((now, at))
    )
    assert torch.equal(found.log_likelihood, whole.log_likelihood)
    assert found.as_dict() | {"seconds": 0} == whole.as_dict() | {"seconds": 0}
    assert next(at for now, at in seen if now.startswith(doing)) >= done
    assert kept().found, "until the report is kept"
    kept().remove()
    assert not kept().found


def test_a_pass_with_another_bandwidth_is_not_gone_on_with(kept):
    killed(kept(), "test", 2 * CHUNK)
    other = normal(200, 9, scale=3 * SCALE)
    found = estimate(TEST, SAMPLES, validation=other, keep=kept())
    whole = estimate(TEST, SAMPLES, validation=other)
    assert found.bandwidth == whole.bandwidth
    assert torch.equal(found.log_likelihood, whole.log_likelihood)


@pytest.mark.parametrize("bandwidths", [None, [], [0.1, 0.2]])
def test_without_validation_rows_one_bandwidth_is_needed(bandwidths):
    with pytest.raises(DataError, match="validation rows, or one bandwidth, must be given"):
        estimate(TEST, SAMPLES, bandwidths=bandwidths)


@pytest.mark.parametrize("count", [0, 1e2])
def test_no_samples_and_parts_of_them_are_refused(count):
    with pytest.raises(DataError, match=f"under a whole number of samples, one at least, found {count}"):
        estimate(TEST, Decoded(Numbers(), count, seed=0, scaled=False), bandwidths=[0.1])


def test_another_model_other_rows_and_damage_are_not_gone_on_with(kept):
    killed(kept(), "test", CHUNK)
    bandwidth = estimate(TEST, SAMPLES, validation=VALIDATION).bandwidth
    assert kept().state("test", TEST, [bandwidth]).count == CHUNK
    assert not kept(weights="b").found
    assert kept().state("test", TEST + 1, [bandwidth]) is None
    path = kept().path
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"is damaged.*Remove it to begin anew"):
        kept()


def test_samples_are_read_a_chunk_at_a_time(monkeypatch):
    sizes = []
    update = ParzenState.update
    monkeypatch.setattr(ParzenState, "update", lambda self, chunk: sizes.append(len(chunk)) or update(self, chunk))
    estimate(TEST, SAMPLES, bandwidths=[0.1])
    assert sizes == [CHUNK, CHUNK, CHUNK, 7]


def test_several_chunks_on_a_gpu_are_one_update(monkeypatch):
    sizes = []
    update = ParzenState.update
    monkeypatch.setattr(ParzenState, "update", lambda self, chunk: sizes.append(len(chunk)) or update(self, chunk))
    monkeypatch.setattr(likelihood, "chunks_at_once", lambda x: 3)
    found = estimate(TEST, SAMPLES, bandwidths=[0.1])
    assert sizes == [3 * CHUNK, 7]
    monkeypatch.undo()
    expected = parzen_log_likelihood(TEST, normal(3 * CHUNK + 7, 4), 0.1)
    torch.testing.assert_close(found.log_likelihood, expected, rtol=0, atol=1e-5)  # float32 sums of other chunks


@pytest.mark.parametrize(
    ("shape", "device", "chunks"), [((784,), "cpu", 1), ((784,), "meta", 10), ((3, 128, 128), "meta", 1)]
)
def test_the_chunks_of_one_update_stay_below_half_a_gibibyte_on_a_gpu(shape, device, chunks, monkeypatch):
    monkeypatch.setattr(likelihood, "CHUNK", 10_000)
    assert likelihood.chunks_at_once(torch.empty(5, *shape, device=device)) == chunks


def test_pixels_count_as_parts_of_one():
    x = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (20, 1, 4, 4), dtype=np.uint8))
    samples = torch.rand(300, 1, 4, 4, generator=torch.Generator().manual_seed(5))
    found = estimate(x, stored(samples), bandwidths=[0.2])
    expected = parzen_log_likelihood(x.double() / 255, samples, 0.2, precision="float64")
    torch.testing.assert_close(found.log_likelihood, expected, atol=1e-2, rtol=0)


def test_pixels_count_as_parts_of_one_next_to_float64_beyond_their_range():
    rng = np.random.default_rng(0)
    x, pixels = rng.random((20, 1, 4, 4)), torch.from_numpy(rng.integers(0, 256, (300, 1, 4, 4), dtype=np.uint8))
    x[0, 0, 0, 0] = 1.0000001

    found = estimate(torch.from_numpy(x), stored(pixels), validation=pixels[:20], bandwidths=[0.2, 0.3])

    for rows, got in ((torch.from_numpy(x), found.log_likelihood), (pixels[:20].double() / 255, found.choice)):
        expected = parzen_log_likelihood(rows, pixels.double() / 255, [0.2, 0.3], precision="float64")
        if got is found.choice:
            assert got.mean_log_likelihoods == pytest.approx(expected.mean(0).tolist(), abs=1e-2)
        else:
            torch.testing.assert_close(got, expected[:, [0.2, 0.3].index(found.bandwidth)], atol=1e-2, rtol=0)


class Numbers:
    """A model whose samples tell the seed they were drawn with."""

    device = torch.device("cpu")

    def scale(self, x):
        return x / 2

    decoded = 0

    def sample_code(self, count, *, seed):
        return {"z": torch.full((count, 1), float(seed % 1000)) + torch.arange(count)[:, None] / CHUNK}, None

    def decode(self, code, labels):
        self.decoded += len(code["z"])
        return code["z"]


def test_no_more_samples_are_decoded_than_were_asked_for():
    model = Numbers()
    estimate(TEST[:, :1], Decoded(model, CHUNK + 7, seed=0, scaled=False), bandwidths=[0.1])
    assert model.decoded == CHUNK + 7


@pytest.mark.parametrize(("chunks", "decoded"), [(0, 4), (1, 3), (2, 2)])
def test_what_fits_into_memory_is_decoded_once_for_validation_and_test_rows(chunks, decoded):
    model, streamed = Numbers(), Decoded(Numbers(), 2 * CHUNK, seed=0, scaled=False)
    samples = Decoded(model, 2 * CHUNK, seed=0, scaled=False, memory=chunks * CHUNK * 4)
    grid = [100.0, 200.0]

    found = estimate(TEST[:, :1], samples, validation=VALIDATION[:, :1], bandwidths=grid)

    assert model.decoded == decoded * CHUNK
    expected = estimate(TEST[:, :1], streamed, validation=VALIDATION[:, :1], bandwidths=grid)
    assert torch.equal(found.log_likelihood, expected.log_likelihood)


def test_a_last_chunk_that_is_short_counts_for_memory():
    model = Numbers()
    samples = Decoded(model, CHUNK + 7, seed=0, scaled=False, memory=CHUNK * 4)
    for _ in range(2):
        for start, stop in ((0, CHUNK), (CHUNK, CHUNK + 7)):
            samples.rows(start, stop)
    assert model.decoded == CHUNK + 2 * 7


def test_the_memory_for_samples_is_half_of_what_is_free_on_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (6000, 8000))
    assert likelihood.memory_for_samples(torch.device("cuda", 0)) == 3000
    assert likelihood.memory_for_samples(torch.device("cpu")) == 2**29


def test_decoded_samples_are_the_same_whenever_and_however_many_are_asked_for():
    few, many = (Decoded(Numbers(), count, seed=3, scaled=False) for count in (CHUNK + 50, 5 * CHUNK))
    assert torch.equal(few.rows(CHUNK, CHUNK + 50), many.rows(CHUNK, 2 * CHUNK)[:50])
    assert torch.equal(many.rows(0, CHUNK), many.rows(0, CHUNK))
    assert not torch.equal(many.rows(0, CHUNK), many.rows(CHUNK, 2 * CHUNK))
    other, halves = (Decoded(Numbers(), CHUNK, seed=seed, scaled=True).rows(0, CHUNK) for seed in (4, 3))
    assert torch.equal(2 * halves, many.rows(0, CHUNK))
    assert not torch.equal(other, halves)
