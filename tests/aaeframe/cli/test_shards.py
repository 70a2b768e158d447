"""Shards of `encode` and `score`, and `concat`: the bytes of one process, and what is refused."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys

import numpy as np
import pytest

import aaeframe
from aaeframe.storage import results

HEADER = "person,age,height,kind"
SMALL = {"network": "mlp(hidden=[8])", "discriminator": "mlp(hidden=[8])", "epochs": 1, "device": "cpu"}
SCORE = ("--contamination", "0.1", "--reasons", "2")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a table of 60 people with ids and classes, a run on it, and one of another seed."""
    folder, rng = tmp_path_factory.mktemp("people"), np.random.default_rng(0)
    lines = [f"p{i},{rng.normal(40, 9):.2f},{rng.normal(170, 9):.2f},{('cat', 'dog')[i % 2]}" for i in range(60)]
    (folder / "people.csv").write_text("\n".join([HEADER, *lines]))
    for seed, name in enumerate(("run", "other")):
        aaeframe.train(
            folder / "people.csv",
            config={"data": {"label_key": "kind", "ids": "person", "labels": 20}},
            prior="y=categorical(classes=2)+style=gaussian",
            recipe="semi-supervised",
            seed=seed,
            out=folder / name,
            **SMALL,
        )
    return folder


@pytest.fixture(autouse=True)
def few_rows_at_once(monkeypatch):
    """Nine batches of 60 rows, and tables in pieces of a few rows."""
    monkeypatch.setattr("aaeframe.model.autoencoder.MOST_AT_ONCE", 7)
    monkeypatch.setattr(results, "CELLS", 60)


@pytest.fixture
def shards(done, home, tmp_path):
    """Computes shards into a folder, and gives their files."""

    def made(*command, of=3, form=".npz", run="run", rows=("--split", "all"), only=None, folder="shards"):
        first, *others = command
        for i in range(of) if only is None else only:
            out = tmp_path / folder / f"x{form}"
            done(first, home / run, *rows, *others, "--shard", f"{i}/{of}", "--out", out)
        return sorted((tmp_path / folder).iterdir())

    return made


@pytest.mark.slow
@pytest.mark.parametrize("form", [".npz", ".parquet"])
@pytest.mark.parametrize(
    "command",
    [("encode",), ("encode", "--draws", "3", "--seed", "5"), ("encode", "--representation"), ("score", *SCORE)],
    ids=" ".join,
)
def test_shards_joined_are_the_bytes_of_one_process(done, home, shards, tmp_path, command, form):
    if form == ".parquet":
        pytest.importorskip("pyarrow", reason="no extra 'integrations'")
    first, *others = command
    files = shards(first, *others, form=form, of=4)
    assert [it.name for it in files] == [f"x-{i:05}-of-00004{form}" for i in range(4)]
    for suffix in {".npz", ".csv", form}:
        one, joined = tmp_path / f"one{suffix}", tmp_path / f"joined{suffix}"
        done(first, home / "run", "--split", "all", *others, "--out", one)
        done("concat", *reversed(files), "--out", joined)
        assert joined.read_bytes() == one.read_bytes()


@pytest.mark.slow
def test_npy_is_that_of_one_process_and_refused_like_it(done, cli, refused, home, shards, tmp_path):
    files = shards("score", of=2)
    done("score", home / "run", "--split", "all", "--out", tmp_path / "one.npy")
    done("concat", *files, "--out", tmp_path / "joined.npy")
    assert (tmp_path / "joined.npy").read_bytes() == (tmp_path / "one.npy").read_bytes()
    files = shards("encode", of=2, folder="codes")
    refused(cli("concat", *files, "--out", tmp_path / "codes.npy"), ".npy holds one array, and there are y, style")


@pytest.mark.slow
def test_more_shards_than_batches_leave_some_without_rows(done, home, shards, tmp_path):
    files = shards("encode", of=11)
    with np.load(files[0]) as empty:
        assert empty["style"].shape[0] == 0
    done("encode", home / "run", "--split", "all", "--out", tmp_path / "one.npz")
    done("concat", *files, "--out", tmp_path / "joined.npz")
    assert (tmp_path / "joined.npz").read_bytes() == (tmp_path / "one.npz").read_bytes()


