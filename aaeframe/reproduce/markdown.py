"""The table in Markdown, with what others report and the commands that make each run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from aaeframe.reproduce.published import Published
from aaeframe.reproduce.results import Result
from aaeframe.reproduce.rows import Row
from aaeframe.reproduce.table import Section, notes, published, sections


def markdown(results: Sequence[Result]) -> str:
    """Everything there is to say of the results."""
    parts = [_markdown(section) for section in (*sections(results), _cited(results))]
    parts.append("\n".join(f"- {note}" for note in notes(results)))
    commands = dict.fromkeys(command for it in results for run in it.judged for command in run.cell.commands())
    if commands:
        parts.append("\n".join(["```sh", *commands, "```"]))
    return "\n\n".join(parts) + "\n"


def _cited(results: Iterable[Result]) -> Section:
    by_name = {it.row.name: it.row for it in results}
    rows = [
        [row.title, "; ".join(f"{it.name} {published(it, row.unit)}" for it in _known(row))] for row in by_name.values()
    ]
    return Section("What is published", ("experiment", "numbers"), [row for row in rows if row[1]])


def _known(row: Row) -> Iterator[Published]:
    yield from row.cited
    if row.paper is not None:
        yield row.paper


def _markdown(section: Section) -> str:
    lines = [section.columns, ["---"] * len(section.columns), *section.rows]
    table = "\n".join(f"| {' | '.join(part.replace('|', chr(92) + '|') for part in line)} |" for line in lines)
    return f"### {section.title}\n\n{table}"
