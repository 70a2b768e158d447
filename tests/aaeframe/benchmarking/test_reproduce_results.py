"""The table of runs that were never trained: their folders are written by hand."""

from __future__ import annotations

import json
import math

import pytest

from aaeframe.benchmarking.reproduce import measured, stored
from aaeframe.benchmarking.reproduce.cells import cells
from aaeframe.benchmarking.reproduce.criteria import criteria
from aaeframe.benchmarking.reproduce.markdown import markdown
from aaeframe.benchmarking.reproduce.results import CURVE_POINTS, results
from aaeframe.benchmarking.reproduce.rows import ROWS
from aaeframe.benchmarking.reproduce.table import notes, sections
from aaeframe.build import resolve
from aaeframe.errors import RunError
from aaeframe.registry import Registry


@pytest.fixture(scope="module")
def registry():
    return Registry.load()


def report(error=0.02, *, two_sample=0.55, ratio=0.3, lacking=0.02):
    """The evaluation of a clustering, as far as the table reads it."""
    return {
        "reconstruction": {"ratio": ratio},
        "blocks": {
            "y": {"entropy": 2.0, "prior_entropy": 2.7, "two_sample": 0.99},
            "style": {"entropy": None, "prior_entropy": None, "two_sample": two_sample},
        },
        "clustering": {"error": error, "uniform_entropy": math.log(16), "marginal_entropy": math.log(16) - lacking},
    }


@pytest.fixture
def put(tmp_path, registry):
    """Writes the folder of a run."""

    def put(row, column, seed, *, evaluations=None, epochs=2, losses=None, change=None, accesses=0):
        (cell,) = (it for it in cells([(ROWS[row], column)], tmp_path, seeds=None) if it.seed == seed)
        config = resolve(cell.config(), registry)
        if change is not None:
            config = config.model_copy(update={"training": config.training.model_copy(update=change)})
        cell.folder.mkdir(parents=True)
        (cell.folder / "config.toml").write_text(config.to_toml())
        line = {"reconstruction": 10.0, "validation/reconstruction": 11.0, "seconds": 1.5, **(losses or {})}
        rows = [{"epoch": epoch + 1, "validation/error": 0.5 / (epoch + 1), **line} for epoch in range(epochs)]
        (cell.folder / "metrics.jsonl").write_text("".join(f"{json.dumps(it)}\n" for it in rows))
        (cell.folder / "test_accesses.jsonl").write_text("{}\n" * accesses)
        if evaluations is not None:
            (cell.folder / "evaluation.json").write_text(json.dumps(evaluations))
        return cell

    return put


@pytest.fixture
def found(tmp_path, registry):
    """All that is under the folder now."""
    return lambda: results(tmp_path, registry)


def texts(results, title):
    (section,) = (it for it in sections(results) if it.title.startswith(title))
    return [list(section.columns), *map(list, section.rows)]


def test_nothing_is_a_table_of_nothing(found):
    assert found() == []
    assert sections([]) == []


def test_mean_and_spread_of_two_seeds_by_hand(put, found):
    for seed, error in ((0, 0.01), (2, 0.04)):
        put("16-clusters", "label-free", seed, evaluations={"test": report(error)}, accesses=1 + seed)
    (result,) = found()
    assert result.mean == pytest.approx(2.5)
    assert result.spread == pytest.approx(1.5 * math.sqrt(2))
    assert [(it.cell.seed, it.value, it.test_accesses) for it in result.judged] == [(0, 1.0, 1), (2, 4.0, 3)]
    assert [it.seconds for it in result.judged] == [3.0, 3.0]
    titles, line = texts([result], "Error on test images, %")
    assert titles == ["experiment", "the paper", "with label-free terms"]
    assert line == ["16 clusters", "9.55 ± 2.05", "2.50 ± 2.12† (2 of 3), pick 1.00"]
    assert "† settings tuned with validation labels" in notes([result])


def test_one_seed_has_no_spread_and_is_no_pick(put, found):
    put("16-clusters", "paper", 1, evaluations={"test": report(0.0955)})
    (result,) = found()
    assert (result.spread, result.pick) == (None, None)
    assert texts([result], "Error")[1][2] == "9.55 (1 of 3)"


def test_the_pick_has_the_least_terms_and_weighted_reconstruction_whatever_its_error(put, found):
    weight = 0.004
    for seed, (error, terms) in enumerate([(0.01, 0.5), (0.09, 0.1), (0.03, 0.1)]):
        losses = {"virtual_adversarial": terms, "mutual_information": -1.0, "reconstruction": 10.0 * (seed + 1)}
        put("16-clusters", "label-free", seed, evaluations={"test": report(error)}, losses=losses)
    (result,) = found()
    assert [it.criterion for it in result.judged] == pytest.approx(
        [0.5 - 1 + 10 * weight, 0.1 - 1 + 20 * weight, 0.1 - 1 + 30 * weight]
    )
    assert result.pick.cell.seed == 1
    assert result.pick.value == pytest.approx(9)


