"""Compile kernels for GPUs that this machine lacks, and read their use of registers, stack and shared memory.

The kernels are compiled by the same calls that launch them, with stand-in tensors on the CPU. Types, tiles and
alignment are equal, so the inspected code is the code that runs. Not in an interpreted process (TRITON_INTERPRET=1).
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from triton.runtime.jit import JITFunction

TARGETS: Final = {
    "sm_80": GPUTarget("cuda", 80, 32),
    "sm_90a": GPUTarget("cuda", 90, 32),
    "gfx942": GPUTarget("hip", "gfx942", 64),
}
"""NVIDIA A100, NVIDIA H100 and H200, AMD MI300."""


class Compiled(NamedTuple):
    """A kernel compiled for a target, and the resources of one program."""

    name: str
    target: str
    """The target's name in the compiler's output, such as sm_90a."""
    registers: int
    """The registers per thread; on AMD the vector registers."""
    stack: int
    """The bytes of local memory per thread, as the compiler reports them."""
    spills: int
    """The number of instructions that access local memory; on AMD the number of spilled registers."""
    shared: int
    """The bytes of shared memory per program."""
    intermediate: str
    """PTX; on AMD, the assembly."""
    assembly: str

    def count(self, pattern: str) -> int:
        """The number of matches of a regular expression in the assembly."""
        return len(re.findall(pattern, self.assembly))


@contextmanager
def compiling_for(target: str) -> Iterator[list[Compiled]]:
    """Compile launched kernels for the target instead of running them; yields the list of compiled kernels."""
    compiled: list[Compiled] = []
    launch = JITFunction.run

    def compile_instead(kernel: Any, *arguments: Any, grid: Any, warmup: bool, **options: Any) -> Any:
        kernel.device_caches.clear()  # they contain the kernels of another target
        found = launch(kernel, *arguments, grid=grid, warmup=True, **options)
        compiled.append(_inspect(found))
        return found

    driver.set_active(_Absent(TARGETS[target]))
    JITFunction.run = compile_instead
    try:
        yield compiled
    finally:
        JITFunction.run = launch
        driver.set_active(None)  # the real driver is found again when needed


class _Absent:
    """A stand-in for the driver of a GPU that this machine lacks: all that compiling needs of one."""

    def __init__(self, target: GPUTarget) -> None:
        self._target = target

    def get_current_target(self) -> GPUTarget:
        return self._target

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_active_torch_device(self) -> torch.device:
        return torch.device("cpu")


def _inspect(kernel: Any) -> Compiled:
    return _nvidia(kernel) if "cubin" in kernel.asm else _amd(kernel)


def _nvidia(kernel: Any) -> Compiled:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "kernel.cubin")
        file.write_bytes(kernel.asm["cubin"])
        usage = _tool("cuobjdump", "--dump-resource-usage", str(file))
        assembly = _tool("nvdisasm", "-c", str(file))
    return Compiled(
        name=kernel.metadata.name,
        target=_search(r"\.target (\w+)", kernel.asm["ptx"]),
        registers=int(_search(r"REG:(\d+)", usage)),
        stack=int(_search(r"STACK:(\d+)", usage)),
        spills=len(re.findall(r"\b(?:LDL|STL)\b", assembly)),
        shared=kernel.metadata.shared,
        intermediate=kernel.asm["ptx"],
        assembly=assembly,
    )


def _amd(kernel: Any) -> Compiled:
    assembly = kernel.asm["amdgcn"]
    return Compiled(
        name=kernel.metadata.name,
        target=_search(r"amdhsa-\w*-(gfx\w+)", assembly),
        registers=int(_search(r"\.vgpr_count:\s+(\d+)", assembly)),
        stack=int(_search(r"\.private_segment_fixed_size:\s+(\d+)", assembly)),
        spills=int(_search(r"\.vgpr_spill_count:\s+(\d+)", assembly)),
        shared=kernel.metadata.shared,
        intermediate=assembly,
        assembly=assembly,
    )


def _tool(name: str, *arguments: str) -> str:
    """The output of one of the tools that come with triton."""
    path = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / name
    return subprocess.run([str(path), *arguments], capture_output=True, text=True, check=True).stdout


def _search(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise ValueError(f"the compiler's output has no {pattern!r}; this version of triton prints it otherwise")
    return found[1]
