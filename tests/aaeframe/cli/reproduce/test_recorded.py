"""`aaeframe reproduce --recorded`: runs of another folder's table, on the rows of conftest.py."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def column(tmp_path):
    """What the table in a folder says of a row's column, after what is done to it and kept."""

    def column(folder, row="clusters", column="label-free", change=None):
        path = tmp_path / folder / "results.json"
        table = json.loads(path.read_text())
        found = table["rows"][row]["columns"][column]
        if change is not None:
            change(found)
            path.write_text(json.dumps(table))
        return found

    return column


def without(found, *names):
    return {name: value for name, value in found.items() if name not in names}


def test_recorded_runs_stand_in_the_table_and_are_not_made_anew(done, tmp_path, evaluated, column):
    done("reproduce", "clusters", "--seeds", 1, "--out", "first")
    outcome = done("reproduce", "clusters", "--recorded", "first/results.json", "--out", "second")
    assert evaluated == ["first/clusters/label-free/seed-3", "second/clusters/label-free/seed-5"]
    old, new = column("first")["seeds"], column("second")["seeds"]
    assert [(it["seed"], it["recorded"]) for it in new] == [(3, True), (5, False)]
    assert without(new[0], "recorded") == without(old[0], "recorded")
    assert column("second")["mean"] == pytest.approx((new[0]["value"] + new[1]["value"]) / 2)
    assert "thread, recorded" in (tmp_path / "second/results.md").read_text().replace("threads", "thread")
    assert outcome.err.count("not taken") == 0
    assert not (tmp_path / "second/clusters/label-free/seed-3").exists()

    assert "2 of 2" in done("reproduce", "clusters", "--list", "--out", "second").out
    again = done("reproduce", "clusters", "--recorded", "second/results.json", "--out", "third")
    assert len(evaluated) == 2
    assert without(column("third"), "seeds") == without(column("second"), "seeds")
    assert f"{column('second')['mean']:.2f}" in again.out


def test_a_recorded_generator_is_not_trained_again(done, measured, column):
    done("reproduce", "likelihood", "--column", "gan", "--seeds", 1, "--out", "first")
    done("reproduce", "likelihood", "--column", "gan", "--seeds", 1, "--recorded", "first/results.json")
    assert measured == [0]
    (old,), (new,) = (column(it, "likelihood", "gan")["seeds"] for it in ("first", "reproduction"))
    assert without(new, "recorded") == without(old, "recorded")


def test_a_run_of_other_settings_is_not_taken_but_made(done, evaluated, column):
    done("reproduce", "clusters", "--seeds", 1, "--out", "first")
    column("first", change=lambda it: it["made_by"].update({"training.batch_size": 300, "training.gone": 1}))
    outcome = done("reproduce", "clusters", "--seeds", 1, "--recorded", "first/results.json")
    assert (
        "note: clusters, label-free, seed 3 of first/results.json is not taken: its settings are others now: "
        "training.batch_size, training.gone"
    ) in " ".join(outcome.err.split())
    assert len(evaluated) == 2
    assert not column("reproduction")["seeds"][0]["recorded"]


def test_what_is_recorded_of_settings_that_change_later_is_set_aside(cli, done, tmp_path, column):
    done("reproduce", "clusters", "--seeds", 1, "--out", "first")
    done("reproduce", "clusters", "--seeds", 1, "--recorded", "first/results.json")
    path = tmp_path / "presets/tiny-clusters.toml"
    path.write_text(path.read_text().replace("epochs = 2", "epochs = 1"))
    outcome = cli("reproduce", "clusters", "--seeds", 1)
    assert outcome.code == 1
    assert "recorded/clusters/label-free/seed-3.json is of other settings than the column's now" in outcome.err
    assert column("reproduction")["seeds"] == []


