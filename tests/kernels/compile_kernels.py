"""Every kernel compiled for GPUs that are not there: does it fit the chip, spill nothing, and use the tensor cores?"""

from __future__ import annotations

import re

import pytest
import torch

from aaeframe_kernels.ahead_of_time import TARGETS, compiling_for
from aaeframe_kernels.discriminator_loss import launch
from aaeframe_kernels.discriminator_loss.reference import Form
from aaeframe_kernels.parzen import launch as gpu
from aaeframe_kernels.parzen.bandwidth import RATIO
from aaeframe_kernels.parzen.engine import neutral

SHARED = {"sm_80": 163 * 1024, "sm_90a": 227 * 1024, "gfx942": 64 * 1024}
"""Bytes of shared memory that a program may have."""
TENSOR_CORES = {"sm_80": r"mma\.sync", "sm_90a": r"wgmma\.mma_async", "gfx942": r"v_mfma"}
WIDE_ACCESSES = {"nvidia": (r"LDG\S*\.128", r"STG\S*\.128"), "amd": (r"load_dwordx4", r"store_dwordx4")}


def vendor(target):
    return "amd" if target.startswith("gfx") else "nvidia"


def compile_loss(target, rows=200, width=1000, dtype=torch.float32, kind="bce", relu=False, gradients=True):
    """The kernels that a loss launches, and those that scale its gradients."""
    features = torch.zeros(rows, width, dtype=dtype)
    inputs = (features, torch.zeros(1, width), torch.zeros(1), torch.zeros(rows), torch.zeros(rows))
    with compiling_for(target) as compiled:
        outputs = launch.launch(inputs, Form(kind, (rows,), relu), gradients, gradients)
        if gradients:
            launch.scale(*outputs[1:], torch.zeros(()))
    return {kernel.name: kernel for kernel in compiled}


def parzen_engine(mode, bandwidths, features=784, dropped=0, ratio=RATIO):
    """Rows x, and the engine for them."""
    x = torch.zeros(100, features, dtype=torch.float32 if mode == "fp32" else torch.uint8)
    x[0, dropped:] = 1
    return x, gpu.prepare(x, torch.tensor([0.08 * ratio**i for i in range(bandwidths)], dtype=torch.float64), mode)


def compile_parzen(target, mode, bandwidths, features=784, dropped=0, ratio=RATIO):
    """The kernels that one chunk of samples launches; of those that prepare rows, that of x."""
    with compiling_for(target) as compiled:
        x, engine = parzen_engine(mode, bandwidths, features, dropped, ratio)
        total = neutral(100, bandwidths, x.device)
        engine.add(total, torch.zeros(300, features), torch.zeros(1, dtype=torch.int32))
    return {kernel.name: kernel for kernel in compiled}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("relu", [False, True], ids=["", "relu"])
@pytest.mark.parametrize("target", TARGETS)
def test_loss_at_width_1000(target, relu, dtype):
    compiled = compile_loss(target, relu=relu, dtype=dtype)

    assert set(compiled) == {"head_kernel", "merge_kernel", "scale_kernel"}
    for kernel in compiled.values():
        assert kernel.target == target
        assert kernel.spills == kernel.stack == 0
    tile, threads = launch.tile(1000), 64 if vendor(target) == "amd" else 32
    accesses = tile.rows * tile.columns * dtype.itemsize // (tile.warps * threads * 16)
    assert all(compiled["head_kernel"].count(access) >= accesses for access in WIDE_ACCESSES[vendor(target)])


@pytest.mark.parametrize("kind", ["least-squares", "hinge", "wasserstein"])
@pytest.mark.parametrize("gradients", [True, False], ids=["", "loss alone"])
def test_every_kind_of_loss(kind, gradients):
    compiled = compile_loss("sm_90a", kind=kind, gradients=gradients)

    assert all(kernel.spills == kernel.stack == 0 for kernel in compiled.values())


@pytest.mark.parametrize("width", [2, 100, 1024, 2000, 4096, launch.WIDEST])
@pytest.mark.parametrize("target", TARGETS)
def test_loss_at_every_width(target, width):
    head = compile_loss(target, width=width, relu=True)["head_kernel"]

    assert head.spills == head.stack == 0
    assert head.shared <= SHARED[target]


