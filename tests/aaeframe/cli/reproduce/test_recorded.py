"""`aaeframe reproduce --recorded`: records of another folder, on the rows of conftest.py."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def column(tmp_path):
    """The entry of a row's column in the table of a folder."""

    def column(folder, row="clusters", column="label-free"):
        return json.loads((tmp_path / folder / "results.json").read_text())["rows"][row]["columns"][column]

    return column


@pytest.fixture
def change(tmp_path):
    """Changes a record in a folder by hand."""

    def change(change, folder="first", row="clusters", seed=3):
        (path,) = (tmp_path / folder / "records" / row).glob(f"*/seed-{seed}/record.json")
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return change


def without(found, *names):
    return {name: value for name, value in found.items() if name not in names}


@pytest.mark.slow
def test_recorded_runs_stand_in_the_table_and_are_not_made_anew(first, done, tmp_path, evaluated, column):
    first("clusters", "--seeds", 1)
    evaluated.clear()
    outcome = done("reproduce", "clusters", "--recorded", "first", "--out", "second")
    assert evaluated == ["second/clusters/label-free/seed-5"]
    old, new = column("first")["seeds"], column("second")["seeds"]
    assert [(it["seed"], it["recorded"]) for it in new] == [(3, True), (5, False)]
    assert without(new[0], "recorded") == without(old[0], "recorded")
    assert column("second")["mean"] == pytest.approx((new[0]["value"] + new[1]["value"]) / 2)
    assert "thread, recorded" in (tmp_path / "second/results.md").read_text().replace("threads", "thread")
    assert outcome.err.count("not copied") == 0
    assert not (tmp_path / "second/clusters/label-free/seed-3").exists()

    assert "2 of 2" in done("reproduce", "clusters", "--list", "--out", "second").out
    again = done("reproduce", "clusters", "--recorded", "second", "--out", "third")
    assert len(evaluated) == 1
    assert without(column("third"), "seeds") == without(column("second"), "seeds")
    assert f"{column('second')['mean']:.2f}" in again.out


@pytest.mark.slow
def test_a_record_in_another_precision_is_copied_and_told(first, done, tmp_path, evaluated, column):
    first("clusters", "--seeds", 1, "--precision", "bf16")
    evaluated.clear()
    outcome = done("reproduce", "clusters", "--recorded", "first", "--out", "second")
    assert len(evaluated) == 1
    assert "not copied" not in outcome.err
    found = column("second")
    assert [(it["precision"], it["recorded"]) for it in found["seeds"]] == [("bf16", True), ("fp32", False)]
    assert "training.precision" not in found["settings"]
    assert "bf16, cpu" in (tmp_path / "second/results.md").read_text()


def test_a_recorded_generator_is_not_trained_again(first, done, measured, column):
    first("likelihood", "--column", "gan", "--seeds", 1)
    measured.clear()
    done("reproduce", "likelihood", "--column", "gan", "--seeds", 1, "--recorded", "first")
    assert measured == []
    (old,), (new,) = (column(it, "likelihood", "gan")["seeds"] for it in ("first", "reproduction"))
    assert without(new, "recorded") == without(old, "recorded")


@pytest.mark.slow
def test_a_run_of_other_settings_is_not_copied_but_made(first, done, evaluated, column, change):
    first("clusters", "--seeds", 1)
    evaluated.clear()
    change(lambda it: it["settings"].update({"training.batch_size": 300, "training.gone": 1}))
    outcome = done("reproduce", "clusters", "--seeds", 1, "--recorded", "first")
    assert (
        "note: first/records/clusters/label-free/seed-3/record.json is not copied: its settings are others now: "
        "training.batch_size, training.gone"
    ) in " ".join(outcome.err.split())
    assert len(evaluated) == 1
    assert not column("reproduction")["seeds"][0]["recorded"]


@pytest.mark.slow
def test_what_is_recorded_of_settings_that_change_later_is_set_aside(first, cli, done, tmp_path, column):
    first("clusters", "--seeds", 1)
    done("reproduce", "clusters", "--seeds", 1, "--recorded", "first")
    path = tmp_path / "presets/tiny-clusters.toml"
    path.write_text(path.read_text().replace("epochs = 2", "epochs = 1"))
    outcome = cli("reproduce", "clusters", "--seeds", 1)
    assert outcome.code == 1
    assert "records/clusters/label-free/seed-3/record.json is of other settings than the column's now" in outcome.err
    assert column("reproduction")["seeds"] == []


