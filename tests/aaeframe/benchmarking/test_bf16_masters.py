"""benchmarks/bf16_masters.py: Adam that reads bfloat16 gradients, and what the script prints."""

from __future__ import annotations

import pytest
import torch

from aaeframe_kernels.parzen.compiled import compiler

pytestmark = [
    pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning"),  # torch's, when it compiles
    pytest.mark.slow,  # compiling takes ten seconds
    pytest.mark.skipif(compiler() is None, reason="needs a C++ compiler"),
]


def test_masters_are_those_of_torchs_adam_and_weights_are_masters_rounded(script):
    module = script("bf16_masters")
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(7, 5, generator=generator).bfloat16().requires_grad_()
    expected = weight.detach().float().requires_grad_()
    ours = module.MasterAdam([weight])
    torchs = torch.optim.Adam([expected], module.RATE, module.BETAS, module.EPSILON)
    for _ in range(50):
        weight.grad = torch.randn(7, 5, generator=generator).bfloat16()
        expected.grad = weight.grad.float()
        ours.step()
        torchs.step()
    assert not torch.equal(ours.masters[0], ours.masters[0].bfloat16().float())
    torch.testing.assert_close(ours.masters[0], expected.detach())
    assert torch.equal(weight, ours.masters[0].bfloat16())


def test_the_table_has_a_line_for_each(script, capsys):
    script("bf16_masters").main(["--batch", "4", "--width", "8", "--rounds", "1"])
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.startswith("batch 4, 8 wide, 1 rounds")
    assert [line[:10].strip() for line in lines] == ["autocast", "masters", "no update"]
