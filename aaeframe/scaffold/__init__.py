"""A component for others to install, as `aaeframe plugins new` writes it; torch-free.

    package = design("torus", "prior", Registry.load(), author="Ada Lovelace")
    write(package, Path("aaeframe-torus"))
    design_addition("knot", "prior", Registry.load(), Path("aaeframe-torus")).write()

The files are made from `templates/`, with $words for the differences between packages.
"""

from __future__ import annotations

from aaeframe.scaffold.addition import Addition, design_addition, is_package
from aaeframe.scaffold.names import Names
from aaeframe.scaffold.package import Package, design, write

__all__ = ["Addition", "Names", "Package", "design", "design_addition", "is_package", "write"]