def test_a_record_of_other_settings_does_not_keep_a_run_from_its_end(done, tmp_path, column):
    done("reproduce", "likelihood", "--seeds", 1, "--out", "first")
    done("reproduce", "likelihood", "--seeds", 1, "--recorded", "first/results.json")
    path = tmp_path / "presets/tiny-code.toml"
    path.write_text(path.read_text().replace("epochs = 2", "epochs = 1"))
    done("reproduce", "more", "--seeds", 1)  # shares its run, which is at hand now, and has no record
    done("reproduce", "likelihood", "--seeds", 1)
    (seed,) = column("reproduction", "likelihood", "modern")["seeds"]
    assert (seed["epochs"], seed["recorded"]) == (1, False)


def test_what_is_done_here_stands_before_what_is_recorded(done, column):
    done("reproduce", "clusters", "--seeds", 1, "--out", "first")
    column("first", change=lambda it: it["seeds"][0].update(value=0.0))
    done("reproduce", "clusters", "--seeds", 1)
    done("reproduce", "clusters", "--seeds", 1, "--recorded", "first/results.json")
    (seed,) = column("reproduction")["seeds"]
    assert not seed["recorded"]
    assert seed["value"] > 0


def test_what_is_recorded_stands_until_its_row_is_done_here(done, evaluated, column):
    done("reproduce", "likelihood", "--seeds", 1, "--out", "first")
    given = ("--recorded", "first/results.json", "--out", "second")
    done("reproduce", "more", "--seeds", 1, *given)  # shares its run, which is made, and has no such likelihood
    assert len(evaluated) == 2
    (few,), (many,) = (column("second", row, "modern")["seeds"] for row in ("likelihood", "more"))
    assert (few["recorded"], many["recorded"]) == (True, False)


def test_a_run_on_other_data_than_that_of_the_folder_is_not_taken(done, tmp_path, table, column):
    done("reproduce", "likelihood", "--seeds", 1, "--out", "first")
    done("reproduce", "likelihood", "--seeds", 1, "--data", table, "--held-out", 10, 20, "--out", "second")
    words = (
        "likelihood, modern, seed 3 of second/results.json is not taken: it is of table.npz with 10 and 20 rows held "
        "out, the column here of digits; take another --out"
    )
    for out, before in (("third", ("--recorded", "first/results.json")), ("fourth", ("--budget", 0))):
        done("reproduce", "likelihood", "--seeds", 1, "--out", out, *before)
        outcome = done("reproduce", "likelihood", "--seeds", 1, "--out", out, "--recorded", "second/results.json")
        assert words in " ".join(outcome.err.split())
        assert len(column(out, "likelihood", "modern")["seeds"]) == 1


def test_a_run_on_other_data_than_is_asked_is_not_taken_and_the_folder_stays_usable(done, table, column):
    done("reproduce", "likelihood", "--seeds", 1, "--out", "first")
    outcome = done(
        "reproduce", "likelihood", "--seeds", 1, "--data", table, "--out", "second", "--recorded", "first/results.json"
    )
    assert "is not taken: it is of digits, the column here of table.npz; take another" in " ".join(outcome.err.split())
    done("reproduce", "likelihood", "--seeds", 1, "--data", table, "--out", "second")


def test_another_seed_on_other_data_is_not_taken(done, tmp_path, table):
    done("reproduce", "likelihood", "--seeds", 1, "--out", "first")
    done("reproduce", "likelihood", "--data", table, "--out", "second")
    outcome = done("reproduce", "clusters", "--seeds", 1, "--out", "first", "--recorded", "second/results.json")
    words = " ".join(outcome.err.split())
    for seed in (3, 5):
        assert f"likelihood, modern, seed {seed} of second/results.json is not taken: it is of table.npz" in words
    assert not (tmp_path / "first/recorded").exists()


def test_one_column_of_tables_on_two_data_is_taken_on_the_first(done, tmp_path, table):
    done("reproduce", "likelihood", "--seeds", 1, "--out", "first")
    done("reproduce", "likelihood", "--data", table, "--out", "second")
    tables = ("--recorded", "first/results.json", "--recorded", "second/results.json")
    outcome = done("reproduce", "clusters", "--seeds", 1, "--out", "third", *tables)
    assert " ".join(outcome.err.split()).count("is not taken: it is of table.npz") == 2
    assert [it.name for it in (tmp_path / "third/recorded/likelihood/modern").iterdir()] == ["seed-3.json"]


