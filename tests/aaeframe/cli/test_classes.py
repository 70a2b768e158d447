"""Commands on runs that know classes: samples of a class, representations, reports, figures, comparisons."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

import aaeframe

SMALL = {"network": "mlp(hidden=[8])", "discriminator": "mlp(hidden=[8])", "epochs": 1}
CLASSES = "y=categorical(classes=10)+style=gaussian(size=2)"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A small run of each recipe that knows classes."""
    folder = tmp_path_factory.mktemp("runs")
    aaeframe.train(recipe="supervised", prior="gaussian(size=2)", out=folder / "supervised", **SMALL)
    aaeframe.train(recipe="semi-supervised", prior=CLASSES, labels=50, out=folder / "semi-supervised", **SMALL)
    aaeframe.train(recipe="clustering", prior=CLASSES, out=folder / "clustering", **SMALL)
    aaeframe.train(recipe="reduction", prior=CLASSES, out=folder / "reduction", **SMALL)
    return folder


@pytest.fixture
def runs(shared, tmp_path):
    """Copies of those runs."""
    return shutil.copytree(shared, tmp_path / "runs")


def figures_of(run):
    return {path.stem for path in (run / "figures").iterdir()}


def test_samples_of_a_class_where_the_decoder_is_told_it(done, runs):
    done("sample", runs / "supervised", "--label", "7", "--count", "5")
    with np.load(runs / "supervised/samples.npz") as file:
        assert file["x"].shape == (5, 1, 8, 8)
        assert file["labels"].tolist() == [7] * 5
    done("sample", runs / "supervised", "--count", "200")
    with np.load(runs / "supervised/samples.npz") as file:
        assert set(file["labels"].tolist()) == set(range(10))


def test_samples_of_a_class_where_a_block_is_the_class(done, runs):
    done("sample", runs / "clustering", "--label", "3", "--count", "5")
    with np.load(runs / "clustering/samples.npz") as file:
        assert file["y"].argmax(1).tolist() == [3] * 5
        assert "labels" not in file


@pytest.mark.parametrize("name", ["supervised", "clustering"])
def test_a_class_that_is_not_there_is_refused(cli, refused, runs, name):
    refused(cli("sample", runs / name, "--label", "10"), "class '10'", "the classes 0, 1, 2, 3")


def test_a_model_without_classes_has_no_samples_of_one(cli, refused, run):
    refused(cli("sample", run, "--label", "1"), "samples of class '1' were requested", "has no classes")


def test_the_representation_is_w_c_y_plus_z(done, runs):
    done("encode", runs / "reduction", "--representation")
    heads = aaeframe.load(runs / "reduction").model.representation.weight.detach().numpy()
    with np.load(runs / "reduction/codes.npz") as file:
        np.testing.assert_allclose(file["representation"], file["y"] @ heads + file["style"], atol=1e-5)
    done("encode", runs / "reduction", "--representation", "--draws", "2")
    with np.load(runs / "reduction/codes.npz") as file:
        assert file["representation"].shape == (2, 360, 2)


def test_rows_are_reconstructed_with_their_labels(done, cli, refused, runs, tmp_path):
    done("reconstruct", runs / "supervised")
    np.save(tmp_path / "rows.npy", np.zeros((3, 1, 8, 8), np.uint8))
    outcome = cli("reconstruct", runs / "supervised", "--data", tmp_path / "rows.npy")
    refused(outcome, "decodes a code together with its class", "3 of 3 rows have no label")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "parts", "pictures"),
    [
        ("supervised", {"leakage"}, {"styles"}),
        ("semi-supervised", {"classification", "leakage"}, {"styles", "clusters"}),
        ("clustering", {"clustering", "leakage"}, {"styles", "clusters"}),
        ("reduction", {"clustering", "leakage"}, {"styles", "clusters", "representation"}),
    ],
)
def test_each_recipe_is_measured_and_drawn_by_what_it_is_for(done, runs, monkeypatch, name, parts, pictures):
    monkeypatch.setattr("aaeframe.evaluation.matching.LEAST_ROWS", 10**9)  # no two-sample test, which takes time
    report = done("evaluate", runs / name, "--json", "--split", "validation").json
    assert {"classification", "clustering", "leakage"} & report.keys() == parts
    done("figures", runs / name)
    assert {"styles", "clusters", "representation"} & figures_of(runs / name) == pictures


@pytest.mark.slow
def test_the_tables_say_how_clusters_were_named(done, runs):
    out = done("evaluate", runs / "clustering", "--split", "validation").out
    assert "clusters named by validation rows (the paper's protocol)" in out
    assert "class read from 'style' by a linear probe" in out


