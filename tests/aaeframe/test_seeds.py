from __future__ import annotations

import pytest
import torch

from aaeframe.seeds import derive, generator, stream


def test_a_derived_seed_is_a_fixed_function_of_its_arguments():
    # Pinned: a run made by one version must be resumable by the next.
    assert derive(0, "order", "unlabeled", 3) == 8077401050087596487
    assert derive(0, "order") == derive(0, "order")


def test_seeds_of_other_streams_differ():
    seeds = [derive(seed, *names) for seed in (0, 1) for names in [(), ("a",), ("b",), ("a", 0), ("a", 1), ("a0",)]]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_generator_is_its_own(caller_state):
    first = torch.rand(3, generator=generator(5, "a"))
    assert torch.equal(first, torch.rand(3, generator=generator(5, "a")))
    assert not torch.equal(first, torch.rand(3, generator=generator(6, "a")))


def test_a_stream_runs_on_the_global_generator_and_leaves_it(caller_state):
    with stream(5, "a"):
        first = torch.rand(3)
    torch.rand(1)
    with stream(5, "a"):
        assert torch.equal(first, torch.rand(3))
    with stream(5, "b"):
        assert not torch.equal(first, torch.rand(3))
    torch.set_rng_state(caller_state)


def test_streams_nest():
    with stream(5, "a"):
        whole = torch.rand(4)
    with stream(5, "a"):
        start = torch.rand(2)
        with stream(5, "b"):
            torch.rand(100)
        assert torch.equal(torch.cat([start, torch.rand(2)]), whole)


def test_a_stream_that_fails_leaves_the_callers_state(caller_state):
    def fail():
        torch.rand(3)
        raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"), stream(5, "a"):
        fail()


@pytest.fixture
def caller_state():
    """The state of torch's global generator, which must be the same at the end of the test."""
    before = torch.get_rng_state()
    yield before
    assert torch.equal(torch.get_rng_state(), before)
