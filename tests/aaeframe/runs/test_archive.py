"""Runs as archives: the same model elsewhere, its card, and what an archive cannot do."""

from __future__ import annotations

import json
import re
import shutil
import zipfile

import numpy as np
import pytest
import torch
from small_runs import LABELS, ROWS, SMALL, STEPS, TRAINING, assert_same_model, command, trained

import aaeframe
from aaeframe import cli
from aaeframe.errors import CheckpointError, DataError, RunError
from aaeframe.runs.exporting import split_without_folders, without_folders
from aaeframe.storage.archive import read_archive, write_archive
from aaeframe.storage.output import Output


@pytest.fixture(scope="session")
def archived(finished, tmp_path_factory):
    """The archive of a run with a moving average, and with a report of these weights and one of others."""
    report = {"split": "validation", "rows": 10, "reconstruction": {"error": 0.123456}, "raw_weights": False}
    finished.folder.write_evaluation("validation", {**report, "step": finished.step})
    finished.folder.write_evaluation("test", {**report, "step": 3})
    return aaeframe.load(finished.folder.path, data=ROWS).to_archive(tmp_path_factory.mktemp("archives") / "model.zip")


def altered(archive, path, **changes):
    """An archive with other content in some files, and the digests that go with it."""
    files = read_archive(archive)
    write_archive(
        Output.named(path, [".zip"]), {**files, **{k.replace("__", "."): change for k, change in changes.items()}}
    )
    return path


def test_the_run_is_the_same_elsewhere(finished, archived):
    run = aaeframe.load(archived)

    assert_same_model(run, finished)
    assert (run.home, run.step, run.finished, run.raw_weights) == (None, finished.step, True, False)
    assert run.metrics == finished.metrics
    assert run.config == finished.config
    assert run.evaluations.keys() == {"validation", "test"}
    assert torch.equal(run.sample(5, seed=1), finished.sample(5, seed=1))
    assert torch.equal(run.encode(ROWS)["gaussian"], finished.encode(ROWS)["gaussian"])
    assert len(aaeframe.load(archived, data=ROWS).dataset().train) == 80  # the data of the training, by its digest


def test_an_archive_of_an_archive_is_equal(archived, tmp_path):
    again = aaeframe.load(archived).to_archive(tmp_path / "again.zip")

    assert again.read_bytes() == archived.read_bytes()


def test_a_run_in_memory_can_be_written(tmp_path):
    run = aaeframe.train((ROWS, LABELS), prior="mixture", recipe="supervised", keep=False, **SMALL, **TRAINING)
    loaded = aaeframe.load(run.to_archive(tmp_path / "model.zip"))

    assert_same_model(loaded, run)
    assert loaded.class_names == tuple("0123456789")


def test_trained_weights_and_their_average_are_in_it(finished, archived, tmp_path):
    raw = aaeframe.load(finished.folder.path, raw_weights=True)

    assert_same_model(aaeframe.load(archived, raw_weights=True), raw)
    assert raw.to_archive(tmp_path / "raw.zip").read_bytes() == archived.read_bytes()


def test_it_can_be_kept_as_a_folder(archived, tmp_path):
    run = aaeframe.load(archived)
    run.save(tmp_path / "run")

    assert_same_model(aaeframe.load(tmp_path / "run"), run)


def test_anomaly_scores_need_no_data(tmp_path):
    run = trained(tmp_path / "run")
    scores = run.scores(ROWS)
    loaded = aaeframe.load(run.to_archive(tmp_path / "model.zip"))

    np.testing.assert_array_equal(loaded.scores(ROWS), scores)


def test_the_best_epoch_can_be_shared(tmp_path):
    still = {phase: {"lr": 1e-30} for phase in ("reconstruction", "generator")}  # no epoch is better than the first
    run = trained(tmp_path / "run", epochs=6, patience=1, config={"optimizers": still})
    best = aaeframe.load(tmp_path / "run", best=True)
    loaded = aaeframe.load(best.to_archive(tmp_path / "best.zip"), best=True)

    assert_same_model(loaded, best)
    assert (loaded.best_epoch, loaded.step, loaded.finished) == (1, STEPS, True)
    with pytest.raises(CheckpointError, match="no weights of step 4 here; kept are those of step 8"):
        aaeframe.load(run.to_archive(tmp_path / "last.zip"), best=True)


