"""Errors of users: exit code 2; asked, found, available and what to do on standard error; nothing left behind."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aaeframe.runs.loading import load
from aaeframe.storage import checkpoint as checkpoints

SMALL = ("--network", "mlp(hidden=[8])", "--discriminator", "mlp(hidden=[8])", "--epochs", "1")


@pytest.fixture
def files(tmp_path):
    """Data that is good, and data that is not."""
    x, y = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32), np.arange(60) % 3
    bad = x.copy()
    bad[7, 2], bad[9, 0] = np.nan, np.inf
    np.savez(tmp_path / "good.npz", x=x, y=y)
    np.save(tmp_path / "rows.npy", x)
    np.savez(tmp_path / "nan.npz", x=bad)
    np.savez(tmp_path / "minus.npz", x=x, y=np.where(np.arange(60) == 5, -2, y))
    np.savez(tmp_path / "short.npz", x=x, y=y[:59])
    np.savez(tmp_path / "none.npz", x=x[:0])
    np.savez(tmp_path / "nine.npz", x=x[:9])
    np.savez(tmp_path / "objects.npz", x=np.array([{}, 1], dtype=object))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "good.npz").read_bytes()[:200])
    (tmp_path / "empty.npz").touch()
    (tmp_path / "text.csv").write_text("a,b\n1,2\n3,four\n")
    (tmp_path / "no.toml").write_text("training = ")
    (tmp_path / "wrong.toml").write_text("[training]\nepoch = 3\n")
    (tmp_path / "taken").mkdir()
    (tmp_path / "folder").mkdir()
    return tmp_path


BAD = {
    "component": (["--prior", "swisroll"], ["no active plugin offers a prior named 'swisroll'", "'swissroll'"]),
    "encoder": (["--encoder", "universall"], ["'universall'", "did you mean 'universal'?", "known encoders:"]),
    "network": (["--network", "cnov"], ["'cnov'", "'conv'"]),
    "discriminator": (["--discriminator", "mpl"], ["'mpl'", "'mlp'"]),
    "full name": (["--prior", "aaeframe-gone:thing"], ["'aaeframe-gone:thing'", "known priors:"]),
    "option": (["--prior", "gaussian(sizes=2)"], ["has no option 'sizes'; did you mean 'size'?", "size: int"]),
    "type": (["--prior", 'gaussian(size="2")'], ['size="2" does not fit', "size: int (> 0)"]),
    "range": (["--prior", "gaussian(size=0)"], ["size=0 does not fit", "greater than 0"]),
    "expression": (["--prior", "gaussian(size=2"], ["'gaussian(size=2' is not of the form name(option=value, ...)"]),
    "block name": (["--prior", "Z=gaussian"], ["'Z' is no name of a block"]),
    "block twice": (["--prior", "z=gaussian+z=mixture"], ["names the block 'z' twice"]),
    "reserved name": (["--prior", "x=gaussian"], ["a block cannot be called 'x'"]),
    "options that do not go together": (["--prior", "mixture(scales=[[1.0]])"], ["refuses its options", "scales"]),
    "data name": (["--data", "mnits"], ["there is no data set and no file 'mnits'", "Did you mean 'mnist'?"]),
    "data without a name": (["--data", ""], ["the name of the data is empty", "a path; . is this folder"]),
    "data missing": (["--data", "{tmp}/no.npz"], ["there is no data set and no file", "paths are of .npz"]),
    "data of no format": (["--data", "{tmp}/no.toml"], ["has an unknown format, by its name", ".npz"]),
    "data cut off": (["--data", "{tmp}/cut.npz"], ["cut.npz: cannot be read as .npz"]),
    "data empty": (["--data", "{tmp}/empty.npz"], ["empty.npz: the file is empty"]),
    "data without rows": (["--data", "{tmp}/none.npz"], ["the data is empty"]),
    "data of few rows": (["--data", "{tmp}/nine.npz"], ["9 rows are too few", "give at least 10"]),
    "data pickled": (["--data", "{tmp}/objects.npz"], ["holds Python objects, which are never loaded"]),
    "data of texts": (["--data", "{tmp}/text.csv"], ["line 3, column 'b' holds 'four', which is not a number"]),
    "folder without images": (["--data", "{tmp}/folder"], ["holds no images"]),
    "data not finite": (["--data", "{tmp}/nan.npz"], ["2 of 240 values are not finite", "row 7, feature 2"]),
    "data not here": (["--data", "tfd"], ["cannot be downloaded", "TFD_48x48.mat"]),
    "labels negative": (["--data", "{tmp}/minus.npz"], ["1 labels are not class indices; the first is -2 in row 5"]),
    "labels short": (["--data", "{tmp}/short.npz"], ["the labels have the shape (59,); 60 rows need (60,)"]),
    "labels too many": (
        ["--data", "{tmp}/good.npz", "--prior", "mixture(components=3)", "--labels", "61"],
        ["61 labeled examples were requested", "Ask for 3 to 48"],
    ),
    "labels too few": (
        ["--data", "{tmp}/good.npz", "--prior", "mixture(components=3)", "--labels", "2"],
        ["2 labeled examples were requested", "Ask for 3 to 48"],
    ),
    "labels less than none": (["--labels", "-1"], ["data.labels: should be greater than or equal to 0, found -1"]),
    "labels not there": (
        ["--data", "{tmp}/rows.npy", "--labels", "10", "--prior", "mixture"],
        ["--labels 10 was asked for, but the data", "has no labels", "--label-key NAME"],
    ),
    "labels without a prior for them": (["--labels", "100"], ["no prior of gaussian knows classes", "mixture"]),
    "classes differ": (
        ["--labels", "100", "--prior", "mixture(components=5)"],
        ["the prior of block 'mixture' knows 5 classes, but the data has 10", "set the prior's number"],
    ),
    "network for images": (
        ["--data", "{tmp}/good.npz", "--network", "conv"],
        ["conv takes images (channels, height, width) from 8x8 up, found data of shape (4,)", "--network mlp"],
    ),
    "recipe": (
        ["--recipe", "unsupervisd"],
        ["no active plugin offers a recipe named 'unsupervisd'", "did you mean 'unsupervised'?"],
    ),
    "schedule": (["--schedule", "jiont"], ["has no schedule 'jiont'; did you mean 'joint'?", "alternating, joint"]),
    "precision": (["--precision", "fp16"], ["training.precision: should be 'fp32', 'tf32' or 'bf16', found 'fp16'"]),
    "tf32 on the CPU": (
        ["--precision", "tf32", "--device", "cpu"],
        ["--precision tf32 is arithmetic of NVIDIA's GPUs, but this run is on cpu; use fp32 or bf16"],
    ),
    "loss": (["--loss", "bec"], ["training.loss: should be 'bce', 'hinge', 'least-squares' or 'wasserstein'"]),
    "gradient penalty": (
        ["--gradient-penalty", "-1"],
        ["training.gradient_penalty: should be greater than or equal to 0, found -1"],
    ),
    "smoothing without labels": (
        ["--loss", "hinge", "--set", "training.label_smoothing=0.1"],
        ["training.label_smoothing is not used: only the loss 'bce' has labels to smooth, this run's is 'hinge'"],
    ),
    "preset": (["--preset", "swissrol"], ["no preset is named 'swissrol'", "there are: "]),
    "device that is not there": (["--device", "cuda:99"], ["the device 'cuda:99' is not on this machine", "cpu"]),
    "no device": (["--device", "banana"], ["'banana' is not a device; on this machine there are: cpu"]),
    "epochs": (["--epochs", "0"], ["training.epochs: should be greater than or equal to 1, found 0"]),
    "batch size": (["--batch-size", "0"], ["training.batch_size: should be greater than or equal to 1, found 0"]),
    "seed": (["--seed", "-1"], ["training.seed: should be greater than or equal to 0, found -1"]),
    "ema": (["--ema", "1"], ["training.ema: should be less than 1, found 1.0"]),
    "several": (["--epochs", "0", "--seed", "-1"], ["training.epochs: ", "training.seed: "]),
    "config missing": (["--config", "{tmp}/x.toml"], ["x.toml cannot be read: No such file"]),
    "config no TOML": (["--config", "{tmp}/no.toml"], ["no.toml is not TOML"]),
    "config a folder": (["--config", "{tmp}/folder"], ["cannot be read: Is a directory"]),
    "config wrong": (["--config", "{tmp}/wrong.toml"], ["training: unknown key 'epoch'; did you mean 'epochs'?"]),
    "set": (["--set", "training.epochs"], ["--set takes key.path=value, found 'training.epochs'; for example"]),
    "set key": (["--set", "trainig.epochs=3"], ["unknown key 'trainig'; did you mean 'training'?"]),
    "set type": (["--set", "training.epochs=many"], ["training.epochs: should be a valid integer, found 'many'"]),
    "momentum of Adam": (["--set", "optimizers.generator.momentum=0.9"], ["unknown key 'momentum'; known: lr, "]),
    "optimizer": (
        ["--set", "optimizers.generator=lbfgs"],
        ["optimizers.generator: lbfgs evaluates the losses anew within a step, which no recipe does; there are "],
    ),
    "phase of another schedule": (
        ["--schedule", "joint", "--set", "optimizers.generator.lr=0.1"],
        ["of recipe 'aaeframe:unsupervised' has the phases autoencoder, discriminator"],
    ),
    "weight without a sum": (
        ["--set", "prior.gaussian.weight=2.0"],
        ["prior.gaussian.weight is not used: only schedule 'joint' of adversarial recipes weighs losses"],
    ),
    "labeled batches without labels": (
        ["--set", "training.labeled_batch_size=10"],
        ["training.labeled_batch_size is not used without labels; give --labels N"],
    ),
    "folder taken": (["--out", "{tmp}/taken"], ["taken exists already", "--resume"]),
    "folder below a file": (["--out", "{tmp}/good.npz/run"], ["cannot write", "Not a directory"]),
    "resumed with more": (
        ["--resume", "{tmp}/taken"],
        ["--resume uses the configuration of the run", "--epochs"],
    ),
}


@pytest.mark.parametrize(("arguments", "parts"), BAD.values(), ids=BAD.keys())
def test_training_is_refused_in_words_and_leaves_nothing(cli, refused, files, monkeypatch, arguments, parts):
    monkeypatch.delenv("AAEFRAME_DATA", raising=False)
    monkeypatch.chdir(files)
    before = sorted(files.rglob("*"))
    out = () if {"--out", "--resume"} & set(arguments) else ("--out", files / "below/run")
    pairs = zip(SMALL[::2], SMALL[1::2], strict=True)
    small = [part for pair in pairs if pair[0] not in arguments for part in pair]
    refused(cli("train", *small, *(it.format(tmp=files) for it in arguments), *out), *parts)
    assert sorted(files.rglob("*")) == before


def checkpoint(run):
    return max((run / "checkpoints").glob("step-*"))


def changed_state(run, change):
    file = checkpoint(run) / "state.json"
    state = json.loads(file.read_text())
    change(state)
    file.write_text(json.dumps(state))


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


DAMAGE = {
    "weights cut off": (
        lambda run: cut(checkpoint(run) / "model.safetensors"),
        ["model.safetensors", "its header declares"],
    ),
    "weights altered": (lambda run: flip(checkpoint(run) / "model.safetensors"), ["model.safetensors", "SHA-256"]),
    "optimizer altered": (lambda run: flip(checkpoint(run) / "optimizer.safetensors"), ["optimizer.safetensors"]),
    "weights gone": (lambda run: (checkpoint(run) / "model.safetensors").unlink(), ["No such file"]),
    "state cut off": (lambda run: cut(checkpoint(run) / "state.json"), ["state.json", "not JSON"]),
    "state altered": (lambda run: changed_state(run, lambda it: it.update(step=5)), ["its digest is not that"]),
    "state perhaps of a newer format": (
        lambda run: changed_state(run, lambda it: it.update(format=99)),
        ["format 99", "upgrade"],
    ),
}
"""Damage to the newest of two checkpoints, and words of the message."""
RUIN = {
    "no checkpoint": (lambda run: (run / "checkpoints").rename(run / "elsewhere"), ["there is no checkpoint in"]),
    "no configuration": (lambda run: (run / "config.toml").unlink(), ["is not a run: it has no config.toml"]),
    "configuration no TOML": (lambda run: (run / "config.toml").write_text("x = "), ["config.toml is not TOML"]),
    "configuration wrong": (
        lambda run: replace(run / "config.toml", "epochs = 1", "epochs = 0"),
        ["training.epochs: should be greater than or equal to 1"],
    ),
    "plugin gone": (
        lambda run: replace(run / "config.toml", '"aaeframe:swissroll"', '"aaeframe-gone:thing"'),
        ["needs what is not here", "'aaeframe-gone:thing'", "pip install"],
    ),
    "option gone": (
        lambda run: replace(run / "config.toml", "turns = 2.0", "turn = 2.0"),
        ["has no option 'turn'; did you mean 'turns'?"],
    ),
    "another model": (
        lambda run: replace(run / "config.toml", "noise_size = 10", "noise_size = 11"),
        ["does not fit the model its configuration describes"],
    ),
}


def assert_refused_and_left(cli, refused, run, arguments, parts):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    refused(cli(*arguments), *parts)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(("damage", "parts"), RUIN.values(), ids=RUIN.keys())
@pytest.mark.parametrize("command", [["sample"], ["train", "--resume"]], ids=["sample", "resume"])
def test_a_ruined_run_is_refused_and_left_as_it_is(cli, refused, run, damage, parts, command):
    damage(run)
    assert_refused_and_left(cli, refused, run, [*command, run], parts)


@pytest.mark.parametrize(("damage", "parts"), DAMAGE.values(), ids=DAMAGE.keys())
def test_nothing_is_computed_from_a_damaged_checkpoint_or_in_its_place(cli, refused, run, damage, parts):
    damage(run)
    further = ["step-00000000 is intact", f"aaeframe train --resume {run}"]
    assert_refused_and_left(cli, refused, run, ["sample", run], [*parts, *further])


@pytest.mark.slow
@pytest.mark.usefixtures("no_figures")
def test_a_damaged_checkpoint_is_trained_again_from_the_one_before(done, digits_run, run):
    damage, parts = DAMAGE["weights altered"]
    name = checkpoint(run).name
    damage(run)
    outcome = done("train", "--resume", run)
    notes = " ".join(line for line in outcome.err.splitlines() if line.startswith("note: "))
    for part in (*parts, "step-00000000, the newest intact one", f"{name} is kept as"):
        assert part in notes
    for file in ("model.safetensors", "optimizer.safetensors"):
        assert (run / "checkpoints" / name / file).read_bytes() == (checkpoint(digits_run) / file).read_bytes()


def test_what_is_no_run_lists_the_runs_beside_it(cli, refused, run):
    refused(cli("evaluate", run.parent / "rnu"), "rnu is not a run", f"Runs in {run.parent}: run")


def test_an_output_file_that_cannot_be_written_leaves_what_was_there(cli, refused, run, tmp_path):
    (tmp_path / "file").write_text("mine")
    refused(cli("sample", run, "--out", tmp_path / "file/x.npz"), "cannot write", "Not a directory")
    assert (tmp_path / "file").read_text() == "mine"


def full_disk(limit, *arguments):
    """`aaeframe` in a process whose files cannot grow beyond `limit` bytes."""
    bounded = (
        "import os, resource, sys; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2); "
        "os.execv(sys.argv[2], sys.argv[2:])"
    )
    command = Path(sys.executable).with_name("aaeframe")
    return subprocess.run(
        [sys.executable, "-c", bounded, *map(str, (limit, command, *arguments))],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
@pytest.mark.parametrize("started", [False, True], ids=["at once", "at a checkpoint"])
@pytest.mark.usefixtures("no_figures")
def test_a_full_disk(files, cli, refused, files_up_to, started):
    asked = ("train", "--data", files / "good.npz", "--network", "mlp(hidden=[64])", *SMALL[2:], "--out")
    assert cli(*asked, files / "whole").code == 0
    # An optimizer that has made steps keeps two moments of each weight, and at step 0 nothing: its file grows most.
    optimizer = checkpoint(files / "whole") / "optimizer.safetensors"
    limit = optimizer.stat().st_size // 2 if started else 100
    with files_up_to(limit):
        outcome = cli(*asked, files / "run")
    refused(outcome, "error: cannot write", "File too large", "free space")
    assert (files / "run").exists() == started
    if started:
        assert checkpoints.read(checkpoint(files / "run")).state["step"] == 0
        assert not list((files / "run").rglob("*.tmp"))


def test_a_full_disk_when_samples_are_written(run):
    done = full_disk(1000, "sample", run)
    assert done.returncode == 2
    assert "error: cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not list(run.glob("*samples*"))


def commands_told(err, beginning):
    """The command lines that a line of standard error tells."""
    [line] = [line for line in err.splitlines() if line.startswith(beginning)]
    return [shlex.split(command)[1:] for command in line.rpartition(": ")[2].split(" and ")]


@pytest.mark.slow
def test_a_full_disk_after_training_does_not_make_the_training_look_lost(cli, done, files_up_to, tmp_path):
    run = tmp_path / "run"
    with files_up_to(25_000):  # a checkpoint and an evaluation are smaller, a figure of codes is larger
        outcome = cli("train", "--prior", "gaussian", *SMALL, "--out", run)
    assert outcome.code == 2
    assert f"run       {run}" in outcome.out.splitlines()
    assert "Reconstruction" in outcome.out
    assert f"error: cannot write {run}/figures/codes-gaussian.png: File too large" in outcome.err
    assert "Traceback" not in outcome.err
    assert list(json.loads((run / "evaluation.json").read_text())) == ["validation"]
    assert not list(run.rglob("*.tmp"))
    assert load(run).finished
    [command] = commands_told(outcome.err, "training finished and was saved. ")
    assert command == ["figures", str(run), "--split", "validation"]
    assert "codes-gaussian.png" in done(*command).out


@pytest.mark.slow
def test_a_full_disk_when_an_evaluation_is_kept_hides_no_number(cli, done, run, files_up_to):
    kept = run / "evaluation.json"
    done("evaluate", run, "--split", "validation")
    before = kept.read_bytes()
    with files_up_to(len(before)):  # where the next finds no room beside the first
        outcome = cli("evaluate", run, "--json")
    assert outcome.code == 2
    assert outcome.json["split"] == "test"
    assert f"error: cannot write {kept}: File too large" in outcome.err
    assert kept.read_bytes() == before
    done("evaluate", run)
    assert list(json.loads(kept.read_text())) == ["validation", "test"]


@pytest.mark.slow
def test_a_full_disk_when_figures_are_drawn_leaves_those_that_were_there(cli, done, run, files_up_to):
    done("figures", run)
    before = {path: path.read_bytes() for path in (run / "figures").iterdir()}
    with files_up_to(1000):
        outcome = cli("figures", run, "--split", "validation")
    assert outcome.code == 2
    assert "error: cannot write" in outcome.err
    assert {path: path.read_bytes() for path in (run / "figures").iterdir()} == before