@pytest.mark.parametrize("mode", ["fp16", "int8x2"])
@pytest.mark.parametrize(("bandwidths", "ratio"), [(1, RATIO), (20, RATIO), (20, 1.05)])
@pytest.mark.parametrize("target", TARGETS)
def test_parzen_on_tensor_cores(target, bandwidths, ratio, mode):
    """One bandwidth, twenty with five exponentials, twenty with twenty."""
    kernel = compile_parzen(target, mode, bandwidths, ratio=ratio)["partial_kernel"]

    assert kernel.target == target
    assert kernel.spills == kernel.stack == 0
    assert kernel.shared <= SHARED[target]
    assert len(re.findall(TENSOR_CORES[target], kernel.intermediate)) >= 4


@pytest.mark.parametrize("mode", gpu.TILES)
@pytest.mark.parametrize("bandwidths", [1, 3])
@pytest.mark.parametrize("target", TARGETS)
def test_the_small_tiles_of_other_tests_are_tiles_of_gpus(target, bandwidths, mode, small_tiles):
    assert compile_parzen(target, mode, bandwidths, features=45)["partial_kernel"].target == target


@pytest.mark.parametrize("mode", ["fp16", "int8x2"])
def test_two_programs_share_a_processor(mode):
    kernel = compile_parzen("sm_90a", mode, 1)["partial_kernel"]

    assert 2 * kernel.shared <= SHARED["sm_90a"]
    assert 2 * kernel.registers * 32 * gpu.tile_for(mode, 1).warps <= 65536


CANDIDATES = [(mode, tile) for mode, tiles in gpu.CANDIDATES.items() for tile in tiles]


@pytest.mark.parametrize(("mode", "tile"), CANDIDATES, ids=str)
@pytest.mark.parametrize("dropped", [0, 116])
def test_tiles_to_be_timed_fit_the_chip(dropped, mode, tile, monkeypatch):
    """The digits of MNIST have 668 columns that vary, of 784."""
    monkeypatch.setitem(gpu.TILES, mode, tile)

    kernel = compile_parzen("sm_90a", mode, 1, dropped=dropped)["partial_kernel"]

    assert kernel.spills == kernel.stack == 0
    assert kernel.shared <= SHARED["sm_90a"]
    assert kernel.registers * 32 * tile.warps <= 65536
    assert (kernel.count(r"UTMALDG") > 0) == tile.descriptors
    assert (kernel.count(r"LDGSTS") > 0) == (not tile.descriptors)


@pytest.mark.parametrize("features", [784, 2304])
def test_operands_are_copied_16_bytes_at_a_time(features):
    kernel = compile_parzen("sm_80", "fp16", 1, features=features)["partial_kernel"]

    copies = kernel.count(r"LDGSTS")
    assert copies > 0
    assert kernel.count(r"LDGSTS\S*\.128") == copies


@pytest.mark.parametrize("bandwidths", [1, 20])
@pytest.mark.parametrize("target", TARGETS)
def test_parzen_in_fp32(target, bandwidths):
    kernel = compile_parzen(target, "fp32", bandwidths)["partial_kernel"]

    assert kernel.stack <= 64
    assert kernel.shared <= SHARED[target]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=str)
@pytest.mark.parametrize("mode", gpu.TILES)
@pytest.mark.parametrize("dropped", [0, 116])
@pytest.mark.parametrize("target", TARGETS)
def test_preparing_rows_and_samples(target, dropped, mode, dtype):
    """Without the kernel that multiplies them, which takes most of the time of compiling all."""
    with compiling_for(target) as compiled:
        x, engine = parzen_engine(mode, 1, dropped=dropped)
        engine.operand(x, engine.tile.rows, far=False)
        refused = torch.zeros(1, dtype=torch.int32)
        engine.operand(torch.zeros(300, 784, dtype=dtype), engine.tile.samples, far=True, refused=refused)

    assert [kernel.name for kernel in compiled] == ["prepare_kernel"] * 2
    assert all(kernel.spills == kernel.stack == 0 for kernel in compiled)


@pytest.mark.parametrize("mode", ["fp16", "fp32"])
@pytest.mark.parametrize("target", TARGETS)
def test_merging_splits(target, mode):
    kernel = compile_parzen(target, mode, 20)["merge_kernel"]

    assert kernel.spills == kernel.stack == 0
