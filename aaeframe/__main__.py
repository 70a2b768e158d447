"""`python -m aaeframe`."""

from aaeframe.cli import main

main()
