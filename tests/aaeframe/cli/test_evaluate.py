from __future__ import annotations

import json
from pathlib import Path

import pytest

import aaeframe
from aaeframe import __version__
from aaeframe.errors import ConfigError
from aaeframe.evaluation import likelihood
from aaeframe.evaluation.likelihood import Decoded, Ranks
from aaeframe.storage.shards import Share
from aaeframe_kernels import dispatch


@pytest.fixture
def quick(monkeypatch):
    """Evaluations that take no time; what they measure is tested where they are."""
    seen = []

    def evaluate(model, dataset, split, seed, *, num_labels, class_metric, metrics=(), two_sample=True):
        seen.append(split)
        return REPORT | {"split": split}

    monkeypatch.setattr("aaeframe.runs.measuring.evaluate", evaluate)
    return seen


REPORT = {
    "rows": 7,
    "seed": 0,
    "reconstruction": {"error": 1.0, "mean_image_error": 4.0, "ratio": 0.25, "shuffled_error": 6.0},
    "blocks": {
        "y": {
            "sliced_wasserstein": 0.125,
            "sliced_wasserstein_floor": 0.0625,
            "mmd": 0.5,
            "mmd_floor": 0.25,
            "two_sample": 0.75,
            "two_sample_interval": [0.70, 0.80],
            "two_sample_by": {"trees": 0.75, "perceptron": 0.5},
            "two_sample_rows": 400,
            "tested": True,
            "entropy": 2.5,
            "prior_entropy": 2.25,
        },
        "z": {
            "sliced_wasserstein": 0.1,
            "sliced_wasserstein_floor": 0.1,
            "mmd": 0.5,
            "mmd_floor": 0.25,
            "two_sample": 0.75,
            "two_sample_interval": [0.70, 0.80],
            "two_sample_by": {"trees": 0.75, "perceptron": 0.5},
            "two_sample_rows": 400,
            "tested": True,
            "entropy": None,
            "classes": {"agreement": 0.875, "prior_agreement": 0.99, "chance": 0.1, "num_labels": 50},
        },
    },
}


def cells(out):
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in out.splitlines() if line.startswith("│")]


def test_match_and_reconstruction_stand_beside_what_they_are_measured_against(done, run, quick):
    outcome = done("evaluate", run)
    assert "Match of block 'y' with its prior, 7 test rows" in outcome.out
    assert cells(outcome.out) == [
        ["sliced Wasserstein", "0.125", "0.0625"],
        ["MMD²", "0.50000", "0.25000"],
        ["classifier two-sample accuracy", "0.750 (0.700 to 0.800)", "0.5 (chance)"],
        ["by trees", "0.750", "0.5 (chance)"],
        ["by perceptron", "0.500", "0.5 (chance)"],
        ["entropy of the mean code, nats", "2.5", "2.25"],
        ["sliced Wasserstein", "0.1", "0.1"],
        ["MMD²", "0.50000", "0.25000"],
        ["classifier two-sample accuracy", "0.750 (0.700 to 0.800)", "0.5 (chance)"],
        ["by trees", "0.750", "0.5 (chance)"],
        ["by perceptron", "0.500", "0.5 (chance)"],
        ["codes in their class's component (50 labels, chance 10%)", "87.5%", "99.0%"],
        ["half squared error", "1", "0.250"],
        ["the same, codes shuffled among rows", "6", "1.500"],
        ["the same, mean row", "4", "1.000"],
    ]


def test_evaluations_of_both_splits_are_kept(done, run, quick):
    printed = done("evaluate", run, "--json").json
    assert printed["split"] == "test"
    assert json.loads((run / "evaluation.json").read_text()) == {"test": printed}
    assert done("evaluate", run, "--split", "validation", "--json").json["split"] == "validation"
    assert quick == ["test", "validation"]
    assert json.loads((run / "evaluation.json").read_text()).keys() == {"test", "validation"}


def test_an_evaluation_says_of_which_weights_it_is(done, run, quick):
    averaged, raw = (done("evaluate", run, "--json", *flags).json for flags in ([], ["--raw-weights"]))
    assert (averaged["raw_weights"], raw["raw_weights"]) == (False, True)
    assert averaged["step"] == raw["step"] == 12


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_an_evaluation_that_cannot_be_kept_is_printed_first(cli, run, quick, form):
    (run / "evaluation.json").write_text("{")
    outcome = cli("evaluate", run, *form)
    assert outcome.code == 2
    assert "sliced" in outcome.out
    assert "error: " in outcome.err
    assert "evaluation.json is not JSON" in outcome.err


