"""The state that all code of a process shares: restored around factories of plugins, and told."""

from __future__ import annotations

import importlib
import os
import random
import subprocess
import sys
import warnings
from collections import UserDict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.distributions import Distribution, Normal
from torch.distributions.kl import register_kl
from torch.nn.modules.module import register_module_forward_hook
from torch.overrides import TorchFunctionMode

import aaeframe
from aaeframe import patches
from aaeframe.errors import PluginWarning
from aaeframe.global_state import IMPORTING, SETTINGS, guarded
from aaeframe.testing import checks_for


class Doubled(TorchFunctionMode):
    """Doubles every result of torch."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return 2 * func(*args, **(kwargs or {}))


@pytest.fixture(autouse=True)
def validating(monkeypatch):
    """The validation of distributions is on, whatever a library that other tests import has turned off."""
    monkeypatch.setattr(Distribution, "_validate_args", True)


HARM = {
    "the default dtype": lambda: torch.set_default_dtype(torch.float64),
    "the default device": lambda: torch.set_default_device("meta"),
    "the grad mode": lambda: torch.set_grad_enabled(False),
    "the number of threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "determinism": lambda: torch.use_deterministic_algorithms(True),
    "the precision of matrix products": lambda: torch.set_float32_matmul_precision("medium"),
    "the seed of torch": lambda: torch.manual_seed(12345),
    "the random state of numpy": lambda: np.random.seed(0),
    "the random state of Python": lambda: random.seed(0),
    "the backends of torch": lambda: torch.set_autocast_enabled("cpu", True),
    "the modes of torch": lambda: Doubled().__enter__(),
    "the errors of numpy": lambda: np.seterr(divide="raise"),
    "the working folder": lambda: os.chdir(os.sep),
    "environment variables": lambda: os.environ.update(AAEFRAME_DATA="elsewhere"),
    "global hooks of torch": lambda: register_module_forward_hook(lambda module, x, y: 2 * y),
    "registries of torch.distributions": lambda: register_kl(Normal, Normal)(lambda p, q: p.loc),
    "functions that others call": lambda: setattr(torch, "relu", torch.sigmoid),
    "the filters of warnings": lambda: warnings.simplefilter("ignore"),
}


def state():
    return {name: it.read() for name, it in SETTINGS.items()}


def changes(before, *free):
    """The names of the parts that changed, but for some that may."""
    return [name for name, it in SETTINGS.items() if name not in free and it.changes(before[name]) is not None]


def test_operations_may_have_precisions_of_their_own():
    conv = torch.backends.cudnn.conv
    before, conv.fp32_precision = conv.fp32_precision, "ieee"  # that of rnn stays: allow_tf32 cannot be read then
    try:
        with guarded() as changed:
            conv.fp32_precision = "tf32"
        assert conv.fp32_precision == "ieee"
    finally:
        conv.fp32_precision = before
    (name,) = changed
    assert name.startswith("the backends of torch")


def test_every_setting_has_its_harm():
    assert HARM.keys() == SETTINGS.keys()


@pytest.mark.parametrize("name", HARM)
def test_a_change_is_restored_and_named(name):
    before, drawn = state(), torch.get_rng_state()
    with guarded() as changed:
        HARM[name]()
        assert changed == []
    assert changes(before, *(IMPORTING - {name})) == []  # to make torch deterministic imports more of it
    assert torch.equal(torch.get_rng_state(), drawn)
    assert [it.partition(" (")[0] for it in changed] == [name]


PATCHES = {
    "torch.nn.functional.relu": lambda: setattr(torch.nn.functional, "relu", torch.sigmoid),
    "torch.Tensor.mean": lambda: setattr(torch.Tensor, "mean", torch.Tensor.sum),
    "torch.nn.modules.linear.Linear.forward": lambda: setattr(torch.nn.Linear, "forward", torch.nn.Module.forward),
    "torch.nn.modules.linear.Linear.__call__": lambda: setattr(torch.nn.Linear, "__call__", lambda self, x: 2 * x),
    "torch.optim.adam.Adam.step": lambda: delattr(torch.optim.Adam, "step"),
    "torch.optim.adam.Adam.__init__.__defaults__": lambda: setattr(torch.optim.Adam.__init__, "__defaults__", (1.0,)),
    "torch.distributions.distribution.Distribution._validate_args": lambda: Normal.set_default_validate_args(False),
    "numpy.random.default_rng": lambda: setattr(np.random, "default_rng", np.random.RandomState),
    "aaeframe.seeds.derive.__code__": lambda: setattr(aaeframe.seeds.derive, "__code__", (lambda seed: 0).__code__),
}


@pytest.mark.parametrize("name", PATCHES)
def test_a_patch_is_undone_and_named(name):
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # torch wraps the step of each kind of optimizer once
    before = state()
    with guarded() as changed:
        PATCHES[name]()
    assert changes(before) == []
    assert changed == [f"functions that others call ({name})"]


def test_what_torch_wraps_by_itself_is_no_patch():
    """It wraps the step of each kind of optimizer when the first is made."""
    with guarded() as changed:
        assert not hasattr(torch.optim.Rprop.step, "hooked")
        torch.optim.Rprop([torch.zeros(1, requires_grad=True)])
    assert changed == []
    assert torch.optim.Rprop.step.hooked


COMPILES = """
import torch
from aaeframe.global_state import guarded

