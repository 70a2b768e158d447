"""Docstrings begin with a noun phrase or a verb, not with a fragment that makes sense only beside the code."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("aaeframe", "plugins", "kernels", "benchmarks", "tests")
FRAGMENT = re.compile(r"(Of|That|Those|By|Who|Whom|Whose|Which|Where|What|How)\b")


def docstrings(source: str):
    """Every string that is a statement, with its line: docstrings, and those below constants and fields."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield node.lineno, text.strip()


def files():
    return [path.relative_to(ROOT) for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def test_no_docstring_begins_with_a_fragment():
    found = [
        f"{path}:{line}: {text[:60]}"
        for path in files()
        for line, text in docstrings((ROOT / path).read_text())
        if FRAGMENT.match(text)
    ]

    assert not found, "begin with a noun phrase or a verb:\n" + "\n".join(found)


def test_fragments_are_recognized():
    source = '"""What it does."""\nx = 1\n"""Whether it does."""\n\n\ndef f():\n    """By hand."""\n'

    begins = [line for line, text in docstrings(source) if FRAGMENT.match(text)]

    assert begins == [1, 7]
