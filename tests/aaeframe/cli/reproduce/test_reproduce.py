"""`aaeframe reproduce`, on the rows of conftest.py."""

from __future__ import annotations

import json
import shutil
import signal
from statistics import mean, stdev

import numpy as np
import pytest
from PIL import Image

import aaeframe
from aaeframe import data as datasets
from aaeframe.errors import TrainingDiverged
from aaeframe.reproduce import rivals as generators
from aaeframe.reproduce import work
from aaeframe.storage.locks import try_lock

SETTINGS = ["epochs=2", "batch_size=600", "hidden=[8]", "noise=4", "learning_rate=0.001", "dropout=0.0"]
"""The settings of the tiny generator."""
RECORD = "reproduction/records/clusters/label-free/seed-3/record.json"


@pytest.fixture
def diverged(cli, monkeypatch):
    """Runs a command in which the training of the first seed diverges before its first step."""

    def run(*arguments):
        real = work.starting.start

        def start(config, *rest, **options):
            if config.training.seed == 3:
                raise TrainingDiverged("step 2: the loss is nan")
            return real(config, *rest, **options)

        with monkeypatch.context() as inside:
            inside.setattr(work.starting, "start", start)
            outcome = cli(*arguments)
        assert outcome.code == 1
        return outcome

    return run


def stored(path):
    return json.loads((path / "results.json").read_text())


@pytest.mark.slow
def test_a_row_is_filled_once_printed_and_written(done, tmp_path, evaluated):
    first = done("reproduce", "clusters")
    assert evaluated == ["reproduction/clusters/label-free/seed-3", "reproduction/clusters/label-free/seed-5"]
    found = stored(tmp_path / "reproduction")["rows"]["clusters"]
    column = found["columns"]["label-free"]
    values = [it["value"] for it in column["seeds"]]
    assert [it["seed"] for it in column["seeds"]] == [3, 5]
    assert column["mean"] == pytest.approx(mean(values))
    assert column["standard_deviation"] == pytest.approx(stdev(values))
    assert (column["done"], column["of"], column["unfinished"]) == (2, 2, [])
    assert column["pick"]["seed"] in (3, 5)
    for seed in column["seeds"]:
        assert seed["epochs"] == 2
        assert seed["test_accesses"] == 1
        assert len(seed["criteria"]) == 3
        assert "--set label_free.mutual_information=0.1" in seed["commands"][0]
    assert f"{column['mean']:.2f} ± {column['standard_deviation']:.2f} (2 of 2)" in " ".join(first.out.split())
    assert "a dozen clusters" in (tmp_path / "reproduction/results.md").read_text()

    second = done("reproduce", "clusters")
    assert len(evaluated) == 2
    assert second.out == first.out


@pytest.mark.slow
def test_a_budget_of_nothing_does_one_piece_at_a_time_and_says_how_to_go_on(done, tmp_path, evaluated):
    command = ("reproduce", "clusters", "--seeds", 1, "--budget", 0, "--out", "table")
    outcome = done(*command)
    assert "1 of 1 runs are left, clusters, label-free, seed 3 first" in outcome.err
    assert "go on with: aaeframe reproduce clusters --seeds 1 --budget 0 --out table" in outcome.err
    column = stored(tmp_path / "table")["rows"]["clusters"]["columns"]["label-free"]
    assert column["unfinished"][0]["epoch"] == 0
    assert column["mean"] is None
    done(*command)  # the second of its 4 steps, 2 an epoch
    (unfinished,) = stored(tmp_path / "table")["rows"]["clusters"]["columns"]["label-free"]["unfinished"]
    assert unfinished["epoch"] == 1
    assert unfinished["curve"]["epochs"] == [1]
    done(*command)
    done(*command)
    assert evaluated == []
    assert "are left" not in done(*command).err
    assert len(evaluated) == 1
    resumed = stored(tmp_path / "table")["rows"]["clusters"]["columns"]["label-free"]["seeds"][0]

    done("reproduce", "clusters", "--seeds", 1, "--out", "whole")
    at_once = stored(tmp_path / "whole")["rows"]["clusters"]["columns"]["label-free"]["seeds"][0]
    assert (resumed["value"], resumed["criteria"]) == (at_once["value"], at_once["criteria"])


