"""A complete package for one component, as `aaeframe plugins new` writes it; torch-free.

    package = design("torus", "prior", Registry.load(), author="Ada Lovelace")
    write(package, Path("aaeframe-torus"))

The files are made from `templates/`, with $words for the differences between packages.
"""

from __future__ import annotations

from aaeframe.scaffold.names import Names
from aaeframe.scaffold.package import Package, design, write

__all__ = ["Names", "Package", "design", "write"]