@pytest.mark.slow
def test_two_shards_run_beside_each_other(home, tmp_path):
    """In processes of their own, without the density of the run, which both fit and keep."""
    shutil.copytree(home / "run", tmp_path / "run", ignore=shutil.ignore_patterns("anomaly.safetensors"))
    command = [
        sys.executable,
        "-m",
        "aaeframe",
        "score",
        tmp_path / "run",
        "--split",
        "all",
        "--out",
        tmp_path / "x.npz",
    ]
    both = [subprocess.Popen([*command, "--shard", f"{i}/2"], stdout=subprocess.DEVNULL) for i in range(2)]
    assert [it.wait(300) for it in both] == [0, 0]
    assert sorted(it.name for it in tmp_path.glob("*.npz")) == ["x-00000-of-00002.npz", "x-00001-of-00002.npz"]
    assert (tmp_path / "run/anomaly.safetensors").exists()


def test_a_shard_reads_only_its_own_rows_of_new_data(done, run, tmp_path, monkeypatch):
    """Besides a few, by which other data is told."""
    rows = np.random.default_rng(0).integers(0, 17, (3000, 1, 8, 8)).astype(np.float32)
    np.save(tmp_path / "new.npy", rows)
    read = []
    taken = aaeframe.data.Split.rows
    monkeypatch.setattr(aaeframe.data.Split, "rows", lambda self, index: read.append(len(index)) or taken(self, index))
    monkeypatch.setattr("aaeframe.cli.shards.LOOKED_AT", 10 * 64 * 4)
    monkeypatch.setattr("aaeframe.data.identity.MOST_BYTES", rows.nbytes - 1)
    monkeypatch.setattr("aaeframe.data.assemble.check_values", None)
    done("encode", run, "--data", tmp_path / "new.npy", "--shard", "1/10", "--out", tmp_path / "x.npz")
    assert sum(read) <= 10 + 3 * 301


def test_a_difference_in_one_value_of_a_small_file_is_found(done, cli, refused, run, tmp_path):
    rows = np.random.default_rng(0).integers(0, 17, (1000, 1, 8, 8)).astype(np.float32)
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", rows)
        rows[501, 0, 3, 3] += 1
    for i, name in enumerate("ab"):
        done("encode", run, "--data", tmp_path / f"{name}.npy", "--shard", f"{i}/2", "--out", tmp_path / "x.npz")
    refused(cli("concat", *tmp_path.glob("x*"), "--out", tmp_path / "y.npz"), "different are: data. Give")


@pytest.mark.parametrize("kind", ["density", "reconstruction"])
def test_a_shard_without_rows_tells_of_none(done, home, tmp_path, kind):
    shard = ("--shard", "0/99", "--out", tmp_path / "x.npz")
    told = done("score", home / "run", "--split", "all", "--kind", kind, "--contamination", "0.5", *shard)
    assert "0 of 0 rows have a score above" in told.err


def test_a_value_that_is_not_finite_is_refused_by_the_shard_that_has_it(done, cli, refused, run, tmp_path):
    rows = np.zeros((70, 1, 8, 8), np.float32)
    rows[50, 0, 1, 2] = np.nan
    np.save(tmp_path / "new.npy", rows)
    shard = ("encode", run, "--data", tmp_path / "new.npy", "--out", tmp_path / "x.npz", "--shard")
    done(*shard, "0/2")
    refused(cli(*shard, "1/2"), "some values are not finite in float32; the first is nan in row 50, feature 10")
    assert sorted(it.name for it in tmp_path.glob("x*")) == ["x-00000-of-00002.npz"]
    rows[50, 0, 1, 2], rows[0] = 0, np.nan
    np.save(tmp_path / "new.npy", rows)
    done(*shard, "0/999")  # it has no rows