@pytest.mark.slow
def test_a_run_that_is_killed_is_in_the_table_as_far_as_it_came(cli, done, monkeypatch, tmp_path):
    real = work._Recording.stepped

    def stepped(self, epoch, step):
        real(self, epoch, step)
        if step == 3:
            raise SystemExit("killed")  # nothing that work does catches it

    monkeypatch.setattr(work._Recording, "stepped", stepped)
    assert cli("reproduce", "clusters", "--seeds", 1).code == "killed"
    done("reproduce", "likelihood", "--column", "gan", "--seeds", 1)
    (unfinished,) = stored(tmp_path / "reproduction")["rows"]["clusters"]["columns"]["label-free"]["unfinished"]
    assert (unfinished["epoch"], unfinished["epochs"], unfinished["curve"]["epochs"]) == (1, 2, [1])
    monkeypatch.setattr(work._Recording, "stepped", real)
    assert "are left" not in done("reproduce", "clusters", "--seeds", 1).err


@pytest.mark.slow
def test_learning_curves_of_what_is_asked_for_are_drawn(done, tmp_path):
    done("reproduce", "clusters", "--column", "terms", "--seeds", 1)
    outcome = done("reproduce", "likelihood", "--seeds", 1, "--curves", "nothing.png")
    assert "no run here has errors by epoch, so nothing.png is not drawn" in outcome.err
    assert not (tmp_path / "nothing.png").exists()
    outcome = done("reproduce", "clusters", "--seeds", 1, "--json", "--out", "new", "--curves", "new/curves.PNG")
    assert outcome.json == stored(tmp_path / "new")
    assert "learning curves are in new/curves.PNG" in outcome.err
    with Image.open(tmp_path / "new/curves.PNG") as image:
        assert image.size[0] > 300


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--curves", "."), "--curves . is a folder; give a file that ends in .png"),
        (("--curves", "curves.pdf"), "--curves curves.pdf ends in .pdf"),
        (("--curves", "presets.png"), "--curves presets.png is a folder"),
        (("--list", "--curves", "curves.png"), "--list trains nothing"),
    ],
)
def test_a_picture_that_cannot_be_drawn_is_refused_before_any_work(cli, refused, tmp_path, given, words):
    (tmp_path / "presets.png").mkdir()
    refused(cli("reproduce", "clusters", *given), words)
    assert not (tmp_path / "reproduction").exists()


@pytest.mark.slow
def test_rows_that_share_runs_train_and_evaluate_them_once(done, tmp_path, evaluated):
    done("reproduce", "likelihood", "more", "--seeds", 1)
    assert evaluated == ["reproduction/likelihood/modern/seed-3"]
    found = stored(tmp_path / "reproduction")["rows"]
    few, many = (found[name]["columns"]["modern"]["seeds"][0] for name in ("likelihood", "more"))
    assert few["value"] != many["value"]
    assert few["test_accesses"] == many["test_accesses"] == 3
    assert few["commands"][1].endswith("--likelihood --samples 20")
    assert not (tmp_path / "reproduction/more").exists()


def test_a_run_that_diverged_did_so_in_all_rows_that_share_it(diverged, tmp_path):
    diverged("reproduce", "likelihood", "--seeds", 1)
    for row in ("likelihood", "more"):
        column = stored(tmp_path / "reproduction")["rows"][row]["columns"]["modern"]
        assert [(it["seed"], it["state"]) for it in column["aside"]] == [(3, "diverged")]


