from __future__ import annotations

import errno
import hashlib
import json
import os
import pickle
import shutil
from collections import Counter

import numpy as np
import pytest
import torch

from aaeframe.errors import CheckpointError, RunError, UnusableCheckpoint
from aaeframe.storage.checkpoint import (
    FORMAT,
    Checkpoint,
    latest,
    newest_intact,
    newest_or_raise,
    paths,
    read,
    set_aside,
    write,
)

FILES = ["model.safetensors", "optimizer.safetensors", "state.json"]


def made(step=0):
    model = {"model.weight": torch.full((2, 3), float(step)), "model.count": torch.tensor(step)}
    optimizer = {"rng.cpu": torch.arange(16, dtype=torch.uint8), "sums.loss": torch.tensor(0.1, dtype=torch.float64)}
    return Checkpoint(model, optimizer, {"step": step, "batches": {"epoch": 1, "position": 2}, "third": 1 / 3})


def assert_equal(found, expected):
    for mine, theirs in ((found.model, expected.model), (found.optimizer, expected.optimizer)):
        assert mine.keys() == theirs.keys()
        for name in mine:
            assert mine[name].dtype == theirs[name].dtype
            assert torch.equal(mine[name], theirs[name])
    assert {key: found.state[key] for key in expected.state} == expected.state


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "checkpoints"


@pytest.fixture
def path(folder):
    return write(folder, 7, made(7))


def test_what_was_written_is_read(path):
    assert path.name == "step-00000007"
    assert sorted(file.name for file in path.iterdir()) == FILES
    assert_equal(read(path), made(7))
    assert read(path).state["format"] == FORMAT


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64, torch.int64, torch.bool])
def test_every_dtype_and_shape_keeps_its_bits(folder, dtype):
    values = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).to(dtype)
    model = {"whole": values, "transposed": values.T, "scalar": values[1, 1], "empty": values[:0]}
    assert_equal(read(write(folder, 1, Checkpoint(model, {}, {}))), Checkpoint(model, {}, {}))


def test_tensors_that_share_memory_are_each_kept(folder):
    tied = torch.arange(6.0)
    model = {"encoder.weight": tied, "decoder.weight": tied, "view": tied[2:], "expanded": tied[:1].expand(3)}
    assert_equal(read(write(folder, 1, Checkpoint(model, {}, {}))), Checkpoint(model, {}, {}))


def test_the_last_two_are_kept_in_the_order_of_their_steps(folder):
    for step in (0, 9, 10, 99_999_999, 100_000_000):
        write(folder, step, made(step))
    assert [it.name for it in paths(folder)] == ["step-99999999", "step-100000000"]
    assert_equal(read(latest(folder)), made(100_000_000))


def test_no_checkpoint_is_an_error(folder):
    assert paths(folder) == []
    with pytest.raises(CheckpointError, match=r"there is no checkpoint in .*checkpoints.*train anew"):
        latest(folder)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("keep", [0, 1, 20, -1])
def test_a_truncated_file_is_named(path, file, keep):
    content = (path / file).read_bytes()
    (path / file).write_bytes(content[:keep])
    with pytest.raises(CheckpointError, match=rf"{file} cannot be used: ") as caught:
        read(path)
    assert caught.value.exit_code == 2


