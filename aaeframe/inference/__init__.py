"""Codes and scores inside engines for many rows: Ray Data, Dask, Spark and others."""

from __future__ import annotations

from aaeframe.inference.encoder import Encoder

__all__ = ["Encoder"]
