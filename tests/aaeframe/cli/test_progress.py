from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from aaeframe.cli.progress import Bar, Lines, summary

ROW = {
    "epoch": 2,
    "step": 20,
    "reconstruction": 1.25,
    "validation/reconstruction": 1.5,
    "discriminator/z": 1.386,
    "generator/z": 0.693,
    "accuracy/z": 0.5,
    "mismatch/z": 0.125,
    "steps_per_second": 10.0,
}


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=200, soft_wrap=True)


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    return Console(file=io.StringIO(), width=200, force_terminal=True)


def printed(console):
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", console.file.getvalue())


def test_an_epoch_on_one_line():
    assert summary(ROW) == "rec 1.250 (val 1.500)  z: D 1.386 G 0.693 acc 0.50 mismatch 0.125  10 steps/s"


def test_every_block_is_told():
    two = ROW | {f"{key}/y": 1.0 for key in ("discriminator", "generator", "accuracy", "mismatch")}
    assert "  y: D 1.000 G 1.000 acc 1.00 mismatch 1.000" in summary(two)
    assert "  z: D 1.386" in summary(two)


def test_a_plain_line_for_each_epoch_and_nothing_between(console):
    lines = Lines(console, epochs=4, steps=1240)
    lines.stepped(1, 20)
    assert printed(console) == ""
    lines.epoch_ended(ROW, ["the prior is [red]not[/] matched"])
    lines.close()
    assert printed(console).splitlines() == [
        f"epoch 2/4  {summary(ROW)}  2:02 left",
        "warning: epoch 2: the prior is [red]not[/] matched",
    ]
    assert "\x1b" not in console.file.getvalue()


def test_a_rate_of_zero_is_no_mistake(console):
    Lines(console, epochs=4, steps=40).epoch_ended(ROW | {"steps_per_second": 0.0}, [])
    assert "0:00 left" in printed(console)


def test_the_bar_shows_where_training_is(terminal):
    bar = Bar(terminal, epochs=4, steps=40)
    bar.stepped(1, 20)
    bar.epoch_ended(ROW, ["the prior is [red]not[/] matched"])
    bar.close()
    shown = printed(terminal)
    assert "epoch 2/4" in shown
    assert "20/40" in shown
    assert "time left" in shown
    assert summary(ROW) in shown
    assert "warning: epoch 2: the prior is [red]not[/] matched" in shown


def test_on_a_narrow_terminal_no_number_is_lost(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    narrow = Console(file=io.StringIO(), width=60, force_terminal=True, soft_wrap=True)
    bar = Bar(narrow, epochs=4, steps=40)
    bar.stepped(1, 20)
    bar.epoch_ended(ROW, [])
    bar.close()
    last = printed(narrow).split("epoch 2/4")[-1]
    assert summary(ROW).split() == last.split("-:--:--")[-1].split()


def test_the_bar_gives_the_cursor_back_when_training_breaks_off(terminal):
    bar = Bar(terminal, epochs=4, steps=40)
    bar.close()
    assert terminal.file.getvalue().rstrip().endswith("\x1b[?25h")


@pytest.mark.slow
def test_on_a_terminal_training_shows_the_bar_and_elsewhere_lines(cli, table, tmp_path, monkeypatch):
    monkeypatch.setattr("aaeframe.cli.summary.finish", lambda run, given, *, json: None)
    small = ("--network", "mlp(hidden=[8])", "--epochs", 2, "--data", table)
    plain = cli("train", *small, "--out", tmp_path / "a").err
    assert len([line for line in plain.splitlines() if line.startswith("epoch ")]) == 2
    assert "\x1b" not in plain
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    barred = cli("train", *small, "--out", tmp_path / "b").err
    assert "\x1b" in barred
    assert "epoch 2/2" in barred