@pytest.mark.slow
def test_every_look_at_the_test_rows_is_counted(done, runs, monkeypatch):
    monkeypatch.setattr(
        "aaeframe.runs.measuring.evaluate", lambda *arguments, **options: {"blocks": {}}
    )  # what it measures takes time
    run, accesses = runs / "clustering", runs / "clustering/test_accesses.jsonl"
    done("evaluate", run, "--split", "validation", "--json")
    assert not accesses.exists()
    done("evaluate", run, "--json")
    done("evaluate", run, "--likelihood", "--samples", "100", "--json")
    done("figures", run)
    done("figures", run, "--split", "validation")
    purposes = [json.loads(line)["purpose"] for line in accesses.read_text().splitlines()]
    assert purposes == ["evaluate", "evaluate", "likelihood, 100 samples", "figures"]


def test_an_estimate_on_validation_rows_that_was_stopped_hides_no_look_at_test_rows(tmp_path):
    run = aaeframe.train(prior="gaussian(size=2)", out=tmp_path / "run", **SMALL)

    def stop(doing, done, of):
        if not doing.startswith("bandwidths"):  # the pass that chose one is kept by now
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.likelihood(split="validation", samples=100, progress=stop)
    assert len(list((run.folder.path / "likelihood").iterdir())) == 1
    run.likelihood(samples=100)
    assert len(run.folder.test_accesses.read_text().splitlines()) == 1


@pytest.fixture
def pair(tmp_path):
    """An adversarial and a variational run with one prior."""
    common = {"prior": "gaussian(size=2)", "encoder": "gaussian", **SMALL}
    aaeframe.train(out=tmp_path / "adversarial", **common)
    aaeframe.train(recipe="variational", out=tmp_path / "variational", **common)
    return tmp_path / "adversarial", tmp_path / "variational"


@pytest.mark.slow
def test_runs_are_set_beside_each_other(done, pair, tmp_path):
    split = ("--split", "validation")
    out = done("compare", *pair, *split, "--out", tmp_path / "pictures/codes.png").out
    assert "two-sample accuracy" in out
    assert "prior itself" in out
    assert (tmp_path / "pictures/codes.png").stat().st_size > 10_000
    report = done("compare", *pair, *split, "--json").json
    assert {str(path) for path in pair} == report.keys()


def test_runs_of_other_priors_are_not_compared(cli, refused, pair, runs):
    refused(
        cli("compare", pair[0], runs / "clustering"), "share their data, its split and a prior of one block", "style"
    )
    refused(cli("compare", pair[0]), "two or more different runs")
    refused(cli("compare", pair[0], pair[0]), "two or more different runs")


def test_runs_on_other_splits_are_not_compared(cli, refused, table, tmp_path):
    for name, held_out in (("one", [5, 5]), ("other", [10, 10])):
        aaeframe.train(table, config={"data": {"held_out": held_out}}, out=tmp_path / name, **SMALL)
    refused(cli("compare", tmp_path / "one", tmp_path / "other"), "share their data, its split")


@pytest.mark.slow
def test_codes_are_drawn_in_a_plane_and_nothing_is_measured_for_others(cli, refused, tmp_path):
    for name in ("one", "other"):
        aaeframe.train(prior="gaussian(size=3)", out=tmp_path / name, **SMALL)
    outcome = cli("compare", tmp_path / "one", tmp_path / "other", "--out", tmp_path / "codes.png")
    refused(outcome, "plots codes of two dimensions", "leave it out")
    assert not (tmp_path / "one/test_accesses.jsonl").exists()


@pytest.mark.slow
def test_any_rows_are_decoded_with_their_class_by_its_name(done, cli, refused, runs, tmp_path):
    x = np.random.default_rng(0).integers(0, 17, (6, 8, 8)).astype(np.uint8)
    for rows in (6, 1):  # three of ten classes, and one row alone
        np.savez(tmp_path / "few.npz", x=x[:rows], y=np.arange(rows) % 3 + 4)
        done("reconstruct", runs / "supervised", "--data", tmp_path / "few.npz", "--out", tmp_path / "out.npz")
        run = aaeframe.load(runs / "supervised")
        wanted = run.reconstruct(x[:rows, None], torch.arange(rows) % 3 + 4)
        np.testing.assert_allclose(np.load(tmp_path / "out.npz")["x_hat"], wanted.numpy(), rtol=1e-5)
    np.savez(tmp_path / "few.npz", x=x, y=np.arange(6) % 3 + 8)
    outcome = cli("reconstruct", runs / "supervised", "--data", tmp_path / "few.npz")
    refused(outcome, "the run has the classes 0, 1, 2", "but these rows have 10 too")