@pytest.mark.parametrize(
    ("pick", "parts"),
    [
        (lambda it: it[:1] + it[2:], ["1 of 3 shards are missing: 1/3", "give them all"]),
        (lambda it: [*it, it[1]], ["shard 1/3 is given twice", "x-00001-of-00003.npz and"]),
    ],
    ids=["missing", "doubled"],
)
def test_missing_and_doubled_shards_are_refused(cli, refused, shards, tmp_path, pick, parts):
    refused(cli("concat", *pick(shards("encode")), "--out", tmp_path / "x.csv"), *parts)
    assert not (tmp_path / "x.csv").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("other", "parts"),
    [
        ({"run": "other"}, ["different are: weights of the run. Give the shards"]),
        ({"of": 4}, ["different are: number of shards (3 and 4)"]),
        ({"rows": ("--split", "train")}, ["number of rows (60 and 48)", "data"]),
        ({"rows": ("--data", "changed.csv")}, ["different are: data. Give"]),
        ({"rows": ("--data", "renamed.csv")}, ["different are: data. Give"]),
        ({"rows": ("--data", "same.csv", "--ids", "person")}, ["different are: --ids (None and person). Give"]),
        ({"rows": ("--data", "same.csv", "--label-key", "kind")}, ["different are: --label-key (None and kind). Give"]),
        ({"command": ("encode", "--draws", 2)}, ["--draws (0 and 2)"]),
        ({"command": ("score",)}, ["command (encode and score)"]),
    ],
    ids=["run", "number", "split", "data", "ids", "--ids", "--label-key", "options", "command"],
)
def test_shards_of_something_else_are_refused(cli, refused, home, shards, tmp_path, monkeypatch, other, parts):
    monkeypatch.chdir(tmp_path)
    text = (home / "people.csv").read_text()
    (tmp_path / "changed.csv").write_text(text.replace("p7,", "p7,1"))
    (tmp_path / "renamed.csv").write_text(text.replace("p7,", "q7,"))
    (tmp_path / "same.csv").write_text(text)
    here = {"rows": ("--data", "same.csv")} if ".csv" in str(other) else {}
    files = shards("encode", only=[0, 1], **here)
    last = shards(*other.pop("command", ("encode",)), only=[2], folder="others", **other)
    refused(cli("concat", *files, *last, "--out", tmp_path / "x.npz"), "are not shards of one result", *parts)
    assert not (tmp_path / "x.npz").exists()


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--shard", "3/3"], ["shards are counted from 0, so that the last one is 2/3"]),
        (["--shard", "1"], ["--shard 1 is not I/N, such as 0/64"]),
        (["--shard", "-1/3"], ["is not I/N"]),
        (["--shard", "0/0"], ["is not I/N"]),
        (
            ["--shard", "0/2", "--out", "x.csv"],
            [".csv cannot store the shard's description", "aaeframe concat"],
        ),
        (["--shard", "0/2", "--out", "-"], ["is a stream, and a shard is a file"]),
        (["--shard", "0/2", "--out", "/dev/null"], ["is a stream, and a shard is a file"]),
        (["--shard", "0/2", "--out", "x.npz", "--format", "npz"], ["--format npz is for streams"]),
    ],
)
def test_a_shard_that_makes_no_sense_is_refused(cli, refused, home, tmp_path, monkeypatch, arguments, parts):
    monkeypatch.chdir(tmp_path)
    refused(cli("score", home / "run", *arguments), *parts)
    assert list(tmp_path.iterdir()) == []


def test_without_a_name_shards_lie_in_the_folder_of_the_run(done, run):
    assert f"{run}/scores-00001-of-00002.npz" in done("score", run, "--shard", "1/2").out


@pytest.mark.slow
def test_what_is_no_shard_or_damaged_is_refused_by_name(cli, refused, shards, home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = shards("score", of=2)
    refused(cli("concat", "none.npz", "--out", "x.npz"), "none.npz: there is no such file")
    refused(cli("concat", home / "people.csv", "--out", "x.npz"), "people.csv is not a shard")
    np.savez("plain.npz", x=np.zeros(3))
    refused(cli("concat", "plain.npz", "--out", "x.npz"), "plain.npz is not a shard")
    refused(cli("concat", *files, "--out", files[0]), "is one of the shards")
    with np.load(files[1]) as held:
        arrays = dict(held)
    np.savez(files[1], **{**arrays, "score": arrays["score"][1:]})
    refused(cli("concat", *files, "--out", "x.npz"), "cannot be read as a shard: score is float64 of shape")
    np.savez(files[1], **{**arrays, "aaeframe.shard": np.array('{"index": -1}')})
    refused(cli("concat", *files, "--out", "x.npz"), "cannot be read as a shard: its description is invalid")
    for cut in itertools.islice(range(100, files[0].stat().st_size, 97), 20):
        content = files[0].read_bytes()
        (tmp_path / "cut.npz").write_bytes(content[:cut])
        refused(cli("concat", "cut.npz", files[1], "--out", "x.npz"), "cut.npz")
    assert not (tmp_path / "x.npz").exists()
