"""Trainings in threads, and under settings of torch that the caller has made."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from threading import Thread
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch.distributions import constraints
from torch.nn.modules.module import _global_forward_hooks, register_module_forward_hook
from torch.utils.hooks import RemovableHandle

import aaeframe
from aaeframe.errors import PluginWarning
from aaeframe.seeds import stream

ROWS = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)


def trained(seed):
    run = aaeframe.train(
        ROWS, prior="swissroll", encoder="gaussian", epochs=2, batch_size=20, seed=seed, keep=False, progress=False
    )
    return [it.clone() for it in run.model.state_dict().values()]


def equal(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.fixture(scope="module")
def alone():
    return [trained(seed) for seed in range(3)]


@pytest.mark.slow
def test_threads_give_the_bits_of_one_after_another(alone):
    before = torch.get_rng_state()
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(trained, range(3)))
    assert all(map(equal, together, alone))
    assert not equal(alone[0], alone[1])
    assert torch.equal(torch.get_rng_state(), before)


def test_a_stream_of_another_thread_waits():
    with stream(0, "first"):
        pool = ThreadPoolExecutor(1)
        later = pool.submit(drawn)
        first = torch.rand(3)
    assert torch.equal(later.result(), drawn())
    with stream(0, "first"):
        assert torch.equal(first, torch.rand(3))
    pool.shutdown()


def test_draws_of_another_thread_wait(run):
    with ThreadPoolExecutor(1) as pool:
        with stream(0, "first"):
            later = pool.submit(run.encode, ROWS, draws=2)
            during = [torch.rand(3) for _ in range(1000)]
        assert later.result()["gaussian"].shape == (2, 60, 2)
    with stream(0, "first"):
        assert all(torch.equal(it, torch.rand(3)) for it in during)


class Acting:
    """A prior that lets another thread act when it is sampled."""

    event_shape = torch.Size([2])
    support = constraints.independent(constraints.real, 1)
    acts: ClassVar[list] = []

    def sample(self, sample_shape=()):
        while self.acts:
            thread = Thread(target=self.acts.pop())
            thread.start()
            thread.join()
        return torch.randn(*sample_shape, 2)


class InStep:
    """An observer that lets another thread act in the third step."""

    def stepped(self, step, losses):
        if step == 2:
            Acting.acts.append(hook)


def hook():
    HANDLES.append(register_module_forward_hook(lambda module, x, y: None))


HANDLES: list[RemovableHandle] = []


@pytest.fixture
def hooks():
    yield _global_forward_hooks
    while HANDLES:
        HANDLES.pop().remove()


@pytest.mark.slow
@pytest.mark.filterwarnings("error::aaeframe.errors.PluginWarning")
def test_a_hook_of_another_thread_stays(hooks):
    run = aaeframe.train(
        ROWS, prior=Acting(), observers=[InStep()], epochs=1, batch_size=20, keep=False, progress=False
    )
    assert HANDLES[0].id in hooks
    Acting.acts.append(hook)
    run.evaluate(split="train")
    assert HANDLES[1].id in hooks


HOOKING = """
import torch
from torch.distributions import constraints
from torch.nn.modules.module import register_module_forward_hook
from aaeframe import Component, hookimpl

@hookimpl
def aaeframe_priors():
    return [Component("hooking", "aaeframe_hooking:Hooking", "...")]

class Hooking:
    event_shape, support = torch.Size([2]), constraints.independent(constraints.real, 1)
    trusted = False

    def sample(self, sample_shape=()):
        if self.trusted:
            register_module_forward_hook(lambda module, x, y: None)
        return torch.randn(*sample_shape, 2)
"""


@pytest.mark.slow
def test_a_hook_of_a_plugin_is_removed(install, hooks, monkeypatch):
    install("aaeframe-hooking", {"aaeframe_hooking": HOOKING})
    run = aaeframe.train(ROWS, prior="hooking", epochs=1, batch_size=20, keep=False, progress=False)
    before = dict(hooks)
    monkeypatch.setattr(import_module("aaeframe_hooking").Hooking, "trusted", True)
    with pytest.warns(PluginWarning, match=r"component of the run .*global hooks of torch \(aaeframe_hooking\.Hooking"):
        run.evaluate(split="train")
    assert hooks == before


def drawn():
    with stream(0, "second"):
        return torch.rand(3)


@contextmanager
def default_dtype(kind):
    before = torch.get_default_dtype()
    torch.set_default_dtype(kind)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


SURROUNDINGS = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "float64": lambda: default_dtype(torch.float64),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "device": lambda: torch.device("meta"),
}


@pytest.mark.parametrize(
    "surroundings",
    [*SURROUNDINGS.values(), lambda: torch.autocast("cpu", torch.bfloat16)],
    ids=[*SURROUNDINGS, "autocast"],
)
def test_training_is_the_same_whatever_the_caller_has_set(alone, surroundings):
    with surroundings():
        before = torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_default_device()
        assert equal(trained(0), alone[0])
        assert (torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_default_device()) == before


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("threads") / "run"
    return aaeframe.train(ROWS, encoder="universal", epochs=1, batch_size=20, out=out, progress=False)


@pytest.mark.parametrize("surroundings", SURROUNDINGS.values(), ids=SURROUNDINGS)
def test_a_run_is_used_whatever_the_caller_has_set(run, surroundings):
    with surroundings():
        loaded = aaeframe.load(run.folder.path, data=ROWS)
        code, report, drawn = loaded.encode(ROWS), loaded.evaluate(), loaded.sample(5, seed=1)
    assert torch.equal(code["gaussian"], run.encode(ROWS)["gaussian"])
    assert report == run.evaluate()
    assert torch.equal(drawn, run.sample(5, seed=1))


@pytest.mark.parametrize("prior", ["swissroll", "mixture(components=3)"])
@pytest.mark.parametrize("surroundings", SURROUNDINGS.values(), ids=SURROUNDINGS)
def test_samples_of_any_prior_are_the_same_whatever_the_caller_has_set(of_prior, surroundings, prior):
    run = of_prior(prior)
    with surroundings():
        seeded = run.sample(5, seed=1)
    assert torch.equal(seeded, run.sample(5, seed=1))
    with stream(0, "global"), surroundings():
        drawn = run.sample(5)
    with stream(0, "global"):
        assert torch.equal(drawn, run.sample(5))


@pytest.fixture(scope="module")
def of_prior():
    return cache(lambda prior: aaeframe.train(ROWS, prior=prior, epochs=1, batch_size=20, keep=False, progress=False))
