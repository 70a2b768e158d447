from __future__ import annotations

import os
import shutil
import subprocess
import sys
from itertools import product

import numpy as np
import pytest
import torch

import aaeframe
from aaeframe.data import load


def arrays(path):
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(scope="module")
def table_run(tmp_path_factory):
    """A run on a table of three standardized columns, with classes that have names."""
    folder = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(0)
    lines = [f"{a},{b},{c},{'xyz'[i % 3]}" for i, (a, b, c) in enumerate(rng.normal([0, 50, -9], [1, 9, 2], (40, 3)))]
    (folder / "rows.csv").write_text("\n".join(["a,b,c,kind", *lines]))
    aaeframe.train(
        folder / "rows.csv",
        config={"data": {"label_key": "kind"}},
        network="mlp(hidden=[8])",
        discriminator="mlp(hidden=[8])",
        epochs=1,
        out=folder / "run",
    )
    return folder


def test_samples_are_the_same_for_the_same_seed(done, run, tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        outcome = done("sample", run, "--count", 5, "--seed", seed, "--out", tmp_path / f"{name}.npz")
        assert outcome.out.strip() == f"{tmp_path}/{name}.npz: x (5, 1, 8, 8), swissroll (5, 2)"
    a, b, c = (arrays(tmp_path / f"{name}.npz") for name in "abc")
    assert a.keys() == {"x", "swissroll"}
    assert all(np.array_equal(a[key], b[key]) for key in a)
    assert not np.array_equal(a["x"], c["x"])
    model = aaeframe.load(run)
    np.testing.assert_array_equal(model.sample(5, seed=3).numpy(), a["x"])
    np.testing.assert_array_equal(model.decode({"swissroll": torch.from_numpy(a["swissroll"])}).numpy(), a["x"])


def test_files_go_into_the_run_if_nowhere_else(done, run):
    for command, name in (("sample", "samples"), ("encode", "codes"), ("reconstruct", "reconstructions")):
        outcome = done(command, run, "--json")
        assert outcome.json["file"] == str(run / f"{name}.npz")
        held = arrays(run / f"{name}.npz")
        assert outcome.json["arrays"] == {key: list(value.shape) for key, value in held.items()}


def test_codes_are_those_of_the_test_split_with_their_labels(done, run):
    done("encode", run)
    held, test = arrays(run / "codes.npz"), load("digits").test
    assert held.keys() == {"swissroll", "labels", "class_names"}
    np.testing.assert_array_equal(held["labels"], test.labels)
    assert held["class_names"].tolist() == list("0123456789")
    np.testing.assert_array_equal(held["swissroll"], aaeframe.load(run).encode(test.array())["swissroll"])


@pytest.mark.parametrize(("split", "rows"), [("train", 1257), ("validation", 180), ("test", 360), ("all", 1797)])
def test_any_split_can_be_encoded(done, run, split, rows):
    assert done("encode", run, "--split", split, "--json").json["arrays"]["swissroll"] == [rows, 2]


def test_draws_of_q_are_the_same_for_the_same_seed(done, run, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        done("encode", run, "--draws", 2, "--seed", seed, "--out", tmp_path / f"{name}.npz")
    a, b, c = (arrays(tmp_path / f"{name}.npz")["swissroll"] for name in "abc")
    assert a.shape == (2, 360, 2)
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
    assert not np.array_equal(a[0], a[1])


def test_the_weights_themselves_are_not_their_average(done, run, tmp_path):
    done("encode", run, "--out", tmp_path / "averaged.npz")
    done("encode", run, "--raw-weights", "--out", tmp_path / "raw.npz")
    averaged, raw = (arrays(tmp_path / f"{name}.npz")["swissroll"] for name in ("averaged", "raw"))
    assert not np.allclose(averaged, raw)


def test_a_reconstruction_stands_beside_its_row(done, run):
    done("reconstruct", run)
    held = arrays(run / "reconstructions.npz")
    np.testing.assert_array_equal(held["x"], load("digits").test.array())
    assert held["x"].dtype == np.uint8
    np.testing.assert_array_equal(held["x_hat"], aaeframe.load(run).reconstruct(held["x"]))
    assert 0 <= held["x_hat"].min() < held["x_hat"].max() <= 16


def test_a_new_file_is_encoded_whole_and_in_order(done, table_run, tmp_path):
    rows = np.random.default_rng(1).normal(size=(7, 3)).astype(np.float32)
    np.save(tmp_path / "new.npy", rows)
    done("encode", table_run / "run", "--data", tmp_path / "new.npy", "--out", tmp_path / "codes.npz")
    done("reconstruct", table_run / "run", "--data", tmp_path / "new.npy", "--out", tmp_path / "pairs.npz")
    model = aaeframe.load(table_run / "run")
    codes, pairs = arrays(tmp_path / "codes.npz"), arrays(tmp_path / "pairs.npz")
    assert codes.keys() == {"gaussian"}
    np.testing.assert_array_equal(codes["gaussian"], model.encode(rows)["gaussian"])
    np.testing.assert_array_equal(pairs["x"], rows)


def test_labels_of_a_new_file_come_with_the_names_of_their_classes(done, table_run, tmp_path):
    (tmp_path / "new.csv").write_text("a,b,c,kind\n1,50,3,z\n2,51,4,x\n")
    given = ("--data", tmp_path / "new.csv", "--label-key", "kind", "--out", tmp_path / "codes.npz")
    done("encode", table_run / "run", *given)
    held = arrays(tmp_path / "codes.npz")
    assert held["class_names"][held["labels"]].tolist() == ["z", "x"]
    done("reconstruct", table_run / "run", *given)
    assert arrays(tmp_path / "codes.npz")["x"].tolist() == [[1, 50, 3], [2, 51, 4]]


def test_a_split_of_a_new_file_is_had_by_asking_for_it(done, table_run):
    given = ("--data", table_run / "rows.csv", "--label-key", "kind", "--json")
    assert done("encode", table_run / "run", *given).json["arrays"]["gaussian"] == [40, 2]
    assert done("encode", table_run / "run", *given, "--split", "test").json["arrays"]["gaussian"] == [4, 2]


def test_a_run_is_used_from_another_folder_than_it_was_trained_in(done, table, tmp_path, monkeypatch):
    monkeypatch.chdir(table.parent)
    aaeframe.train(table.name, network="mlp(hidden=[8])", epochs=1, out="run")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert done("encode", table.parent / "run", "--json").json["arrays"]["gaussian"] == [6, 2]


def test_paths_below_the_working_folder_are_printed_from_there(done, run, monkeypatch):
    monkeypatch.chdir(run.parent)
    assert all(it.startswith("run/figures/") for it in done("figures", "run").out.splitlines())
    assert done("report", "run").out == "report    run/report.html\n"


def test_paths_that_were_given_from_the_root_are_printed_so(done, run, table, monkeypatch):
    monkeypatch.chdir(run.parent)
    assert done("figures", run, "--json").json["figures"][0].startswith(f"{run}/figures/")
    assert done("report", run, "--json").json["report"] == f"{run}/report.html"
    new = run.parent / "new"
    given = ("--data", table, "--network", "mlp(hidden=[8])", "--epochs", 1, "--json")
    assert done("train", *given, "--out", new).json["run"] == str(new)
    assert done("train", *given, "--out", "other").json["run"] == "other"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["encode", "{run}", "--data", "{tmp}/none.npy"], "there is no data set and no file"),
        (["encode", "{run}", "--data", "{tmp}/wide.npy"], "rows of shape (3,) are expected, as the run was trained on"),
        (["encode", "{run}", "--data", "{tmp}/wide.npy", "--split", "test"], "4 rows are too few for training"),
        (["encode", "{run}", "--data", "{tmp}/nan.npy"], "1 of 12 values are not finite in float32; the first is nan"),
        (["encode", "{run}", "--label-key", "kind"], "--label-key is for the rows of --data, which is not given"),
        (
            ["encode", "{run}", "--data", "{rows}", "--label-key", "age"],
            "no column 'age'. The columns are a, b, c, kind",
        ),
        (["encode", "{run}", "--data", "digits"], "rows of shape (3,) are expected"),
        (["reconstruct", "{run}", "--data", "{tmp}/wide.npy"], "rows of shape (3,) are expected"),
        (["encode", "{run}", "--split", "tset"], "'tset'"),
        (["encode", "{run}", "--draws", "-1"], "--draws"),
        (["sample", "{run}", "--count", "0"], "--count"),
        (["sample", "{run}", "--seed", "-1"], "--seed"),
        (["sample", "{run}", "--seed", str(2**63)], "--seed"),
        (["encode", "{run}", "--draws", "1", "--seed", "9" * 23], "--seed"),
        (["sample", "{run}", "--device", "cuda:99"], "the device 'cuda:99' is not on this machine"),
        (["sample", "{tmp}"], "is not a run: it has no config.toml"),
        (["sample", "{tmp}/none"], "is not a run"),
        (["encode", "{tmp}/wide.npy"], "cannot be used as the archive of a run: File is not a zip file"),
        (["sample", "{run}", "--out", "{tmp}/wide.npy/x.npz"], "cannot write"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_used(cli, table_run, tmp_path, arguments, message):
    np.save(tmp_path / "wide.npy", np.ones((4, 5), np.float32))
    np.save(tmp_path / "nan.npy", np.where(np.arange(12) == 5, np.nan, 1).reshape(4, 3))
    before = sorted(tmp_path.rglob("*")), sorted((table_run / "run").rglob("*"))
    places = {"run": table_run / "run", "tmp": tmp_path, "rows": table_run / "rows.csv"}
    outcome = cli(*(argument.format(**places) for argument in arguments))
    assert outcome.code == 2
    assert message in outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.out == ""
    assert (sorted(tmp_path.rglob("*")), sorted((table_run / "run").rglob("*"))) == before


@pytest.mark.slow
def test_paths_are_printed_without_markup_or_emoji_codes(done, run, tmp_path):
    folder = tmp_path / "[red] :smile:"
    folder.mkdir()
    assert f"{folder}/a.npz: x" in done("sample", run, "--count", 1, "--out", folder / "a.npz").out
    two, figure = shutil.copytree(run, tmp_path / "two"), folder / "codes.png"
    assert f"figure    {figure}\n" in done("compare", run, two, "--split", "validation", "--out", figure).out


def test_runs_on_different_rows_of_one_file_are_not_compared_in_any_order(cli, done, refused, table, tmp_path):
    small = ("--network", "mlp(hidden=[8])", "--discriminator", "mlp(hidden=[8])", "--epochs", 1)
    old, new = tmp_path / "old", tmp_path / "new"
    done("train", "--data", table, "--out", old, *small)
    with np.load(table) as held:
        np.savez(table, x=held["x"][::-1], y=held["y"][::-1])
    done("train", "--data", table, "--out", new, *small)

    for runs in ((old, new), (new, old)):
        refused(cli("compare", *runs), "is not the data of the training any more", "--data-changed")
    done("compare", new, old, "--data-changed")


def test_a_run_that_started_from_one_of_more_classes_is_compared_in_any_order(done, tmp_path):
    small = ("--network", "mlp(hidden=[8])", "--discriminator", "mlp(hidden=[8])", "--epochs", 1)
    x = np.random.default_rng(0).normal(size=(200, 2))
    np.savez(tmp_path / "three.npz", x=x, y=np.arange(200) % 3)
    np.savez(tmp_path / "two.npz", x=x, y=np.arange(200) % 2)
    initial, further, anew = (tmp_path / name for name in ("initial", "further", "anew"))
    done("train", "--data", tmp_path / "three.npz", "--out", initial, *small)
    done("train", "--data", tmp_path / "two.npz", "--out", further, "--initial", initial, "--epochs", 1)
    done("train", "--data", tmp_path / "two.npz", "--out", anew, *small)

    done("compare", further, anew)
    done("compare", anew, further)


ASCII = {"PYTHONIOENCODING": "ascii"}
LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "variables"),
    [
        ("evaluate {run} --split validation", ASCII),
        *product(("plugins list", "presets list", "--help"), (ASCII, LOCALE)),
    ],
)
def test_a_character_that_the_output_lacks_is_replaced(run, command, variables):
    arguments = command.format(run=run).split(" ")
    environment = {key: it for key, it in os.environ.items() if key not in ("PYTHONIOENCODING", "LC_ALL", "PYTHONUTF8")}
    done = subprocess.run(
        [sys.executable, "-m", "aaeframe", *arguments], env={**environment, **variables}, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
