"""A run from a stranger: whatever its folder holds, none of it is run, and nothing outside of it is touched."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import sys
import tomllib

import pytest
import tomli_w
import torch
from safetensors.torch import load_file, save_file

from aaeframe.errors import CheckpointError, RunError
from aaeframe.evaluation.resumable import Keep
from aaeframe.storage.atomic import write_atomically

OPENED = ("sample RUN", "evaluate RUN", "train --resume RUN")
ESCAPES = "\x1b[2J\x1b]0;owned\x07\r\x9b2Jx"
EVIL = "from pathlib import Path\nPath({!r}).touch()\ndef thing(*args, **options): raise AssertionError\n"


@pytest.fixture
def victim(tmp_path):
    """A folder outside of the run, with a file that nobody may change."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "mine").write_text("mine\n" * 100)
    yield folder
    assert [path.name for path in folder.iterdir()] == ["mine"]
    assert (folder / "mine").read_text() == "mine\n" * 100


def newest(run):
    return max((run / "checkpoints").glob("step-*"))


def seal(checkpoint, **changes):
    """Write the digests that belong to what is there, as anyone can: they find damage, not malice."""
    state = {**json.loads((checkpoint / "state.json").read_text()), **changes}
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in checkpoint.glob("*.safetensors")}
    state = {**state, "digests": digests}
    state.pop("digest", None)
    canonical = json.dumps(state, sort_keys=True, separators=(",", ":")).encode()
    state["digest"] = hashlib.sha256(canonical).hexdigest()
    (checkpoint / "state.json").write_text(json.dumps(state, indent=1))


def configure(run, *path, value):
    """Set a key of the run's configuration."""
    whole = part = tomllib.loads((run / "config.toml").read_text())
    for key in path[:-1]:
        part = part.setdefault(key, {})
    part[path[-1]] = value
    (run / "config.toml").write_text(tomli_w.dumps(whole))


# Pickles.


@pytest.mark.parametrize("command", OPENED)
@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.safetensors"])
def test_a_pickle_in_place_of_tensors_with_the_right_digest(cli, refused, run, bomb, file, command):
    for checkpoint in (run / "checkpoints").glob("step-*"):  # resuming passes over what is damaged
        (checkpoint / file).write_bytes(pickle.dumps(bomb))
        seal(checkpoint)
    refused(cli(*command.replace("RUN", str(run)).split()), "can be used")


@pytest.mark.parametrize("command", OPENED)
def test_a_pickle_in_place_of_the_state(cli, refused, run, bomb, command):
    for checkpoint in (run / "checkpoints").glob("step-*"):
        (checkpoint / "state.json").write_bytes(pickle.dumps(bomb))
    refused(cli(*command.replace("RUN", str(run)).split()), "state.json cannot be used: it is not JSON")


@pytest.mark.slow
def test_a_pickle_that_is_passed_over_by_resuming_is_not_opened(cli, run, bomb):
    (newest(run) / "model.safetensors").write_bytes(pickle.dumps(bomb))
    seal(newest(run))
    done = cli("train", "--resume", str(run))
    assert done.code == 0
    assert "cannot be used" in done.err
    assert "the newest intact one, is used instead" in done.err


@pytest.mark.parametrize(("name", "command"), [("config.toml", "sample"), ("metrics.jsonl", "figures")])
def test_a_pickle_in_place_of_a_text(cli, refused, run, bomb, name, command):
    (run / name).write_bytes(pickle.dumps(bomb))
    refused(cli(command, run), name)


def test_a_pickle_in_place_of_an_unfinished_estimate_with_the_right_digest(tmp_path, bomb):
    path, content = Keep(tmp_path, {"samples": 50}).path, pickle.dumps(bomb)
    path.write_bytes(hashlib.sha256(content).hexdigest().encode() + content)
    with pytest.raises(CheckpointError, match="is damaged"):
        Keep(tmp_path, {"samples": 50})


# What no training wrote, with the right digests.

