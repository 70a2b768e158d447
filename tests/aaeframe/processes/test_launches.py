"""Launches of two processes: how they write, stop, fail, start again and differ."""

from __future__ import annotations

import json
import re
import signal

import pytest
import workers
from launching import launched, launcher_store, results

import aaeframe
from aaeframe.storage.checkpoint import latest, paths, read
from aaeframe.storage.metrics_file import MetricsFile
from killing import differences, half_made, rows_of

SMALL = ["--network", "mlp(hidden=[16])", "--discriminator", "mlp(hidden=[16])", "--prior", "gaussian"]
"""The runs of tests/soak: five epochs of six steps, a checkpoint every second epoch."""
TRAINING = [*SMALL, "--epochs", "5", "--batch-size", "200", "--device", "cpu", "--set", "training.checkpoint_every=2"]
RESTARTS = {"TORCHELASTIC_MAX_RESTARTS": "3", "TORCHELASTIC_RUN_ID": "none"}


def errors(ended):
    """The lines that begin with "error:", of all processes together."""
    assert not any("Traceback" in it.err for it in ended), [it.err for it in ended]
    return [line for it in ended for line in it.err.splitlines() if line.startswith("error:")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run of two processes that nothing happened to, and what they printed."""
    folder = tmp_path_factory.mktemp("whole")
    ended = launched(folder, workers.command, ["train", *TRAINING, "--out", str(folder / "run")])
    return folder / "run", ended


def test_the_first_process_alone_writes_and_prints(whole):
    run, (first, second) = whole
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert first.out == f"{run}\n"
    assert "epoch 5/5" in first.err
    assert (second.out, second.err) == ("", "")
    assert [it.name for it in paths(run / "checkpoints")] == ["step-00000024", "step-00000030"]
    assert len(rows_of(run)) == 5
    assert read(latest(run / "checkpoints")).state["environment"]["processes"] == "2"


def test_validation_metrics_are_those_of_one_process(whole):
    run = aaeframe.load(whole[0])
    row = run.metrics[-1]
    report = run.evaluate(split="validation", two_sample=False)
    assert row["validation/reconstruction"] == pytest.approx(report["reconstruction"]["error"], rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", pytest.param("SIGINT", marks=pytest.mark.slow)])
def test_a_signal_to_any_process_stops_all_at_the_same_step(tmp_path, name):
    run = tmp_path / "run"
    arguments = ["train", *TRAINING, "--epochs", "2000", "--set", "training.checkpoint_every=2000", "--out", str(run)]
    # A launcher's own SIGTERM could meet the other process when it has saved, and is about to say so.
    ended = launched(tmp_path / "stopped", workers.command, arguments, name, 20, 1, terminating=False)
    assert {it.code for it in ended} <= {128 + signal.SIGTERM, 128 + signal.SIGINT}, ended
    assert "stopped; resume with: torchrun --nproc-per-node 2 -m aaeframe train --resume" in ended[0].err
    assert ended[1].err == ""
    assert errors(ended) == []
    saved = read(latest(run / "checkpoints"))
    assert 20 <= saved.state["step"] < 12000
    assert half_made(run) == []


@pytest.mark.slow
def test_a_killed_process_ends_all_and_a_restarted_launch_resumes_bit_for_bit(tmp_path, whole):
    run = tmp_path / "run"
    arguments = ["train", *TRAINING, "--out", str(run)]
    store = launcher_store()
    killed = launched(
        tmp_path / "killed",
        workers.command,
        arguments,
        "SIGKILL",
        21,
        1,
        environment=RESTARTS,
        terminating=False,
        store=store,
    )
    assert [it.code for it in killed] == [2, -signal.SIGKILL]
    (line,) = errors(killed)
    assert "another of the 2 processes has ended" in line
    assert (
        f"saved up to step-00000012; resume it with torchrun --nproc-per-node 2 -m aaeframe train --resume {run}"
        in line
    )
    again = launched(
        tmp_path / "again",
        workers.command,
        arguments,
        environment=RESTARTS,
        store=store,
        each=[{}, {"TORCHELASTIC_RESTART_COUNT": "1"}],  # counted on another machine
    )
    results(again)
    assert differences(run, whole[0]) == []


def test_a_restarted_launch_does_not_resume_a_run_that_it_did_not_begin(tmp_path, whole):
    run, _ = whole
    before = rows_of(run)
    again = launched(
        tmp_path / "again",
        workers.command,
        ["train", *TRAINING, "--seed", "1", "--epochs", "7", "--out", str(run)],
        environment={**RESTARTS, "TORCHELASTIC_RESTART_COUNT": "1"},
        terminating=False,
    )
    assert [it.code for it in again] == [2, 2]
    (line,) = errors(again)
    assert f"{run} exists already; runs are never overwritten" in line
    assert rows_of(run) == before


@pytest.mark.slow
def test_another_number_of_processes_resumes_a_run_and_is_noted(tmp_path, whole):
    run = tmp_path / "run"
    ended = launched(tmp_path / "one", workers.command, ["train", *TRAINING, "--out", str(run)], "SIGTERM", 8, size=1)
    assert ended[0].code == 128 + signal.SIGTERM
    two = launched(tmp_path / "two", workers.command, ["train", "--resume", str(run)], "SIGTERM", 16)
    assert "no longer bitwise equal to a run that was never stopped: processes was 1, is 2" in two[0].err
    (one,) = launched(tmp_path / "last", workers.command, ["train", "--resume", str(run)], size=1)
    assert "processes was 2, is 1" in one.err
    mine, theirs = (MetricsFile(it / "metrics.jsonl").rows()[-1] for it in (run, whole[0]))
    assert mine["step"] == theirs["step"]
    assert mine["reconstruction"] == pytest.approx(theirs["reconstruction"], rel=0.01)


@pytest.mark.slow
def test_a_full_disk_of_the_first_process_is_an_error_of_all(tmp_path):
    run = tmp_path / "run"
    ended = launched(
        tmp_path / "full", workers.command, ["train", *TRAINING, "--out", str(run)], "full", 13, terminating=False
    )
    assert [it.code for it in ended] == [2, 2]
    (line,) = errors(ended)
    assert f"cannot write {run / 'checkpoints' / 'step-00000024'}: File too large" in line
    assert "resume it with torchrun" in line
    assert [path.name for path in paths(run / "checkpoints")] == ["step-00000000", "step-00000012"]


def test_another_version_is_an_error_of_all(tmp_path):
    run = tmp_path / "run"
    ended = launched(
        tmp_path / "version",
        workers.command,
        ["train", *TRAINING, "--out", str(run)],
        "version",
        0,
        1,
        terminating=False,
    )
    assert [it.code for it in ended] == [2, 2]
    (line,) = errors(ended)
    assert re.search(r"different versions: aaeframe is \S+ in process 0 and 0\.0\.7 in process 1", line)
    assert not run.exists()


def test_another_command_is_an_error_of_all(tmp_path, whole):
    run, before = whole[0], rows_of(whole[0])
    each = [["train", *TRAINING, "--out", str(tmp_path / "run")], ["train", "--resume", str(run)]]
    ended = launched(tmp_path / "commands", workers.commands, each, terminating=False)
    assert [it.code for it in ended] == [2, 2]
    (line,) = errors(ended)
    assert "different tasks: the task is to train a new run in process 0 and to resume a run in process 1" in line
    assert not (tmp_path / "run").exists()
    assert rows_of(run) == before


def test_another_call_is_an_error_of_all(tmp_path):
    first, second = results(launched(tmp_path / "calls", workers.kept_by_the_first, str(tmp_path / "run")))
    assert first == second
    assert first[0] == "ProcessError"
    assert "the task is to train a new run in process 0 and to train a run in memory in process 1" in first[1]
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_other_data_is_an_error_of_all(tmp_path):
    for rank in range(2):
        (tmp_path / str(rank)).mkdir()
        lines = [f"{row},{(row + rank) % 7}" for row in range(60)]
        (tmp_path / str(rank) / "rows.csv").write_text("\n".join(["a,b", *lines]))
    arguments = [
        "train",
        *SMALL,
        "--data",
        "rows.csv",
        "--out",
        str(tmp_path / "run"),
        "--set",
        "training.batch_size=10",
    ]
    places = [{"WORKING_FOLDER": str(tmp_path / str(rank))} for rank in range(2)]
    ended = launched(tmp_path / "data", workers.command, arguments, each=places, terminating=False)
    assert [it.code for it in ended] == [2, 2]
    (line,) = errors(ended)
    assert re.search(r"the processes have different data: digests\.\S+ is \S+ in process 0 and \S+ in process 1", line)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_slow_process_ends_all_in_one_error(tmp_path):
    run = tmp_path / "run"
    ended = launched(
        tmp_path / "slow",
        workers.command,
        ["train", *TRAINING, "--out", str(run)],
        *("pause", 13, 1),
        environment={"AAEFRAME_TIMEOUT": "2"},
    )
    assert [it.code for it in ended] == [2, 2]
    (line,) = errors(ended)
    assert "another of the 2 processes has not answered for 2 seconds" in line
    assert "AAEFRAME_TIMEOUT=SECONDS" in line
    assert "saved up to step-00000012; resume it with torchrun" in line


@pytest.mark.slow
def test_a_broken_component_in_one_process_is_named_by_the_others(tmp_path):
    ended = launched(
        tmp_path / "fail",
        workers.command,
        ["train", *TRAINING, "--out", str(tmp_path / "run")],
        "fail",
        13,
        1,
        terminating=False,
    )
    assert [it.code for it in ended] == [2, 1]
    assert "ValueError: a component is broken" in ended[1].err
    assert "error: process 1 of 2 failed: ValueError: a component is broken" in ended[0].err


@pytest.mark.slow
def test_an_error_of_one_process_is_printed_once(tmp_path):
    ended = launched(
        tmp_path / "gone",
        workers.command,
        ["train", *TRAINING, "--out", str(tmp_path / "run")],
        *("gone", 13, 1),
        terminating=False,
    )
    assert [it.code for it in ended] == [2, 2]
    (line,) = errors(ended)
    assert "a file is gone" in line


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (["train", "--resume", "run", "--epochs", "3"], {}, "--resume uses the configuration of the run"),
        (["train", "--data", "digits"], {"AAEFRAME_TIMEOUT": "soon"}, "AAEFRAME_TIMEOUT is 'soon'; give seconds"),
        (["train", "--nonsense"], {}, "No such option: --nonsense"),
    ],
    ids=["options", "time limit", "usage"],
)
def test_an_error_before_the_processes_are_joined_is_printed_once(tmp_path, arguments, environment, words):
    ended = launched(tmp_path, workers.command, arguments, environment=environment, terminating=False)
    assert [it.code for it in ended] == [2, 2]
    assert words in ended[0].err
    assert ended[1].err == ""


@pytest.mark.slow
def test_processes_share_the_samples_of_a_likelihood(tmp_path, whole):
    arguments = ["evaluate", str(whole[0]), "--likelihood", "--samples", "20000", "--split", "validation", "--json"]
    first, second = launched(tmp_path, workers.command, [*arguments, "--out", str(tmp_path / "two.json")])
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert (second.out, second.err) == ("", "")
    found = json.loads((tmp_path / "two.json").read_text())["likelihood"]
    expected = aaeframe.load(whole[0]).likelihood(split="validation", samples=20_000, store=False)
    assert found["log_likelihood"] == pytest.approx(expected["log_likelihood"], rel=1e-6)


def test_processes_that_share_nothing_are_refused_once(tmp_path, whole):
    ended = launched(tmp_path, workers.command, ["evaluate", str(whole[0])], terminating=False)
    assert [it.code for it in ended] == [2, 2]
    (line,) = errors(ended)
    assert "2 processes share the samples of --likelihood, which is not given" in line


REFUSED = {
    "uneven": ({"training": {"batch_size": 33}}, None),
    "uneven labeled": ({"data": {"labels": 50}, "prior": "mixture", "training": {"labeled_batch_size": 9}}, None),
    "few rows": ({"training": {"batch_size": 1}}, None),
    "mixing": ({}, "Mixing"),
    "mixing, equal rows": ({}, "Mixing"),
    "counting": ({}, "Counting"),
}


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    tables = {
        name: (
            {
                "prior": "gaussian",
                "network": "mlp(hidden=[8])",
                **table,
                "training": {"epochs": 1, **table.get("training", {})},
            },
            part,
        )
        for name, (table, part) in REFUSED.items()
    }
    first, second = results(launched(tmp_path_factory.mktemp("refused"), workers.refused, tables))
    assert first == second
    return first


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("uneven", "ConfigError", r"33 rows \(training.batch_size\) .* 2 processes; use training.batch_size=32 or 34"),
        ("uneven labeled", "ConfigError", "use training.labeled_batch_size=8 or 10"),
        ("few rows", "ConfigError", "use training.batch_size=2"),
        *(
            (name, "ConfigError", r"discriminator of block 'gaussian' \(Mixing\) makes the output of a row depend on")
            for name in ("mixing", "mixing, equal rows")
        ),
        (
            "counting",
            "ConfigError",
            r"discriminator of block 'gaussian' \(Counting\) keeps statistics of the rows in seen",
        ),
    ],
)
def test_what_several_processes_cannot_train_is_refused(refused, name, kind, message):
    assert refused[name][0] == kind
    assert re.search(message, refused[name][1])


@pytest.mark.slow
def test_a_launch_that_may_restart_needs_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = launched(tmp_path / "none", workers.command, ["train", *TRAINING], environment=RESTARTS, terminating=False)
    assert [it.code for it in ended] == [2, 2]
    (line,) = errors(ended)
    assert "the launcher may restart the processes (--max-restarts)" in line
    assert "--out FOLDER" in line
    named = {**RESTARTS, "TORCHELASTIC_RUN_ID": "roll"}
    (first, _) = launched(tmp_path / "named", workers.command, ["train", *TRAINING, "--epochs", "1"], environment=named)
    assert first.code == 0, first.err
    assert (tmp_path / "runs/roll/config.toml").exists()
