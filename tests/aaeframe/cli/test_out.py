"""The option --out of every command: its suffix is the format, and standard output holds only the file."""

from __future__ import annotations

import csv
import io
import json
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import aaeframe
from aaeframe.cli.options import check_not_read
from aaeframe.data import load
from aaeframe.errors import ConfigError
from aaeframe.storage.output import Output

HEADER = "person,age,height,kind"
IN_TURN = """
import json, os, sys
from aaeframe.cli import main

for name, command in json.loads(sys.argv[1]).items():
    for number, kind in ((1, "out"), (2, "err")):
        with open(f"{name}.{kind}", "wb") as file:
            os.dup2(file.fileno(), number)
    sys.argv = ["aaeframe", *command]
    try:
        main()
    except SystemExit as ended:
        if ended.code:
            raise
    sys.stdout.flush()
    sys.stderr.flush()
"""
"""Runs commands in one process, each with files in place of its standard output and error."""
SMALL = {"network": "mlp(hidden=[8])", "discriminator": "mlp(hidden=[8])", "epochs": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """A semi-supervised run on a table with ids, names of columns and named classes."""
    folder, rng = tmp_path_factory.mktemp("people"), np.random.default_rng(0)
    lines = [f"p{i},{rng.normal(40, 9):.2f},{rng.normal(170, 9):.2f},{('cat', 'dog')[i % 2]}" for i in range(60)]
    (folder / "people.csv").write_text("\n".join([HEADER, *lines]))
    aaeframe.train(
        folder / "people.csv",
        config={"data": {"label_key": "kind", "ids": "person", "labels": 20}},
        prior="y=categorical(classes=2)+style=gaussian",
        recipe="semi-supervised",
        out=folder / "run",
        **SMALL,
    )
    return folder / "run"


def table(text):
    return list(csv.reader(io.StringIO(text)))


def test_codes_as_csv_have_ids_labels_and_classes_by_name_and_are_data_again(done, people, tmp_path):
    out = done("encode", people, "--split", "all", "--out", tmp_path / "codes.csv").out
    assert out.startswith(f"{tmp_path}/codes.csv: y (60, 2), style (60, ")
    first, *rows = table((tmp_path / "codes.csv").read_text())
    assert first[:5] == ["ids", "labels", "cat", "dog", "style_1"]
    assert [row[:2] for row in rows] == [[f"p{i}", ("cat", "dog")[i % 2]] for i in range(60)]
    data = load(people.parent / "people.csv", label_key="kind", ids="person").split("all")
    codes = aaeframe.load(people).encode(data)
    written = np.array([row[2:] for row in rows], np.float32)
    np.testing.assert_array_equal(written, np.hstack([codes["y"], codes["style"]]))
    found = done("data", tmp_path / "codes.csv", "--json").json
    assert (found["columns"], found["classes"]) == (first[2:], {"cat": 30, "dog": 30})


@pytest.mark.parametrize("command", ["sample", "reconstruct"])
def test_rows_of_a_table_as_csv_have_the_columns_of_the_data(done, people, tmp_path, command):
    said = done(command, people, "--out", tmp_path / "rows.csv").err
    done(command, people, "--out", tmp_path / "rows.npz")
    first, *rows = table((tmp_path / "rows.csv").read_text())
    assert first[-2:] == ["age", "height"]
    name, left = ("x", "y, style") if command == "sample" else ("x_hat", "x")
    assert f".csv is without {left}; .npz has all" in said
    with np.load(tmp_path / "rows.npz") as held:
        np.testing.assert_array_equal(np.array(rows)[:, -2:].astype(held[name].dtype), held[name])


@pytest.mark.slow
def test_one_array_as_npy(done, refused, cli, run, people, tmp_path):
    said = done("encode", run, "--out", tmp_path / "codes.npy").err
    codes = aaeframe.load(run).encode(load("digits").test)["swissroll"]
    np.testing.assert_array_equal(np.load(tmp_path / "codes.npy"), codes)
    assert ".npy is without labels, class_names" in said
    done("sample", run, "--count", 3, "--out", tmp_path / "x.npy")
    assert np.load(tmp_path / "x.npy").shape == (3, 1, 8, 8)
    refused(cli("encode", people, "--out", tmp_path / "y.npy"), "holds one array, and there are y, style")


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("codes.txt", "ends in .txt, which is no format here; give a file that ends in .npz, .npy, .csv or .parquet"),
        ("codes", "has no suffix"),
        ("", "--out is empty"),
        ("/", "--out / is a folder"),
    ],
)
@pytest.mark.parametrize("command", ["encode", "sample", "reconstruct"])
def test_other_names_are_refused_before_the_run_is_read(cli, refused, command, out, words):
    refused(cli(command, "no run", "--out", out), words)


@pytest.mark.parametrize(
    "arguments",
    [
        ["compare", "a", "b", "--out"],
        ["data", "digits", "--picture"],
        ["evaluate", "a", "--out"],
        ["bench", "--quick", "--out"],
        ["reproduce", "--curves"],
        ["parzen", "--samples", "a", "--test", "b", "--bandwidth", "1", "--out"],
    ],
    ids=lambda it: it[0],
)
def test_every_command_refuses_them(cli, refused, arguments):
    for name, words in (("", "is empty"), ("/", "is a folder"), ("a.xyz", "ends in .xyz")):
        refused(cli(*arguments, name), f"{arguments[-1]} {name}".strip(), words)
    refused(cli(*arguments, "-", "--json"), f"--json and {arguments[-1]} - both write to standard output")