def assert_noticed(path, file, bits):
    """Each of these bits, flipped alone, is noticed."""
    content = (path / file).read_bytes()
    for bit in bits:
        altered = bytearray(content)
        altered[bit // 8] ^= 1 << int(bit) % 8
        (path / file).write_bytes(altered)
        with pytest.raises(UnusableCheckpoint, match=rf"{path.name}/.* cannot be used: "):
            read(path)


@pytest.mark.parametrize("file", FILES)
def test_a_flipped_bit_in_any_byte_is_noticed(path, file):
    size = (path / file).stat().st_size
    assert_noticed(path, file, 8 * np.arange(size) + np.random.default_rng(0).integers(8, size=size))


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_every_flipped_bit_is_noticed(path, file):
    assert_noticed(path, file, range(8 * (path / file).stat().st_size))


def spoil(rng, content):
    """The content after an accident: bits flipped, cut off, grown, a stretch of it gone, zeroed or written twice."""
    size, altered = len(content), bytearray(content)
    first, last = sorted(int(it) for it in rng.integers(0, size + 1, 2))
    match rng.integers(6):
        case 0:
            for bit in rng.choice(8 * size, rng.integers(1, 20), replace=False):
                altered[bit // 8] ^= 1 << bit % 8
        case 1:
            del altered[first:]
        case 2:
            altered += rng.bytes(rng.integers(1, 100))
        case 3:
            altered[first:last] = bytes(last - first)
        case 4:
            del altered[first:last]
        case 5:
            altered[first:last] = altered[last : 2 * last - first]
    return bytes(altered)


@pytest.mark.slow
def test_accidents_are_noticed_before_anything_is_used_and_the_older_one_stands_in(folder, path):
    newer, rng, warn = write(folder, 8, made(8)), np.random.default_rng(0), Counter()
    while warn.total() < 1000:
        file = newer / FILES[rng.integers(len(FILES))]
        content = file.read_bytes()
        spoilt = spoil(rng, content)
        if spoilt == content:
            continue
        file.write_bytes(spoilt)
        found = newest_intact(folder)
        assert found.path == path
        assert_equal(found.checkpoint, made(7))
        assert [newer] == list(found.skipped)
        assert f"{newer.name}/" in found.skipped[newer]
        assert " cannot be used: " in found.skipped[newer]
        file.write_bytes(content)
        warn[file.name] += 1
    assert min(warn[name] for name in FILES) > 250
    assert_equal(newest_intact(folder).checkpoint, made(8))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"step": 7', '"step":  7'),
        ('"step": 7', '"\\u0073tep": 7'),
        ('"step": 7', '"step": 8,\n "step": 7'),
        ("0.3333333333333333", "0.33333333333333330"),
        ("0.3333333333333333", "3.333333333333333e-1"),
        ("\n}", "\n}\n"),
        ("\n}", "\n\t}"),
    ],
)
def test_a_state_that_says_the_same_in_other_bytes_is_refused(path, old, new):
    file = path / "state.json"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    assert json.loads(file.read_text()) == json.loads(text)
    with pytest.raises(UnusableCheckpoint, match=r"state.json cannot be used: its content is not formatted as it was"):
        read(path)


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_is_named(path, file):
    (path / file).unlink()
    with pytest.raises(CheckpointError, match=rf"{file} cannot be used: No such file or directory"):
        read(path)


def with_its_digest(state):
    """A state.json as someone writes it who knows how."""
    state = {key: value for key, value in state.items() if key != "digest"}
    canonical = json.dumps(state, sort_keys=True, separators=(",", ":")).encode()
    return json.dumps({**state, "digest": hashlib.sha256(canonical).hexdigest()}, indent=1)


def test_a_newer_format_says_to_upgrade_and_no_older_checkpoint_stands_in(folder, path):
    newer = write(folder, 8, made(8))
    state = json.loads((newer / "state.json").read_text())
    (newer / "state.json").write_text(with_its_digest({**state, "format": FORMAT + 1, "of": "later times"}))
    for look in (lambda: read(newer), lambda: newest_intact(folder), lambda: newest_or_raise(folder)):
        with pytest.raises(
            CheckpointError, match=rf"has format {FORMAT + 1}; .* up to {FORMAT}: upgrade aaeframe"
        ) as it:
            look()
        assert not isinstance(it.value, UnusableCheckpoint)


def test_what_may_be_of_a_newer_format_or_damaged_is_told_as_both(path):
    text = (path / "state.json").read_text()
    (path / "state.json").write_text(text.replace(f'"format": {FORMAT}', f'"format": {FORMAT + 8}'))
    with pytest.raises(
        UnusableCheckpoint, match=r"its digest is not that of its content, and it has format .* upgrade"
    ):
        read(path)


def test_a_state_without_the_digests_of_the_files_is_refused(path):
    state = json.loads((path / "state.json").read_text())
    for digests in ({}, {"model.safetensors": "0"}, None, 3):
        (path / "state.json").write_text(with_its_digest({**state, "digests": digests}))
        with pytest.raises(UnusableCheckpoint, match=r"state.json cannot be used: it holds no digests of model"):
            read(path)


