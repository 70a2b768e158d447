"""Observers in a configuration: every way to write them, and how layers merge."""

from __future__ import annotations

import pytest

from aaeframe.components.registry import Registry
from aaeframe.configuration.changes import as_saved, changes
from aaeframe.configuration.compose import compose
from aaeframe.configuration.resolve import resolve, resolve_stored
from aaeframe.configuration.schema import parse
from aaeframe.errors import ConfigError


def shown(config):
    return {name: (it.component, it.options) for name, it in config.observers.items()}


@pytest.mark.parametrize(
    ("written", "observers"),
    [
        ("csv", {"csv": ("csv", {})}),
        (["csv", "a:board-2(every=5)"], {"csv": ("csv", {}), "board_2": ("a:board-2", {"every": 5})}),
        (["csv", 'csv(file="b.csv")'], {"csv": ("csv", {}), "csv_2": ("csv", {"file": "b.csv"})}),
        ([{"component": "csv", "options": {}}], {"csv": ("csv", {})}),
        ({"csv": {}}, {"csv": ("csv", {})}),
        ({"mine": "csv"}, {"mine": ("csv", {})}),
        ({"tensorboard": {"options": {"every": 5}}}, {"tensorboard": ("tensorboard", {"every": 5})}),
        ([], {}),
    ],
)
def test_every_way_to_write_them(written, observers):
    assert shown(parse({"observers": written})) == observers


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("9", "the observer '9' gives no name; put it into a table observers.NAME with component = 9"),
        ({"Mine": "csv"}, "'Mine' is no name of an observer"),
        ([3], "observers"),
        ({"csv": 3}, "observers.csv"),
        ({"csv": {"every": 3}}, "observers.csv: unknown key 'every'; known: component, options"),
    ],
)
def test_what_is_no_observer_is_refused_with_its_place(written, message):
    with pytest.raises(ConfigError, match=message):
        parse({"observers": written})


def test_layers_add_observers_and_change_options():
    file = {"observers": {"tensorboard": {"options": {"every": 5}}}}

    more = compose(None, file, {"observers": ["csv"]})
    changed = compose(None, file, {}, ["observers.tensorboard.options.every=7", "observers.csv.component=csv"])

    assert shown(more) == {"tensorboard": ("tensorboard", {"every": 5}), "csv": ("csv", {})}
    assert shown(changed) == {"tensorboard": ("tensorboard", {"every": 7}), "csv": ("csv", {})}


def test_a_new_run_resolves_its_observers_and_a_stored_one_leaves_them():
    registry = Registry.load()
    gone = {"observers": {"gone": {"component": "aaeframe-gone:gone"}}}

    new = resolve(parse({"observers": ["csv"]}), registry).config
    stored = resolve_stored(new.model_copy(update={"observers": parse(gone).observers}), registry).config

    assert shown(new) == {"csv": ("aaeframe:csv", {"file": "metrics.csv"})}
    assert shown(stored) == {"gone": ("aaeframe-gone:gone", {})}


@pytest.mark.parametrize("second", ["csv", 'aaeframe:csv(file="metrics.csv")'])
def test_two_that_would_write_one_file_are_refused(second):
    words = "the observers 'csv' and 'csv_2' are both aaeframe:csv\\(file=\"metrics.csv\"\\); leave one out"
    with pytest.raises(ConfigError, match=words):
        resolve(parse({"observers": ["csv", second]}), Registry.load())


def test_a_checkpoint_knows_nothing_of_observers():
    with_one, without = parse({"observers": ["csv"]}), parse({})

    assert as_saved(with_one) == as_saved(without)
    assert changes(as_saved(with_one), parse({"observers": ["csv(file=1)"]})) == []
