"""Text from files that may be a stranger's."""

from __future__ import annotations


def plain(text: str) -> str:
    """The text with every unprintable character but line breaks escaped.

    Text from an untrusted file must not control the terminal.
    """
    return "".join(it if it.isprintable() or it == "\n" else repr(it)[1:-1] for it in text)


def plural(count: int, noun: str) -> str:
    """A number with its noun."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
