"""The record of a component, written into the hook module of a plugin. The module is parsed, never run."""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

from aaeframe.components.discovery import Kind, hook_of, words
from aaeframe.errors import PackageError


class Record(NamedTuple):
    """A call of `Component` in the source of a hook."""

    kind: Kind
    name: str
    factory: str
    summary: str

    @property
    def hook(self) -> str:
        """The name of the hook."""
        return hook_of(self.kind)

    def lines(self) -> list[str]:
        """The call as lines of source, ending in a comma."""
        fields = (self.name, self.factory, self.summary)
        pairs = zip(("name", "factory", "summary"), map(_literal, fields), strict=True)
        return ["Component(", *(f"    {key}={value}," for key, value in pairs), "),"]


def has_hook(source: str, hook: str) -> bool:
    """Whether a module defines the hook. PackageError if it is not Python."""
    return _hook(_parsed(source), hook) is not None


def with_record(source: str, record: Record, new_hook: str) -> str:
    """The source with one more record in the list of its hook, or with the hook appended first.

    Args:
        source: The hook module.
        record: What the component is.
        new_hook: The source of the hook with an empty list, for a module that does not implement it.

    Raises:
        PackageError: The hook does not return a list in place, or offers a component of this name already.
    """
    if not has_hook(source, record.hook):
        if record.hook in _bound_names(_parsed(source)):  # in an `if`, or by an import: one more would hide it
            raise _not_ours_to_change(record)
        newline = _newline(source)
        source = source.rstrip() + newline + new_hook.replace("\n", newline)
    module = _parsed(source)
    listed = _returned_list(module, record)
    for element in listed.elts:
        if any(isinstance(it, ast.Constant) and it.value == record.name for it in ast.walk(element)):
            raise PackageError(
                f"{record.hook} offers the {words(record.kind)} {record.name!r} already: choose another name"
            )
    made = _inserted(source, listed, record)
    grown = _returned_list(_parsed(made), record)
    if len(grown.elts) != len(listed.elts) + 1:
        raise _not_ours_to_change(record)
    return made


def _parsed(source: str) -> ast.Module:
    try:
        return ast.parse(source)
    except SyntaxError as error:
        raise PackageError(f"the hook module is not valid Python: {error}; correct it first") from error


def _bound_names(module: ast.Module) -> set[str]:
    """The names that are defined, assigned or imported anywhere in a module."""
    found: set[str] = set()
    for it in ast.walk(module):
        match it:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
            case ast.alias(name=name, asname=other):
                found.add(other or name)
    return found


def _hook(module: ast.Module, hook: str) -> ast.FunctionDef | None:
    return next((it for it in module.body if isinstance(it, ast.FunctionDef) and it.name == hook), None)


def _returned_list(module: ast.Module, record: Record) -> ast.List:
    """The list that the hook returns. PackageError unless it is the only one, and its names are those of aaeframe."""
    imported = {
        alias.asname or alias.name
        for it in module.body
        if isinstance(it, ast.ImportFrom) and it.module == "aaeframe"
        for alias in it.names
    }
    function = _hook(module, record.hook)
    returns = [it.value for it in ast.walk(function or module) if isinstance(it, ast.Return)]
    if function is None or len(returns) != 1 or not {"Component", "hookimpl"} <= imported:
        raise _not_ours_to_change(record)
    (found,) = returns
    if not isinstance(found, ast.List):
        raise _not_ours_to_change(record)
    return found


def _inserted(source: str, listed: ast.List, record: Record) -> str:
    """The source with the record at the end of the list. Comments stay where they are."""
    whole, newline = source.encode(), _newline(source).encode()
    start, end = _offset(whole, listed.lineno, listed.col_offset), _end(whole, listed)
    statement = whole.splitlines()[listed.lineno - 1]
    outer = statement[: len(statement) - len(statement.lstrip())]
    if listed.lineno == listed.end_lineno:  # on one line: spread out, as formatters do
        elements = [f"{ast.get_source_segment(source, it)}," for it in listed.elts]
        inner = [outer + f"    {line}".encode() for line in (*elements, *record.lines())]
        return (whole[:start] + newline.join([b"[", *inner, outer + b"]"]) + whole[end:]).decode()
    last = _end(whole, listed.elts[-1]) if listed.elts else start + 1
    between = whole[last : end - 1]
    bare = re.sub(rb"#[^\r\n]*", b"", between)
    if b")" in bare:  # the last element is in parentheses, in which a comma would make a tuple
        raise _not_ours_to_change(record)
    comma = b"," if listed.elts and b"," not in bare else b""
    kept = between.rstrip(b" \t")
    before = whole[:last] + comma + kept + (b"" if kept.endswith(b"\n") else newline)
    added = [outer + f"    {line}".encode() for line in record.lines()]
    closing = between[len(kept) :] or outer
    return (before + newline.join(added) + newline + closing + whole[end - 1 :]).decode()


def _newline(source: str) -> str:
    return "\r\n" if "\r\n" in source else "\n"


def _offset(whole: bytes, line: int, column: int) -> int:
    return sum(map(len, whole.splitlines(keepends=True)[: line - 1])) + column


def _end(whole: bytes, node: ast.expr) -> int:
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return _offset(whole, node.end_lineno, node.end_col_offset)


def _not_ours_to_change(record: Record) -> PackageError:
    call = " ".join(line.strip() for line in record.lines()).replace("( ", "(").replace(", )", ")").rstrip(",")
    return PackageError(
        f"{record.hook} is not a function that only returns a list of Component records, with Component and hookimpl "
        f"imported from aaeframe, so that nothing can be added to it. Write it so; or add by hand: {call}"
    )


def _literal(text: str) -> str:
    """A string literal of Python, with the quotes that need fewer escapes, as formatters write it."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    return quote + text.replace("\\", "\\\\").replace(quote, f"\\{quote}") + quote