@pytest.mark.slow
def test_the_table_is_of_all_that_is_in_the_folder(done, tmp_path):
    done("reproduce", "likelihood", "--seeds", 1)
    outcome = done("reproduce", "clusters", "--column", "terms", "--seeds", 1, "--json")
    assert outcome.json == stored(tmp_path / "reproduction")
    assert outcome.json["rows"].keys() == {"clusters", "likelihood"}
    assert outcome.json["rows"]["clusters"]["columns"]["terms"]["seeds"][0]["counts"] is None


@pytest.mark.slow
def test_a_run_at_which_another_process_is_is_left_to_it(done, tmp_path):
    with try_lock(tmp_path / "reproduction/clusters/label-free/seed-3"):
        outcome = done("reproduce", "clusters")
    assert "clusters, label-free, seed 3: another process is at it" in outcome.err
    assert "1 of 2 runs are left" in outcome.err
    column = stored(tmp_path / "reproduction")["rows"]["clusters"]["columns"]["label-free"]
    assert [it["seed"] for it in column["seeds"]] == [5]


@pytest.mark.slow
@pytest.mark.parametrize("file", ["state.json", "model.safetensors"])
def test_a_run_whose_last_checkpoint_is_damaged_is_trained_again_from_the_one_before(done, tmp_path, file):
    def measures():
        [judged] = stored(tmp_path / "reproduction")["rows"]["clusters"]["columns"]["label-free"]["seeds"]
        return judged["value"], judged["criteria"]

    done("reproduce", "clusters", "--seeds", 1)
    before, run = measures(), tmp_path / "reproduction/clusters/label-free/seed-3"
    newest = max((run / "checkpoints").iterdir())
    (newest / file).write_bytes((newest / file).read_bytes()[:-1])
    (run / "evaluation.json").unlink()
    (tmp_path / RECORD).unlink()
    outcome = done("reproduce", "clusters", "--seeds", 1)
    assert f"{file} cannot be used: " in outcome.err
    assert f"{newest.name} is kept as" in outcome.err
    assert measures() == before


@pytest.mark.slow
def test_what_is_worth_telling_of_a_run_that_is_only_judged_is_a_note(done, tmp_path):
    done("reproduce", "clusters", "--seeds", 1)
    run = tmp_path / "reproduction/clusters/label-free/seed-3"
    (run / "evaluation.json").unlink()
    (tmp_path / RECORD).unlink()
    config = (run / "config.toml").read_text()
    (run / "config.toml").write_text(config.replace(f'aaeframe = "{aaeframe.__version__}"', 'aaeframe = "0.0.1"'))
    assert "note: the run was made with aaeframe 0.0.1" in done("reproduce", "clusters", "--seeds", 1).err


@pytest.mark.slow
def test_a_run_that_diverges_does_not_stop_the_others(diverged, tmp_path):
    outcome = diverged("reproduce", "clusters")
    assert "error: clusters, label-free, seed 3: step 2: the loss is nan" in outcome.err
    column = stored(tmp_path / "reproduction")["rows"]["clusters"]["columns"]["label-free"]
    assert [it["seed"] for it in column["seeds"]] == [5]
    kept = json.loads((tmp_path / RECORD).read_text())
    assert (kept["value"], kept["diverged"]) == (None, "step 2: the loss is nan")


@pytest.mark.slow
def test_what_diverged_is_tried_again_once_its_record_is_removed(cli, diverged, tmp_path):
    diverged("reproduce", "clusters", "--seeds", 1)
    outcome = cli("reproduce", "clusters", "--seeds", 1)
    assert outcome.code == 1
    words = f"diverged: step 2: the loss is nan; to try again, remove {RECORD}"
    assert words in " ".join(outcome.err.split())
    assert "are left" not in outcome.err
    assert "1 diverged" in outcome.out
    assert "0 of 2, 1 diverged" in cli("reproduce", "clusters", "--list").out
    (tmp_path / RECORD).unlink()
    assert cli("reproduce", "clusters", "--seeds", 1).code == 0