@pytest.mark.slow
def test_a_record_of_other_settings_does_not_keep_a_run_from_its_end(first, done, tmp_path, column):
    first("likelihood", "--seeds", 1)
    done("reproduce", "likelihood", "--seeds", 1, "--recorded", "first")
    path = tmp_path / "presets/tiny-code.toml"
    path.write_text(path.read_text().replace("epochs = 2", "epochs = 1"))
    done("reproduce", "more", "--seeds", 1)  # shares its run, which is at hand now, and has no record
    (aside,) = column("reproduction", "likelihood", "modern")["aside"]
    assert aside["state"] == "of other settings"
    done("reproduce", "likelihood", "--seeds", 1)
    (seed,) = column("reproduction", "likelihood", "modern")["seeds"]
    assert (seed["epochs"], seed["recorded"]) == (1, False)


@pytest.mark.slow
def test_what_is_done_here_stands_before_what_is_recorded(first, done, column, change):
    first("clusters", "--seeds", 1)
    change(lambda it: it.update(value=0.0))
    done("reproduce", "clusters", "--seeds", 1)
    done("reproduce", "clusters", "--seeds", 1, "--recorded", "first")
    (seed,) = column("reproduction")["seeds"]
    assert not seed["recorded"]
    assert seed["value"] > 0


@pytest.mark.slow
def test_what_is_recorded_stands_until_its_row_is_done_here(first, done, evaluated, column):
    first("likelihood", "--seeds", 1)
    evaluated.clear()
    given = ("--recorded", "first", "--out", "second")
    done("reproduce", "more", "--seeds", 1, *given)  # shares its run, which is made, and has no such likelihood
    assert len(evaluated) == 1
    (few,), (many,) = (column("second", row, "modern")["seeds"] for row in ("likelihood", "more"))
    assert (few["recorded"], many["recorded"]) == (True, False)


@pytest.mark.slow
def test_a_run_on_other_data_than_that_of_the_folder_is_not_copied(first, done, tmp_path, table, column):
    first("likelihood", "--seeds", 1)
    done("reproduce", "likelihood", "--seeds", 1, "--data", table, "--held-out", 10, 20, "--out", "second")
    words = (
        "second/records/likelihood/modern/seed-3/record.json is not copied: it is of table.npz with 10 and 20 rows "
        "held out, the column here of digits; take another --out"
    )
    for out, before in (("third", ("--recorded", "first")), ("fourth", ("--budget", 0))):
        done("reproduce", "likelihood", "--seeds", 1, "--out", out, *before)
        outcome = done("reproduce", "likelihood", "--seeds", 1, "--out", out, "--recorded", "second")
        assert words in " ".join(outcome.err.split())
        assert len(column(out, "likelihood", "modern")["seeds"]) == 1


@pytest.mark.slow
def test_a_run_on_other_data_than_is_asked_is_not_copied_and_the_folder_stays_usable(first, done, table, column):
    first("likelihood", "--seeds", 1)
    outcome = done("reproduce", "likelihood", "--seeds", 1, "--data", table, "--out", "second", "--recorded", "first")
    assert "is not copied: it is of digits, the column here of table.npz; take another" in " ".join(outcome.err.split())
    done("reproduce", "likelihood", "--seeds", 1, "--data", table, "--out", "second")


@pytest.mark.slow
def test_another_seed_on_other_data_is_not_copied(first, done, tmp_path, table):
    first("likelihood", "--seeds", 1)
    done("reproduce", "likelihood", "--data", table, "--out", "second")
    outcome = done("reproduce", "clusters", "--seeds", 1, "--out", "first", "--recorded", "second")
    words = " ".join(outcome.err.split())
    for seed in (3, 5):
        path = f"second/records/likelihood/modern/seed-{seed}/record.json"
        assert f"{path} is not copied: it is of table.npz" in words
    assert [it.name for it in (tmp_path / "first/records/likelihood/modern").iterdir()] == ["seed-3"]


@pytest.mark.slow
def test_one_column_of_tables_on_two_data_is_copied_on_the_first(first, done, tmp_path, table):
    first("likelihood", "--seeds", 1)
    done("reproduce", "likelihood", "--data", table, "--out", "second")
    tables = ("--recorded", "first", "--recorded", "second")
    outcome = done("reproduce", "clusters", "--seeds", 1, "--out", "third", *tables)
    assert " ".join(outcome.err.split()).count("is not copied: it is of table.npz") == 2
    assert [it.name for it in (tmp_path / "third/records/likelihood/modern").iterdir()] == ["seed-3"]