torch.optim.AdamW([torch.zeros(1, requires_grad=True)])
with guarded() as changed:
    torch.compile(torch.nn.Linear(3, 3), backend="eager")(torch.zeros(2, 3))
    assert "mutation_guard" in torch.nn.Module.__init__.__code__.co_filename
    assert torch.optim.AdamW._init_group is not torch.optim.Adam._init_group
assert changed == [], changed
assert "mutation_guard" in torch.nn.Module.__init__.__code__.co_filename
torch.compile(torch.nn.Linear(3, 3), backend="eager")(torch.zeros(2, 3))
with guarded() as changed:
    inner = torch.nn.Module.__init__
    torch.nn.Module.__init__ = torch.compiler.disable(lambda self, *args, **kwargs: inner(self, *args, **kwargs))
assert changed == ["functions that others call (torch.nn.modules.module.Module.__init__)"], changed
assert torch.nn.Module.__init__ is inner
"""


@pytest.mark.slow
def test_the_first_torch_compile_is_no_patch():
    """It wraps the constructor of modules and some methods of optimizers, once in a process."""
    ended = subprocess.run([sys.executable, "-c", COMPILES], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_a_rule_for_a_class_of_a_plugin_is_no_patch():
    class Own(Normal):
        pass

    with guarded() as changed:
        register_kl(Own, Own)(lambda p, q: p.loc)
    assert changed == []
    assert torch.distributions.kl_divergence(Own(1.0, 1.0), Own(0.0, 1.0)) == 1.0


def test_another_thread_that_guards_waits():
    """Or what one thread changes, the other one would restore or take for its own."""
    with ThreadPoolExecutor(1) as pool:
        with guarded() as changed:
            torch.set_default_dtype(torch.float64)
            later = pool.submit(changes_of_another_thread)
            assert not later.done()
        assert [it.partition(" (")[0] for it in changed] == ["the default dtype"]
        assert later.result() == (torch.float32, [])


def changes_of_another_thread():
    with guarded() as changed:
        kind = torch.get_default_dtype()
    return kind, changed


def test_a_working_folder_that_is_deleted_stops_nothing(tmp_path, monkeypatch):
    folder = tmp_path / "deleted"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    with guarded() as changed:
        pass
    assert changed == []
    with guarded() as changed:  # there is nothing to go back to
        os.chdir(tmp_path)
    assert changed == [f"the working folder (None to {tmp_path})"]
    assert Path.cwd() == tmp_path


def test_a_working_folder_that_is_deleted_meanwhile_is_named(tmp_path, monkeypatch):
    folder = tmp_path / "deleted"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with guarded() as changed:
        folder.rmdir()
    assert changed == [f"the working folder ({folder} to None)"]


class Recording(UserDict):
    """An environment that records the names which are set or deleted."""

    def __init__(self, variables):
        self.touched = []
        super().__init__(variables)
        self.touched.clear()

    def __setitem__(self, name, value):
        self.touched.append(name)
        super().__setitem__(name, value)

    def __delitem__(self, name):
        self.touched.append(name)
        super().__delitem__(name)


def test_only_variables_that_changed_are_restored(monkeypatch):
    """Other threads read the others meanwhile."""
    environment = Recording({"KEPT": "1", "CHANGED": "1", "DELETED": "1"})
    monkeypatch.setattr(os, "environ", environment)
    with guarded({"environment variables": SETTINGS["environment variables"]}) as changed:
        environment.update(CHANGED="2", ADDED="1")
        del environment["DELETED"]
        environment.touched.clear()
    assert changed == ["environment variables (ADDED, CHANGED, DELETED)"]
    assert dict(environment) == {"KEPT": "1", "CHANGED": "1", "DELETED": "1"}
    assert sorted(environment.touched) == ["ADDED", "CHANGED", "DELETED"]


def test_it_is_restored_after_an_error():
    def harm():
        HARM["the default dtype"]()
        raise ValueError("its own")

    before = state()
    with pytest.raises(ValueError, match="its own"), guarded() as changed:
        harm()
    assert changes(before) == []
    assert changed == ["the default dtype (torch.float32 to torch.float64)"]


def test_a_library_that_draws_when_it_is_imported_is_not_named(tmp_path, monkeypatch):
    """As scikit-learn does, which many factories of data sets import."""
    (tmp_path / "drawing_library.py").write_text("import random\nrandom.random()\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = random.getstate()
    with guarded() as changed:
        importlib.import_module("drawing_library")
    monkeypatch.delitem(sys.modules, "drawing_library")
    assert changed == []
    assert random.getstate() == before


def test_numbers_that_are_drawn_stay_drawn():
    before = torch.get_rng_state()
    with guarded() as changed:
        torch.rand(3)
    assert changed == []
    assert not torch.equal(torch.get_rng_state(), before)


PRIOR = """
import torch
from torch.distributions import Independent, Normal
from aaeframe import Component, hookimpl