def test_measures_that_are_absent_say_why(done, run, monkeypatch):
    absent = {key: None for key in REPORT["blocks"]["z"] if key.startswith(("mmd", "two_sample"))}
    report = {
        **REPORT,
        "split": "test",
        "rows": 1,
        "reconstruction": {"error": 1.0, "mean_image_error": 0.0, "ratio": None, "shuffled_error": None},
        "blocks": {"z": {**REPORT["blocks"]["z"], **absent}},
    }
    monkeypatch.setattr("aaeframe.runs.measuring.evaluate", lambda *_, **__: report)
    few, constant = "too few rows", "constant data"
    assert cells(done("evaluate", run).out) == [
        ["sliced Wasserstein", "0.1", "0.1"],
        ["MMD²", few, few],
        ["classifier two-sample accuracy", few, few],
        ["codes in their class's component (50 labels, chance 10%)", "87.5%", "99.0%"],
        ["half squared error", "1", constant],
        ["the same, codes shuffled among rows", few, constant],
        ["the same, mean row", "0", constant],
    ]


def test_training_rows_are_not_held_out(cli, run, quick):
    outcome = cli("evaluate", run, "--split", "train")
    assert outcome.code == 2
    assert "'train'" in outcome.err
    assert quick == []


def test_figures_are_drawn_into_the_run(done, run):
    outcome = done("figures", run, "--split", "validation")
    paths = [Path(line) for line in outcome.out.splitlines()]
    assert paths
    assert {path.parent for path in paths} == {run / "figures"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_figures_as_json(done, run, monkeypatch):
    monkeypatch.setattr("aaeframe.runs.reporting.plot_gallery", lambda *_, **__: [Path("a.png"), Path("b.png")])
    assert done("figures", run, "--json").json == {"figures": ["a.png", "b.png"]}


def test_doctor_tells_what_is_there(done, monkeypatch):
    monkeypatch.setenv("AAEFRAME_DATA", "some/folder")
    found = done("doctor", "--json").json
    assert found["versions"]["aaeframe"] == __version__
    assert found["devices"]["available"].startswith("cpu")
    assert found["data"] == {"AAEFRAME_DATA": "some/folder"}
    assert found["plugins"]["aaeframe:priors"] == f"{__version__} active"
    outcome = done("doctor")
    rows = cells(outcome.out)
    assert found["kernels"]["discriminator_loss"] == "cpu, because tensors are on cpu"
    assert found["kernels"]["parzen"].startswith("cpu, because tensors are on cpu: ")
    del found["kernels"]["parzen"]  # too long for one line of the table
    for part in found.values():
        for name, fact in part.items():
            assert [name, str(fact)] in rows


def test_doctor_reads_from_the_left(done):
    facts = [line.split("│")[2] for line in done("doctor").out.splitlines() if line.startswith("│")]
    assert len(facts) > 10
    assert all(fact.startswith(" ") and not fact.startswith("  ") for fact in facts)


def test_doctor_reports_a_plugin_that_is_broken(done, monkeypatch):
    monkeypatch.setenv("AAEFRAME_NO_PLUGINS", "networks")
    assert done("doctor", "--json").json["plugins"]["aaeframe:networks"] == f"{__version__} blocked"


def test_the_likelihood_is_of_test_rows_under_decoded_samples(done, run, quick):
    import torch

    from aaeframe_kernels import parzen_log_likelihood

    report = done("evaluate", run, "--likelihood", "--samples", 700, "--json").json
    found = report["likelihood"]
    opened = aaeframe.load(run)
    scale = opened.model.scale
    test = scale(torch.from_numpy(opened.dataset().test.array()))
    samples = scale(Decoded(opened.model, 700, seed=0, scaled=False).rows(0, 700))
    expected = parzen_log_likelihood(test, samples, found["bandwidth"], precision="float64")
    assert found["log_likelihood"] == pytest.approx(float(expected.mean()), abs=0.01)
    assert found["standard_error"] == pytest.approx(float(expected.std()) / 360**0.5, rel=1e-3)
    assert (found["rows"], found["samples"], found["units"]) == (360, 700, "scaled to [0, 1]")
    kept = json.loads((run / "evaluation.json").read_text())
    assert kept["test likelihood, 700 samples"] == found
    assert kept["test"] == {key: value for key, value in report.items() if key != "likelihood"}
    assert not list((run / "likelihood").iterdir())


def test_the_likelihood_is_shown(done, run, quick):
    outcome = done("evaluate", run, "--likelihood", "--samples", 300)
    assert "Parzen log-likelihood, 360 test rows under 300 samples" in outcome.out
    assert "test: 300 samples" in outcome.err


@pytest.mark.slow
def test_samples_are_decoded_in_the_precision_that_is_asked_for(done, run, quick):
    asked = "evaluate", run, "--likelihood", "--samples", 250
    exact, rounded = done(*asked, "--json").json, done(*asked, "--precision", "bf16", "--json").json
    exact, rounded = exact["likelihood"], rounded["likelihood"]
    assert exact["log_likelihood"] != rounded["log_likelihood"] == pytest.approx(exact["log_likelihood"], abs=0.5)
    assert ("precision" in exact, rounded["precision"]) == (False, "bf16")
    kept = json.loads((run / "evaluation.json").read_text())
    assert kept["test likelihood, 250 samples"] == exact
    assert kept["test likelihood, 250 samples, bf16"] == rounded
    assert "samples decoded in │ bf16" in " ".join(done(*asked, "--precision", "bf16").out.split())
    assert '"likelihood, 250 samples, bf16"' in (run / "test_accesses.jsonl").read_text()


def test_an_estimate_that_other_processes_began_is_told_and_its_progress_removed_at_the_end(run, quick, monkeypatch):
    monkeypatch.setattr(likelihood, "CHUNK", 100)
    told, opened = [], aaeframe.load(run)

    def stop(doing, done, of):
        if done:
            raise KeyboardInterrupt

    two = Ranks(Share(1, 2), lambda own: [own, own])
    with pytest.raises(KeyboardInterrupt):
        opened.likelihood(samples=400, progress=stop, ranks=two, warn=told.append)
    (left,) = (run / "likelihood").iterdir()
    assert (told, left.name.endswith("-1-of-2.unfinished")) == ([], True)
    opened.likelihood(samples=400, warn=told.append)
    assert f"{left} is of another number of processes than 1, so the estimate starts anew" in told[0]
    assert list((run / "likelihood").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--samples", 300], "--samples is the number of samples for --likelihood, which is not given"),
        (["--precision", "bf16"], "--precision applies only to --likelihood, which is not given"),
        (
            ["--likelihood", "--precision", "tf32"],
            "--precision tf32 is arithmetic of NVIDIA's GPUs, but this",
        ),
        (["--likelihood", "--precision", "half"], "there is no precision 'half'; there are fp32, tf32, bf16"),
    ],
)
def test_options_of_the_likelihood_that_cannot_be_are_refused(cli, run, arguments, words):
    outcome = cli("evaluate", run, *arguments, "--device", "cpu")
    assert outcome.code == 2
    assert words in " ".join(outcome.err.split())