@pytest.mark.slow
def test_of_two_folders_one_of_which_holds_no_record_nothing_is_copied(first, cli, refused, tmp_path):
    first("clusters", "--seeds", 1)
    (tmp_path / "bad").mkdir()
    folders = ("--recorded", "first", "--recorded", "bad")
    refused(cli("reproduce", "clusters", "--out", "second", *folders), "bad holds no records")
    assert not (tmp_path / "second").exists()


@pytest.mark.slow
def test_a_run_whose_components_are_gone_stops_no_other_row(first, done, tmp_path):
    first("likelihood", "--seeds", 1)
    path = tmp_path / "presets/tiny-code.toml"
    path.write_text(path.read_text().replace('component = "gaussian"', 'component = "gone"'))
    outcome = done("reproduce", "clusters", "--seeds", 1, "--out", "second", "--recorded", "first")
    assert "likelihood/modern/seed-3/record.json is not copied: no active plugin" in " ".join(outcome.err.split())


def test_what_is_recorded_counts_by_the_bounds_of_today(first, done, column, change):
    first("clusters", "--seeds", 1)

    def reconstruct(it):
        (fact,) = (it for it in it["criteria"] if it["of"].startswith("reconstruction"))
        fact.update(found=0.51, at_most=0.6, met=True)

    change(reconstruct)
    done("reproduce", "clusters", "--seeds", 1, "--recorded", "first")
    (seed,) = column("reproduction")["seeds"]
    assert seed["counts"] is False
    assert "reconstruction error over the mean image's is 0.51, at most 0.5" in seed["remarks"]


@pytest.mark.slow
def test_a_number_of_something_else_is_not_copied(first, done, change):
    first("likelihood", "--seeds", 1)
    change(lambda it: it["measure"].update(samples=200), row="likelihood")
    outcome = done("reproduce", "likelihood", "--seeds", 1, "--recorded", "first")
    assert "is not copied: its settings are others now: measure" in " ".join(outcome.err.split())


@pytest.mark.slow
def test_a_setting_that_is_newer_than_the_record_was_at_its_default(first, done, evaluated, change):
    first("clusters", "--seeds", 1)
    evaluated.clear()
    change(lambda it: it["settings"].pop("training.ema"))
    done("reproduce", "clusters", "--seeds", 1, "--recorded", "first")
    assert evaluated == []


@pytest.mark.parametrize("row", ["likelihood", "more"])
def test_a_damaged_record_is_set_aside_in_its_own_row(cli, tmp_path, row):
    damaged = tmp_path / f"reproduction/records/{row}/modern/seed-3/record.json"
    damaged.parent.mkdir(parents=True)
    damaged.write_text('{"value": ')
    assert cli("reproduce", row, "--seeds", 1).code == 1
    found = json.loads((tmp_path / "reproduction/results.json").read_text())["rows"]
    assert {name: [it["seed"] for it in found[name]["columns"]["modern"]["aside"]] for name in found} == {row: [3]}


@pytest.mark.slow
def test_a_record_of_a_cell_that_is_not_known_here_is_told_of(first, done, tmp_path):
    first("clusters", "--seeds", 1)
    (tmp_path / "first/records/clusters").rename(tmp_path / "first/records/flocks")
    outcome = done("reproduce", "likelihood", "--seeds", 1, "--recorded", "first/records")
    words = "note: first/records/flocks/label-free/seed-3/record.json is not copied: there is no such cell here"
    assert words in " ".join(outcome.err.split())
    assert not (tmp_path / "reproduction/records/flocks").exists()


@pytest.mark.slow
def test_an_unfinished_cell_is_not_copied_but_a_diverged_one_is(first, cli, done, column, change):
    first("clusters", "--budget", 0)
    done("reproduce", "likelihood", "--seeds", 1, "--out", "first")
    change(lambda it: it.update(value=None, diverged="step 2: the loss is nan"), row="likelihood")
    outcome = cli("reproduce", "likelihood", "--seeds", 1, "--recorded", "first")
    assert "clusters/label-free/seed-3/record.json is not copied: it is unfinished" in " ".join(outcome.err.split())
    assert outcome.code == 1
    (aside,) = column("reproduction", "likelihood", "modern")["aside"]
    assert (aside["seed"], aside["state"]) == (3, "diverged")