def test_the_first_interrupt_stops_after_the_step_and_the_table_is_printed(cli, monkeypatch):
    real = work.starting.start

    def start(config, registry, *, out, callbacks):
        signal.raise_signal(signal.SIGINT)
        return real(config, registry, out=out, callbacks=callbacks)

    monkeypatch.setattr(work.starting, "start", start)
    outcome = cli("reproduce", "clusters")
    assert outcome.code == 130
    assert "stopping after this step" in outcome.err
    assert "2 of 2 runs are left" in outcome.err
    assert "clusters, label-free, seed 3" in outcome.out


@pytest.mark.slow
def test_what_there_is_to_fill_is_listed_and_nothing_trained(done, tmp_path):
    done("reproduce", "clusters", "--seeds", 1)
    outcome = done("reproduce", "--list")
    for words in ("clusters", "label-free", "tiny-clusters", "1 of 2", "by default", "if named", "generator gan"):
        assert words in outcome.out
    cells = done("reproduce", "likelihood", "--list", "--json", "--out", "nowhere").json["cells"]
    assert cells == [
        {
            "row": "likelihood",
            "column": "modern",
            "preset": "tiny-code",
            "generator": None,
            "overrides": [],
            "done": 0,
            "not_done": {},
            "of": 2,
            "default": True,
        },
        {
            "row": "likelihood",
            "column": "gan",
            "preset": None,
            "generator": "gan",
            "overrides": SETTINGS,
            "done": 0,
            "not_done": {},
            "of": 3,
            "default": False,
        },
    ]
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("cluster",), "no row is named 'cluster'; did you mean 'clusters'?; there are: clusters, likelihood, more"),
        (("--column", "term"), "no column is named 'term'; did you mean 'terms'?"),
        (("likelihood", "--column", "terms"), "the row 'likelihood' has no column 'terms'; it has: modern, gan"),
        (("clusters", "--seeds", 3), "the preset 'tiny-clusters' fixes 2, which are 3, 5"),
        (("--data", "mnist"), "name them: aaeframe reproduce ROW"),
        (("clusters", "--held-out", 1, 2), "--held-out is of the rows of --data, which was not given"),
        (("clusters", "--label-key", "digit"), "--label-key names the labels of --data, which was not given"),
        (("clusters", "--data", "two.npz", "--label-key", "mood"), "there are no labels named 'mood'"),
        (("--list", "nothing"), "no row is named 'nothing'"),
        (("--list", "--seeds", 1), "--list trains nothing, so --seeds has no effect; leave one of them out"),
        (("--list", "--budget", 1), "--list trains nothing, so --budget has no effect"),
        (("clusters", "--data", "two.npz", "--held-out", 5, 0), "--held-out 5 0 leaves no rows for the test"),
        (("clusters", "--data", "nowhere.npz"), "there is no data set and no file 'nowhere.npz'"),
    ],
)
def test_bad_input_is_refused_before_anything_is_trained(cli, refused, tmp_path, labeled, arguments, words):
    refused(cli("reproduce", *arguments), words)
    assert not list(tmp_path.glob("reproduction/*/*/seed-*"))


def test_data_of_ones_own_is_named_beside_the_number(done, tmp_path, table):
    done("reproduce", "likelihood", "--seeds", 1, "--data", table, "--held-out", 10, 20)
    rows = stored(tmp_path / "reproduction")["rows"]
    (seed,) = rows["likelihood on table.npz with 10 and 20 rows held out"]["columns"]["modern"]["seeds"]
    assert seed["data"] == "table.npz"
    assert "--set 'data.held_out=[10, 20]' --data table.npz" in seed["commands"][0]


@pytest.fixture
def labeled(tmp_path):
    """A file of images with two arrays of labels, neither of which is found by its name."""
    rng = np.random.default_rng(0)
    path = tmp_path / "two.npz"
    np.savez(path, x=rng.integers(0, 256, (800, 5, 5), np.uint8), digit=np.arange(800) % 3, name=np.arange(800) % 2)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("column", ["modern", "gan"])
