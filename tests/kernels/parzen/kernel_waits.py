"""The Triton Parzen path without waits of the host: checks on the device, one reading an update, the merge kernel."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from aaeframe_kernels import ParzenState
from aaeframe_kernels.dispatch import KernelUnavailable
from aaeframe_kernels.parzen import kernel, paths
from aaeframe_kernels.parzen import launch as gpu
from aaeframe_kernels.parzen.reference import log_likelihood

pytestmark = pytest.mark.usefixtures("triton_only", "poisoned", "small_tiles")

BANDWIDTHS = [0.1, 0.2]
NUMPY_WARNINGS = pytest.mark.filterwarnings(
    "ignore:(invalid value|overflow|All-NaN):RuntimeWarning"
)  # of infinity and NaN, in the interpreter


def problem(device, n=20, m=60, d=45):
    """Pixels x and samples near them in turn, all in [0, 1]."""
    draw = torch.Generator().manual_seed(n + m + d)
    x = torch.randint(0, 256, (n, d), generator=draw, dtype=torch.uint8)
    near = x[torch.arange(m) % n].double() / 255
    samples = (near + 0.05 * torch.randn(m, d, generator=draw)).clamp(0, 1).float()
    return x.to(device), samples.to(device)


def framed(device):
    """The same between columns in which x is always 0."""
    x, samples = problem(device)
    return (torch.nn.functional.pad(it, (20, 20)) for it in (x, samples))


def specified(x, samples):
    return log_likelihood(x.cpu(), samples.cpu(), torch.tensor(BANDWIDTHS, dtype=torch.float64)).to(x.device)


class Operations(TorchDispatchMode):
    """Counts torch's operations that compute, and those that give the host a number: on a GPU it waits for them."""

    def __init__(self):
        super().__init__()
        self.waits, self.computed, self.launched = 0, 0, []

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        name = function.overloadpacket.__name__
        self.waits += name in ("_local_scalar_dense", "nonzero", "masked_select", "unique")
        self.computed += not (function.is_view or name in ("empty", "empty_like", "detach", "fill_"))  # fill_: poison
        return function(*arguments, **(options or {}))


@pytest.fixture
def operations(monkeypatch):
    """Counts what runs inside `with operations`; the interpreter's own operations are not counted."""
    counted = Operations()

    class Counted:
        def __init__(self, name):
            self.name, self.kernel = name, getattr(kernel, name)

        def __getitem__(self, grid):
            def launch(*arguments, **options):
                counted.launched.append(self.name)
                with _disable_current_modes():
                    self.kernel[grid](*arguments, **options)

            return launch

    for name in ("prepare_kernel", "partial_kernel", "merge_kernel"):
        monkeypatch.setattr(kernel, name, Counted(name))
    return counted