def test_paths_of_this_machine_stay_here(tmp_path):
    np.save(tmp_path / "secret.npy", ROWS)
    run = trained(tmp_path / "run", str(tmp_path / "secret.npy"))
    name = f"test of {tmp_path}/other.npy"
    run.folder.write_evaluation(name, {"split": name, "step": run.step, "raw_weights": True})
    path = run.to_archive(tmp_path / "model.zip")

    assert str(tmp_path).encode() not in path.read_bytes()
    loaded = aaeframe.load(path)
    assert loaded.evaluations["test of other.npy"]["split"] == "test of other.npy"
    with pytest.raises(DataError, match=r"secret\.npy"):
        loaded.dataset()
    assert torch.equal(loaded.sample(3, seed=0), run.sample(3, seed=0))


def test_reports_on_files_of_one_name_are_all_shared(tmp_path):
    run = trained(tmp_path / "run", epochs=1)
    for k, folder in enumerate("abc"):
        name = f"test of /{folder}/rows.csv"
        run.folder.write_evaluation(name, {"split": name, "step": run.step, "raw_weights": True, "rows": k})

    loaded = aaeframe.load(run.to_archive(tmp_path / "run.zip"))

    found = {name: it["rows"] for name, it in loaded.evaluations.items() if "rows.csv" in name}
    assert found == {"test of rows.csv": 0, "test of rows.csv (2)": 1, "test of rows.csv (3)": 2}
    assert loaded.to_archive(tmp_path / "again.zip").read_bytes() == (tmp_path / "run.zip").read_bytes()


@pytest.mark.parametrize(
    ("name", "shared"),
    [
        ("/home/me/pictures of birds/train.npz", "train.npz"),
        ("/home/me/pictures of /birds", "birds"),
        ("pictures of birds/train.npz", "train.npz"),
        ("~/me/train.npz", "train.npz"),
        ("test of birds.npz", "test of birds.npz"),
        ("digits", "digits"),
    ],
)
def test_a_name_is_left_without_folders(name, shared):
    assert without_folders(name) == shared
    assert split_without_folders(f"validation of {name}") == f"validation of {shared}"
    assert split_without_folders("validation") == "validation"


FILE = """
from pathlib import Path
import numpy as np
from aaeframe import Component, hookimpl
from aaeframe_plugins.networks.mlp import MLP

class Network(MLP):
    def __init__(self, data, code_size, *, weights: Path | None = None, own: Path = Path(__file__), text: str = ""):
        for path in (weights, text, own):
            if path:
                open(path).close()
        super().__init__(data, code_size, hidden=[8])

def mine(*, file: Path):
    return np.load(file)

@hookimpl
def aaeframe_networks():
    return [Component("backbone", "aaeframe_file:Network", "with a file")]

@hookimpl
def aaeframe_data_sets():
    return [Component("mine", "aaeframe_file:mine", "from a file")]
"""


@pytest.fixture
def installed(install):
    install("aaeframe-file", {"aaeframe_file": FILE})


@pytest.mark.parametrize("option", ["weights", "text"])
def test_a_path_of_a_component_is_neither_sent_nor_opened(option, installed, tmp_path):
    path = tmp_path / "secret.bin"
    path.write_bytes(b"x")
    small = {**TRAINING, "epochs": 1, "keep": False, "discriminator": SMALL["discriminator"], "prior": "gaussian"}
    run = aaeframe.train(ROWS, network=f'backbone({option}="{path}")', **small)
    words = rf'network\.{option}=".*secret\.bin" is a path of this machine.*functools\.partial'
    with pytest.raises(RunError, match=words):
        run.to_archive(tmp_path / "model.zip")
    assert list(tmp_path.glob("*.zip")) == []

    run = aaeframe.train(ROWS, network="backbone", **small)  # its own file is a default
    archive = run.to_archive(tmp_path / "model.zip")
    assert str(tmp_path).encode() not in archive.read_bytes()
    assert_same_model(aaeframe.load(archive), run)
    config = read_archive(archive)["config.toml"].decode()
    changed = re.sub(r'^text = ""\n', "", config, flags=re.MULTILINE)
    changed = changed.replace("[network.options]\n", f'[network.options]\n{option} = "{tmp_path}/absent.bin"\n')
    with pytest.raises(
        RunError, match=rf'network\.{option}=".*absent\.bin" is a path, and those of an archive are never'
    ):
        aaeframe.load(altered(archive, tmp_path / "other.zip", config__toml=changed.encode()))


