"""The running estimate: merged, saved, sent to other processes."""

from __future__ import annotations

import pickle

import pytest
import torch
from safetensors.torch import load, save

from aaeframe_kernels.parzen import ParzenState
from aaeframe_kernels.parzen import state as state_module
from aaeframe_kernels.parzen.inputs import rows

BANDWIDTHS = [0.1, 0.3]
EXACT = {"rtol": 1e-13, "atol": 1e-12}


def seen(x, *chunks):
    state = ParzenState(x, BANDWIDTHS)
    for chunk in chunks:
        state.update(chunk)
    return state


def merged(*states):
    first, *others = (ParzenState.from_state_dict(state.state_dict()) for state in states)
    for other in others:
        first.merge(other)
    return first


def test_merging_is_seeing_all(pixels, samples):
    a, b = samples.split([100, 111])
    both = merged(seen(pixels, a), seen(pixels, b))
    assert both.count == 211
    assert torch.equal(both.log_likelihood(), seen(pixels, a, b).log_likelihood())


def test_merging_is_associative_and_the_order_does_not_matter(pixels, samples):
    a, b, c = (seen(pixels, chunk) for chunk in samples.split([60, 1, 150]))
    expected = merged(merged(a, b), c).log_likelihood()
    torch.testing.assert_close(merged(a, merged(b, c)).log_likelihood(), expected, **EXACT)
    torch.testing.assert_close(merged(c, b, a).log_likelihood(), expected, **EXACT)


def test_the_same_again_is_the_same_bits(pixels, samples):
    assert torch.equal(seen(pixels, samples).log_likelihood(), seen(pixels, samples).log_likelihood())


def test_a_state_that_saw_nothing_is_neutral(pixels, samples):
    expected = seen(pixels, samples).log_likelihood()
    for order in ((seen(pixels), seen(pixels, samples)), (seen(pixels, samples), seen(pixels))):
        assert torch.equal(merged(*order).log_likelihood(), expected)
    assert merged(seen(pixels), seen(pixels)).count == 0


def test_it_goes_on_exactly_from_safetensors(pixels, samples):
    a, b = samples.split([100, 111])
    restored = ParzenState.from_state_dict(load(save(seen(pixels, a).state_dict())), pixels)
    restored.update(b)
    whole = seen(pixels, a, b)
    assert torch.equal(restored.log_likelihood(), whole.log_likelihood())
    assert restored.paths == whole.paths


def test_pickled_it_goes_on_exactly(pixels, samples):
    a, b = samples.split([100, 111])
    restored = pickle.loads(pickle.dumps(seen(pixels, a)))
    restored.update(b)
    assert torch.equal(restored.log_likelihood(), seen(pixels, a, b).log_likelihood())


def test_what_was_saved_does_not_move_on(pixels, samples):
    state = seen(pixels, samples)
    saved = state.state_dict()
    before = {name: tensor.clone() for name, tensor in saved.items()}
    state.update(samples * 0.5)
    assert all(torch.equal(saved[name], before[name]) for name in before)


def test_bytes_and_the_same_values_as_floats_are_the_same_x(pixels, samples):
    a, b = seen(pixels, samples), seen(pixels / 255, samples)
    a.merge(b)
    assert a.count == 422


def test_without_x_it_can_be_read_but_not_updated(pixels, samples):
    state = ParzenState.from_state_dict(seen(pixels, samples).state_dict())
    assert torch.equal(state.log_likelihood(), seen(pixels, samples).log_likelihood())
    with pytest.raises(ValueError, match="restored without x"):
        state.update(samples)


def test_another_x_is_refused(pixels, samples):
    state = seen(pixels, samples)
    with pytest.raises(ValueError, match="different x"):
        state.merge(seen(pixels.flip(0), samples))
    with pytest.raises(ValueError, match="not the one"):
        ParzenState.from_state_dict(state.state_dict(), pixels.flip(0))


def test_other_bandwidths_are_refused(pixels, samples):
    other = ParzenState(pixels, [0.1, 0.4])
    other.update(samples)
    with pytest.raises(ValueError, match=r"bandwidths.*0\.3.*0\.4"):
        seen(pixels, samples).merge(other)


def test_an_update_that_fails_leaves_nothing_behind(pixels, samples):
    state = seen(pixels, samples)
    before = state.state_dict()
    with pytest.raises(ValueError, match=r"samples must be finite.* 1 of "):
        state.update(torch.cat([samples, torch.full((1, 3, 5), float("inf"))]), chunk_size=100)
    after = state.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_samples_are_converted_chunk_by_chunk(pixels, samples, monkeypatch):
    converted = []
    monkeypatch.setattr(state_module, "rows", lambda part, name: converted.append(len(part)) or rows(part, name))
    state = ParzenState(pixels, BANDWIDTHS)
    converted.clear()
    state.update(samples.half(), chunk_size=100)
    assert converted == [100, 100, 11]


def test_there_is_no_density_before_the_first_sample(pixels):
    with pytest.raises(ValueError, match="no samples"):
        ParzenState(pixels, 0.2).log_likelihood()