@pytest.mark.parametrize("precision", ["auto", "int8x2", "fp32"])
@pytest.mark.parametrize("chunks", [1, 3])
def test_an_update_waits_once_however_many_chunks_it_has(chunks, precision, device, operations):
    x, samples = problem(device)
    state = ParzenState(x, BANDWIDTHS, precision=precision)
    state.update(samples)  # prepares x
    operations.launched.clear()

    with operations:
        state.update(samples, chunk_size=len(samples) // chunks)

    assert operations.waits == 1
    assert operations.launched == ["prepare_kernel", "partial_kernel", "merge_kernel"] * chunks
    # The flag is made and read, and the chunks are split; in fp32 they are centered in a pass of their own.
    assert operations.computed <= 4 + (3 * chunks if precision == "fp32" else 0)


def test_chunks_that_the_device_refuses_are_checked_before(device, operations):
    """This also shows that waits are counted."""
    x, samples = problem(device)
    state = ParzenState(x, BANDWIDTHS)
    state.update(samples + 2)

    with operations:
        state.update(samples + 2, chunk_size=20)

    assert operations.waits > 3
    assert state.paths == {"fp32": 120}


def test_checks_are_left_to_the_device_again_once_a_whole_update_passes_them(device, operations):
    x, samples = problem(device)
    state = ParzenState(x, BANDWIDTHS)
    for chunk in (samples + 2, samples):
        state.update(chunk)

    with operations:
        state.update(samples)

    assert operations.waits == 1
    assert state.paths == {"fp32": 60, "fp16": 120}


@NUMPY_WARNINGS
@pytest.mark.parametrize(("value", "place"), [(float("inf"), 0), (-float("inf"), 59)])
@pytest.mark.parametrize("precision", ["auto", "int8x2", "fp32"])
def test_infinity_in_any_chunk_adds_nothing(precision, value, place, device):
    x, samples = problem(device)
    state = ParzenState(x, BANDWIDTHS, precision=precision)
    state.update(samples)
    before = state.state_dict()
    samples[place, 44] = value

    with pytest.raises(ValueError, match=r"samples must be finite.* 1 of "):
        state.update(samples, chunk_size=30)

    after = state.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(("value", "column"), [(1.0 + 1e-6, 1), (1.0 + 1e-6, 44), (-1e-6, 1), (7.0, 44)])
def test_one_value_outside_pixels_takes_only_its_chunk_to_fp32(value, column, device):
    """Also in a column in which x does not vary."""
    x, samples = framed(device)
    samples[3, column] = value
    state = ParzenState(x, BANDWIDTHS)

    state.update(samples, chunk_size=20)

    assert state.paths == {"fp32": 20, "fp16": 40}
    torch.testing.assert_close(state.log_likelihood().mean(0), specified(x, samples).mean(0), rtol=0, atol=0.01)


def test_double_precision_just_above_one_is_outside(device):
    x, samples = problem(device)
    samples = samples.double()
    samples[3, 44] = 1 + 1e-12
    state = ParzenState(x, BANDWIDTHS)

    state.update(samples)

    assert state.paths == {"fp32": 60}


@NUMPY_WARNINGS
@pytest.mark.parametrize("pixels", [True, False])
def test_nan_in_a_sample_is_everywhere_and_stays(pixels, device):
    x, samples = problem(device)
    state = ParzenState(x if pixels else x / 300, BANDWIDTHS)

    for chunk in (samples, samples.masked_fill(samples == samples[3, 4], float("nan")), samples):
        state.update(chunk)

    assert state.paths == ({"fp16": 120, "fp32": 60} if pixels else {"fp32": 180})
    assert bool(state.log_likelihood().isnan().all())


def test_samples_too_far_for_fp32_are_found_on_the_device(device):
    x, samples = problem(device)
    far = samples.double() + 1e4 * (torch.arange(60, device=device) == 59)[:, None]
    state = ParzenState(x / 300, BANDWIDTHS)

    with pytest.raises(KernelUnavailable, match="float32 could move a row's log-likelihood"):
        state.update(far)

    assert state.count == 0
    assert ParzenState(x / 300, BANDWIDTHS, precision="fp32").update(far) is None


@pytest.mark.parametrize(("mode", "tiles"), [("fp16", 8), ("int8x2", 8), ("fp32", 8), ("fp32", 35)])
def test_splits_are_merged_with_the_total_as_torch_would(mode, tiles, device, monkeypatch):
    """There are 3 splits of 8 tiles of samples, or 35 of 35, which are more than one block of the merge kernel."""
    monkeypatch.setattr(gpu, "PROGRAMS", 3 if tiles < 35 else 200)
    x, samples = problem(device, 16, 40 + 16 * tiles, 33)
    engine = gpu.prepare(x / 255 if mode == "fp32" else x, torch.tensor(BANDWIDTHS, dtype=torch.float64), mode)
    first, second = samples.split([40, 16 * tiles])

    found = engine.add(engine.partial(first), second)

    expected = engine.partial(first).plus(engine.partial(second), engine.rates)
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=0)
    logs = found.sums.log() - found.nearest[:, None] * engine.rates
    reference = paths.ReferenceEngine(x, torch.tensor(BANDWIDTHS)).partial(samples)
    exact = reference.sums.log() - reference.nearest[:, None] * engine.rates
    torch.testing.assert_close(logs.mean(0), exact.mean(0), rtol=0, atol=0.01)


def test_a_restored_state_continues_bit_for_bit_after_a_refusal(device):
    x, samples = framed(device)
    whole, first = ParzenState(x, BANDWIDTHS), ParzenState(x, BANDWIDTHS)
    for state in (whole, first):
        state.update(samples)
        state.update(samples + 2)
    resumed = ParzenState.from_state_dict(first.state_dict(), x)

    for state in (whole, resumed):
        state.update(samples * 0.9, chunk_size=25)

    assert torch.equal(whole.log_likelihood(), resumed.log_likelihood())
    assert whole.paths == resumed.paths