def test_the_path_of_a_data_set_stays_here(installed, tmp_path):
    np.save(tmp_path / "secret.npy", ROWS)
    run = trained(tmp_path / "run", f'mine(file="{tmp_path}/secret.npy")')
    archive = run.to_archive(tmp_path / "model.zip")
    assert str(tmp_path).encode() not in archive.read_bytes()
    with pytest.raises(DataError, match=r"shared without its place \(mine\): pass the same data again"):
        aaeframe.load(archive).dataset()


@pytest.mark.parametrize("source", ["{0}/rows.npy", "rows.npy", "absent:rows", 'aaeframe-file:mine(file="rows.npy")'])
def test_the_data_that_an_archive_names_are_not_opened(source, archived, installed, tmp_path, monkeypatch):
    np.save(tmp_path / "rows.npy", ROWS)
    shutil.copy(tmp_path / "rows.npy", tmp_path / "absent:rows")
    monkeypatch.chdir(tmp_path)
    config = (
        read_archive(archived)["config.toml"].decode().replace('"python:numpy.ndarray"', repr(source.format(tmp_path)))
    )
    other = altered(archived, tmp_path / "other.zip", config__toml=config.encode())
    for run in (aaeframe.load(other), _kept(other, tmp_path / "run")):
        with pytest.raises(DataError, match=r"pass the same data again|which no active plugin offers"):
            run.dataset()


def _kept(archive, folder):
    aaeframe.load(archive).save(folder)
    return aaeframe.load(folder)


def test_the_initial_run_and_metrics_with_paths_stay_here(archived, tmp_path):
    config = read_archive(archived)["config.toml"].decode()
    metric = 'metrics = ["x:y(path=\\"/home/me/w\\")", "x:z(size=3)"]'
    config = config.replace("[training]", '[training]\ninitial = "/home/me/run"').replace("metrics = []", metric)
    loaded = aaeframe.load(altered(archived, tmp_path / "other.zip", config__toml=config.encode()))
    assert loaded.config.training.initial == "python:run"
    assert loaded.config.evaluation.metrics == ("x:z(size=3)",)
    loaded.to_archive(tmp_path / "again.zip")
    assert read_archive(tmp_path / "again.zip")["config.toml"].decode().count('initial = "python:run"') == 1


def test_the_card_has_the_numbers_of_the_run(finished, archived):
    with zipfile.ZipFile(archived) as it:
        card = it.read("README.md").decode()

    assert "| validation | reconstruction / error | 0.1235 |" in card
    assert f"| weights | of step {finished.step:,}, their moving average, decay 0.9 |" in card
    assert "| prior of block gaussian | `aaeframe:gaussian(size=2, scale=1.0)` |" in card
    assert f"| parameters | {sum(it.numel() for it in finished.model.parameters()):,} |" in card
    assert "80 training, 10 validation, 10 test" in card
    assert f"| reconstruction | {finished.metrics[-1]['reconstruction']:.4g} |" in card
    assert "1 stored report is of other weights, and is left out." in card
    assert "aaeframe==0.1.0" in card


def test_names_in_the_card_are_text(tmp_path):
    names = ["<b>x</b>", "a|b", "[link](http://x)", "line\nbreak", "`code`", "\x1b[31mred"]
    classes = np.array(names)[LABELS % 6]
    run = aaeframe.train((ROWS, classes), keep=False, **SMALL, **TRAINING)
    path = run.to_archive(tmp_path / "model.zip")
    with zipfile.ZipFile(path) as it:
        (line,) = (line for line in it.read("README.md").decode().splitlines() if line.startswith("| classes"))

    assert re.search(r"(?<!\\)[<>\[\]`]", line) is None
    assert len(re.findall(r"(?<!\\)\|", line)) == 3
    assert "\x1b" not in line
    assert r"\<b\>x\</b\>" in line
    assert "line break" in line


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"state__json": b"{}"}, "state.json of the checkpoint is not a valid training state"),
        ({"anomaly__safetensors": b"x"}, "anomaly.safetensors of the archive cannot be used"),
        ({"state__json": b"[1"}, "cannot be used as the archive of a run"),
        ({"config__toml": b"= 1"}, "cannot be used as the archive of a run"),
        ({"config__toml": b"\xff"}, "cannot be used as the archive of a run"),
        ({"model__safetensors": b"pickle"}, "cannot be used as the archive of a run"),
        ({"metrics__jsonl": b"3\n"}, "is not a JSON object"),
        ({"evaluation__json": b"[]"}, "evaluation.json holds no reports by split"),
    ],
)
def test_content_that_is_not_valid_is_named(changes, message, archived, tmp_path):
    with pytest.raises(RunError, match=re.escape(message)):
        aaeframe.load(altered(archived, tmp_path / "other.zip", **changes))