STATES = {
    "no place": {"batches": None},
    "a place before the beginning": {"batches": {"epoch": -1, "position": 0}},
    "a place beyond an epoch": {"batches": {"epoch": 0, "position": 10**9}},
    "a place that is no number": {"batches": {"epoch": 0, "position": "1; import os"}},
    "a step that is none": {"step": True},
    "a shape of many dimensions": {"data": {"shape": [8] * 50, "support": "real", "num_classes": None}},
    "a shape that no memory holds": {"data": {"shape": [2**40], "support": "real", "num_classes": None}},
    "a negative shape": {"data": {"shape": [-1], "support": "real", "num_classes": None}},
    "an attribute as support": {"data": {"shape": [1, 8, 8], "support": "__class__", "num_classes": None}},
    "data of another shape": {"data": {"shape": [3, 3], "support": "real", "num_classes": None}},
    "metrics to cut to nothing": {"metrics_bytes": -1},
    "sums of a text": {"summed_steps": "1"},
    "a monitor that is code": {"monitor": "os.system"},
    "an environment that is a list": {"environment": []},
}
CONCERNED = {"a place beyond an epoch": OPENED[2:], "data of another shape": OPENED[:2]}
"""The commands that find it, where not all do."""


@pytest.mark.parametrize("name", STATES)
def test_a_state_that_no_training_wrote_is_refused(cli, refused, run, name):
    seal(newest(run), **STATES[name])
    configure(run, "training", "epochs", value=2)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    for command in CONCERNED.get(name, OPENED):
        refused(cli(*command.replace("RUN", str(run)).split()), "checkpoint")
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


TENSORS = {
    "a parameter that is no number": ("optimizer.reconstruction.os.system", torch.zeros(3)),
    "a parameter that is not there": ("optimizer.reconstruction.999.exp_avg", torch.zeros(3)),
    "a moment of another shape": ("optimizer.reconstruction.0.exp_avg", torch.zeros(3)),
    "a sum of many numbers": ("sums.reconstruction", torch.zeros(3)),
}


@pytest.mark.parametrize(("name", "tensor"), TENSORS.values(), ids=TENSORS)
def test_tensors_that_no_training_wrote_are_refused(cli, refused, run, name, tensor):
    file = newest(run) / "optimizer.safetensors"
    tensors = {**load_file(file), name: tensor}
    save_file({key: it for key, it in tensors.items() if it is not None}, file)
    seal(newest(run))
    configure(run, "training", "epochs", value=2)
    refused(cli("train", "--resume", run), "does not fit the training its configuration describes")


@pytest.mark.parametrize(
    "mean", [None, torch.zeros(3), torch.zeros(1, 8, 8, dtype=torch.int64), torch.zeros(9, 1, 1, 1)]
)
def test_data_without_a_mean_of_its_shape_are_refused(cli, refused, run, mean):
    file = newest(run) / "model.safetensors"
    save_file({key: it for key, it in {**load_file(file), "model.mean": mean}.items() if it is not None}, file)
    seal(newest(run))
    refused(cli("sample", run), "holds no mean and std of data of shape (1, 8, 8)")


# Names of components.

NAMES = (
    *("os:system", "os.system", "subprocess:Popen", "builtins:eval", "builtins:__import__", "evil:thing", "evil.thing"),
    *("aaeframe_evil:thing", "aaeframe:evil", "../evil:thing", "/etc/passwd", "file:///evil.py:thing", "python:evil"),
    *("aaeframe_plugins.encoders.universal:universal", "torch.hub:load", "\x1b[2Jos:system", "__class__", ""),
)
PLACES = {
    "prior": ("prior", "swissroll", "component"),
    "encoder": ("encoder", "component"),
    "network": ("network", "component"),
    "discriminator": ("discriminator", "component"),
    "discriminator of a block": ("prior", "swissroll", "discriminator", "component"),
}


@pytest.fixture
def evil(tmp_path, monkeypatch, canary):
    """A module that could be imported by its name, and would then do harm."""
    folder = tmp_path / "evil"
    folder.mkdir()
    for name in ("evil", "aaeframe_evil"):
        (folder / f"{name}.py").write_text(EVIL.format(str(canary)))
    monkeypatch.syspath_prepend(folder)
    monkeypatch.chdir(folder)
    yield
    assert {"evil", "aaeframe_evil"}.isdisjoint(sys.modules)


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_no_place_takes_a_module(cli, refused, run, evil, place):
    for name in ("os:system", "evil:thing", "aaeframe_evil:thing"):
        configure(run, *place, value=name)
        refused(cli("sample", run), repr(name))


@pytest.mark.parametrize("name", NAMES)
def test_a_component_is_what_a_plugin_offers_and_never_a_module_of_the_file(cli, refused, run, evil, name):
    configure(run, "encoder", "component", value=name)
    as_object = "the encoder was an object from Python (evil)"  # which only the caller's program can pass again
    message = as_object if name.startswith("python:") else f"no active plugin offers a encoder named {name!r}"
    refused(cli("sample", run), message)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_holds_for_a_configuration_file(cli, refused, tmp_path, evil, name):
    config = tmp_path / "given.toml"
    config.write_text(tomli_w.dumps({"prior": {"z": {"component": name}}}))
    refused(cli("train", "--config", config, "--out", tmp_path / "new"))
    assert not (tmp_path / "new").exists()


