"""The names of the blocks of clusterers and classifiers."""

from typing import Final

CLASS: Final = "class"
STYLE: Final = "style"
