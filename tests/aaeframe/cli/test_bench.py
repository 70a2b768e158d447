"""`aaeframe bench` at tiny sizes."""

from __future__ import annotations

import json

import pytest

from aaeframe.benchmarking import discriminator_loss
from aaeframe.benchmarking.case import IncorrectResult


def test_a_suite_is_measured_printed_and_written(done, tmp_path):
    path = tmp_path / "bench.json"

    outcome = done("bench", "--quick", "--case", "loss", "--device", "cpu", "--out", path)

    for words in ("This machine", "fp32 products", "loss rows=16 width=32", "aaeframe, few torch", "of limit"):
        assert words in outcome.out
    assert "the sizes are too small for these times to measure speed" in outcome.out
    assert "measuring loss rows=16 width=32" in outcome.err
    stored = json.loads(path.read_text())
    assert stored["command"].startswith("aaeframe bench --quick --case loss")
    assert [case["name"] for case in stored["cases"]] == ["loss rows=16 width=32"]


def test_json_alone_on_standard_output(done, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    outcome = done("bench", "--quick", "--case", "step", "--case", "step", "--device", "cpu", "--json")

    cases = outcome.json["cases"]
    assert [case["name"].split()[:2] for case in cases] == [["step", "alternating"], ["step", "joint"]]
    assert cases[0]["baseline"] == "plain script fp32"
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_installed_is_told_with_the_command_that_installs_it(done, tmp_path, monkeypatch):
    monkeypatch.setattr("aaeframe.benchmarking.installed.find_spec", lambda name: None)
    outcome = done("bench", "--quick", "--case", "parzen", "--device", "cpu", "--out", tmp_path / "x.json")
    assert 'not measured: KeOps: pykeops is not installed: pip install "aaeframe[benchmark]"' in outcome.out


def test_a_file_is_written_here_if_none_is_named(done, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = done("bench", "--quick", "--case", "loss", "--device", "cpu")
    (path,) = tmp_path.iterdir()
    assert path.name.startswith("bench-20")
    assert f"written: {path.name}" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--case", "nothing"), "'nothing' is not one of"),
        (("--device", "tpu"), "is not a device"),
        (("--out", "bench.txt"), "ends in .txt"),
        (("--out", ""), "--out is empty"),
        (("--out", "."), "is a folder"),
    ],
)
def test_bad_input_is_refused_in_words_before_anything_is_measured(cli, arguments, words):
    outcome = cli("bench", "--quick", *arguments)
    assert outcome.code == 2
    assert words in outcome.err
    assert "measuring" not in outcome.err


@pytest.mark.parametrize("arguments", [(), ("--out", "bench.json")])
def test_a_folder_that_cannot_be_written_to_is_refused_before_anything_is_measured(
    cli, monkeypatch, tmp_path, arguments
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.access", lambda path, mode, **options: False)
    outcome = cli("bench", "--quick", *arguments)
    assert outcome.code == 2
    assert "Permission denied" in outcome.err
    assert "measuring" not in outcome.err


def test_a_baseline_that_is_wrong_leaves_no_ratios_and_that_is_told(cli, monkeypatch, tmp_path):
    def wrong(inputs):
        return 2 * right(inputs)

    right = discriminator_loss.chain
    monkeypatch.setattr(discriminator_loss, "chain", wrong)
    outcome = cli("bench", "--quick", "--case", "loss", "--device", "cpu", "--out", tmp_path / "bench.json")
    assert outcome.code == 1
    assert "no ratios in loss rows=16 width=32" in outcome.out
    assert "aaeframe, few torch operations" in outcome.out


def test_a_wrong_result_is_told_and_ends_in_exit_code_1(cli, monkeypatch, tmp_path):
    def wrong(problem, result):
        raise IncorrectResult("the loss is off")

    monkeypatch.setattr(discriminator_loss.LossProblem, "check", wrong)
    outcome = cli("bench", "--quick", "--case", "loss", "--device", "cpu", "--out", tmp_path / "bench.json")
    assert outcome.code == 1
    assert "FAILED: aaeframe, few torch operations: IncorrectResult: the loss is off" in outcome.out