def test_with_labels_nothing_is_picked(put, found):
    for seed in (0, 1):
        put(
            "100-labels",
            "label-free",
            seed,
            evaluations={"test": {**report(), "classification": {"error": 0.015}}},
        )
    (result,) = found()
    assert result.pick is None
    assert not any("pick:" in note for note in notes([result]))


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        ({"two_sample": 0.66}, "two-sample accuracy of style is 0.66, at most 0.65"),
        ({"two_sample": None}, "two-sample accuracy of style could not be measured"),
        ({"ratio": 0.6}, "reconstruction error over the mean image's is 0.6, at most 0.5"),
        ({"lacking": 0.2}, "entropy missing from clusters is 0.2, at most 0.1"),
    ],
)
def test_what_makes_a_run_not_count_is_named_in_the_table(put, found, measured, words):
    put("16-clusters", "label-free", 0, evaluations={"test": report(**measured)})
    put("16-clusters", "label-free", 1, evaluations={"test": report()})
    (result,) = found()
    assert [it.counts for it in result.judged] == [False, True]
    assert result.judged[0].remarks == (words,)
    assert "1 does not count" in texts([result], "Error")[1][2]
    counts = [line[2] for line in texts([result], "Every seed")]
    assert counts == ["counts", f"no: {words}", "yes"]


def test_at_their_bounds_criteria_are_met():
    met = [it.met for it in criteria(report(two_sample=0.65, ratio=0.5, lacking=0.1 - 1e-9))]
    assert met == [True, True, True]


def test_of_a_classification_the_entropy_is_that_of_its_block():
    blocks = {key: part for key, part in report().items() if key != "clustering"}
    (lacking,) = (it for it in criteria(blocks) if it.of.startswith("entropy"))
    assert lacking.found == pytest.approx(0.7)
    assert not lacking.met


def test_without_an_autoencoder_there_is_none_to_judge(put, found):
    put("16-clusters", "terms", 0, evaluations={"test": report(two_sample=1.0, ratio=3.0)})
    (result,) = found()
    assert result.judged[0].criteria == ()
    assert texts([result], "Every seed")[1][2] == "not judged"
    assert stored.as_json([result])["rows"]["16-clusters"]["columns"]["terms"]["seeds"][0]["counts"] is None


def test_a_run_with_other_settings_than_the_presets_does_not_count(put, found):
    put("16-clusters", "label-free", 0, evaluations={"test": report()}, change={"epochs": 2, "device": "cuda"})
    (result,) = found()
    assert result.judged[0].remarks == ("not the column's: training.epochs",)


def test_an_unfinished_run_is_listed_with_its_curve_and_is_in_no_mean(put, found):
    put("16-clusters", "label-free", 0, evaluations={"test": report(0.03)})
    put("16-clusters", "label-free", 1, epochs=5)
    (result,) = found()
    assert result.mean == pytest.approx(3)
    assert texts([result], "Not done") == [
        ["run", "epoch", "so far, on validation rows"],
        ["16-clusters, label-free, seed 1", "5 of 40", "error 10.00%"],
    ]
    (unfinished,) = stored.as_json([result])["rows"]["16-clusters"]["columns"]["label-free"]["unfinished"]
    assert unfinished["validation/error"] == [[epoch, pytest.approx(0.5 / epoch)] for epoch in range(1, 6)]


def test_a_long_curve_is_thinned_and_keeps_its_last_point(put, found):
    put("16-clusters", "label-free", 1, epochs=1003)
    (result,) = found()
    epochs = [epoch for epoch, _ in result.unfinished[0].curve]
    assert len(epochs) == CURVE_POINTS
    assert epochs == sorted(set(epochs))
    assert epochs[-1] == 1003


def test_a_run_without_an_epoch_is_unfinished(put, found):
    put("16-clusters", "label-free", 0, epochs=0)
    assert texts(found(), "Not done")[1] == ["16-clusters, label-free, seed 0", "0 of 40", ""]
    assert texts(found(), "Error")[1][2] == "(0 of 3)"
    assert "```" not in markdown(found())


def test_two_likelihoods_of_one_run(put, found):
    block = {"z": {"entropy": None, "two_sample": 0.5}}
    put(
        "likelihood",
        "modern",
        0,
        evaluations={
            "test": {"reconstruction": {"ratio": 0.2}, "blocks": block},
            "test likelihood, 10000 samples": {"log_likelihood": 341.25},
        },
    )
    (result,) = found()
    assert (result.row.name, result.mean) == ("likelihood", 341.25)
    assert texts([result], "Parzen")[1] == ["Parzen, 10,000 samples", "340 ± 2", "341.2 (1 of 3)"]