OTHER_NAMES = {
    ("recipe", "component"): "no active plugin offers a recipe named 'evil:thing'",
    ("training", "schedule"): "has no schedule 'evil:thing'",
    ("training", "loss"): "training.loss: should be",
    ("training", "device"): "'evil:thing' is not a device",
    ("optimizers", "generator", "name"): "optimizers.generator: there is no 'evil:thing'",
}


@pytest.mark.parametrize(("place", "message"), OTHER_NAMES.items(), ids=lambda it: str(it))
def test_whatever_else_has_a_name_is_one_of_ours(cli, refused, run, evil, place, message):
    configure(run, *place, value="evil:thing")
    refused(cli("train", "--resume", run), message)


OPTIONS = {
    "code in a number": ("turns", "__import__('evil')"),
    "a table in a number": ("turns", {"__class__": "evil.thing"}),
    "a factory": ("factory", "evil:thing"),
    "the class": ("__class__", "evil:thing"),
    "what Python passes": ("self", "evil:thing"),
    "an attribute": ("__init__", {"evil": "thing"}),
}


@pytest.mark.parametrize(("option", "value"), OPTIONS.values(), ids=OPTIONS)
def test_options_are_the_factorys_own_and_of_its_types(cli, refused, run, evil, option, value):
    configure(run, "prior", "swissroll", "options", option, value=value)
    refused(cli("sample", run), option)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["evil:thing", "http://127.0.0.1:1/x.npz", "file:///etc/passwd", "../../evil", "/"])
def test_the_data_of_a_run_are_a_name_of_ours_or_a_file_that_is_read(cli, refused, run, evil, source):
    configure(run, "data", "source", value=source)
    refused(cli("evaluate", run))


@pytest.mark.parametrize("block", ["../../evil", "/evil", "a/b", "a\nb", "..", ""])
def test_a_block_is_named_by_no_path(cli, refused, run, canary, block):
    configure(run, "prior", value={block: {"component": "gaussian"}})
    refused(cli("sample", run), "is no name of a block")


@pytest.mark.parametrize("name", ["../../evil", "/etc/passwd", "..", "evil:thing"])
def test_a_preset_is_named_by_no_path(cli, refused, evil, name):
    refused(cli("train", "--preset", name), "no preset is named")


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "evil:thing"])
def test_a_plugin_is_named_by_no_path(cli, refused, evil, name):
    refused(cli("--no-plugin", name, "plugins", "list"), f"cannot block {name!r}")
    refused(cli("plugins", "info", name), "no active plugin offers")
    refused(cli("plugins", "check", name), "no active plugin offers")


def test_a_distribution_that_lies_in_the_run_is_not_installed(cli, done, run, monkeypatch, canary):
    info = run / "aaeframe_evil-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: aaeframe-evil\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[aaeframe]\nevil = aaeframe_evil\n")
    (run / "aaeframe_evil.py").write_text(EVIL.format(str(canary)))
    monkeypatch.setattr(sys, "path", [it for it in sys.path if it])  # as an installed script has it
    monkeypatch.chdir(run)
    assert "evil" not in done("plugins", "list").out
    done("sample", run, "--count", 2)


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("--index-url=http://127.0.0.1:1", "1.0"),
        ("-r/etc/passwd", "1.0"),
        ("aaeframe-torus", "1.0\n--extra-index-url http://127.0.0.1:1"),
        ("aaeframe-torus", '1.0"; touch code-ran; "'),
        ("aaeframe-torus @ http://127.0.0.1:1/x.zip", "1.0"),
        ("$(touch code-ran)", "1.0"),
    ],
)
def test_what_a_run_says_it_was_made_with_commands_neither_pip_nor_the_shell(cli, refused, run, name, version):
    configure(run, "plugins", value={name: version})
    refused(cli("plugins", "list", "--requirements", "--run", run), "is not a valid ")
    refused(cli("sample", run), "is not a valid ")


def test_what_a_file_holds_commands_no_terminal(cli, refused, run):
    configure(run, "optimizers", "\x1b]0;owned\x07\r\x9b2J", value={"name": "x"})
    outcome = cli("sample", run)
    refused(outcome, "\\x1b]0;owned\\x07\\r\\x9b2J")
    assert outcome.err.replace("\n", "").isprintable()


