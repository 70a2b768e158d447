"""Data of one's own by the command line: shown before training, named by ids, and refused when it changed."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

SMALL = ("--network", "mlp(hidden=[8])", "--discriminator", "mlp(hidden=[8])", "--epochs", "1")

OPTIONS = ("--ids", "id", "--set", "data.categories=[color]", "--set", "data.missing=mean")


def rows(count=60, start=0):
    """Lines of a table: names, two numbers of which one is empty, a category and labels, some of them empty."""
    rng = np.random.default_rng(start)
    numbers = np.round(rng.normal(size=(count, 2)), 3)
    return [
        f"p{start + i},{a},{'' if i == 7 else b},{'red' if i % 3 else 'blue'},{['cat', 'dog', ''][i % 3]}"
        for i, (a, b) in enumerate(numbers)
    ]


HEADER = "id,height,weight,color,label"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("own")


@pytest.fixture(scope="module")
def source(folder):
    path = folder / "people.csv"
    path.write_text("\n".join([HEADER, *rows()]) + "\n")
    return path


@pytest.fixture(scope="module")
def trained(folder, source):
    import aaeframe

    config = {"data": {"ids": "id", "categories": ["color"], "missing": "mean"}}
    aaeframe.train(
        source,
        recipe="semi-supervised",
        prior="y=categorical(classes=2)+z=gaussian(size=2)",
        labels="all",
        network="mlp(hidden=[8])",
        discriminator="mlp(hidden=[8])",
        epochs=1,
        config=config,
        out=folder / "run",
    )
    return folder / "run"


@pytest.mark.slow
def test_data_is_shown_before_anything_is_trained(done, source, tmp_path):
    found = done("data", source, *OPTIONS, "--json", "--picture", tmp_path / "sheet.png").json
    assert found["rows"] == {"training": 48, "validation": 6, "test": 6}
    assert found["columns"] == ["height", "weight", "color=blue", "color=red"]
    assert found["classes"] == {"cat": 20, "dog": 20}
    assert sum(found["unlabeled"].values()) == 20
    assert found["labels"] == "column 'label'"
    assert found["scale"].startswith("standardized by the training rows")
    assert any(it.startswith("1 empty cell") for it in found["left_out"])
    assert [it["column"] for it in found["table"]] == found["columns"]
    assert (tmp_path / "sheet.png").stat().st_size > 1000
    lines = done("data", source, *OPTIONS).out
    for part in ("people.csv: 60 rows (48 training, 6 validation, 6 test)", "cat (20), dog (20)", "20 rows have no"):
        assert part in lines


def test_training_says_what_it_read(done, source, tmp_path):
    said = done("train", "--data", source, *OPTIONS, *SMALL, "--out", tmp_path / "run").err
    assert said.index("60 rows (48 training") < said.index("epoch 1/1")
    assert "left out  1 empty cell" in said


def test_codes_come_with_the_names_of_their_rows(done, trained, tmp_path):
    done("encode", trained, "--split", "all", "--out", tmp_path / "codes.npz")
    held = np.load(tmp_path / "codes.npz")
    assert held["ids"].tolist() == [f"p{i}" for i in range(60)]
    assert (held["labels"] == -1).sum() == 20
    done("reconstruct", trained, "--out", tmp_path / "x.npz")
    assert len(np.load(tmp_path / "x.npz")["ids"]) == 6


@pytest.mark.slow
@pytest.mark.parametrize("command", ["evaluate", "encode", "reconstruct", "figures"])
def test_data_that_changed_is_refused_until_it_is_allowed(cli, refused, done, trained, tmp_path, command):
    run = shutil.copytree(trained, tmp_path / "run")
    moved = tmp_path / "people.csv"
    moved.write_text("\n".join([HEADER, *rows()[::-1]]) + "\n")
    config = (run / "config.toml").read_text()
    (run / "config.toml").write_text(config.replace(str(trained.parent / "people.csv"), str(moved)))
    refused(cli(command, run), "is not the data of the training any more", "another order", "--data-changed")
    done(command, run, "--data-changed")


def test_more_rows_are_named(cli, refused, trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    more = tmp_path / "people.csv"
    more.write_text("\n".join([HEADER, *rows(80)]) + "\n")
    config = (run / "config.toml").read_text()
    (run / "config.toml").write_text(config.replace(str(trained.parent / "people.csv"), str(more)))
    refused(cli("evaluate", run), "64 training rows where there were 48")


def test_rows_never_seen_are_measured_whole(done, trained, tmp_path):
    new = tmp_path / "new.csv"
    new.write_text("\n".join([HEADER, *rows(30, start=100)]) + "\n")
    found = done("evaluate", trained, "--data", new, "--json").json
    assert found["rows"] == 30
    assert found["split"] == f"test of {new}"
    assert found["classification"]["rows"] == 20
    kept = json.loads((trained / "evaluation.json").read_text())
    assert kept[f"test of {new}"]["rows"] == 30
    assert (
        not (trained / "test_accesses.jsonl").exists() or str(new) not in (trained / "test_accesses.jsonl").read_text()
    )


@pytest.mark.slow
def test_new_rows_are_brought_to_the_columns_of_the_training(done, cli, refused, trained, tmp_path):
    new = tmp_path / "new.csv"
    new.write_text("color,weight,id,height\n" + "\n".join(f"red,{i},q{i},{2 * i}" for i in range(5)) + "\n")
    done("encode", trained, "--data", new, "--out", tmp_path / "a.npz")
    ordered = tmp_path / "ordered.csv"
    ordered.write_text("id,height,weight,color\n" + "\n".join(f"q{i},{2 * i},{i},red" for i in range(5)) + "\n")
    done("encode", trained, "--data", ordered, "--out", tmp_path / "b.npz")
    first, second = np.load(tmp_path / "a.npz"), np.load(tmp_path / "b.npz")
    np.testing.assert_array_equal(first["z"], second["z"])
    assert first["ids"].tolist() == ["q0", "q1", "q2", "q3", "q4"]
    new.write_text("color,id,height\n" + "\n".join(f"red,q{i},{2 * i}" for i in range(5)) + "\n")
    refused(cli("encode", trained, "--data", new), "not those of the training; missing: weight")
    new.write_text("id,height,weight,color\n" + "\n".join(f"q{i},{2 * i},{i},green" for i in range(5)) + "\n")
    refused(cli("encode", trained, "--data", new), "unknown: color=green")


def test_a_class_is_named_as_in_the_data(done, cli, refused, trained, tmp_path):
    done("sample", trained, "--label", "dog", "--count", "3", "--out", tmp_path / "dogs.npz")
    assert np.load(tmp_path / "dogs.npz")["y"].argmax(1).tolist() == [1, 1, 1]
    refused(
        cli("sample", trained, "--label", "1"), "samples of class '1' were requested; this model has the classes cat"
    )


def test_a_class_that_the_run_does_not_have_is_named(cli, refused, trained, tmp_path):
    new = tmp_path / "new.csv"
    new.write_text("\n".join([HEADER, *(it.replace("dog", "cow") for it in rows(30))]) + "\n")
    refused(cli("evaluate", trained, "--data", new), "the run has the classes cat, dog, but these rows have cow too")


@pytest.mark.parametrize("setting", ["data.source=digits", "training.epochs=5", "recipe=clustering"])
def test_settings_that_do_not_say_how_to_read_are_refused(cli, refused, source, setting):
    refused(cli("data", source, "--set", setting), f"--set {setting.partition('=')[0]}: `aaeframe data` takes settings")


def test_options_of_data_that_is_not_given(cli, refused, trained):
    refused(cli("encode", trained, "--ids", "id"), "--ids is for the rows of --data, which is not given")
    refused(cli("evaluate", trained, "--data", "x.csv", "--split", "validation"), "--data is measured whole")