@pytest.mark.parametrize(
    "text",
    ["", "step: 7", "[" * 100_000, "\udcff", "[]", "7", "null", "{}", '{"format": "1"}'],
    ids=["empty", "yaml", "deep", "bytes", "list", "number", "null", "no-format", "text-format"],
)
def test_a_state_that_is_no_state_is_refused(path, text):
    (path / "state.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(CheckpointError, match=r"state.json cannot be used: it (is not JSON|names no format)"):
        read(path)


def test_files_of_two_checkpoints_do_not_mix(folder, path):
    other = write(folder, 8, made(8))
    shutil.copy(other / "model.safetensors", path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"model.safetensors cannot be used: its SHA-256 is"):
        read(path)


class Bomb:
    def __reduce__(self):
        return (os.mkdir, ("exploded",))


def test_code_is_never_run_even_with_the_right_digests(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps(Bomb())
    (path / "model.safetensors").write_bytes(content)
    state = json.loads((path / "state.json").read_text())
    state["digests"]["model.safetensors"] = hashlib.sha256(content).hexdigest()
    (path / "state.json").write_text(with_its_digest(state))
    with pytest.raises(CheckpointError, match=r"cannot be used: .*[Hh]eader"):
        read(path)
    assert not (tmp_path / "exploded").exists()


def test_leftovers_of_an_interrupted_write_are_ignored_and_then_cleaned(folder, path):
    leftover = folder / ".step-00000008.4242.tmp"
    leftover.mkdir()
    (leftover / "model.safetensors").write_bytes(b"half")
    (folder / "notes.txt").write_text("not ours")
    assert latest(folder) == path
    write(folder, 9, made(9))
    assert sorted(it.name for it in folder.iterdir()) == ["notes.txt", "step-00000007", "step-00000009"]


@pytest.mark.parametrize("call", range(5))
def test_a_disk_that_fills_up_at_any_time_leaves_a_whole_checkpoint(folder, path, monkeypatch, call):
    flush, calls = os.fsync, []

    def refuse(descriptor):
        calls.append(descriptor)
        if len(calls) == call + 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(RunError, match=r"cannot write .*step-00000008: No space left on device"):
        write(folder, 8, made(8))
    monkeypatch.undo()
    found = latest(folder)
    assert_equal(read(found), made(int(found.name.removeprefix("step-"))))
    assert_equal(read(path), made(7))
    assert not list(folder.glob(".*"))
    write(folder, 9, made(9))
    assert_equal(read(latest(folder)), made(9))


def test_a_run_that_was_removed_does_not_come_back_as_half(tmp_path):
    with pytest.raises(RunError, match=rf"cannot write .*There is no folder {tmp_path / 'run'}: if it was removed"):
        write(tmp_path / "run" / "checkpoints", 1, made(1))
    assert list(tmp_path.iterdir()) == []


def test_what_is_set_aside_is_no_checkpoint_any_more_and_all_there(folder, path):
    for _ in range(2):
        content = {file.name: file.read_bytes() for file in path.iterdir()}
        aside = set_aside(path)
        assert paths(folder) == []
        assert {file.name: file.read_bytes() for file in aside.iterdir()} == content
        write(folder, 7, made(9))
    assert sorted(it.name for it in folder.iterdir()) == ["set-aside-step-00000007", "step-00000007"]


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot write .*step-00000001: Not a directory"):
        write(tmp_path / "file" / "checkpoints", 1, made(1))


def test_a_checkpoint_is_never_overwritten(folder, path):
    with pytest.raises(RunError, match=r"cannot write .*step-00000007"):
        write(folder, 7, made(0))
    assert_equal(read(path), made(7))


def rewritten(path, change, model=None):
    """The checkpoint with its state changed, and signed as a genuine one is."""
    state = json.loads((path / "state.json").read_text())
    if model is not None:
        (path / "model.safetensors").write_bytes(model)
        state["digests"]["model.safetensors"] = hashlib.sha256(model).hexdigest()
    state.pop("digest")
    state = change(state)
    canonical = json.dumps(state, sort_keys=True, separators=(",", ":")).encode()
    signed = {**state, "digest": hashlib.sha256(canonical).hexdigest()}
    (path / "state.json").write_text(json.dumps(signed, indent=1))  # as it is written: otherwise spelled, it is damage
    return path


@pytest.mark.parametrize("digests", [None, 3, [], {}])
def test_a_state_without_digests_is_damaged(path, digests):
    with pytest.raises(CheckpointError, match=r"state\.json cannot be used: it holds no digests of"):
        read(rewritten(path, lambda state: {**state, "digests": digests}))


@pytest.mark.parametrize("kind", ["F4", "F6_E2M3", "F8_E8M0", "X"])
def test_a_tensor_of_a_type_that_torch_lacks_is_damage(path, kind):
    header = json.dumps({"a": {"dtype": kind, "shape": [4, 2], "data_offsets": [0, 4]}}).encode()
    with pytest.raises(CheckpointError, match="cannot be used"):
        read(rewritten(path, dict, len(header).to_bytes(8, "little") + header + bytes(4)))


def test_a_state_that_is_too_deep_is_damaged(path):
    for depth in range(900, 1000, 3):
        (path / "state.json").write_text('{"format": 1, "a": ' + '{"a": ' * depth + "1" + "}" * depth + "}")
        with pytest.raises(CheckpointError, match=r"state\.json cannot be used"):
            read(path)


def test_a_state_without_end_is_not_read(path):
    os.truncate(path / "state.json", 2**30)  # of which the disk holds a page
    with pytest.raises(CheckpointError, match=r"it has 1073741824 bytes, where at most \d+ are read"):
        read(path)


@pytest.mark.parametrize("file", FILES)
def test_a_pipe_is_not_waited_for(path, file):
    (path / file).unlink()
    os.mkfifo(path / file)
    with pytest.raises(CheckpointError, match=rf"{file} cannot be used: it is not a file"):
        read(path)


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.safetensors"])
def test_weights_larger_than_their_header_declares_are_refused_before_they_are_read(path, file):
    with (path / file).open("r+b") as opened:
        opened.truncate(10 * 2**30)  # sparse
    with pytest.raises(UnusableCheckpoint, match=r"it has 10737418240 bytes, where its header declares \d{2,6}$"):
        read(path)
