"""The choice of Triton Parzen kernels by `auto`, its use of float64, and the errors of forced kernels."""

from __future__ import annotations

import pytest
import torch

from aaeframe_kernels import ParzenState
from aaeframe_kernels.dispatch import Choice, KernelUnavailable, launches
from aaeframe_kernels.parzen import launch as gpu
from aaeframe_kernels.parzen import paths
from aaeframe_kernels.parzen.reference import log_likelihood

pytestmark = pytest.mark.usefixtures("triton_only", "poisoned")


@pytest.fixture
def not_forced(monkeypatch):
    """Triton kernels because they can run, as on a GPU, not because the environment says so."""
    monkeypatch.delenv("AAEFRAME_KERNELS")
    monkeypatch.setattr(
        paths,
        "choose",
        lambda device, unsupported_reason=None: Choice("cpu" if unsupported_reason else "triton", "test"),
    )


def served(x, samples, bandwidths, precision="auto"):
    """The precisions that processed the samples, and log p(x)."""
    state = ParzenState(x, bandwidths, precision=precision)
    state.update(samples)
    return dict(state.paths), state.log_likelihood()


def specified(x, samples, bandwidths):
    return log_likelihood(x.cpu(), samples.cpu(), torch.as_tensor(bandwidths, dtype=torch.float64)).to(x.device)


def problem(device, n=20, m=60, d=45):
    """Pixels x and samples near them in turn, all in [0, 1]."""
    draw = torch.Generator().manual_seed(n + m + d)
    x = torch.randint(0, 256, (n, d), generator=draw, dtype=torch.uint8)
    near = x[torch.arange(m) % n].double() / 255
    samples = (near + 0.05 * torch.randn(m, d, generator=draw)).clamp(0, 1).float()
    return x.to(device), samples.to(device)


@pytest.mark.parametrize(
    ("features", "bandwidth", "mode"),
    [(784, 0.1, "fp16"), (784, 0.06, "int8x2"), (2304, 0.1, "int8x2"), (2304, 0.2, "fp16"), (40000, 0.1, "fp32")],
)
def test_the_automatic_mode_for_pixels(features, bandwidth, mode):
    assert gpu.choose_mode(torch.zeros(1, features, dtype=torch.uint8), bandwidth) == mode


def test_the_automatic_mode_for_other_data():
    assert gpu.choose_mode(torch.zeros(1, 784), 0.2) == "fp32"


def test_the_state_runs_on_the_kernels_and_says_so(device):
    x, samples = problem(device)
    state = ParzenState(x, [0.1, 0.3])
    before = launches["triton/parzen_fp32"]

    state.update(samples)
    state.update(samples + 2)

    assert launches["triton/parzen_fp32"] == before + 1
    outside = torch.cat([samples, samples + 2])
    assert state.paths == {"fp16": len(samples), "fp32": len(samples)}
    expected = specified(x, outside, [0.1, 0.3])
    torch.testing.assert_close(state.log_likelihood().mean(0), expected.mean(0), rtol=0, atol=0.01)


def wide(device, scale, offset):
    """Rows and samples near them, float64, on which float32 is off by more than a hundredth of a nat at 0.1."""
    draw = torch.Generator().manual_seed(0)
    x = scale * torch.randn(20, 32, generator=draw, dtype=torch.float64)
    samples = x.repeat(3, 1) + 0.1 * torch.randn(60, 32, generator=draw, dtype=torch.float64)
    return (offset + x).to(device), (offset + samples).to(device)


@pytest.mark.parametrize("pixels", [False, True])
def test_what_no_kernel_serves_accurately_goes_on_in_float64(pixels, device, not_forced):
    x, samples = problem(device) if pixels else wide(device, 100.0, 0.0)
    bandwidth = 0.0005 if pixels else 0.1

    found, result = served(x, samples, bandwidth)

    assert found == {"float64": len(samples)}
    torch.testing.assert_close(result, specified(x, samples, [bandwidth]), rtol=1e-9, atol=1e-6)


def test_what_no_kernel_serves_accurately_is_an_error_where_they_are_forced(device):
    x, samples = wide(device, 100.0, 0.0)
    with pytest.raises(KernelUnavailable, match=r"=triton asks .* more than 0.01 nats .*; unset AAEFRAME_KERNELS"):
        served(x, samples, 0.1)


def test_float64_is_an_error_where_kernels_are_forced(device):
    with pytest.raises(KernelUnavailable, match="none of them computes in float64; unset AAEFRAME_KERNELS"):
        served(*problem(device), 0.2, "float64")


def test_float64_is_torchs_where_they_are_not(device, not_forced):
    assert served(*problem(device), 0.2, "float64")[0] == {"float64": 60}


def test_rows_far_from_zero_are_centered_before_they_are_rounded(device, small_tiles):
    x, samples = wide(device, 1.0, 1e6)

    found, result = served(x, samples, 0.1)

    assert found == {"fp32": len(samples)}
    torch.testing.assert_close(result, specified(x, samples, [0.1]), rtol=0, atol=0.01)


def test_fine_bandwidths_take_finer_kernels(device, small_tiles):
    x, samples = problem(device)
    for bandwidth, mode in ((0.1, "fp16"), (0.05, "int8x2"), (0.01, "fp32")):
        assert served(x, samples, bandwidth)[0] == {mode: len(samples)}


@pytest.mark.parametrize("bandwidth", [0.003, 0.06])
def test_pixels_too_wide_or_too_fine_for_int8x2_stay_accurate(bandwidth, device, small_tiles, not_forced, monkeypatch):
    monkeypatch.setitem(gpu.TILES, "fp32", gpu.Tile(16, 16, 512, 4, 3))  # the interpreter is slow at many steps
    x, samples = problem(device, 3, 9, 200 if bandwidth < 0.01 else 33_000)

    _, result = served(x, samples, bandwidth)

    torch.testing.assert_close(result, specified(x, samples, [bandwidth]), rtol=0, atol=0.02)
