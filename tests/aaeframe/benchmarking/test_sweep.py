"""Sizes on the command line: what a text stands for, and what is refused."""

from __future__ import annotations

import pytest

from aaeframe.benchmarking.sweep import parse, sweep
from aaeframe.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("1000", (1000,)),
        ("1e4", (10_000,)),
        ("100,250,1000,250", (100, 250, 1000)),
        ("1e4..1e7", (10_000, 100_000, 1_000_000, 10_000_000)),
        ("100..5000", (100, 1000, 5000)),
        ("7..7", (7,)),
        ("1..1e12", tuple(10**it for it in range(13))),
    ],
)
def test_a_size_a_list_or_a_range_that_ends_with_its_end(text, sizes):
    assert parse("--samples", text) == sizes


@pytest.mark.parametrize("text", ["", "many", "1.5", "0", "-3", "1e13", "nan", "inf", "1,,2", "1..", "..5", "1..2..3"])
def test_what_is_no_size_is_refused_with_the_forms_that_are(text):
    with pytest.raises(ConfigError, match=r"--samples .* is not a whole number .* a list such as 100,250,1000"):
        parse("--samples", text)


def test_a_range_that_begins_above_its_end_is_refused():
    with pytest.raises(ConfigError, match=r"--rows 1e5\.\.10 begins above its end; .* 10\.\.1e5"):
        parse("--rows", "1e5..10")


def test_one_size_changes_and_the_others_stay():
    given = {"rows": "40", "samples": "10..100", "width": None}
    assert sweep(given, ["parzen"]) == ("samples", ({"rows": 40, "samples": 10}, {"rows": 40, "samples": 100}))
    assert sweep({"rows": "40"}, ["parzen"]) == (None, ({"rows": 40},))
    assert sweep({"rows": None}, ["parzen", "loss"]) == (None, ({},))


def test_two_sizes_that_change_are_refused():
    with pytest.raises(ConfigError, match="--rows and --samples both have several values"):
        sweep({"rows": "1,2", "samples": "1,2"}, ["parzen"])


@pytest.mark.parametrize(
    ("name", "suites", "words"),
    [
        ("width", ["parzen"], "--width is not a size of the case parzen, which has --rows, --samples, --features$"),
        ("rows", ["loss"], "--rows is not a size of the case loss, which has --batch, --width$"),
        ("width", ["parzen", "loss"], "--width is not a size of the case parzen.*; --case loss --case step knows it"),
    ],
)
def test_a_size_that_a_case_does_not_know_is_refused_with_those_it_knows(name, suites, words):
    with pytest.raises(ConfigError, match=words):
        sweep({name: "10"}, suites)
