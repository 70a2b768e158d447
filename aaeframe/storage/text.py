"""Text from files that may be a stranger's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

LONGEST: Final = 200
"""The largest number of characters of a text in Markdown."""
MOST_LISTED: Final = 12
"""The largest number of names that a message lists."""
_MARKUP: Final = re.compile(r"[\\`*_{}\[\]<>#!|~&$@.:^]")
"""Characters of markup, HTML and links, which Markdown shows as themselves behind a backslash."""


def plain(text: str) -> str:
    """The text with every unprintable character but line breaks escaped.

    Text from an untrusted file must not control the terminal.
    """
    return "".join(it if it.isprintable() or it == "\n" else repr(it)[1:-1] for it in text)


def literal(text: str) -> str:
    """The text on one line of Markdown, shown as it is: no markup, no HTML, no links, and cut if it is long."""
    line = plain(" ".join(text.split()))
    line = line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."
    return _MARKUP.sub(r"\\\g<0>", line)


def code(text: str) -> str:
    """The text as code in a table of Markdown, which shows it as it is."""
    line = plain(" ".join(text.split()))
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    space = " " if "`" in line else ""
    return f"{fence}{space}{line}{space}{fence}".replace("|", r"\|")


def listed(names: Sequence[str]) -> str:
    """Names for a message, up to `MOST_LISTED` of them."""
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return ", ".join(map(repr, names[:MOST_LISTED])) + more


def plural(count: int, noun: str) -> str:
    """A number with its noun."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