def test_what_is_noted_of_a_checkpoint_commands_no_terminal(done, run):
    state = json.loads((newest(run) / "state.json").read_text())
    seal(newest(run), config={**state["config"], "training.device": ESCAPES})
    shown = done("sample", run)
    assert "\\x1b[2J" in shown.err
    assert (shown.out + shown.err).replace("\n", "").isprintable()


@pytest.mark.slow
def test_what_is_noted_of_an_environment_commands_no_terminal(done, run):
    state = json.loads((newest(run) / "state.json").read_text())
    seal(newest(run), environment={**state["environment"], "torch": ESCAPES})
    shown = done("train", "--resume", run)
    assert "\\x1b[2J" in shown.err
    assert (shown.out + shown.err).replace("\n", "").isprintable()


# Links, and what is no file.

LINKED = {
    "config.toml": "moved",
    "checkpoints": "moved",
    "checkpoints/STEP": "moved",
    "checkpoints/STEP/model.safetensors": "moved",
    "checkpoints/STEP/state.json": "moved",
    "checkpoints/.step-00000001.1.tmp": "home",
    "metrics.jsonl": "home/mine",
    "test_accesses.jsonl": "home/mine",
    "evaluation.json": "home/mine",
    ".evaluation.json.1.tmp": "home/mine",
    "samples.npz": "home/nothing",
    "figures": "home",
    "likelihood": "home",
    "notes/deep/down": "/",
    "itself": "run/itself",
}
"""The part of a run that is a link, and its target next to the run. The part itself is moved to "moved"."""


@pytest.mark.parametrize(("name", "target"), LINKED.items(), ids=LINKED)
def test_a_link_out_of_the_run_is_refused_before_anything_behind_it_is_touched(cli, refused, run, victim, name, target):
    path = run / name.replace("STEP", newest(run).name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if target == "moved" or path.exists():
        path.rename(run.parent / "moved")
    path.symlink_to(run.parent / target)
    for command in (*OPENED, "figures RUN"):
        refused(cli(*command.replace("RUN", str(run)).split()), f"{path} is a link that leads out of the run {run}")


def test_links_within_the_run_and_to_it_are_followed(done, run, tmp_path):
    (newest(run) / "model.safetensors").rename(run / "weights")
    (newest(run) / "model.safetensors").symlink_to("../../weights")
    (tmp_path / "latest").symlink_to(run)
    done("sample", tmp_path / "latest", "--count", 2)
    assert (run / "samples.npz").is_file()


@pytest.mark.parametrize("name", ["metrics.jsonl", "checkpoints/STEP/model.safetensors", "pipe"])
def test_a_pipe_is_refused_before_anyone_waits_for_it(cli, refused, run, name):
    path = run / name.replace("STEP", newest(run).name)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    refused(cli("sample", run), f"{path} is neither a file nor a folder")


def test_a_link_where_a_file_is_written_aside_is_not_followed(tmp_path, victim, monkeypatch):
    monkeypatch.setattr("secrets.token_hex", lambda size: "0" * 2 * size)  # as good as never
    (tmp_path / ".samples.npz.00000000.tmp").symlink_to(victim / "mine")
    with pytest.raises(RunError, match=r"cannot write .*samples.npz: File exists"):
        write_atomically(tmp_path / "samples.npz", b"new")
    assert not (tmp_path / "samples.npz").exists()


def test_a_link_that_the_user_names_is_written_through(done, run, tmp_path):
    (tmp_path / "codes.npz").symlink_to(tmp_path / "there.npz")
    done("encode", run, "--out", tmp_path / "codes.npz")
    assert (tmp_path / "codes.npz").is_symlink()
    assert (tmp_path / "there.npz").stat().st_size > 0


@pytest.mark.parametrize("inner", ["config.toml", "checkpoints"])
def test_the_default_file_of_a_run_replaces_a_link_and_follows_none(done, run, inner):
    before = (run / "config.toml").read_bytes(), sorted((run / "checkpoints").rglob("*"))
    (run / "codes.npz").symlink_to(inner)
    done("encode", run)
    assert not (run / "codes.npz").is_symlink()
    assert ((run / "config.toml").read_bytes(), sorted((run / "checkpoints").rglob("*"))) == before


def test_a_link_to_a_folder_is_refused_as_a_file_to_write(cli, refused, run, tmp_path, victim):
    (tmp_path / "codes.npz").symlink_to(victim)
    refused(cli("encode", run, "--out", tmp_path / "codes.npz"), "codes.npz is a folder")
