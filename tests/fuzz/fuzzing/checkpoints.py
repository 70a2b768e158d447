"""Checkpoints: state.json and safetensors, signed as a genuine one is, and wrong all the same."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import torch
from hypothesis import strategies as st
from safetensors.torch import save

from fuzzing.mutation import integers, mutated

FILES = ("model.safetensors", "optimizer.safetensors")
TENSORS = save({"model.weight": torch.ones(2, 3), "model.count": torch.tensor(7), "empty": torch.zeros(0, 3)})

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
_json |= st.sampled_from([0, 2**63, "x", "\ud800", 10**300])


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def spelled(state: dict) -> bytes:
    """The bytes of state.json as they are written: otherwise spelled, any content is damage."""
    return json.dumps(state, indent=1).encode()


def signed(state: dict) -> dict:
    """The state with the digest that a genuine one of this content has."""
    text = json.dumps(state, sort_keys=True, separators=(",", ":")).encode()
    return {**state, "digest": digest(text)}


def state_of(content: bytes) -> dict:
    """A genuine state beside a model of this content."""
    return {"format": 1, "step": 3, "digests": {FILES[0]: digest(content), FILES[1]: digest(TENSORS)}, "third": 1 / 3}


def _changed(changes: list, dropped: list[str], sign: bool) -> bytes:
    state = state_of(TENSORS)
    for key, value in changes:
        state[key] = value
    for key in dropped:
        state.pop(key, None)
    return spelled(signed(state) if sign else state)


_keys = st.sampled_from(["format", "digests", "step", "digest", "third", "more"])
_digests = st.dictionaries(st.sampled_from([*FILES, "other"]), _json, max_size=3)
_states = st.builds(
    _changed,
    st.lists(st.tuples(_keys, _json) | st.tuples(st.just("digests"), _digests), max_size=2),
    st.lists(_keys, max_size=1),
    st.sampled_from([True, True, True, False]),
)


def _nested(key: bytes, opens: bytes, depth: int) -> bytes:
    closes = b"}" if opens[:1] == b"{" else b"]"
    return b'{"format": 1, ' + key + b": " + opens * depth + b"1" + closes * depth + b"}"


_deep = st.builds(
    _nested,
    st.sampled_from([b'"a"', b'"digests"']),
    st.sampled_from([b"[", b'{"a":']),
    st.integers(850, 1100) | st.just(100_000),
)
states = _states | mutated(_changed([], [], True)) | _states.map(lambda it: it.decode().encode("utf-16")) | _deep
states |= st.sampled_from([b"[]", b"null", b'"x"', b"1", b"{}", b"9" * 5000])
states |= st.sampled_from([b'{"format": 1, "format": 2}', b'{"format": NaN}'])

_types = st.sampled_from(
    ["F32", "F64", "I64", "U8", "BOOL", "BF16", "F4", "F8_E8M0", "C64", "F6_E2M3", "X", "", 3, None]
)
_lengths = st.integers(0, 4) | integers
_tensors = st.fixed_dictionaries(
    {
        "dtype": _types,
        "shape": st.lists(_lengths, max_size=4) | st.none(),
        "data_offsets": st.tuples(_lengths, _lengths) | st.just([0, 24]) | st.none(),
    }
)


def _file(header: dict, length: int | None, values: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", (len(text) if length is None else length) & (2**64 - 1)) + text + values


def _one(kind: object, shape: list[int], size: int) -> bytes:
    return _file({"a": {"dtype": kind, "shape": shape, "data_offsets": [0, size]}}, None, bytes(size))


tensors = mutated(TENSORS) | st.builds(
    _file,
    st.dictionaries(st.sampled_from(["a", "b", "__metadata__", "é", ""]), _tensors | _json, max_size=3),
    st.none() | integers,
    st.binary(max_size=64),
)
tensors |= st.builds(_one, _types, st.lists(st.integers(0, 4), max_size=3), st.integers(0, 40))
tensors |= st.builds(lambda n: struct.pack("<Q", n) + b"[" * min(n, 10**5), st.integers(0, 2000) | st.just(10**5))


def laid_out(folder: Path, state: bytes, model: bytes) -> Path:
    """The checkpoint on the disk."""
    for name, content in (("state.json", state), (FILES[0], model), (FILES[1], TENSORS)):
        (folder / name).write_bytes(content)
    return folder
