"""The state that all code of a process shares: restored around factories of plugins, and told."""

from __future__ import annotations

import importlib
import random
import sys
import warnings

import numpy as np
import pytest
import torch

import aaeframe
from aaeframe.errors import PluginWarning
from aaeframe.global_state import SETTINGS, guarded
from aaeframe.testing import checks_for

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
    "the filters of warnings": lambda: warnings.simplefilter("ignore"),
}


def state():
    return {name: it.seen(it.read()) for name, it in SETTINGS.items()}


def without_filters():
    """The state but for filters, which libraries add when they are imported."""
    return {name: it for name, it in state().items() if "filters" not in name}


def test_every_setting_has_its_harm():
    assert HARM.keys() == SETTINGS.keys()


@pytest.mark.parametrize("name", HARM)
def test_a_change_is_restored_and_named(name):
    before, drawn = state(), torch.get_rng_state()
    with guarded() as changed:
        HARM[name]()
        assert changed == []
    assert state()[name] == before[name]
    assert torch.equal(torch.get_rng_state(), drawn)
    assert [it.partition(" (")[0] for it in changed] == [name]


def test_it_is_restored_after_an_error():
    def harm():
        HARM["the default dtype"]()
        raise ValueError("its own")

    before = state()
    with pytest.raises(ValueError, match="its own"), guarded() as changed:
        harm()
    assert state() == before
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


def test_a_check_fails_and_the_next_component_is_not_spoilt(install):
    from importlib import import_module

    install("aaeframe-harmful", {"aaeframe_harmful": PRIOR})
    module = import_module("aaeframe_harmful")
    before = without_filters()
    for _, check in checks_for("prior", module.harmful):
        try:
            check()
        except AssertionError as error:
            assert "must leave what all code shares as it is, and changed the default dtype" in str(error)  # noqa: PT017
    assert without_filters() == before
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