def test_the_labels_of_ones_own_data_are_named(done, cli, refused, tmp_path, labeled, column):
    given = ("--seeds", 1, "--column", column, "--data", labeled, "--label-key", "digit")
    done("reproduce", "likelihood", *given)
    name = "likelihood on two.npz with the labels digit"
    (seed,) = stored(tmp_path / "reproduction")["rows"][name]["columns"][column]["seeds"]
    assert seed["label_key"] == "digit"
    assert "--label-key digit" in seed["commands"][0]
    words = "is of two.npz with the labels digit, two.npz with the labels name was asked"
    refused(cli("reproduce", "likelihood", *given[:-1], "name"), words)
    done("reproduce", "likelihood", *given, "--recorded", "reproduction", "--out", "copied")
    assert name in stored(tmp_path / "copied")["rows"]


@pytest.mark.slow
def test_data_other_than_that_of_the_folder_is_refused_before_work(done, cli, refused, tmp_path, table):
    done("reproduce", "likelihood", "--seeds", 1)
    given = ("--data", table, "--held-out", 10, 20)
    words = "reproduction/likelihood/modern/seed-3 is of digits, table.npz with 10 and 20 rows held out was asked; take"
    refused(cli("reproduce", "likelihood", *given), words)
    assert not (tmp_path / "reproduction/likelihood/modern/seed-5").exists()
    assert "1 of other data" in done("reproduce", "likelihood", "--list", *given).out
    done("reproduce", "likelihood", "--seeds", 1, *given, "--out", "another")


@pytest.fixture
def same_name(tmp_path):
    """Three files of one name: `copy` has the rows of `a`, `other` has them in another order."""
    rows = np.random.default_rng(0).integers(0, 256, (800, 5, 5), np.uint8)
    for folder, content in {"a": rows, "copy": rows, "other": rows[::-1]}.items():
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "x.npy", content)


@pytest.mark.usefixtures("same_name")
@pytest.mark.parametrize("begun", [(), ("--budget", 0), ("--column", "gan")], ids=["done", "begun", "generator"])
def test_another_file_of_the_same_name_is_refused_unless_it_has_the_same_rows(done, cli, refused, begun):
    command = ("reproduce", "likelihood", "--seeds", 1)
    column = begun if "--column" in begun else ()
    done(*command, *begun, "--data", "a/x.npy")
    words = "a/x.npy; other/x.npy has the same name, but other values, labels or another order in the"
    refused(cli(*command, *column, "--data", "other/x.npy"), words, "take another --out")
    done(*command, *column, "--data", "copy/x.npy")


@pytest.mark.usefixtures("same_name")
def test_a_generator_of_before_its_rows_were_kept_is_taken_by_its_datas_name(done, tmp_path):
    done(*GAN, "--seeds", 1, "--data", "a/x.npy")
    path = tmp_path / "reproduction/likelihood/gan/seed-0/result.json"
    path.write_text(json.dumps({name: it for name, it in json.loads(path.read_text()).items() if name != "data"}))
    done(*GAN, "--seeds", 1, "--data", "other/x.npy")


@pytest.mark.usefixtures("same_name")
def test_a_recorded_generator_whose_file_or_result_changed_is_refused(done, cli, refused, tmp_path):
    given = (*GAN, "--seeds", 1, "--data", "a/x.npy")
    done(*given)
    np.save("a/x.npy", np.load("other/x.npy"))
    refused(cli(*given), "was trained on a/x.npy, which now has other values", "take another --out")
    (tmp_path / "reproduction/likelihood/gan/seed-0/result.json").write_text("{")
    refused(cli(*given), "result.json cannot be compared with those of a/x.npy", "restore the file")


