"""Expressions, settings and TOML."""

from __future__ import annotations

import json

import tomli_w
from hypothesis import strategies as st

from fuzzing.mutation import mutated

TIMES = st.sampled_from([1, 1, 1, 2, 3, 40, 500, 3000, 12_000])

TOKENS = (
    *"+=(){}[].,:#'\"\\\n\r\t\0 ",
    *("'''", '"""', "\\u0000", "\\ud800", "\ud800", "\u2028", "\U0010ffff", "İ", "=1", "a=", "[[", "]]", "true", "nan"),
    *("-inf", "1e999", "0x", "9" * 40, "1_0", "1979-05-27T07:32:00Z", "07:32:00", "gaussian", "mixture", "size", "z."),
)

soup = st.lists(st.builds(str.__mul__, st.sampled_from(TOKENS) | st.text(max_size=4), TIMES), max_size=8).map("".join)
"""Tokens in any order, some of them very often."""

_numbers = st.integers(-(2**70), 2**70) | st.floats() | st.sampled_from([0, 1, -1, 2**31, 2**63, 10**4000])
_leaves = _numbers.map(lambda it: _short(str(it))) | st.booleans().map(lambda it: str(it).lower()) | soup
_leaves |= st.text(max_size=8).map(json.dumps) | st.sampled_from(["1979-05-27", "[]", "{}", "''", '"a" = 1'])
_nested = st.builds(lambda value, n: "[" * n + value + "]" * n, _leaves, TIMES)
_nested |= st.builds(lambda value, n: "{a=" * n + value + "}" * n, _leaves, TIMES)
values = _leaves | _nested | st.lists(_leaves, max_size=4).map(lambda it: f"[{', '.join(it)}]")

_names = st.sampled_from(
    ["gaussian", "mixture", "swissroll", "aaeframe:gaussian", "a.b-c", "Ä", "", "-", ":", "x" * 99]
)
_keys = st.sampled_from(["size", "classes", "means", "", "a.b", '"q"', "é", "size"]) | st.builds(
    lambda key, n: ".".join([key] * n), st.just("a"), TIMES
)
_blocks = st.sampled_from(["", "", "y=", "z =", "Y=", "é=", "y=y=", "="])
_options = st.lists(st.builds("{}={}".format, _keys, values), max_size=3).map(", ".join)
_factors = st.builds("{}{}({})".format, _blocks, _names, _options) | st.builds("{}{}".format, _blocks, _names)

expressions = st.lists(_factors, max_size=4).map("+".join) | soup
"""Products of priors, and what looks like them."""

_PLACES = (
    *("data.source", "data.labels", "data.held_out", "prior", "prior.z", "prior.gaussian", "prior.z.component"),
    *("prior.z.options.size", "prior.gaussian.options", "prior.z.discriminator", "prior.gaussian.weight", "encoder"),
    *("encoder.options", "network", "discriminator", "training", "training.seed", "training.epochs", "training.device"),
    *(
        "label_free.radius",
        "optimizers",
        "optimizers.reconstruction",
        "optimizers.x.name",
        "plugins",
        "plugins.a",
        "no",
    ),
)
_deeper = st.builds(lambda key, n: f".{key}" * n, st.sampled_from(["a", "options", "z", " "]), TIMES)
_paths = st.sampled_from(_PLACES) | st.builds(str.__add__, st.sampled_from(_PLACES), _deeper) | soup
settings = st.lists(st.builds("{}={}".format, _paths, values | expressions) | soup, max_size=4)
"""The values of repeated --set options."""

_plain = st.recursive(
    st.integers(-(2**63), 2**63 - 1) | st.floats() | st.booleans() | st.text(max_size=8) | expressions,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def _table(entries: list[tuple[str, object]]) -> dict:
    table: dict = {}
    for path, value in entries:
        keys, here = path.split("."), table
        for key in keys[:-1]:
            below = here.get(key)
            here[key] = here = below if isinstance(below, dict) else {}
        here[keys[-1]] = value
    return table


def _written(table: dict) -> bytes:
    return tomli_w.dumps(table).encode("utf-8", "surrogatepass")


_tables = st.lists(st.tuples(st.sampled_from(_PLACES), _plain), max_size=4).map(_table)
_GENUINE = b"""
[data]
source = "digits"
[prior.z]
component = "swissroll"
instance_noise = 0.1
weight = {begin = 0.01, end = 1.0}
options = {a = [1, [2.5, "x"]], b = 1979-05-27T07:32:00Z}
[training]
epochs = 50
[optimizers]
reconstruction = "sgd(lr=0.01, momentum=0.9, milestones=[50, 1000])"
"""

toml = (
    _tables.map(_written)
    | mutated(_GENUINE)
    | st.lists(st.builds("{} = {}\n".format, _paths, values) | soup, max_size=4).map(
        lambda lines: "".join(lines).encode("utf-8", "surrogatepass")
    )
)
"""Configuration files."""


def _short(text: str) -> str:
    return text[:5000]
