"""Compare two stored measurements: python benchmarks/compare.py OLD.json NEW.json [--case NAME ...] [options].

Reads what `aaeframe bench` and `pytest benchmarks --benchmark-json` write. Times of different machines or hours cannot
be compared. The ratio of an alternative to the baseline of its case, timed in the same run, can. Flags ratios of ours
that are more than 15 % worse. Reports only; with --strict, a flag is exit code 1. Files that cannot be compared are 2.

With --counts it holds the counts of a call, which are the same on every machine, in place of the ratios: FLOP,
operations, launches, bytes. Any that differs or is missing in the new file is exit code 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ALLOWED = 1.15
"""New ratio over old ratio from which on it is flagged."""
WRITTEN = "what aaeframe bench --out or pytest --benchmark-json writes"


class Key(NamedTuple):
    """The alternative and the baseline of a ratio. Ratios to different baselines do not compare."""

    case: str
    alternative: str
    baseline: str


class Ratio(NamedTuple):
    """The ratio of an alternative to its baseline."""

    of_medians: float
    of_rounds: float | None
    """The median of the ratios in the same round; None in older files and in those of pytest-benchmark."""


class Uncomparable(Exception):
    """The files do not hold ratios of the same cases."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--case", action="append", help="only cases whose names begin so; may be repeated")
    parser.add_argument("--strict", action="store_true", help="exit code 1 if a ratio is flagged")
    parser.add_argument("--counts", action="store_true", help="compare counts, not ratios; exit code 1 if one differs")
    asked = parser.parse_args(arguments)
    try:
        if asked.counts:
            return hold_counts(asked.old, asked.new, asked.case)
        old, new = read(asked.old), read(asked.new)
        common = [key for key in old if key in new and chosen(key.case, asked.case)]
        if not common:
            raise Uncomparable(f"{asked.old} and {asked.new} have no case in common" + _of(asked.case))
    except Uncomparable as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    pairs = {key: alike(old[key], new[key]) for key in common}
    flagged = [key for key, (before, after) in pairs.items() if after > ALLOWED * before]
    for key, (before, after) in pairs.items():
        print(line(key, before, after, key in flagged))
    for key in old:
        if key not in new and chosen(key.case, asked.case):
            print(f"{key.case}: {key.alternative}: only in {asked.old} is there a ratio to {key.baseline}")
    print(f"{len(common)} ratios compared, {len(flagged)} worse by more than {ALLOWED - 1:.0%}")
    return 1 if asked.strict and flagged else 0


def hold_counts(old: Path, new: Path, prefixes: list[str] | None) -> int:
    """Print the counts that differ; 1 if there is any."""
    wanted, found = counts(old, prefixes), counts(new, prefixes)
    different = [key for key in wanted if found.get(key) != wanted[key]]
    for key in different:
        now = found.get(key, "not counted")
        print(f"DIFFERENT {': '.join(key)}: {wanted[key]} -> {now}")
    for key in found.keys() - wanted.keys():
        print(f"only in {new}: {': '.join(key)}: {found[key]}")
    print(f"{len(wanted)} counts compared, {len(different)} different")
    return 1 if different else 0


def counts(path: Path, prefixes: list[str] | None) -> dict[tuple[str, str, str], int]:
    """The counts of a call by case, alternative and name, of implementations from outside not."""
    try:
        cases = [it for it in _content(path)["cases"] if chosen(it["name"], prefixes)]
        found = {
            (case["name"], row["alternative"], name): count
            for case in cases
            for row in case["rows"]
            if row.get("origin") is None
            for name, count in row["counts"].items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise Uncomparable(f"{path} holds no counts of aaeframe bench --out: {error!r}; measure anew") from error
    if not found:
        raise Uncomparable(f"{path} holds no counts" + _of(prefixes))
    return found


def _content(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise Uncomparable(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise Uncomparable(f"{path} is not {WRITTEN}: {error}") from error


def alike(old: Ratio, new: Ratio) -> tuple[float, float]:
    """Both ratios: those of rounds, which the table of `aaeframe bench` has, unless a file lacks them."""
    if old.of_rounds is None or new.of_rounds is None:
        return old.of_medians, new.of_medians
    return old.of_rounds, new.of_rounds


def read(path: Path) -> dict[Key, Ratio]:
    """The ratio to the baseline of each alternative of ours, by case; none where the baseline was not measured."""
    try:
        content = _content(path)
        ratios = dict(_of_bench(content) if "cases" in content else _of_pytest(content))
    except (KeyError, TypeError) as error:
        raise Uncomparable(f"{path} is not {WRITTEN}: {type(error).__name__}: {error}") from error
    if not ratios:
        raise Uncomparable(f"{path} holds no ratio of ours to a baseline")
    return ratios


def _of_bench(content: dict[str, Any]) -> Iterator[tuple[Key, Ratio]]:
    for case in content["cases"]:
        for row in case["rows"]:
            if row["ours"] and row["alternative"] != case["baseline"] and row["ratio"] is not None:
                yield (
                    Key(case["name"], row["alternative"], case["baseline"]),
                    Ratio(row["ratio"], row.get("round_ratio")),
                )


def _of_pytest(content: dict[str, Any]) -> Iterator[tuple[Key, Ratio]]:
    timed = [(it["extra_info"], it["group"], it["stats"]["median"]) for it in content["benchmarks"]]
    baselines = {(group, info["device"]): (info, median) for info, group, median in timed if info["baseline"]}
    for info, group, median in timed:
        case, baseline = f"{group} ({info['device']})", baselines.get((group, info["device"]))
        if info["ours"] and not info["baseline"] and baseline is not None:
            yield Key(case, info["alternative"], baseline[0]["alternative"]), Ratio(median / baseline[1], None)


def chosen(case: str, prefixes: list[str] | None) -> bool:
    """Whether the case was asked for."""
    return prefixes is None or case.startswith(tuple(prefixes))


def line(key: Key, old: float, new: float, flagged: bool) -> str:
    change = f"{old:.3f} -> {new:.3f} ({new / old - 1:+.0%})"
    return f"{'WORSE ' if flagged else '      '}{key.case}: {key.alternative}: {change}"


def _of(prefixes: list[str] | None) -> str:
    return "" if prefixes is None else f" that begins with {' or '.join(map(repr, prefixes))}"


if __name__ == "__main__":
    sys.exit(main())