@pytest.mark.usefixtures("same_name")
def test_a_file_is_compared_with_all_cells_by_one_reading(done, monkeypatch):
    command = ("reproduce", "likelihood", "more", "--column", "modern", "--column", "gan", "--seeds", 2)
    done(*command, "--data", "a/x.npy")
    read, load = [], datasets.load
    monkeypatch.setattr(datasets, "load", lambda *given, **options: read.append(given[0]) or load(*given, **options))
    done(*command, "--data", "copy/x.npy")
    assert read == ["copy/x.npy"] * 2  # whether it can be read at all, and to compare it


@pytest.mark.slow
def test_an_evaluation_by_hand_of_other_weights_is_not_that_of_the_table(done, tmp_path, evaluated):
    done("reproduce", "clusters", "--seeds", 1)
    (tmp_path / RECORD).unlink()
    folder = tmp_path / "reproduction/clusters/label-free/seed-3"
    path = folder / "evaluation.json"
    mine = json.loads(path.read_text())
    mine["test"] |= {"raw_weights": not mine["test"]["raw_weights"], "clustering": {"error": 0.0}}
    path.write_text(json.dumps(mine))
    done("reproduce", "clusters", "--seeds", 1)
    assert len(evaluated) == 2
    (seed,) = stored(tmp_path / "reproduction")["rows"]["clusters"]["columns"]["label-free"]["seeds"]
    assert seed["test_accesses"] == 2
    assert seed["value"] > 0


@pytest.mark.slow
def test_what_is_done_by_hand_after_the_record_changes_no_number_but_is_counted(done, tmp_path, evaluated):
    done("reproduce", "clusters", "--seeds", 1)
    before = json.loads((tmp_path / RECORD).read_text())
    folder = tmp_path / "reproduction/clusters/label-free/seed-3"
    (folder / "evaluation.json").unlink()
    with (folder / "test_accesses.jsonl").open("a") as file:
        file.write("{}\n")
    done("reproduce", "clusters", "--seeds", 1)
    assert len(evaluated) == 1
    assert json.loads((tmp_path / RECORD).read_text()) == {**before, "test_accesses": 2}


@pytest.mark.slow
def test_a_record_that_was_not_written_when_its_run_was_done_is_written_without_another_look(
    done, tmp_path, evaluated, measured
):
    asked = (("clusters", "--seeds", 1), ("likelihood", "--column", "gan", "--seeds", 1))
    for it in asked:
        done("reproduce", *it)
    records = sorted((tmp_path / "reproduction/records").glob("*/*/*/record.json"))
    before = [it.read_bytes() for it in records]
    for it in records:
        it.unlink()
    for it in asked:
        assert "are left" not in done("reproduce", *it).err
    assert (len(evaluated), len(measured), len(before)) == (1, 1, 2)
    assert [it.read_bytes() for it in records] == before


@pytest.mark.slow
def test_a_folder_that_cannot_be_read_does_not_stop_the_others(cli, tmp_path):
    folder = tmp_path / "reproduction/clusters/label-free/seed-3"
    folder.mkdir(parents=True)
    outcome = cli("reproduce", "clusters")
    assert outcome.code == 1
    words = "seed-3 is no run: it has no config.toml; remove it, and the run is trained"
    assert words in " ".join(outcome.err.split())
    column = stored(tmp_path / "reproduction")["rows"]["clusters"]["columns"]["label-free"]
    assert [it["seed"] for it in column["seeds"]] == [5]


@pytest.mark.slow
def test_what_is_set_aside_takes_no_budget_from_the_next(cli, diverged, tmp_path):
    folder = tmp_path / "reproduction/clusters/label-free"
    diverged("reproduce", "clusters", "--seeds", 1)
    outcome = cli("reproduce", "clusters", "--budget", 0)
    assert (folder / "seed-5/config.toml").is_file()
    assert "1 of 2 runs are left, clusters, label-free, seed 5 first" in outcome.err


