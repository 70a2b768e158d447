from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aaeframe.configuration.schema import parse
from aaeframe.errors import CheckpointError, RunError
from aaeframe.runs.reading import read_config
from aaeframe.runs.start import new_folder
from aaeframe.storage.locks import is_abandoned
from aaeframe.storage.metrics_file import MetricsFile
from aaeframe.storage.run_folder import RunFolder, create

CONFIG = parse({"prior": "y=categorical+gaussian", "encoder": "universal"})


def nothing(folder):
    """Puts nothing into it."""


def refuse(folder):
    raise RunError("full")


def test_a_new_folder_is_named_for_what_it_trains(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = new_folder(CONFIG, None)
    assert folder.path.parent.name == "runs"
    assert folder.path.name.endswith("-categorical-gaussian-universal")
    assert not folder.path.exists()


def test_runs_that_start_at_one_time_have_a_folder_each(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda form: "20250101-000000")
    asked = [new_folder(CONFIG, None) for _ in range(3)]  # all before any is made
    name = "20250101-000000-categorical-gaussian-universal"
    made = [create(folder, CONFIG.to_toml(), nothing) for folder in asked]
    assert [folder.path.name for folder in made] == [name, f"{name}-2", f"{name}-3"]
    assert all(read_config(folder) == CONFIG for folder in made)


def test_a_run_that_fails_to_start_leaves_the_one_of_the_same_second(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda form: "20250101-000000")
    first = create(new_folder(CONFIG, None), CONFIG.to_toml(), nothing)
    with pytest.raises(RunError):
        create(new_folder(CONFIG, None), CONFIG.to_toml(), refuse)
    assert list(Path("runs").iterdir()) == [first.path]


def test_a_folder_that_exists_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"exists already; .* never overwritten.*--out.*--resume"):
        new_folder(CONFIG, tmp_path)


def test_a_run_is_created_with_its_configuration(tmp_path):
    folder = RunFolder(tmp_path / "a" / "b" / "run")

    def fill(inside):
        assert not folder.path.exists()
        (inside.path / "more").mkdir()

    assert create(folder, CONFIG.to_toml(), fill) == folder
    assert read_config(folder) == CONFIG
    assert sorted(path.name for path in folder.path.iterdir()) == ["config.toml", "more"]


@pytest.mark.parametrize("error", [RunError("full"), KeyboardInterrupt()], ids=["refused", "interrupted"])
def test_what_cannot_be_created_whole_leaves_nothing(tmp_path, error):
    (tmp_path / "kept").mkdir()

    def fill(inside):
        (inside.path / "checkpoints").mkdir()
        raise error

    for path in (tmp_path / "kept" / "run", tmp_path / "a" / "b" / "run"):
        with pytest.raises(type(error)):
            create(RunFolder(path), CONFIG.to_toml(), fill)
    assert list(tmp_path.rglob("*")) == [tmp_path / "kept"]


def test_a_place_where_no_folder_can_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    folder = RunFolder(tmp_path / "file" / "run")
    with pytest.raises(RunError, match=r"cannot write .*run: Not a directory"):
        create(folder, CONFIG.to_toml(), nothing)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_place_for_runs_that_leads_nowhere_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("runs").symlink_to("nowhere")
    with pytest.raises(RunError, match="cannot write runs"):
        create(new_folder(CONFIG, None), CONFIG.to_toml(), nothing)


def test_a_folder_made_meanwhile_by_another_is_left_alone(tmp_path):
    folder = RunFolder(tmp_path / "run")
    create(folder, CONFIG.to_toml(), nothing)
    with pytest.raises(RunError, match=r"cannot write .*run: File exists"):
        create(folder, CONFIG.to_toml(), nothing)
    assert read_config(folder) == CONFIG
    assert list(tmp_path.iterdir()) == [folder.path]


def test_an_empty_folder_made_meanwhile_by_another_is_left_alone(tmp_path):
    with pytest.raises(RunError, match=r"cannot write .*run: File exists"):
        create(RunFolder(tmp_path / "run"), CONFIG.to_toml(), lambda inside: (tmp_path / "run").mkdir())
    assert list((tmp_path / "run").iterdir()) == []


def test_what_a_killed_process_left_aside_is_no_run_and_goes_with_the_next_try(tmp_path):
    left = tmp_path / ".run.4194304.tmp"
    create(RunFolder(left), CONFIG.to_toml(), nothing)
    with pytest.raises(RunError, match=r"Runs in .*: none"):
        read_config(RunFolder(tmp_path / "run"))
    create(RunFolder(tmp_path / "run"), CONFIG.to_toml(), nothing)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_what_a_killed_process_left_aside_under_a_name_of_ours_goes_with_the_next_such_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    create(RunFolder(Path("runs/.20250101-000000-gaussian-universal.4194304.tmp")), CONFIG.to_toml(), nothing)
    create(RunFolder(Path("runs/.mine.4194304.tmp")), CONFIG.to_toml(), nothing)
    made = create(new_folder(CONFIG, None), CONFIG.to_toml(), nothing)
    assert sorted(path.name for path in Path("runs").iterdir()) == [".mine.4194304.tmp", made.path.name]