@pytest.mark.slow
def test_recorded_data_is_that_of_the_number(done, cli, refused, tmp_path, table):
    given = ("--data", table, "--held-out", 10, 20)
    done("reproduce", "likelihood", "--seeds", 1, *given, "--out", "first")
    done("reproduce", "likelihood", "--seeds", 1, *given, "--recorded", "first")
    name = "likelihood on table.npz with 10 and 20 rows held out"
    (seed,) = json.loads((tmp_path / "reproduction/results.json").read_text())["rows"][name]["columns"]["modern"][
        "seeds"
    ]
    assert (seed["recorded"], seed["data"], seed["held_out"]) == (True, "table.npz", [10, 20])
    words = (
        "records/likelihood/modern/seed-3/record.json is of table.npz with 10 and 20 rows held out, digits was asked"
    )
    refused(cli("reproduce", "likelihood", "--seeds", 1), words)


@pytest.mark.parametrize(
    ("text", "words"), [("", "is no record"), ("[" * 100_000, "nested too deeply"), ("[]", "no re")]
)
def test_a_file_that_is_no_record_is_refused(first, cli, refused, tmp_path, text, words):
    first("clusters", "--seeds", 1)
    (tmp_path / "first/records/clusters/label-free/seed-3/record.json").write_text(text)
    refused(cli("reproduce", "clusters", "--recorded", "first"), "seed-3/record.json", words)
    assert not (tmp_path / "reproduction").exists()


@pytest.mark.slow
def test_a_record_without_settings_is_not_copied(first, done, change):
    first("clusters", "--seeds", 1)
    change(lambda it: it.update(settings={}))
    outcome = done("reproduce", "clusters", "--seeds", 1, "--recorded", "first")
    assert "is not copied: its settings are others now: the record does not list" in " ".join(outcome.err.split())


@pytest.mark.parametrize("given", [("--seeds", 9), ("--data", "nowhere.npz")])
def test_nothing_is_copied_by_a_command_that_is_refused(first, cli, tmp_path, given):
    first("clusters", "--seeds", 1)
    assert cli("reproduce", "clusters", *given, "--recorded", "first").code == 2
    assert not (tmp_path / "reproduction").exists()


def test_a_folder_that_is_not_there_is_refused(cli, refused):
    refused(cli("reproduce", "clusters", "--recorded", "nowhere"), "nowhere holds no records; give the folder of a")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"value": float("nan")}, "value: should be"),
        ({"value": 1.7e308}, "value: should be less than or equal to 1000000000000, found 1.7e+308"),
        ({"where": "\ud800"}, "where: "),
        ({"where": "cpu\n# a title"}, "where: it has characters that cannot be printed"),
        ({"value": "1.4"}, "value: should be a valid number, found '1.4'"),
        ({"epochs": -1}, "epochs: should be greater than or equal to 0, found -1"),
        ({"criteria": [{"of": "luck", "found": 0.1}]}, "no criterion is named 'luck'"),
        ({"criteria": []}, "label-free/seed-5/record.json is no record: it has no criteria"),
        ({"held_out": [1]}, "held_out.1: is missing"),
        ({"held_out": [0, 1]}, "held_out.0: should be greater than or equal to 1, found 0"),
        ({"diverged": "step 2"}, "it has a value and has diverged"),
    ],
)
def test_a_record_that_is_none_is_refused_and_nothing_copied(first, cli, refused, tmp_path, change, changes, problem):
    first("clusters")
    change(lambda it: it.update(changes), seed=5)
    refused(cli("reproduce", "clusters", "--recorded", "first"), problem)
    assert not (tmp_path / "reproduction").exists()


@pytest.mark.slow
def test_what_is_recorded_and_cannot_be_read_is_told_of_and_does_not_stop_the_others(cli, tmp_path, column):
    damaged = tmp_path / "reproduction/records/clusters/label-free/seed-3/record.json"
    damaged.parent.mkdir(parents=True)
    damaged.write_text('{"value": ')
    outcome = cli("reproduce", "clusters")
    assert outcome.code == 1
    assert "seed-3/record.json is no record: " in outcome.err
    assert "remove it, and the cell is made anew" in " ".join(outcome.err.split())
    assert [it["seed"] for it in column("reproduction")["seeds"]] == [5]
