"""The networks of the step cases: those of the paper, the same for every alternative."""

from __future__ import annotations

from typing import NamedTuple


class Sizes(NamedTuple):
    """Fully connected networks around a code: side² - width - width - code and back, code - width - width - 1."""

    side: int = 28
    """The side of the square images."""
    width: int = 1000
    code: int = 8
    """The size of the Gaussian block."""

    @property
    def pixels(self) -> int:
        """The number of pixels of one image."""
        return self.side**2
