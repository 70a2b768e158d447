"""The engine for each input: chosen, forced, refused, counted, described."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from aaeframe_kernels.dispatch import VARIABLE, KernelUnavailable, launches
from aaeframe_kernels.parzen import ParzenState, int8, parzen_log_likelihood
from aaeframe_kernels.parzen.cpu import PortableEngine, rows_per_block, samples_per_chunk
from aaeframe_kernels.parzen.paths import describe


@pytest.fixture
def launched():
    """The kernels launched since the test began."""
    before = Counter(launches)
    return lambda: Counter(launches) - before


@pytest.fixture
def without_int8(monkeypatch):
    monkeypatch.setattr(int8, "find", lambda: int8.Finding(False, "no such processor"))


FAST = "int8x2" if int8.find().exact else "fp32"
"""The precision that processes pixels on this machine."""


def served(x, samples, precision="auto", bandwidths=0.2):
    state = ParzenState(x, bandwidths, precision=precision)
    state.update(samples)
    return dict(state.paths)


@pytest.mark.parametrize("as_float", [False, True])
def test_pixels_take_the_fast_path(pixels, samples, launched, as_float):
    x = pixels.float() / 255 if as_float else pixels
    assert served(x, samples) == {FAST: 211}
    assert launched() == {f"cpu/parzen_{FAST}": 1}


def test_samples_outside_take_the_portable_path_and_are_not_clipped(pixels, samples, launched):
    outside = samples * 1.5
    state = ParzenState(pixels, 0.2)
    for chunk in (samples, outside):
        state.update(chunk)
    assert state.paths == Counter({FAST: 211}) + Counter({"fp32": 211})
    assert launched() == Counter({f"cpu/parzen_{FAST}": 1}) + Counter({"cpu/parzen_fp32": 1})
    expected = parzen_log_likelihood(pixels, torch.cat([samples, outside]), 0.2, precision="float64")
    torch.testing.assert_close(state.log_likelihood()[:, 0], expected, rtol=0, atol=1e-3)


def test_rows_off_the_grid_take_the_portable_path(pixels, samples):
    assert served(pixels / 254.0, samples) == {"fp32": 211}


def test_a_bandwidth_that_shows_rounding_does_not_take_the_fast_path(pixels, samples):
    assert served(pixels, samples, bandwidths=[0.2, 0.01]) == {"fp32": 211}
    stored = (samples * 255).to(torch.uint8)  # these are not rounded
    assert served(pixels, stored, bandwidths=[0.2, 0.01]) == {FAST: 211}
    assert served(pixels, stored, bandwidths=[0.2, 1e-3]) == {"float64": 211}  # but float32 is


def test_values_too_large_for_float32_at_a_bandwidth_go_on_in_float64(samples):
    x = samples[:20] * 100
    assert served(x, samples * 100, bandwidths=20.0) == {"fp32": 211}
    assert served(x, samples * 100, bandwidths=0.1) == {"float64": 211}


def test_products_rounded_by_a_setting_of_torch_are_not_used(pixels, samples):
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        assert served(pixels / 254, samples) == {"float64": 211}
    finally:
        torch.set_float32_matmul_precision(before)


def test_the_reference_can_be_forced(pixels, samples, launched, monkeypatch):
    monkeypatch.setenv(VARIABLE, "reference")
    assert served(pixels, samples) == {"float64": 211}
    assert launched() == {"reference/parzen": 1}


def test_a_precision_the_reference_does_not_have_is_refused(pixels, samples, monkeypatch):
    monkeypatch.setenv(VARIABLE, "reference")
    with pytest.raises(KernelUnavailable, match=r"int8x2.*AAEFRAME_KERNELS=reference.*float64 only"):
        served(pixels, samples, "int8x2")


def test_fp16_is_refused_on_the_cpu(pixels, samples):
    with pytest.raises(KernelUnavailable, match=r"fp16.*Triton.*tensors are on cpu"):
        served(pixels, samples, "fp16")


def test_int8x2_refuses_what_it_cannot_serve(pixels, samples):
    with pytest.raises(ValueError, match="off that grid"):
        served(pixels / 254, samples, "int8x2")
    if FAST != "int8x2":
        return
    with pytest.raises(ValueError, match=r"within \[0, 1\].*nothing is clipped"):
        served(pixels, samples + 0.5, "int8x2")


@pytest.mark.usefixtures("without_int8")
def test_without_the_8_bit_product_pixels_take_the_portable_path(pixels, samples):
    assert served(pixels, samples) == {"fp32": 211}
    with pytest.raises(KernelUnavailable, match="no such processor"):
        served(pixels, samples, "int8x2")


def test_an_8_bit_product_that_saturates_is_found_out(monkeypatch):
    def saturating(left, scale, packed, scales, zeros, add_to=None):
        right = torch.randint(-128, 128, (47, 200), generator=torch.Generator().manual_seed(1))
        return (left.long() @ right.t()).clamp(-32768, 32767).float()

    monkeypatch.setattr(int8, "multiply", saturating)
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: True, raising=False)
    monkeypatch.setattr(torch.ops.onednn, "qlinear_prepack", lambda *_: None)
    assert int8.find.__wrapped__() == (False, "torch's 8-bit matrix product is not exact here")


def test_an_8_bit_product_that_is_gone_is_found_out(monkeypatch):
    def gone(*_):
        raise AttributeError("no operator")

    monkeypatch.setattr(int8, "multiply", gone)
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: True, raising=False)
    monkeypatch.setattr(torch.ops.onednn, "qlinear_prepack", lambda *_: None)
    assert int8.find.__wrapped__() == (False, "torch's 8-bit matrix product does not run here: no operator")


@pytest.mark.parametrize("precision", ["double", ""])
def test_an_unknown_precision_is_refused(pixels, samples, precision):
    with pytest.raises(ValueError, match="there are: auto, fp16, int8x2, fp32, float64"):
        served(pixels, samples, precision)


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [False, True])
def test_digits_make_up_the_rounded_samples(compiled):
    values = torch.tensor([[0.0, 1.0, 1 / 255, 0.5, 0.123456], [0.2, 0.4, 0.6, 0.8, 0.1]])
    high, low, norms = int8.digits(values, compiled=compiled)
    rounded = (256 * high.double() + low) / 65280
    torch.testing.assert_close(rounded, values.double(), rtol=0, atol=0.5 / 65280 + 1e-8)
    assert norms.tolist() == pytest.approx((rounded * (rounded - 256 / 255)).sum(1).tolist(), rel=1e-6)
    assert high[0, :3].tolist() == [0, 255, 1]
    assert low[0, :3].tolist() == [0, 0, 0]


def test_many_rows_share_the_digits_of_a_chunk(generator, launched):
    x = torch.randint(0, 256, (4500, 3), dtype=torch.uint8, generator=generator)
    assert served(x, torch.rand(30, 3, generator=generator)) == {FAST: 30}
    assert launched() == {f"cpu/parzen_{FAST}": 1}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("features", [2, 784, 100_000])
def test_products_of_large_chunks_on_a_gpu_stay_below_128_mebibytes(features, dtype):
    x = torch.empty(10_000, features, device="meta")
    numbers = rows_per_block(x, dtype) * samples_per_chunk(x)
    assert numbers * dtype.itemsize <= 2**27


def test_an_engine_that_is_not_exacting_takes_anything():
    engine = PortableEngine(torch.zeros(2, 3), torch.tensor([1e-6]), torch.float32)
    assert engine.accepts(torch.full((1, 3), 1e9))


class TestDescription:
    def test_says_path_and_why(self, monkeypatch):
        monkeypatch.setattr(int8, "find", lambda: int8.Finding(True, "it is exact"))
        assert "int8x2 for 8-bit data and fp32 for other data (it is exact)" in describe()
        monkeypatch.setattr(int8, "find", lambda: int8.Finding(False, "it is not exact"))
        assert "fp32 for all data (it is not exact)" in describe()

    def test_says_what_is_forced(self, monkeypatch):
        monkeypatch.setenv(VARIABLE, "reference")
        assert describe() == "reference, because AAEFRAME_KERNELS=reference"

    def test_says_that_a_forced_path_cannot_run(self, monkeypatch):
        monkeypatch.setenv(VARIABLE, "fpga")
        assert describe().startswith("unavailable: AAEFRAME_KERNELS='fpga' names no backend")

    def test_says_that_there_is_no_compiler(self, monkeypatch):
        monkeypatch.setenv("PATH", "")
        monkeypatch.delenv("CXX", raising=False)
        assert describe().endswith("no C++ compiler was found, so the epilogue is plain torch")
