"""The Triton Parzen kernels against the reference in float64, on the operands that they multiply."""

from __future__ import annotations

import pytest
import torch

from aaeframe_kernels import parzen_log_likelihood
from aaeframe_kernels.dispatch import launches
from aaeframe_kernels.parzen import launch as gpu
from aaeframe_kernels.parzen.reference import log_likelihood, squared_distances

pytestmark = pytest.mark.usefixtures("triton_only", "poisoned")

MODES = ["fp16", "int8x2", "fp32"]
BANDWIDTHS = torch.tensor([0.1, 0.17, 0.3], dtype=torch.float64)
NATS = 1e-3
NAN_WARNINGS = pytest.mark.filterwarnings(
    "ignore:(invalid value|All-NaN):RuntimeWarning"
)  # NumPy's, in the interpreter


def problem(device, n=19, m=45, d=45, noise=0.05):
    """Pixels x, most of them black as in digits, and samples near them in turn; the first sample twice."""
    draw = torch.Generator().manual_seed(n + m + d)
    x = torch.randint(0, 256, (n, d), generator=draw, dtype=torch.uint8)
    x[torch.rand(n, d, generator=draw) < 0.7] = 0
    near = x[torch.arange(m) % n].double() / 255
    samples = (near + noise * torch.randn(m, d, generator=draw)).clamp(0, 1).float()
    samples[-1] = samples[0]
    return x.to(device), samples.to(device)


def operands(engine, rows):
    """The rows (n, D) as the engine multiplies them, float64 in the units of the data, relative to a common center.

    Dropped columns are those of the rows, which only int8x2 rounds there, relative to x.
    """
    operand = engine.operand(rows, engine.tile.rows, far=False)
    multiplied = operand.high.double() + (operand.low.double() / 256 if engine.name == "int8x2" else 0)
    values = engine._values(rows).double() * (1 if rows.dtype == torch.uint8 else 1 / engine.unit)
    found = (values * 256).round() / 256 if engine.name == "int8x2" else values
    found -= engine._center.double()
    found[:, engine.kept] = multiplied[: len(rows), : len(engine.kept)]
    return found * engine.unit


def arithmetic_error(engine, x, samples, bandwidths):
    """The engine's log p(x) minus that of float64 on the operands that it multiplies, in nats: (N, S) float64.

    It is the error of the arithmetic without that of rounding the operands. The precision of a tensor core's
    accumulator is not documented, so measure it on every new GPU.
    """
    rates = (0.5 / bandwidths.double().square()).to(x.device)
    partial = engine.partial(samples)
    found = partial.sums.double().log() - partial.nearest.double()[:, None] * rates
    squared = squared_distances(operands(engine, x), operands(engine, samples))
    exact = torch.stack([torch.logsumexp(-squared * rate, dim=1) for rate in rates], dim=1)
    return found - exact


def agree(x, samples, mode, bandwidths=BANDWIDTHS):
    before = launches[f"triton/parzen_{mode}"]
    data = x.float() / 255 if mode == "fp32" else x

    error = arithmetic_error(gpu.prepare(data, bandwidths, mode), data, samples, bandwidths)

    # It is the squared distances that err, and the bandwidths divide them.
    assert float(error.abs().max()) < NATS * max(1.0, (0.1 / float(bandwidths.min())) ** 2)
    assert launches[f"triton/parzen_{mode}"] == before + 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("n", "m", "d"), [(37, 70, 45), (1, 1, 1), (5, 1, 300), (16, 16, 16), (17, 33, 15), (3, 144, 17), (100, 7, 3)]
)
def test_small_odd_shapes(n, m, d, mode, small_tiles, device):
    agree(*problem(device, n, m, d), mode)


@pytest.mark.parametrize("mode", MODES)
def test_tiles_of_the_table(mode, device):
    agree(*problem(device, 130, 150, 208), mode, torch.tensor([0.15, 0.3], dtype=torch.float64))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("ratio", "count", "octave"), [(2**0.1, 20, 5), (2**0.25, 4, 2), (2**0.5, 16, 16)])
def test_bandwidths_whose_rates_double_share_exponentials(ratio, count, octave, mode, small_tiles, device):
    """Repeated squaring multiplies errors, so that sixteen bandwidths in steps of sqrt(2) share none."""
    x, samples = problem(device)
    bandwidths = torch.tensor([0.1 * ratio**i for i in range(count)], dtype=torch.float64)

    assert gpu.prepare(x.float() / 255 if mode == "fp32" else x, bandwidths, mode).octave == octave
    agree(x, samples, mode, bandwidths)