def test_markdown_has_the_table_what_is_published_and_the_commands(put, found):
    put("16-clusters", "label-free", 0, evaluations={"test": report(0.012)})
    put("16-clusters", "terms", 0, evaluations={"test": report(0.11)})
    text = markdown(found())
    assert "| experiment | the paper | with label-free terms | without the autoencoder |\n| --- |" in text
    assert "| 16 clusters | 9.55 ± 2.05 | 1.20† (1 of 3) | 11.00† (1 of 3) |" in text
    assert "CatGAN, 20 clusters 9.70; AAE 9.55 ± 2.05" in text
    assert "\naaeframe train --preset modern-mnist-16-clusters --seed 0 --out 16-clusters/label-free/seed-0\n" in text
    assert "--set training.reconstruction_weight=0.0 --set prior.y.weight=0.0" in text
    assert "\naaeframe evaluate 16-clusters/terms/seed-0\n" in text


def test_the_files_are_the_same_for_the_same_runs(put, found, tmp_path):
    put("16-clusters", "label-free", 0, evaluations={"test": report(0.012)})
    put("2d-20-clusters", "adversarial", 0, epochs=1)
    stored.write(tmp_path, found())
    first = [(tmp_path / name).read_bytes() for name in ("results.json", "results.md")]
    stored.write(tmp_path, found())
    assert [(tmp_path / name).read_bytes() for name in ("results.json", "results.md")] == first
    rows = json.loads(first[0])["rows"]
    assert list(rows) == sorted(rows) == ["16-clusters", "2d-20-clusters"]
    assert rows["16-clusters"]["paper"] == {"name": "AAE", "value": 9.55, "spread": 2.05, "note": ""}


def test_an_evaluation_that_is_no_json_is_refused_in_words(put, found):
    cell = put("16-clusters", "label-free", 0)
    (cell.folder / "evaluation.json").write_text("{")
    with pytest.raises(RunError, match=r"evaluation.json is not JSON: .*; remove it"):
        found()


@pytest.fixture
def put_generator(tmp_path):
    """Writes what was measured of a GAN."""

    def put(seed, nats, **changes):
        (cell,) = (it for it in cells([(ROWS["likelihood"], "gan")], tmp_path, seeds=None) if it.seed == seed)
        told = {
            "settings": {**measured.settings(cell.how, seed).as_dict(), **changes},
            "seconds": 90.0,
            "likelihood": {"log_likelihood": nats},
            "dataset": "mnist",
            "held_out": None,
            "environment": {"device": "cpu (a machine)", "threads": "2"},
        }
        cell.folder.mkdir(parents=True)
        (cell.folder / "result.json").write_text(json.dumps(told))
        return cell

    return put


def test_a_generator_stands_beside_the_runs_and_is_judged_by_nothing(put_generator, found):
    cell = put_generator(0, 220.0)
    put_generator(2, 224.0)
    (result,) = found()
    assert (result.mean, result.spread) == (222, pytest.approx(2 * math.sqrt(2)))
    assert texts([result], "Parzen") == [
        ["experiment", "the paper", "GAN in pixel space"],
        ["Parzen, 10,000 samples", "340 ± 2", "222.0 ± 2.8† (2 of 3)"],
    ]
    epochs = str(measured.settings(cell.how, 0).epochs)
    assert texts([result], "Every seed")[1] == [
        *("likelihood, gan, seed 0", "220.0 nats", "not judged", epochs, "1.5", "cpu (a machine), 2 threads"),
        *("mnist", "1"),
    ]
    text = markdown([result])
    assert "- † settings tuned on validation rows" in text
    assert f"- GAN in pixel space: no adversarial autoencoder, judged by no criterion; epochs={epochs}, " in text
    assert "\naaeframe reproduce likelihood --column gan --seeds 3 --out .\n" in text


def test_a_generator_with_other_settings_than_the_columns_does_not_count(put_generator, found):
    put_generator(1, 220.0, epochs=1, device="cuda:0")
    (result,) = found()
    assert result.judged[0].remarks == ("not the column's: epochs",)
    assert texts([result], "Every seed")[1][2] == "no: not the column's: epochs"


@pytest.mark.parametrize("text", ["{", "{}", "[]"])
def test_a_result_that_is_none_is_refused_in_words(put_generator, found, text):
    cell = put_generator(0, 220.0)
    (cell.folder / "result.json").write_text(text)
    with pytest.raises(RunError, match=r"result.json is no result: .*; remove it, and it is measured anew"):
        found()
