"""Adversarial autoencoders with any prior that can be sampled (Makhzani et al., arXiv 1511.05644)."""

from __future__ import annotations

from aaeframe.hookspecs import Component, hookimpl

__version__ = "0.1.0"
__all__ = ["Component", "hookimpl"]
