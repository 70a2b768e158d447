"""The public function and the state against the specification, on every path of the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aaeframe_kernels.parzen import ParzenState, int8, parzen_log_likelihood
from aaeframe_kernels.parzen.reference import log_likelihood

BANDWIDTHS = [0.08, 0.2, 0.5]
PRECISIONS = ["auto", "fp32", "float64", *(["int8x2"] if int8.find().exact else [])]
NEAR = {"rtol": 0, "atol": 4e-3}


def specified(x, samples, bandwidths=BANDWIDTHS):
    return log_likelihood(x.flatten(1), samples.flatten(1), torch.tensor(bandwidths, dtype=torch.float64))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("chunk_size", [None, 1, 50])
def test_every_path_agrees_with_the_specification(pixels, samples, precision, chunk_size):
    found = parzen_log_likelihood(pixels, samples, BANDWIDTHS, precision=precision, chunk_size=chunk_size)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, specified(pixels, samples), rtol=0, atol=1e-9 if precision == "float64" else 4e-3)


def test_one_bandwidth_gives_a_vector(pixels, samples):
    several = parzen_log_likelihood(pixels, samples, torch.tensor([0.2, 0.3]))
    assert several.shape == (37, 2)
    for one in (0.2, torch.tensor(0.2), np.float32(0.2), np.array(0.2)):
        torch.testing.assert_close(parzen_log_likelihood(pixels, samples, one), several[:, 0])


def test_samples_may_come_in_chunks_of_any_sizes(pixels, samples):
    chunks = (chunk for chunk in samples.split([1, 100, 110]))
    torch.testing.assert_close(parzen_log_likelihood(pixels, chunks, BANDWIDTHS), specified(pixels, samples), **NEAR)


def test_samples_of_bytes_are_exact(pixels, samples):
    stored = (samples * 255).to(torch.uint8)
    found = parzen_log_likelihood(pixels, stored, BANDWIDTHS)
    torch.testing.assert_close(found, specified(pixels, stored), rtol=0, atol=1e-4)


@settings(deadline=None, max_examples=25)
@given(
    count=st.integers(1, 9),
    of=st.integers(1, 70),
    features=st.integers(1, 33),
    scale=st.sampled_from([1e-3, 1.0, 100.0]),
    offset=st.sampled_from([0.0, 1000.0]),
    seed=st.integers(0, 99),
)
def test_data_of_any_scale_and_place(count, of, features, scale, offset, seed):
    generator = torch.Generator().manual_seed(seed)
    x = offset + scale * torch.randn(count, features, generator=generator)
    samples = offset + scale * torch.randn(of, features, generator=generator)
    bandwidths = [0.1 * scale, scale]
    found = parzen_log_likelihood(x, samples, bandwidths)
    torch.testing.assert_close(found, specified(x, samples, bandwidths), rtol=1e-5, atol=0.02)


def test_more_rows_than_a_block_holds(generator):
    x = torch.rand(5000, 3, generator=generator)
    samples = torch.rand(20, 3, generator=generator)
    torch.testing.assert_close(parzen_log_likelihood(x, samples, BANDWIDTHS), specified(x, samples), **NEAR)


def test_rows_that_are_not_contiguous(pixels, samples):
    x, others = pixels.transpose(1, 2), samples.transpose(1, 2)
    torch.testing.assert_close(parzen_log_likelihood(x, others, BANDWIDTHS), specified(pixels, samples), **NEAR)


def test_rows_far_from_all_samples_underflow_nowhere():
    x, samples = torch.full((2, 50), 30.0), torch.zeros(3, 50)
    torch.testing.assert_close(parzen_log_likelihood(x, samples, BANDWIDTHS), specified(x, samples))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_types(pixels, samples, kind):
    x, others = (pixels / 255).to(kind), samples.to(kind)
    expected = specified(x.double(), others.double())
    torch.testing.assert_close(parzen_log_likelihood(x, others, BANDWIDTHS), expected, **NEAR)


def test_autocast_and_gradients_of_the_caller_change_nothing(pixels, samples):
    expected = parzen_log_likelihood(pixels, samples, BANDWIDTHS, precision="fp32")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = parzen_log_likelihood(pixels, samples.requires_grad_(), BANDWIDTHS, precision="fp32")
    assert torch.equal(found, expected)
    assert not found.requires_grad


class TestNaN:
    @pytest.mark.slow
    @pytest.mark.parametrize("compiled", [False, True])
    def test_in_a_row_stays_in_the_row(self, pixels, samples, compiled):
        x = pixels / 255
        x[3, 0, 1] = float("nan")
        state = ParzenState(x, BANDWIDTHS, compiled=compiled)
        state.update(samples)
        found = state.log_likelihood()
        assert found[3].isnan().all()
        others = [row for row in range(len(x)) if row != 3]
        torch.testing.assert_close(found[others], specified(x[others], samples), **NEAR)

    @pytest.mark.parametrize("as_pixels", [False, True])
    def test_in_a_sample_is_everywhere_and_stays(self, pixels, samples, as_pixels):
        state = ParzenState(pixels if as_pixels else pixels / 300, BANDWIDTHS)
        state.update(torch.cat([samples, torch.full((1, 3, 5), float("nan"))]))
        state.update(samples)
        assert state.log_likelihood().isnan().all()


class TestRefusals:
    @pytest.mark.parametrize("name", ["x", "samples"])
    @pytest.mark.parametrize("value", [float("inf"), -float("inf")])
    def test_infinity(self, pixels, samples, name, value):
        data = {"x": pixels / 255, "samples": samples}
        data[name][5, 1, 1] = value
        with pytest.raises(ValueError, match=f"{name} must be finite.* 1 of "):
            parzen_log_likelihood(data["x"], data["samples"], 0.2)

    def test_nothing(self, pixels, samples):
        for x, s in ((pixels[:0], samples), (pixels, samples[:0]), (pixels, [])):
            with pytest.raises(ValueError, match=r"n >= 1|no samples"):
                parzen_log_likelihood(x, s, 0.2)

    def test_other_shapes(self, pixels, samples):
        with pytest.raises(ValueError, match=r"\(M, 3, 5\) as x is, found \(211, 15\)"):
            parzen_log_likelihood(pixels, samples.flatten(1), 0.2)

    @pytest.mark.parametrize("bandwidths", [[], 0.0, -1.0, [0.1, float("nan")], float("inf")])
    def test_bandwidths(self, pixels, samples, bandwidths):
        with pytest.raises(ValueError, match="positive, finite"):
            parzen_log_likelihood(pixels, samples, bandwidths)

    def test_integers_wider_than_bytes(self, pixels, samples):
        with pytest.raises(ValueError, match=r"uint8 pixels .*int64"):
            parzen_log_likelihood(pixels.long(), samples, 0.2)

    def test_what_is_no_tensor(self, pixels, samples):
        with pytest.raises(TypeError, match="ndarray"):
            parzen_log_likelihood(pixels.numpy(), samples, 0.2)

    def test_chunks_of_nothing(self, pixels, samples):
        with pytest.raises(ValueError, match="chunk_size must be 1 or more"):
            parzen_log_likelihood(pixels, samples, 0.2, chunk_size=0)