@pytest.mark.parametrize("command", ["encode", "score", "reconstruct", "sample"])
def test_a_result_never_replaces_the_data(cli, refused, people, command):
    path = people.parent / "people.csv"
    before = path.read_bytes()
    link = path.with_name("link.csv")
    link.unlink(missing_ok=True)
    link.symlink_to(path)
    for out in (path, link):
        refused(cli(command, people, "--out", out), f"--out {out} would replace the data {path}")
    assert path.read_bytes() == before


def test_new_data_is_not_replaced_either(cli, refused, people, tmp_path):
    path = tmp_path / "new.csv"
    path.write_bytes((people.parent / "people.csv").read_bytes())
    before = path.read_bytes()
    refused(cli("encode", people, "--data", path, "--out", path), "would replace the data")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(30, 2)))
    given = ("parzen", "--samples", tmp_path / "x.npy", "--test", tmp_path / "x.npy", "--bandwidth", 1)
    refused(cli(*given, "--out", tmp_path / "x.npy"), "would replace the data")
    (tmp_path / "x.png").write_bytes(b"an image")
    refused(cli("data", tmp_path / "x.png", "--picture", tmp_path / "x.png"), "--picture", "would replace the data")
    assert path.read_bytes() == before
    assert np.load(tmp_path / "x.npy").shape == (30, 2)


@pytest.mark.parametrize(
    ("source", "out"), [("x/parts", "x/parts/0.npy"), ("x/parts", "x/parts/train/0.npy"), ("~/x.csv", "x.csv")]
)
def test_parts_of_a_folder_and_files_at_home_are_data_too(tmp_path, monkeypatch, source, out):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    path = tmp_path / out
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"rows")
    with pytest.raises(ConfigError, match=f"--out .* would replace the data {source}"):
        check_not_read(Output.named(path, [path.suffix]), source)
    other = tmp_path / "mnist" / "codes" / "0.npy"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"codes")
    check_not_read(Output.named(other, [".npy"]), source, "mnist", tmp_path)


def test_images_are_no_table(cli, refused, run, tmp_path):
    refused(cli("sample", run, "--out", tmp_path / "x.csv"), "x (64, 1, 8, 8) are images or series; give .npz or .npy")
    assert not (tmp_path / "x.csv").exists()


@pytest.mark.parametrize("command", ["encode", "sample", "reconstruct"])
def test_a_device_stays_a_device(done, run, command):
    done(command, run, "--out", "/dev/null")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.slow
def test_standard_output_holds_only_the_file(done, people, run, tmp_path):
    done("encode", people, "--out", tmp_path / "codes.csv")
    commands = {
        "rows": ("encode", people, "--out", "-"),
        "samples": ("sample", run, "--count", 2, "--out", "-"),
        "picture": ("data", "digits", "--picture", "-"),
    }
    asked = json.dumps({name: [*map(str, command)] for name, command in commands.items()})
    subprocess.run([sys.executable, "-c", IN_TURN, asked], cwd=tmp_path, check=True, timeout=120)
    said = {name: (tmp_path / f"{name}.err").read_text() for name in commands}
    assert (tmp_path / "rows.out").read_bytes() == (tmp_path / "codes.csv").read_bytes()
    assert np.load(tmp_path / "samples.out")["x"].shape == (2, 1, 8, 8)
    assert "standard output: x (2, 1, 8, 8), swissroll (2, 2)" in said["samples"]
    assert (tmp_path / "picture.out").read_bytes().startswith(b"\x89PNG")
    assert "rows      images of 1 x 8 x 8" in said["picture"]


@pytest.mark.slow
def test_a_reader_that_ends_early_is_no_error(people):
    command = f"{sys.executable} -m aaeframe encode {people} --split all --draws 200 --out - | head -n 1"
    ended = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=120)
    assert ended.stdout.startswith("ids,labels,draw,cat,dog,style_1")
    assert "Traceback" not in ended.stderr
    assert "error" not in ended.stderr
    assert ended.returncode == 1  # of click, quietly


@pytest.mark.parametrize(
    "command", [["train"], ["reproduce"], ["figures", "a"], ["plugins", "new", "torus", "--kind", "prior"]]
)
def test_a_folder_to_write_has_a_name(cli, refused, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    refused(cli(*command, "--out", ""), "Invalid value for '--out': it is empty; give a folder")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["evaluation.json", "checkpoints/state.json"])
def test_a_report_never_replaces_a_file_of_the_run(done, cli, refused, people, name):
    done("evaluate", people, "--split", "validation")
    before = (people / "evaluation.json").read_bytes()
    refused(cli("evaluate", people, "--out", people / name), "is inside the run; leave --out out")
    assert (people / "evaluation.json").read_bytes() == before


@pytest.mark.slow
def test_a_closed_pipe_does_not_lose_the_report(people):
    (people / "evaluation.json").unlink(missing_ok=True)
    command = [sys.executable, "-m", "aaeframe", "evaluate", str(people)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        process.stdout.close()
    assert json.loads((people / "evaluation.json").read_text())["test"]["rows"] == 6