@pytest.mark.slow
def test_a_run_stopped_before_its_first_checkpoint_begins_anew(done, tmp_path):
    done("reproduce", "clusters", "--seeds", 1, "--budget", 0)
    folder = tmp_path / "reproduction/clusters/label-free/seed-3"
    shutil.rmtree(folder / "checkpoints")
    done("reproduce", "clusters", "--seeds", 1)
    assert (folder / "evaluation.json").is_file()


@pytest.mark.slow
def test_a_run_of_other_settings_is_neither_continued_nor_counted(cli, done, tmp_path):
    done("reproduce", "clusters", "--seeds", 1, "--budget", 0)
    preset = tmp_path / "presets/tiny-clusters.toml"
    preset.write_text(preset.read_text().replace("epochs = 2", "epochs = 3"))
    outcome = cli("reproduce", "clusters", "--seeds", 1)
    assert outcome.code == 1
    assert "than the column's now: training.epochs; remove it, or take" in " ".join(outcome.err.split())
    column = stored(tmp_path / "reproduction")["rows"]["clusters"]["columns"]["label-free"]
    assert (column["done"], column["unfinished"]) == (0, [])


GAN = ("reproduce", "likelihood", "--column", "gan")


def test_a_generator_is_trained_and_measured_once(done, tmp_path, measured):
    first = done(*GAN, "--seeds", 2)
    assert measured == [0, 1]
    column = stored(tmp_path / "reproduction")["rows"]["likelihood"]["columns"]["gan"]
    values = [it["value"] for it in column["seeds"]]
    assert (column["mean"], column["standard_deviation"]) == (mean(values), pytest.approx(stdev(values)))
    assert (column["done"], column["of"], column["unfinished"]) == (2, 3, [])
    assert (column["preset"], column["generator"], column["overrides"]) == (None, "gan", SETTINGS)
    assert column["tuned"] == "on validation rows"
    assert [(it["epochs"], it["test_accesses"], it["counts"]) for it in column["seeds"]] == [(2, 1, None)] * 2
    assert column["seeds"][1]["commands"] == ["aaeframe reproduce likelihood --column gan --seeds 2 --out ."]
    for words in ("GAN in pixel space", "not judged", "(2 of 3)"):
        assert words in first.out

    again = done(*GAN, "--seeds", 2)
    assert measured == [0, 1]
    assert again.out == first.out
    done("reproduce", "likelihood", "--column", "gan")
    assert measured == [0, 1, 2]


def test_what_was_measured_is_kept_with_where_it_was(done, tmp_path):
    done(*GAN, "--seeds", 1)
    kept = json.loads((tmp_path / "reproduction/likelihood/gan/seed-0/result.json").read_text())
    assert (kept["kind"], kept["dataset"], kept["settings"]["seed"]) == ("gan", "digits", 0)
    assert kept["likelihood"]["samples"] == 20
    assert kept["version"] == aaeframe.__version__
    assert {"device", "threads"} <= kept["environment"].keys()


def test_a_generator_for_which_the_time_does_not_reach_is_left_undone(done, tmp_path):
    outcome = done(*GAN, "--seeds", 1, "--budget", 0)
    assert (
        "likelihood, gan, seed 0: not done, and begins anew: no part of it is kept; it needs a larger --budget"
        in outcome.err
    )
    assert "1 of 1 runs are left, likelihood, gan, seed 0 first; go on with: aaeframe reproduce" in outcome.err
    assert not (tmp_path / "reproduction/likelihood/gan/seed-0").exists()
    assert stored(tmp_path / "reproduction") == {"rows": {}}
    assert "are left" not in done(*GAN, "--seeds", 1).err