@hookimpl
def aaeframe_priors():
    return [Component("harmful", "aaeframe_harmful:harmful", "..."), Component("good", "aaeframe_harmful:good", "...")]

def good():
    return Independent(Normal(torch.zeros(2), 1.0), 1)

def harmful():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    return Independent(Normal(torch.zeros(2, dtype=torch.float32), 1.0), 1)
"""
ROWS = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)


def weights(prior):
    run = aaeframe.train(ROWS, prior=prior, epochs=1, batch_size=10, keep=False, progress=False)
    return list(run.model.state_dict().values())


def test_a_factory_that_changes_it_is_named_and_harms_no_training(install):
    install("aaeframe-harmful", {"aaeframe_harmful": PRIOR})
    message = (
        r"prior 'harmful' of aaeframe-harmful 1.0 changed what all code shares, .*the default dtype.*seed of torch"
    )
    with pytest.warns(PluginWarning, match=message):
        harmful = weights("harmful")
    assert all(torch.equal(it, other) for it, other in zip(harmful, weights("good"), strict=True))


def test_a_module_that_changes_it_on_import_is_named(install):
    from aaeframe.components.registry import Registry
    from aaeframe.testing.plugin import offer_checks

    hook = """
from aaeframe import Component, hookimpl

@hookimpl
def aaeframe_priors():
    return [Component("harmful", "aaeframe_importing_harm:good", "...")]
"""
    harm = "import torch\ntorch.set_default_dtype(torch.float64)\ndef good(): ..."
    install("aaeframe-importing", {"aaeframe_importing": hook, "aaeframe_importing_harm": harm})
    offer = next(it for it in Registry.load().offers("prior") if it.full_name == "aaeframe-importing:harmful")
    (check,) = offer_checks(offer)
    with pytest.raises(AssertionError, match=r"importing the prior 'harmful'.* the default dtype"):
        check()
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.slow
def test_a_check_fails_and_the_next_component_is_not_spoilt(install):
    from importlib import import_module

    install("aaeframe-harmful", {"aaeframe_harmful": PRIOR})
    module = import_module("aaeframe_harmful")
    before = state()
    for _, check in checks_for("prior", module.harmful):
        try:
            check()
        except AssertionError as error:
            assert "must leave what all code shares as it is, and changed the default dtype" in str(error)  # noqa: PT017
    assert changes(before, *IMPORTING) == []
    for _, check in checks_for("prior", module.good):
        check()


def test_drawing_from_numpy_or_python_fails_the_check():
    class Drawing:
        event_shape = torch.Size([2])
        support = torch.distributions.constraints.independent(torch.distributions.constraints.real, 1)

        def sample(self, sample_shape=()):
            return torch.from_numpy(np.random.randn(*sample_shape, 2)).float()

    checks = dict(checks_for("prior", Drawing))
    with pytest.raises(AssertionError, match="the random state of numpy"):
        checks["sample-shape"]()


def test_inside_a_steady_block_every_guard_finds_its_own_patch():
    relu, sigmoid = torch.relu, torch.sigmoid
    found = []
    with patches.steady():
        for name, value in (("relu", sigmoid), ("sigmoid", relu)):
            with guarded() as changed:
                setattr(torch, name, value)
            found += changed
    assert found == ["functions that others call (torch.relu)", "functions that others call (torch.sigmoid)"]
    assert (torch.relu, torch.sigmoid) == (relu, sigmoid)
