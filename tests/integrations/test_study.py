"""The study of the guide with Optuna: two processes beside each other, one killed, and started again."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

optuna = pytest.importorskip("optuna", reason="no extra 'integrations'")

pytestmark = pytest.mark.slow
GUIDE = Path(__file__).parents[2] / "aaeframe/training/STUDY.md"
TRIALS = 10
TELLS = '__import__("os").write(1, b"%d\\n" % self.trial.number)'
"""Prints the number of the trial: what observers print goes to standard error."""


@pytest.fixture
def folder(tmp_path):
    """A folder with the script of the guide, whose runs and pauses are shorter, and which ends sooner."""
    script = re.search(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)[1]
    for long, short in (
        ('"validation/reconstruction", 40', '"validation/reconstruction", 6'),
        ('"width", 16, 256', '"width", 2, 16'),
        ('"checkpoint_every": 5', '"checkpoint_every": 1, "discriminator": "mlp(hidden=[8])"'),
        ("heartbeat_interval=60", "heartbeat_interval=1"),
        ("n_warmup_steps=5", "n_warmup_steps=1"),
        ("MaxTrialsCallback(30", f"MaxTrialsCallback({TRIALS}"),
        ("        if self.trial.should", f"        {TELLS}\n        if self.trial.should"),
    ):
        assert script.count(long) == 1, long
        script = script.replace(long, short)
    (tmp_path / "study.py").write_text(script)
    return tmp_path


def begun(folder):
    return subprocess.Popen([sys.executable, "study.py"], cwd=folder, stdout=subprocess.PIPE)


def study(folder):
    return optuna.load_study(study_name="digits", storage=f"sqlite:///{folder}/study/study.db")


def test_two_processes_share_a_study_and_a_killed_one_is_resumed(folder):
    both = [begun(folder), begun(folder)]
    try:
        killed = int(both[0].stdout.readline())  # printed after an epoch
        both[0].kill()
        both[0].communicate()
        both[0] = begun(folder)
        outputs = [it.communicate(timeout=500)[0].decode() for it in both]
        assert [it.returncode for it in both] == [0, 0]
    finally:
        for it in both:
            it.kill()
            it.stdout.close()
            it.wait()
    found = study(folder)
    states = [it.state.name for it in found.trials]
    assert states[killed] == "FAIL"
    assert states.count("COMPLETE") + states.count("PRUNED") >= TRIALS
    assert states.count("PRUNED") >= 1
    first, again = (it for it in found.trials if it.user_attrs["folder"] == f"study/run-{killed:04}")
    assert (first.number, again.params) == (killed, first.params)
    assert max(again.intermediate_values) > max(first.intermediate_values)
    assert any(f"{found.best_value:.4f}" in it for it in outputs), "the process that ends last knows all trials"
    assert all((folder / it.user_attrs["folder"]).exists() for it in found.trials if it.state.name != "FAIL")


def test_a_run_that_was_killed_before_its_first_checkpoint_starts_anew(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "study/run-0000/checkpoints").mkdir(parents=True)
    objective = runpy.run_path("study.py")["objective"]
    trial = optuna.trial.FixedTrial({"width": 4, "input_noise": 0.1}, number=1)
    trial.set_user_attr("folder", "study/run-0000")
    assert objective(trial) > 0
    assert trial.user_attrs["folder"] == "study/run-0001"
    assert list((folder / "study/run-0001/checkpoints").glob("step-*"))