def test_test_rows_that_were_looked_at_for_nothing_are_counted(done, monkeypatch, tmp_path):
    real = generators.measure

    def measure(*arguments):
        real(*arguments)
        raise work.Stopped

    monkeypatch.setattr(generators, "measure", measure)
    done(*GAN, "--seeds", 1)
    monkeypatch.setattr(generators, "measure", real)
    done(*GAN, "--seeds", 1)
    (seed,) = stored(tmp_path / "reproduction")["rows"]["likelihood"]["columns"]["gan"]["seeds"]
    assert (seed["test_accesses"], seed["version"]) == (2, aaeframe.__version__)


def test_an_interrupt_stops_a_generator_after_the_epoch(cli, monkeypatch, tmp_path):
    told = []
    real = generators.measure

    def measure(kind, dataset, settings, samples, progress):
        def interrupted(doing, done, of):
            told.append((doing, done, of))
            if done == 1:
                signal.raise_signal(signal.SIGINT)
            progress(doing, done, of)

        return real(kind, dataset, settings, samples, interrupted)

    monkeypatch.setattr(generators, "measure", measure)
    outcome = cli(*GAN)
    assert outcome.code == 130
    assert told == [("generator and discriminator", done, 2) for done in (0, 1)]
    assert "3 of 3 runs are left" in outcome.err
    assert "--budget" not in outcome.err
    assert not list(tmp_path.glob("reproduction/likelihood/gan/seed-*"))


def test_a_generator_learns_data_of_ones_own(done, tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "noise.npy", rng.integers(0, 256, (700, 5, 5), dtype=np.uint8))
    done(*GAN, "--seeds", 1, "--data", "noise.npy", "--held-out", 20, 30)
    rows = stored(tmp_path / "reproduction")["rows"]
    (seed,) = rows["likelihood on noise.npy with 20 and 30 rows held out"]["columns"]["gan"]["seeds"]
    assert seed["data"] == "noise.npy"
    assert "--data noise.npy --held-out 20 30" in seed["commands"][0]
    kept = json.loads((tmp_path / "reproduction/likelihood/gan/seed-0/result.json").read_text())
    assert kept["likelihood"]["rows"] == 30


@pytest.mark.slow
def test_a_row_in_another_arithmetic_counts_for_the_row(cli, done, tmp_path):
    done("reproduce", "clusters", "--seeds", "1", "--precision", "bf16")
    row = stored(tmp_path / "reproduction")["rows"]["clusters"]["columns"]["label-free"]
    assert "--precision bf16" in row["seeds"][0]["commands"][0]
    first = (tmp_path / RECORD).read_bytes()
    assert json.loads(first)["settings"]["training.precision"] == "bf16"
    done("reproduce", "clusters")
    assert (tmp_path / RECORD).read_bytes() == first
    one, two = stored(tmp_path / "reproduction")["rows"]["clusters"]["columns"]["label-free"]["seeds"]
    assert ("--precision" in one["commands"][0], "--precision" in two["commands"][0]) == (True, False)


@pytest.mark.slow
def test_a_run_that_was_begun_in_another_precision_is_set_aside(cli, done, tmp_path):
    done("reproduce", "clusters", "--seeds", 1, "--budget", 0)
    outcome = cli("reproduce", "clusters", "--seeds", 1, "--precision", "bf16")
    assert "seed-3 was begun in fp32; leave --precision out, remove it, or take another --out" in outcome.err
    assert not (tmp_path / "reproduction/clusters/label-free/seed-3/evaluation.json").exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["clusters", "--precision", "fp8"], "there is no precision 'fp8'"),
        (["clusters", "--precision", "tf32"], "NVIDIA"),
        (["clusters", "--precision", "bf16", "--list"], "leave it out"),
        (["likelihood", "--column", "gan", "--precision", "bf16"], "leave it out"),
    ],
)
def test_arithmetic_that_nothing_is_trained_in_is_refused_before_any_work(cli, tmp_path, given, words):
    outcome = cli("reproduce", *given)
    assert outcome.code == 2
    assert words in outcome.err
    assert not (tmp_path / "reproduction").exists()
