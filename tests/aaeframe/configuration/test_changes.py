"""Changes of a configuration since a checkpoint was written."""

from __future__ import annotations

from aaeframe.configuration.changes import as_saved, changes
from aaeframe.configuration.schema import parse

KEY = "training.reconstruction_weight"


def weighed(weight):
    return parse({"training": {"reconstruction_weight": weight}})


def test_a_weight_that_became_a_ramp_was_changed_and_so_was_a_ramp_that_became_a_weight():
    number, ramp = weighed(0.5), weighed({"begin": 0.1, "end": 1.0})
    assert changes(as_saved(number), ramp) == [f"{KEY} was 0.5, is a table"]
    assert changes(as_saved(ramp), number) == [f"{KEY} was a table, is 0.5"]
    assert changes(as_saved(parse({})), ramp) == [f"{KEY} was None, is a table"]


def test_within_a_ramp_the_key_is_named():
    before, after = ({"begin": 0.1, "end": end} for end in (1.0, 2.0))
    assert changes(as_saved(weighed(before)), weighed(after)) == [f"{KEY}.end was 1.0, is 2.0"]
    assert changes(as_saved(weighed(before)), weighed(before)) == []


def test_keys_of_another_version_pass():
    saved = as_saved(weighed(0.5))
    assert changes({**saved, "training.of_later": 1}, weighed(0.5)) == []
    assert changes({key: it for key, it in saved.items() if key != KEY}, weighed(0.5)) == []
    assert changes(None, weighed(0.5)) == []