def test_of_two_files_one_of_which_is_no_table_nothing_is_taken(cli, done, refused, tmp_path):
    done("reproduce", "clusters", "--seeds", 1, "--out", "first")
    (tmp_path / "bad.json").write_text("[]")
    tables = ("--recorded", "first/results.json", "--recorded", "bad.json")
    refused(cli("reproduce", "clusters", "--out", "second", *tables), "bad.json is no table")
    assert not (tmp_path / "second").exists()


def test_a_run_whose_components_are_gone_stops_no_other_row(done, tmp_path):
    done("reproduce", "likelihood", "--seeds", 1, "--out", "first")
    path = tmp_path / "presets/tiny-code.toml"
    path.write_text(path.read_text().replace('component = "gaussian"', 'component = "gone"'))
    outcome = done("reproduce", "clusters", "--seeds", 1, "--out", "second", "--recorded", "first/results.json")
    assert "likelihood, modern, seed 3 of first/results.json is not taken: no active plugin" in " ".join(
        outcome.err.split()
    )


def test_what_is_recorded_counts_by_the_bounds_of_today(done, monkeypatch, column):
    done("reproduce", "clusters", "--seeds", 1, "--out", "first")

    def reconstruct(it):
        (fact,) = (it for it in it["seeds"][0]["criteria"] if it["of"].startswith("reconstruction"))
        fact.update(found=0.51, at_most=0.6, met=True)

    column("first", change=reconstruct)
    done("reproduce", "clusters", "--seeds", 1, "--recorded", "first/results.json")
    (seed,) = column("reproduction")["seeds"]
    assert seed["counts"] is False
    assert "reconstruction error over the mean image's is 0.51, at most 0.5" in seed["remarks"]


def test_a_number_of_something_else_is_not_taken(done, tmp_path):
    done("reproduce", "likelihood", "--seeds", 1, "--out", "first")
    path = tmp_path / "first/results.json"
    path.write_text(path.read_text().replace('"samples": 20', '"samples": 200'))
    outcome = done("reproduce", "likelihood", "--seeds", 1, "--recorded", "first/results.json")
    assert "is not taken: its settings are others now: measure" in " ".join(outcome.err.split())


def test_a_setting_that_is_newer_than_the_record_was_at_its_default(done, evaluated, column):
    done("reproduce", "clusters", "--seeds", 1, "--out", "first")
    column("first", change=lambda it: it["made_by"].pop("training.entropy_weight"))
    done("reproduce", "clusters", "--seeds", 1, "--recorded", "first/results.json")
    assert len(evaluated) == 1


@pytest.mark.parametrize("row", ["likelihood", "more"])
def test_a_damaged_record_is_set_aside_in_its_own_row(cli, tmp_path, row):
    damaged = tmp_path / f"reproduction/recorded/{row}/modern/seed-3.json"
    damaged.parent.mkdir(parents=True)
    damaged.write_text('{"value": ')
    assert cli("reproduce", row, "--seeds", 1).code == 1
    found = json.loads((tmp_path / "reproduction/results.json").read_text())["rows"]
    assert {name: [it["seed"] for it in found[name]["columns"]["modern"]["aside"]] for name in found} == {row: [3]}


def test_a_run_that_is_not_known_here_is_told_of(done, tmp_path):
    done("reproduce", "clusters", "--seeds", 1, "--out", "first")
    path = tmp_path / "first/results.json"
    path.write_text(path.read_text().replace('"name": "clusters"', '"name": "flocks"'))
    outcome = done("reproduce", "likelihood", "--seeds", 1, "--recorded", "first/results.json")
    assert (
        "note: flocks, label-free, seed 3 of first/results.json is not taken: there is no such run here"
    ) in outcome.err
    assert not (tmp_path / "reproduction/recorded").exists()


