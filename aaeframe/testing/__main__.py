"""`python -m aaeframe.testing PATH`: checks a plugin in its source tree, before it is installed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from aaeframe.errors import AaeframeError
from aaeframe.testing.source import check_source


def main() -> None:
    """Check the plugin, and exit as `aaeframe plugins check` does: 0 if nothing failed, 1 if a check did, else 2."""
    parser = argparse.ArgumentParser(
        prog="python -m aaeframe.testing",
        description="Check a plugin in its source tree, as `aaeframe plugins check` checks one that is installed.",
    )
    parser.add_argument("path", metavar="PATH", type=Path, help="folder of the plugin's pyproject.toml")
    parser.add_argument("name", metavar="NAME", nargs="?", help="one component, with options if it needs some")
    parser.add_argument("--kind", metavar="KIND", help="check components of this kind only")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args()
    options = [*([] if asked.kind is None else ["--kind", asked.kind]), *(["--json"] if asked.json else [])]
    try:
        code = check_source(asked.path, asked.name, options)
    except AaeframeError as error:
        parser.exit(error.exit_code, f"error: {error}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