def test_weights_of_another_model_are_refused(archived, tmp_path):
    state = json.loads(read_archive(archived)["state.json"])
    state["data"]["shape"] = [7]
    with pytest.raises(CheckpointError, match=r"mean and std of data of shape \(7,\)"):
        aaeframe.load(altered(archived, tmp_path / "other.zip", state__json=json.dumps(state).encode()))


def test_a_file_that_is_no_archive(tmp_path):
    (tmp_path / "model.zip").write_bytes(b"no zip")
    with pytest.raises(RunError, match=r"model\.zip cannot be used as the archive of a run: File is not a zip file"):
        aaeframe.load(tmp_path / "model.zip")


def test_commands_take_an_archive_and_write_nothing_into_it(archived, tmp_path, monkeypatch, capsys):
    path, before = shutil.copy(archived, tmp_path / "model.zip"), archived.read_bytes()

    assert command(monkeypatch, capsys, "sample", path, "--out", tmp_path / "samples.npy")[0] == 0
    assert np.load(tmp_path / "samples.npy").shape == (64, 4)
    for arguments in (["sample", path], ["evaluate", path], ["figures", path]):
        code, err = command(monkeypatch, capsys, *arguments)
        assert code == 2
        assert "passed in from Python" in err or "is an archive, into which nothing is written; name another" in err
    code, err = command(monkeypatch, capsys, "train", "--resume", path)
    assert (code, "can be loaded, not resumed or changed" in err) == (2, True)
    assert path.read_bytes() == before
    assert {it.name for it in tmp_path.iterdir()} == {"model.zip", "samples.npy"}


def test_a_command_trains_on_from_it(archived, tmp_path, monkeypatch, capsys):
    np.save(tmp_path / "rows.npy", ROWS)
    given = ["--initial", archived, "--data", tmp_path / "rows.npy", "--epochs", 1, "--out", tmp_path / "run"]
    code, err = command(monkeypatch, capsys, "train", *given)
    assert code == 0, err
    run = aaeframe.load(tmp_path / "run")
    assert run.config.network == aaeframe.load(archived).config.network
    assert torch.equal(run.model.mean, aaeframe.load(archived).model.mean)


def test_the_command_writes_it(finished, archived, tmp_path, monkeypatch, capsys):
    path = tmp_path / "new" / "model.zip"
    code, _ = command(monkeypatch, capsys, "export", finished.folder.path, "--format", "archive", "--out", path)

    assert (code, path.read_bytes()) == (0, archived.read_bytes())


def test_on_standard_output_is_nothing_else(finished, archived, tmp_path, monkeypatch, capfdbinary):
    arguments = ["export", str(finished.folder.path), "--format", "archive", "--out", "-"]
    monkeypatch.setattr("sys.argv", ["aaeframe", *arguments])
    with pytest.raises(SystemExit, match="0"):
        cli.main()
    told = capfdbinary.readouterr()
    (tmp_path / "model.zip").write_bytes(told.out)

    assert not told.out.endswith(b"\n")
    assert read_archive(tmp_path / "model.zip") == read_archive(archived)
    assert told.err == b"standard output\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "pt2"], "torch's .pt2 holds a pickle, which runs code when it is opened); give onnx or archive"),
        (["--format", "zip"], "--format zip is not a format of this command; give onnx or archive"),
        (
            ["--format", "archive", "--part", "encoder"],
            "--part, --kind, --data and --raw-weights are for --format onnx",
        ),
        (["--label-key", "y"], "--label-key names the labels of --data, which is not given; leave it out"),
        (["--kind", "prior"], "--kind prior is a kind of score, which is not exported; add --part score"),
        (
            ["--format", "archive", "--json", "--out", "-"],
            "--json and --out - both write to standard output; leave one of them out",
        ),
        (["--format", "archive"], "has no suffix, which is no format here; give a file that ends in .zip"),
    ],
)
def test_what_the_command_refuses(arguments, message, finished, tmp_path, monkeypatch, capsys):
    code, err = command(monkeypatch, capsys, "export", finished.folder.path, "--out", tmp_path / "out", *arguments)

    assert (code, message in err) == (2, True), err
    assert list(tmp_path.iterdir()) == []