@pytest.mark.parametrize("other", ["a", "a.b"])
@pytest.mark.parametrize("name", ["a", "a.b"])
def test_one_who_makes_a_run_leaves_what_another_is_making(tmp_path, name, other):
    first, second = RunFolder(tmp_path / name), RunFolder(tmp_path / other)

    def fill(inside):
        (inside.path / "more").mkdir()
        create(second, CONFIG.to_toml(), nothing)
        assert sorted(path.name for path in inside.path.iterdir()) == ["config.toml", "more"]

    if name == other:
        with pytest.raises(RunError, match=r"cannot write .*: File exists"):
            create(first, CONFIG.to_toml(), fill)
    else:
        assert read_config(create(first, CONFIG.to_toml(), fill)) == CONFIG
    assert read_config(second) == CONFIG
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({name, other})


def test_a_run_that_is_being_renamed_is_left_alone(tmp_path, monkeypatch):
    rename, folder = Path.rename, RunFolder(tmp_path / "a" / "run")

    def renamed(path, target):
        monkeypatch.setattr(Path, "rename", rename)
        with pytest.raises(RunError):
            create(folder, CONFIG.to_toml(), refuse)
        made = rename(path, target)
        with is_abandoned(folder.path) as left:
            assert not left
        return made

    monkeypatch.setattr(Path, "rename", renamed)
    assert read_config(create(folder, CONFIG.to_toml(), nothing)) == CONFIG
    with is_abandoned(folder.path) as left:
        assert left


def test_a_run_that_has_its_name_stands_though_its_folder_cannot_be_flushed(tmp_path, monkeypatch):
    def refuse(folder):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("aaeframe.storage.new_folder.flush_folder", refuse)
    assert read_config(create(RunFolder(tmp_path / "a" / "run"), CONFIG.to_toml(), nothing)) == CONFIG
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["run"]


def test_what_is_no_run_says_which_are(tmp_path):
    for name in ("first", "second"):
        create(RunFolder(tmp_path / name), CONFIG.to_toml(), nothing)
    with pytest.raises(RunError, match=r"is not a run: it has no config.toml. Runs in .*: first, second"):
        read_config(RunFolder(tmp_path / "third"))
    with pytest.raises(RunError, match=r"is not a run: .* There is no folder .*nowhere"):
        read_config(RunFolder(tmp_path / "nowhere" / "run"))


def test_evaluations_of_splits_stand_beside_each_other(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write_evaluation("validation", {"rows": 1})
    folder.write_evaluation("test", {"rows": 2})
    folder.write_evaluation("validation", {"rows": 3})
    assert json.loads(folder.evaluation.read_text()) == {"validation": {"rows": 3}, "test": {"rows": 2}}


@pytest.mark.parametrize("text", ["{", "3", "[1]", "[" * 100_000], ids=["cut", "number", "list", "deep"])
def test_a_damaged_evaluation_is_not_overwritten(tmp_path, text):
    folder = RunFolder(tmp_path)
    folder.evaluation.write_text(text)
    with pytest.raises(CheckpointError, match=r"evaluation.json is not JSON.*remove it"):
        folder.write_evaluation("test", {})
    assert folder.evaluation.read_text() == text


def test_no_report_is_lost_if_two_processes_write_at_a_time(tmp_path):
    script = (
        "import sys; from pathlib import Path; from aaeframe.storage.run_folder import RunFolder\n"
        "for number in range(50): RunFolder(Path(sys.argv[1])).write_evaluation(f'{sys.argv[2]}{number}', {})"
    )
    command = [sys.executable, "-c", script, tmp_path]
    writers = [subprocess.Popen([*command, name]) for name in ("a", "b")]
    assert [it.wait(timeout=100) for it in writers] == [0, 0]
    assert len(RunFolder(tmp_path).read_evaluation()) == 100


@pytest.mark.parametrize("name", ["metrics", "evaluation"])
def test_a_file_too_large_to_be_read_is_refused_by_its_size(tmp_path, name):
    folder = RunFolder(tmp_path)
    with getattr(folder, name).open("wb") as file:
        file.truncate(10 * 2**30)
    with pytest.raises(RunError, match="it has 10737418240 bytes, where at most 268435456 are read"):
        MetricsFile(folder.metrics).rows() if name == "metrics" else folder.read_evaluation()
