"""The table of runs that were never trained: their folders are written by hand, and recorded."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path

import pytest

import aaeframe
from aaeframe import figures
from aaeframe.components.registry import Registry
from aaeframe.configuration.presets import read_about
from aaeframe.configuration.resolve import resolve
from aaeframe.reproduce import cell_status, outcome, record, work
from aaeframe.reproduce.cells import DataOverride, cells
from aaeframe.reproduce.experiments import EXPERIMENTS
from aaeframe.reproduce.outcome import criteria, learning_curve
from aaeframe.reproduce.record import POINTS
from aaeframe.reproduce.table import as_json, draw_curves, markdown, notes, results, sections, write

STORED = Path(__file__).parents[3] / "benchmarks/results"


@pytest.fixture(scope="module")
def registry():
    return Registry.load()


def report(error=0.02, *, two_sample=0.55, ratio=0.3, lacking=0.02):
    """The evaluation of a clustering, as far as the table reads it."""
    return {
        "reconstruction": {"ratio": ratio},
        "blocks": {
            "y": {"entropy": 2.0, "prior_entropy": 2.7, "two_sample": 0.99, "two_sample_by": {}},
            "style": {"entropy": None, "prior_entropy": None, "two_sample": two_sample, "two_sample_by": {}},
        },
        "clustering": {"error": error, "uniform_entropy": math.log(16), "marginal_entropy": math.log(16) - lacking},
    }


@pytest.fixture
def put(tmp_path, registry):
    """Writes the folder of a run, finished if it is evaluated, and its record."""

    def put(row, column, seed, *, evaluations=None, epochs=None, losses=None, change=None, accesses=0, data=None):
        (cell,) = (it for it in cells([(EXPERIMENTS[row], column)], tmp_path, seeds=None, data=data) if it.seed == seed)
        config = resolve(cell.config(), registry).config
        epochs = config.training.epochs if epochs is None else epochs
        if change is not None:
            config = config.model_copy(update={"training": config.training.model_copy(update=change)})
        cell.folder.mkdir(parents=True)
        (cell.folder / "config.toml").write_text(config.to_toml())
        line = {"reconstruction": 10.0, "validation/reconstruction": 11.0, "seconds": 1.5, **(losses or {})}
        rows = [{"epoch": at, "step": 9 * at, "validation/error": 0.5 / at, **line} for at in range(1, epochs + 1)]
        (cell.folder / "metrics.jsonl").write_text("".join(f"{json.dumps(it)}\n" for it in rows))
        (cell.folder / "test_accesses.jsonl").write_text("{}\n" * accesses)
        of = {"step": 9 * epochs, "raw_weights": config.training.ema == 0}
        if evaluations is not None:
            reports = {name: {**of, **it} for name, it in evaluations.items()}
            (cell.folder / "evaluation.json").write_text(json.dumps(reports))
        record.write(cell.record, outcome.of_cell(cell))
        return cell

    return put


def diverge(cell, sentence):
    told = outcome.of_cell(cell).model_copy(update={"diverged": sentence})
    record.write(cell.record, told)


@pytest.fixture
def found(tmp_path, registry):
    """All that is recorded under the folder now."""
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
    assert [(cell.seed, it.value, it.test_accesses) for cell, it in result.done] == [(0, 1.0, 1), (2, 4.0, 3)]
    assert [it.seconds for _, it in result.done] == [1.5 * 40] * 2
    assert {it.version for _, it in result.done} == {aaeframe.__version__}
    titles, line = texts([result], "Error on test images, %")
    assert titles == ["experiment", "the paper", "with label-free terms"]
    assert line == ["16 clusters", "9.55 ± 2.05", "2.50 ± 2.12† (2 of 10), pick 1.00"]
    assert f"† settings tuned {read_about('modern-mnist-16-clusters').tuned}" in notes([result])


def labeled(**known):
    """The evaluation of a classification, of whose y this is known."""
    block = {"two_sample": 0.99, "two_sample_by": {}, **known}
    return {"reconstruction": {"ratio": 0.3}, "blocks": {"y": block}, "classification": {"error": 0.02}}


@pytest.mark.parametrize(
    ("known", "counts"),
    [
        ({"entropy": 2.1, "prior_entropy": 2.1, "uniform_entropy": math.log(10)}, False),  # it has followed the codes
        ({"entropy": 2.25, "prior_entropy": 2.25, "uniform_entropy": math.log(10)}, True),
        ({"entropy": 2.1, "prior_entropy": math.log(10)}, False),  # a report older than the entry
    ],
)
def test_classes_must_be_used_as_evenly_as_a_uniform_prior_asks_whatever_the_prior_is(put, found, known, counts):
    put("100-labels", "following", 0, evaluations={"test": labeled(**known)})
    [(_, run)] = found()[0].done
    assert run.counts == counts


def test_one_seed_has_no_spread_and_is_no_pick(put, found):
    put("16-clusters", "paper", 1, evaluations={"test": report(0.0955)})
    (result,) = found()
    assert (result.spread, result.best) == (None, None)
    assert texts([result], "Error")[1][2] == "9.55 (1 of 3)"


def test_the_pick_has_the_least_terms_and_weighted_reconstruction_whatever_its_error(put, found):
    weight = 0.004
    for seed, (error, terms) in enumerate([(0.01, 0.5), (0.09, 0.1), (0.03, 0.1)]):
        losses = {"virtual_adversarial": terms, "mutual_information": -1.0, "reconstruction": 10.0 * (seed + 1)}
        put("16-clusters", "label-free", seed, evaluations={"test": report(error)}, losses=losses)
    (result,) = found()
    assert [it.selection_score for _, it in result.done] == pytest.approx(
        [0.5 - 1 + 10 * weight, 0.1 - 1 + 20 * weight, 0.1 - 1 + 30 * weight]
    )
    cell, run = result.best
    assert cell.seed == 1
    assert run.value == pytest.approx(9)


def test_a_ramp_of_the_reconstruction_weight_counts_with_its_end(put, found):
    losses = {"virtual_adversarial": 0.25, "mutual_information": -1.0, "reconstruction": 10.0}
    put("2d-20-clusters", "label-free", 0, evaluations={"test": report()}, losses=losses)
    (result,) = found()
    [(cell, run)] = result.done
    end = resolve(cell.config(), Registry.load()).config.training.reconstruction_weight.end
    assert run.selection_score == pytest.approx(0.25 - 1 + 10 * end)


def test_without_label_free_terms_a_soft_y_is_not_picked_for_its_reconstruction(put, found):
    for seed, (rec, unsure) in enumerate([(5.0, 2.4), (8.0, 0.4)]):
        losses = {"reconstruction": rec, "entropy/y": 2.7, "uncertainty/y": unsure}
        put("30-clusters", "adversarial", seed, evaluations={"test": report(0.1)}, losses=losses)
    (result,) = found()
    assert [it.selection_score for _, it in result.done] == pytest.approx([5 * 0.02 - 0.3, 8 * 0.02 - 2.3])
    assert result.best[0].seed == 1


def test_with_labels_nothing_is_picked(put, found):
    for seed in (0, 1):
        put(
            "100-labels",
            "label-free",
            seed,
            evaluations={"test": {**report(), "classification": {"error": 0.015}}},
        )
    (result,) = found()
    assert result.best is None
    assert not any("pick:" in note for note in notes([result]))


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        ({"two_sample": 0.66}, "larger two-sample accuracy of style is 0.66, at most 0.65"),
        ({"two_sample": None}, "larger two-sample accuracy of style could not be measured"),
        ({"ratio": 0.6}, "reconstruction error over the mean image's is 0.6, at most 0.5"),
        ({"lacking": 0.2}, "entropy missing from clusters is 0.2, at most 0.1"),
    ],
)
def test_what_makes_a_run_not_count_is_named_in_the_table(put, found, measured, words):
    put("16-clusters", "label-free", 0, evaluations={"test": report(**measured)})
    put("16-clusters", "label-free", 1, evaluations={"test": report()})
    (result,) = found()
    assert [it.counts for _, it in result.done] == [False, True]
    assert result.done[0][1].remarks == (words,)
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
    assert result.done[0][1].criteria == ()
    assert texts([result], "Every seed")[1][2] == "not judged"
    assert as_json([result])["rows"]["16-clusters"]["columns"]["terms"]["seeds"][0]["counts"] is None


def test_a_run_with_other_settings_than_the_presets_is_set_aside(put, found):
    put("16-clusters", "label-free", 0, evaluations={"test": report(0.9)}, change={"batch_size": 2, "device": "cuda"})
    put("16-clusters", "label-free", 1, evaluations={"test": report(0.03)}, change={"device": "cuda"})
    put("16-clusters", "label-free", 2, evaluations={"test": report(0.05)})
    (result,) = found()
    assert result.mean == pytest.approx(4)
    assert result.best[0].seed in (1, 2)
    (aside,) = texts([result], "Set aside")[1:]
    assert aside[:2] == ["16-clusters, label-free, seed 0", "of other settings"]
    assert aside[2].endswith(
        "seed-0/record.json is of other settings than the column's now: training.batch_size; remove it, or take "
        "another --out"
    )
    assert "label-free/seed-0\n" not in markdown([result])


def test_runs_of_different_data_are_never_averaged(put, found):
    put("16-clusters", "label-free", 0, evaluations={"test": report(0.01)})
    for seed, rows in ((1, None), (2, (100, 200))):
        data = DataOverride("/some/own.npz", rows)
        put("16-clusters", "label-free", seed, evaluations={"test": report(0.05)}, data=data)
    results = found()
    assert [it.mean for it in results] == pytest.approx([1, 5, 5])
    assert [line[0] for line in texts(results, "Error")[1:]] == [
        "16 clusters",
        "16 clusters on own.npz",
        "16 clusters on own.npz with 100 and 200 rows held out",
    ]
    names = ["16-clusters", "16-clusters on own.npz", "16-clusters on own.npz with 100 and 200 rows held out"]
    assert list(as_json(results)["rows"]) == names


def test_a_diverged_seed_is_counted_as_such(put, found):
    cell = put("16-clusters", "label-free", 0, epochs=3)
    diverge(cell, "step 30: the loss is nan")
    put("16-clusters", "label-free", 1, evaluations={"test": report(0.03)})
    results = found()
    assert texts(results, "Error")[1][2] == "3.00† (1 of 10), 1 diverged"
    assert texts(results, "Set aside")[1][1] == "diverged"
    (aside,) = as_json(results)["rows"]["16-clusters"]["columns"]["label-free"]["aside"]
    assert (aside["seed"], aside["state"]) == (0, "diverged")


def test_of_diverged_seeds_alone_there_is_no_number(put, found):
    diverge(put("16-clusters", "label-free", 0, epochs=3), "step 30: nan")
    assert texts(found(), "Error")[1][2] == "(0 of 10), 1 diverged"


def test_a_pick_that_does_not_count_is_said_so(put, found):
    put("16-clusters", "label-free", 0, evaluations={"test": report(0.03, two_sample=0.9)})
    losses = {"augmentation": 5.0}
    put("16-clusters", "label-free", 1, evaluations={"test": report(0.05)}, losses=losses)
    (result,) = found()
    assert texts([result], "Error")[1][2].endswith("(2 of 10), pick 3.00, which does not count, 1 does not count")
    assert [it.selection_score for _, it in result.done] == pytest.approx([10 * 0.004, 10 * 0.004 + 5])
    assert as_json([result])["rows"]["16-clusters"]["columns"]["label-free"]["pick"]["counts"] is False


def test_an_unfinished_run_is_listed_with_its_curve_and_is_in_no_mean(put, found):
    put("16-clusters", "label-free", 0, evaluations={"test": report(0.03)})
    put("16-clusters", "label-free", 1, epochs=5)
    (result,) = found()
    assert result.mean == pytest.approx(3)
    assert texts([result], "Not done") == [
        ["run", "epoch", "so far, on validation rows"],
        ["16-clusters, label-free, seed 1", "5 of 40", "error 10.00%"],
    ]
    (unfinished,) = as_json([result])["rows"]["16-clusters"]["columns"]["label-free"]["unfinished"]
    epochs = [1, 2, 3, 4, 5]
    values = pytest.approx([0.5 / epoch for epoch in epochs])
    assert unfinished["curve"] == {"measure": "validation/error", "epochs": epochs, "values": values}


def test_a_run_that_is_done_keeps_its_curve(put, found):
    put("16-clusters", "label-free", 0, evaluations={"test": report(0.03)})
    (run,) = as_json(found())["rows"]["16-clusters"]["columns"]["label-free"]["seeds"]
    epochs = run["curve"]["epochs"]
    assert (epochs[-1], len(epochs)) == (40, POINTS)
    assert run["curve"]["values"] == pytest.approx([0.5 / epoch for epoch in epochs])


def test_a_long_curve_is_thinned_and_keeps_its_last_point(put, found):
    put("16-clusters", "label-free", 1, epochs=1003)
    (result,) = found()
    [curve] = result.curves
    epochs = curve.epochs
    assert len(epochs) == POINTS
    assert list(epochs) == sorted(set(epochs))
    assert epochs[-1] == 1003


@pytest.mark.parametrize(
    "losses",
    [
        {"validation/error": None, "validation/reconstruction": 1e13},
        {"epoch": "one"},
        {"epoch": -1},
        {"epoch": 2**53},
        {"epoch": True},
    ],
)
def test_a_run_of_which_no_curve_can_be_told_is_in_the_table_without_one(put, found, losses):
    put("16-clusters", "label-free", 0, evaluations={"test": report(0.03)}, losses=losses)
    put("16-clusters", "label-free", 1, epochs=2, losses=losses)
    (result,) = found()
    assert (result.mean, result.curves) == (pytest.approx(3), [])
    column = as_json([result])["rows"]["16-clusters"]["columns"]["label-free"]
    assert [it["curve"] for it in (*column["seeds"], *column["unfinished"])] == [None, None]


def test_epochs_without_an_error_are_left_out_of_a_curve():
    rows = [{"epoch": 1, "validation/error": 0.5}, {"epoch": 2, "validation/error": None}, {"epoch": 3}]
    curve = learning_curve([*rows, {"epoch": 4, "validation/error": 0}])
    assert (curve.epochs, curve.values) == ((1, 4), (0.5, 0.0))


def test_learning_curves_are_drawn_of_errors_beside_the_papers(put, found, tmp_path, monkeypatch):
    put("16-clusters", "label-free", 0, evaluations={"test": report(0.03)})
    put("16-clusters", "adversarial", 2, epochs=3)
    put("30-clusters", "adversarial", 0, epochs=1)
    put("100-labels", "paper", 0, epochs=0)
    put("likelihood", "modern", 0, epochs=2, losses={"validation/error": 0.9})
    drawn = []
    monkeypatch.setattr(figures, "save", lambda figure, path: drawn.append((figure, path)))
    assert draw_curves(found(), tmp_path / "curves.png")
    [(figure, path)] = drawn
    assert path == tmp_path / "curves.png"
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes}
    assert list(panels) == ["16 clusters", "30 clusters"]
    lines = {line.get_label(): line for line in panels["16 clusters"].lines}
    assert list(lines) == ["with label-free terms", "adversarial only", "the paper, test rows"]
    assert lines["adversarial only"].get_ydata() == pytest.approx([50, 25, 50 / 3])
    assert set(lines["the paper, test rows"].get_ydata()) == {9.55}


def test_without_a_watched_error_no_learning_curve_is_drawn(put, found, tmp_path):
    put("100-labels", "paper", 0, epochs=0)
    assert not draw_curves(found(), tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()


@pytest.mark.slow
def test_a_run_without_an_epoch_is_unfinished(put, found):
    put("16-clusters", "label-free", 0, epochs=0)
    assert texts(found(), "Not done")[1] == ["16-clusters, label-free, seed 0", "0 of 40", ""]
    assert texts(found(), "Error")[1][2] == "(0 of 10)"
    assert "```" not in markdown(found())


def test_two_likelihoods_of_one_run(put, found):
    block = {"z": {"entropy": None, "two_sample": 0.5, "two_sample_by": {}}}
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
    assert (result.name, result.mean) == ("likelihood", 341.25)
    assert texts([result], "Parzen")[1] == ["Parzen, 10,000 samples", "340 ± 2", "341.2† (1 of 3)"]


def test_markdown_has_the_table_what_is_published_and_the_commands(put, found):
    put("16-clusters", "label-free", 0, evaluations={"test": report(0.012)})
    put("16-clusters", "terms", 0, evaluations={"test": report(0.11)})
    text = markdown(found())
    assert "| experiment | the paper | with label-free terms | without the autoencoder |\n| --- |" in text
    assert "| 16 clusters | 9.55 ± 2.05 | 1.20† (1 of 10) | 11.00† (1 of 10) |" in text
    assert "CatGAN, 20 clusters 9.70; AAE 9.55 ± 2.05" in text
    assert "\naaeframe train --preset modern-mnist-16-clusters --seed 0 --out 16-clusters/label-free/seed-0\n" in text
    assert "--set training.reconstruction_weight=0.0 --set prior.y.weight=0.0" in text
    assert "\naaeframe evaluate 16-clusters/terms/seed-0\n" in text


def test_the_files_are_the_same_for_the_same_runs(put, found, tmp_path):
    put("16-clusters", "label-free", 0, evaluations={"test": report(0.012)})
    put("2d-20-clusters", "adversarial", 0, epochs=1)
    write(tmp_path, found())
    first = [(tmp_path / name).read_bytes() for name in ("results.json", "results.md")]
    write(tmp_path, found())
    assert [(tmp_path / name).read_bytes() for name in ("results.json", "results.md")] == first
    rows = json.loads(first[0])["rows"]
    assert list(rows) == sorted(rows) == ["16-clusters", "2d-20-clusters"]
    assert rows["16-clusters"]["paper"] == {"name": "AAE", "value": 9.55, "spread": 2.05, "note": ""}


def test_a_record_that_is_no_json_is_told_of_and_stops_no_table(put, found):
    cell = put("16-clusters", "label-free", 0)
    cell.record.write_text("{")
    put("16-clusters", "label-free", 1, evaluations={"test": report(0.03)})
    results = found()
    assert [it.mean for it in results] == pytest.approx([3])
    name, state, told = texts(results, "Set aside")[1]
    assert (name, state) == ("16-clusters, label-free, seed 0", "unreadable")
    assert re.search(r"seed-0/record.json is no record: .*; remove it", told)


@pytest.fixture
def put_generator(tmp_path):
    """Writes what was measured of a GAN, and its record."""

    def put(seed, nats, **changes):
        (cell,) = (it for it in cells([(EXPERIMENTS["likelihood"], "gan")], tmp_path, seeds=None) if it.seed == seed)
        told = {
            "settings": {**cell_status.generator_settings(cell.filled_by, seed).as_dict(), **changes},
            "seconds": 90.0,
            "likelihood": {"log_likelihood": nats},
            "dataset": "mnist",
            "held_out": None,
            "environment": {"device": "cpu (a machine)", "threads": "2"},
            "version": "1.2.3",
        }
        cell.folder.mkdir(parents=True)
        (cell.folder / "test_accesses.jsonl").write_text("{}\n{}\n")
        (cell.folder / "result.json").write_text(json.dumps(told))
        record.write(cell.record, outcome.of_cell(cell))
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
    epochs = str(cell_status.generator_settings(cell.filled_by, 0).epochs)
    assert texts([result], "Every seed")[1] == [
        *("likelihood, gan, seed 0", "220.0 nats", "not judged", epochs, "1.5", "cpu (a machine), 2 threads"),
        *("mnist", "2"),
    ]
    text = markdown([result])
    assert "- † settings tuned on validation rows" in text
    assert f"- GAN in pixel space: no adversarial autoencoder, judged by no criterion; epochs={epochs}, " in text
    assert "\naaeframe reproduce likelihood --column gan --seeds 3 --out .\n" in text


def test_a_generator_with_other_settings_than_the_columns_is_set_aside(put_generator, found):
    put_generator(1, 220.0, epochs=1, device="cuda:0")
    (result,) = found()
    assert result.done == ()
    assert "is of other settings than the column's now: epochs; remove it" in texts([result], "Set aside")[1][2]


@pytest.mark.parametrize("text", ["{", "{}", "[]"])
def test_a_result_that_is_none_is_told_of(put_generator, registry, text):
    cell = put_generator(0, 220.0)
    cell.record.unlink()
    (cell.folder / "result.json").write_text(text)
    reason = work.status(cell, registry).reason
    assert re.search(r"result.json is no result: .*; remove it, and it is measured anew", reason)


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(STORED.glob("*-reproduction*.md")), ids=lambda it: it.stem)
def test_stored_records_give_the_numbers_of_their_stored_table(path, tmp_path, registry, monkeypatch):
    """Whatever the columns' settings are now. So what depends on these is left out: the mark of tuned settings, the
    number of seeds, and a precision that is told because it is not the preset's."""
    monkeypatch.setattr(cell_status, "changed_settings", lambda cell, record, registry: [])
    shutil.copytree(path.with_suffix(""), tmp_path / "records")

    def numbers(text):
        table = text.partition("### What is published")[0].replace("†", "")
        return re.sub(r" \(\d+ of \d+\)|\b(bf16|fp32), (?=cpu)", "", table).splitlines()

    assert numbers(markdown(results(tmp_path, registry))) == numbers(path.read_text())