def test_recorded_data_is_that_of_the_number(done, cli, refused, tmp_path, table):
    given = ("--data", table, "--held-out", 10, 20)
    done("reproduce", "likelihood", "--seeds", 1, *given, "--out", "first")
    done("reproduce", "likelihood", "--seeds", 1, *given, "--recorded", "first/results.json")
    name = "likelihood on table.npz with 10 and 20 rows held out"
    (seed,) = json.loads((tmp_path / "reproduction/results.json").read_text())["rows"][name]["columns"]["modern"][
        "seeds"
    ]
    assert (seed["recorded"], seed["data"], seed["held_out"]) == (True, "table.npz", [10, 20])
    words = "recorded/likelihood/modern/seed-3.json is of table.npz with 10 and 20 rows held out, digits was asked"
    refused(cli("reproduce", "likelihood", "--seeds", 1), words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no table of aaeframe reproduce"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "no table of aaeframe reproduce"),
        ('{"rows": {"clusters": {}}}', "give the results.json that it wrote"),
        (
            '{"rows": {"a": {"name": [], "columns": {"b": {"generator": null, "made_by": {}, "seeds": []}}}}}',
            "no table",
        ),
    ],
)
def test_a_file_that_is_no_table_is_refused(cli, refused, tmp_path, text, words):
    (tmp_path / "some.json").write_text(text)
    refused(cli("reproduce", "clusters", "--recorded", "some.json"), "some.json", words)
    assert not (tmp_path / "reproduction").exists()


def test_a_table_older_than_its_settings_is_refused_in_words(cli, done, refused, column):
    done("reproduce", "clusters", "--seeds", 1, "--out", "first")
    column("first", change=lambda it: it.pop("made_by"))
    words = "error: first/results.json does not tell by which settings its runs were made, as older tables do not"
    refused(cli("reproduce", "clusters", "--recorded", "first/results.json"), words)


@pytest.mark.parametrize("given", [("--seeds", 9), ("--data", "nowhere.npz")])
def test_nothing_is_taken_by_a_command_that_is_refused(cli, done, tmp_path, given):
    done("reproduce", "clusters", "--seeds", 1, "--out", "first")
    assert cli("reproduce", "clusters", *given, "--recorded", "first/results.json").code == 2
    assert not (tmp_path / "reproduction").exists()


def test_a_table_that_is_not_there_is_refused(cli, refused):
    refused(cli("reproduce", "clusters", "--recorded", "nowhere.json"), "cannot read nowhere.json: No such file")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"value": float("nan")}, "value: Input should be"),
        ({"value": 1.7e308}, "value: Input should be less than"),
        ({"where": "\ud800"}, "where: "),
        ({"where": "cpu\n# a title"}, "where: Value error, it has characters that cannot be printed"),
        ({"value": "1.4"}, "value: Input should be a valid number"),
        ({"epochs": -1}, "epochs: Input should be greater than or equal to 0"),
        ({"criteria": [{"of": "luck", "found": 0.1}]}, "no criterion is named 'luck'"),
        ({"criteria": []}, "clusters, label-free, seed 5 has no criteria"),
        ({"held_out": [1]}, "held_out.1: Field required"),
        ({"held_out": [0, 1]}, "held_out.0: Input should be greater than or equal to 1"),
    ],
)
def test_a_table_whose_runs_are_none_is_refused_and_nothing_taken(
    cli, done, refused, tmp_path, column, change, problem
):
    done("reproduce", "clusters", "--out", "first")
    column("first", change=lambda it: it["seeds"][1].update(change))
    refused(cli("reproduce", "clusters", "--recorded", "first/results.json"), problem)
    assert not (tmp_path / "reproduction").exists()


def test_what_is_recorded_and_cannot_be_read_is_told_of_and_does_not_stop_the_others(cli, tmp_path, column):
    damaged = tmp_path / "reproduction/recorded/clusters/label-free/seed-3.json"
    damaged.parent.mkdir(parents=True)
    damaged.write_text('{"value": ')
    outcome = cli("reproduce", "clusters")
    assert outcome.code == 1
    assert "seed-3.json is no record of a run" in outcome.err
    assert "remove it, and the run is trained" in outcome.err
    assert [it["seed"] for it in column("reproduction")["seeds"]] == [5]
