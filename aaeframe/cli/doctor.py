"""`aaeframe doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from aaeframe.cli import options

if TYPE_CHECKING:
    import torch


def doctor(context: typer.Context, json: options.Json = False) -> None:
    """Show versions, devices, kernels and plugins of this installation."""
    from aaeframe.cli.console import facts, out, print_json

    found = _examined(context)
    if json:
        print_json(found)
        return
    console = out()
    for title, part in found.items():
        console.print(facts(title, {key: str(value) for key, value in part.items()}))


def _examined(context: typer.Context) -> dict[str, dict[str, Any]]:
    import os
    import platform
    import sys
    from importlib.metadata import PackageNotFoundError, version

    import torch

    from aaeframe import __version__
    from aaeframe.training.device import available, pick

    def installed(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return "not installed"

    return {
        "versions": {
            "aaeframe": __version__,
            "python": f"{platform.python_version()} ({sys.executable})",
            **{name: installed(name) for name in ("torch", "triton", "numpy", "pluggy", "typer", "safetensors")},
        },
        "devices": {
            "available": available(),
            "auto": str(pick("auto")),
            "threads": torch.get_num_threads(),
            "cpu capability": torch.backends.cpu.get_cpu_capability(),
        },
        "kernels": _kernels(pick("auto")),
        "data": {"AAEFRAME_DATA": os.environ.get("AAEFRAME_DATA", "not set")},
        "plugins": {
            f"{plugin.distribution}:{plugin.name}": f"{plugin.version} {plugin.status}"
            + "".join(f": {it}" for it in (plugin.error, *plugin.warnings) if it)
            for plugin in options.registry(context).plugins
        },
    }


def _kernels(device: torch.device) -> dict[str, str]:
    """The implementation of each kernel on this device, and the reason for it."""
    from aaeframe_kernels import KernelUnavailable, dispatch
    from aaeframe_kernels.parzen.paths import describe

    try:
        path, reason = dispatch.choose(device)
    except KernelUnavailable as error:
        return dict.fromkeys(("discriminator_loss", "parzen"), f"unavailable: {error}")
    return {"discriminator_loss": f"{path}, because {reason}", "parzen": describe(device)}