def test_from_python_a_precision_that_does_not_exist_is_refused(run):
    with pytest.raises(ConfigError, match="there is no precision 'half'; there are fp32, tf32, bf16"):
        aaeframe.load(run).likelihood(precision="half")


@pytest.mark.parametrize(
    ("path", "words"),
    [("triton", "AAEFRAME_KERNELS=triton asks for the Triton kernels, but"), ("tritn", "names no backend; ")],
)
def test_a_forced_kernel_that_cannot_run_is_an_error_in_words(cli, done, run, quick, monkeypatch, path, words):
    monkeypatch.setenv("AAEFRAME_KERNELS", path)
    assert words in done("doctor", "--json").json["kernels"]["parzen"]
    outcome = cli("evaluate", run, "--likelihood", "--samples", 10)
    assert outcome.code == 2
    assert words in outcome.err
    assert "Traceback" not in outcome.err


def test_the_reference_can_be_forced(done, run, quick, monkeypatch):
    monkeypatch.setenv("AAEFRAME_KERNELS", "reference")
    before = dispatch.launches["reference/parzen"]
    found = done("evaluate", run, "--likelihood", "--samples", 20, "--json").json["likelihood"]
    assert found["paths"] == {"float64": 20}
    assert dispatch.launches["reference/parzen"] > before
