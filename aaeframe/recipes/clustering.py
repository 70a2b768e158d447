"""Section 6 of the paper: clusters and a style, without labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from aaeframe.protocols import Needs
from aaeframe.recipes.semi_supervised import SemiSupervised


@dataclass(frozen=True)
class Clustering(SemiSupervised):
    """`SemiSupervised` without labels, and so without its classification phase: the categories of y are clusters."""

    needs: ClassVar = Needs(labels="none", class_block=True)
