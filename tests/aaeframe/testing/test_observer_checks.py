"""Checks of observers: they find what is wrong, and let pass what is right."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from aaeframe.errors import ConfigError, StopRun
from aaeframe.testing import checks_for, plan
from aaeframe.training.observers import Observer


class Good:
    def epoch_ended(self, row, warnings):
        pass


def breaking(**members):
    return lambda: type("Bad", (Good,), members)()


def failures(factory):
    found = {}
    for name, check in checks_for("observer", factory):
        try:
            check()
        except AssertionError as error:
            found[name] = str(error)
    return found


@pytest.mark.parametrize("good", [Good, breaking(stepped=lambda self, step, losses: dict(losses))])
def test_a_good_one_passes(good):
    assert failures(good) == {}


def _fails_once_resumed(self, config, folder, steps, step):
    if step:
        raise KeyError("state")


def _stops(self, step, losses):
    raise StopRun("enough")


def _draws(self, step, losses):
    torch.rand(1)


def _keeps(self, step, losses):
    if hasattr(self, "kept"):
        self.kept["reconstruction"]
    self.kept = losses


@pytest.mark.parametrize(
    ("members", "check", "message"),
    [
        ({"run_started": lambda self, config: None}, "observer-calls", "run_started fails: TypeError"),
        ({"drawn": lambda self, paths: paths[1]}, "observer-calls", "drawn fails: IndexError"),
        ({"stepped": _keeps}, "observer-calls", "stepped fails: RuntimeError: the losses of step 1 were read after"),
        ({"run_started": _fails_once_resumed}, "observer-resume", "run_started fails: KeyError: 'state'"),
        ({"stepped": _draws}, "observer-random-state", "moves torch's random state"),
        ({"stepped": lambda self, *_: print("loss")}, "observer-output", "writes to standard output: 'loss"),
        ({"run_ended": 3}, "observer-members", "has a member run_ended that cannot be called: 3"),
        ({"reported": lambda self, name, report: report["loss"]}, "observer-calls", "reported fails: KeyError"),
    ],
)
def test_what_is_wrong_is_found(members, check, message):
    assert message in failures(breaking(**members))[check]


@pytest.mark.parametrize("factory", [object, type("Inherits", (Observer,), {})])
def test_an_object_without_members_is_no_observer(factory):
    assert "has none of the members of an observer: run_started" in failures(lambda: factory())["observer-members"]


def test_ending_a_run_is_no_failure():
    assert failures(breaking(stepped=_stops)) == {}


def test_one_that_needs_a_folder_may_say_so():
    def refuses(self, config, folder, steps, step):
        if folder is None:
            raise ValueError("needs a folder")

    outcomes = {it.id: it.run() for it in plan("observer", breaking(run_started=refuses)) if it.id != "options"}
    assert outcomes["observer-memory"] == "refused: needs a folder"


def test_one_whose_extra_is_not_installed_is_not_checked():
    def factory():
        raise ConfigError("pip install it") from ImportError("none")

    inapplicable = {it.id: it.inapplicable for it in plan("observer", partial(factory))}
    assert inapplicable == {"options": None, "builds": "refused: pip install it"}