@pytest.mark.parametrize(
    ("columns", "widths"), [(784, (784, 16)), (668, (672, 32)), (640, (640, 0)), (700, (704, 0)), (5, (16, 16))]
)
def test_the_last_product_is_as_deep_as_it_must_be(columns, widths):
    tile = gpu.Tile(128, 128, 64, 4, 3, tail=16)

    assert tile.widths(columns) == widths
    assert tile._replace(tail=0).widths(columns) == (-(-columns // 64) * 64, 0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("options", [{"tail": 32}, {"descriptors": True}], ids=["tail", "descriptors"])
def test_options_of_tiles(options, mode, device, monkeypatch):
    monkeypatch.setitem(gpu.TILES, mode, gpu.Tile(16, 16, 64, 4, 3, **options))
    monkeypatch.setattr(gpu, "PROGRAMS", 9)
    x, samples = framed(device, d=70)
    engine = gpu.prepare(x.float() / 255 if mode == "fp32" else x, BANDWIDTHS, mode)

    assert engine.operand(samples, 16, far=True).high.shape[1] == (96 if "tail" in options else 128)
    agree(x, samples, mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("count", [1, 2, 20])
def test_any_number_of_bandwidths(count, mode, small_tiles, device):
    agree(*problem(device), mode, torch.logspace(-1.1, -0.5, count, dtype=torch.float64))


def framed(device, n=19, m=45, d=45, margin=20):
    """The same with margins in which x is always 77, as the black margin of digits, and samples are anything."""
    x, samples = problem(device, n, m, d)
    draw = torch.Generator().manual_seed(1)
    anything = (77 / 255 + 0.02 * torch.randn(m, 2 * margin, generator=draw)).to(device)
    before, after = anything.split(margin, 1)
    return torch.nn.functional.pad(x, (margin, margin), value=77), torch.cat([before, samples, after], 1)


@pytest.mark.parametrize("mode", MODES)
def test_columns_in_which_x_does_not_vary_are_dropped_and_count(mode, small_tiles, device):
    x, samples = framed(device)
    data = x.float() / 255 if mode == "fp32" else x
    engine = gpu.prepare(data, BANDWIDTHS, mode)

    error = arithmetic_error(engine, data, samples, BANDWIDTHS)

    assert (len(engine.kept), len(engine.dropped)) == (45, 40)
    assert engine.operand(samples, 16, far=True).high.shape[1] < 85
    assert float(error.abs().max()) < NATS
    found = engine.partial(samples)
    log = found.sums.log() - found.nearest[:, None] * engine.rates
    expected = torch.logsumexp(-squared_distances(data, samples)[..., None] * engine.rates, dim=1)
    torch.testing.assert_close(log.mean(0), expected.mean(0), rtol=0, atol=0.01)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rows", [1, 3])
def test_x_that_varies_nowhere(rows, mode, small_tiles, device):
    x, samples = problem(device, rows)
    x[:] = x[0].clone()

    agree(x, samples, mode)


@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_dropped_where_that_saves_no_tile(mode, device):
    x, _ = problem(device, d=60)
    x[:, 3] = 0

    assert gpu.prepare(x, BANDWIDTHS, mode).kept.tolist() == list(range(60))


@NAN_WARNINGS
@pytest.mark.parametrize("mode", ["fp16", "fp32"])
def test_nan_in_a_dropped_column_shows(mode, small_tiles, device):
    x, samples = framed(device)
    samples[40, 3] = float("nan")
    engine = gpu.prepare(x.float() / 255 if mode == "fp32" else x, BANDWIDTHS, mode)

    assert 3 in engine.dropped.tolist()
    assert bool(engine.partial(samples).sums.isnan().all())


@NAN_WARNINGS
def test_a_column_of_nan_is_not_dropped(small_tiles, device):
    x, samples = framed(device)
    x = x.float() / 255
    x[:, 3] = float("nan")
    engine = gpu.prepare(x, BANDWIDTHS, "fp32")

    assert 3 in engine.kept.tolist()
    assert bool(engine.partial(samples).sums.isnan().all())


@pytest.mark.parametrize("mode", MODES)
def test_samples_that_are_the_data(mode, small_tiles, device):
    x, _ = problem(device)

    agree(x, x.repeat(3, 1) if mode != "fp32" else x.repeat(3, 1).float() / 255, mode)


@pytest.mark.parametrize("mode", MODES)
def test_far_away_rows_keep_their_density(mode, small_tiles, device):
    x, samples = problem(device, d=300)
    x[0] = 255 * (samples[0] < 0.5)

    agree(x, samples, mode, torch.tensor([0.02], dtype=torch.float64))


@pytest.mark.parametrize("mode", MODES)
def test_bits_do_not_change(mode, small_tiles, device):
    x, samples = problem(device)
    engine = gpu.prepare(x.float() / 255 if mode == "fp32" else x, BANDWIDTHS, mode)

    first, second = engine.partial(samples), engine.partial(samples)

    assert torch.equal(first.nearest, second.nearest)
    assert torch.equal(first.sums, second.sums)


def test_samples_in_fp16_are_rounded_to_nearest_about_a_whole_center(device):
    x, samples = problem(device)
    center = (x.double().mean(0)).round()

    found = operands(gpu.prepare(x, BANDWIDTHS, "fp16"), samples)

    assert torch.equal(found, (samples * 255 - center.float()).half().double() * (1 / 255))


def test_samples_in_int8x2_are_rounded_to_nearest_on_a_grid(device):
    x, samples = problem(device)

    found = operands(gpu.prepare(x, BANDWIDTHS, "int8x2"), samples) + 128 / 255

    steps = found * 65280
    torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-9)
    assert float((steps - samples.double() * 65280).abs().max()) < 0.5 + 0.01  # half a step, and what fp32 holds of it


@pytest.mark.parametrize("mode", ["fp16", "int8x2"])
def test_pixels_are_exact(mode, device):
    ramp = torch.arange(256, dtype=torch.uint8, device=device)
    x = torch.stack([ramp, 255 - ramp, ramp])
    center = x.double().mean(0).round() / 255 if mode == "fp16" else 128 / 255

    found = operands(gpu.prepare(x, BANDWIDTHS, mode), x)

    torch.testing.assert_close(found + center, x.double() / 255, rtol=0, atol=1e-15)


@pytest.mark.parametrize("mode", MODES)
def test_samples_of_pixels_are_those_of_their_values(mode, small_tiles, device):
    x, samples = problem(device)
    pixels = (samples * 255).round().to(torch.uint8)
    engine = gpu.prepare(x.float() / 255 if mode == "fp32" else x, BANDWIDTHS, mode)

    of_pixels, of_values = engine.partial(pixels), engine.partial(pixels.float() / 255)

    torch.testing.assert_close(of_pixels.nearest, of_values.nearest, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(of_pixels.sums, of_values.sums, rtol=1e-4, atol=1e-9)


@NAN_WARNINGS
@pytest.mark.parametrize("mode", ["fp16", "fp32"])
def test_nan_in_a_sample_shows_in_every_row(mode, small_tiles, device):
    x, samples = problem(device)
    samples[40, 3] = float("nan")

    partial = gpu.prepare(x.float() / 255 if mode == "fp32" else x, BANDWIDTHS, mode).partial(samples)

    assert bool(partial.sums.isnan().all())


@NAN_WARNINGS
def test_nan_in_a_row_shows_in_that_row(small_tiles, device):
    x, samples = problem(device)
    x = x.float() / 255
    x[4, 2] = float("nan")

    sums = gpu.prepare(x, BANDWIDTHS, "fp32").partial(samples).sums

    assert sums.isnan().any(1).nonzero().flatten().tolist() == [4]


def test_which_samples_each_mode_accepts(device):
    x, samples = problem(device)
    for mode, inside_only in (("fp16", True), ("int8x2", True), ("fp32", False)):
        engine = gpu.prepare(x.float() / 255 if mode == "fp32" else x, BANDWIDTHS, mode)
        outside = [samples + 0.5, samples - 0.5, samples.masked_fill(samples > 0.9, float("nan"))]
        assert engine.accepts(samples)
        assert engine.accepts(x)
        assert [engine.accepts(chunk) for chunk in outside] == [not inside_only] * 3


@pytest.mark.parametrize("mode", ["fp16", "int8x2"])
def test_pixel_modes_refuse_other_data(mode, device):
    with pytest.raises(ValueError, match="multiplies pixels, but x is not a multiple of 1/255; use fp32 or auto"):
        gpu.prepare(torch.full((3, 4), 0.3, device=device), BANDWIDTHS, mode)


def test_unknown_precision_is_refused(device):
    with pytest.raises(ValueError, match="'bf16' has no Triton kernel; there are: fp16, int8x2, fp32"):
        gpu.prepare(torch.zeros(3, 4, device=device), BANDWIDTHS, "bf16")


@pytest.mark.parametrize("precision", MODES)
def test_the_public_function_takes_every_precision(precision, device):
    x, samples = problem(device)
    before = launches[f"triton/parzen_{precision}"]

    found = parzen_log_likelihood(x, samples, 0.2, precision=precision)

    assert launches[f"triton/parzen_{precision}"] > before
    expected = log_likelihood(x.cpu(), samples.cpu(), torch.tensor([0.2]))[:, 0]
    torch.testing.assert_close(found.cpu().mean(), expected.mean(), rtol=0, atol=0.01)
