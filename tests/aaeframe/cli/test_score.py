"""`aaeframe score`: the analyst's commands of the guide, and what the file holds."""

from __future__ import annotations

import csv
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import aaeframe
from aaeframe.anomaly import KINDS
from aaeframe.cli.score import Kind

GUIDE = Path(aaeframe.__file__).parent / "anomaly/README.md"
SMALL = ("--network", "mlp(hidden=[8])", "--discriminator", "mlp(hidden=[8])", "--epochs", "3", "--device", "cpu")
HEADER = "payment,amount,hour,fee"


@pytest.fixture(scope="module")
def payments(tmp_path_factory):
    """A table of payments whose fee goes with the amount, and three that are odd."""
    folder, rng = tmp_path_factory.mktemp("payments"), np.random.default_rng(0)
    amount, hour = rng.normal(100, 20, 300), rng.normal(13, 2, 300)
    fee = 0.02 * amount + rng.normal(0, 0.05, 300)
    amount[7], hour[40], fee[123] = 900, 60, -20
    rows = zip(amount, hour, fee, strict=True)
    lines = [f'"p{k}, {"ab"[k % 2]}",{a:.2f},{h:.2f},{f:.3f}' for k, (a, h, f) in enumerate(rows)]
    (folder / "payments.csv").write_text("\n".join([HEADER, *lines]))
    return folder


@pytest.fixture
def trained(payments, done, monkeypatch):
    """The run of the guide, trained once, in the folder of the table."""
    monkeypatch.chdir(payments)
    (train, scored) = (
        shlex.split(it)[1:] for it in re.findall(r"```sh\n(.*?)```", GUIDE.read_text(), re.S)[0].splitlines()
    )
    if not Path("runs/payments").exists():
        done(*train, *SMALL)
    return done(*scored)


def test_the_analyst_finds_the_odd_rows_with_their_ids_and_reasons(trained):
    text = Path("scored.csv").read_text()
    first, *rows = csv.reader(text.splitlines())

    assert first == ["ids", "score", "anomaly", "reason_1", "deviation_1", "reason_2", "deviation_2"]
    assert [row[0] for row in rows] == [f"p{k}, {'ab'[k % 2]}" for k in range(300)]
    worst = sorted(rows, key=lambda row: -float(row[1]))[:3]
    found = {row[0]: row[3] for row in worst}
    assert found.keys() == {"p7, b", "p40, a", "p123, b"}
    assert (found["p40, a"], found["p123, b"]) == ("hour", "fee")
    assert all(row[2] == "1" for row in worst)
    run = aaeframe.load("runs/payments")
    rows_again = run.new_rows("payments.csv").rows
    np.testing.assert_array_equal(np.array([row[1] for row in rows], float), run.scores(rows_again))
    assert re.search(r"(\d+) of 300 rows have a score above", trained.err)[1] == str(sum(row[2] == "1" for row in rows))
    assert "\r" not in text


@pytest.mark.slow
def test_every_kind_is_written_and_read_back(done, trained):
    for kind in KINDS:
        shapes = done("score", "runs/payments", "--kind", kind, "--json", "--reasons", 1).json["arrays"]
        assert shapes == {"score": [30], "reason_1": [30], "deviation_1": [30], "ids": [30]}
        with np.load("runs/payments/scores.npz") as held:
            run = aaeframe.load("runs/payments")
            np.testing.assert_array_equal(held["score"], run.scores(run.dataset().test, kind=kind))
            assert set(held["reason_1"]) <= {"amount", "hour", "fee"}
    assert [it.value for it in Kind] == list(KINDS)


def test_what_makes_no_sense_is_refused_before_anything_is_written(cli, refused, trained, run):
    refused(
        cli("score", "runs/payments", "--reasons", 4, "--out", "a.csv"),
        "4 reasons were asked for (--reasons)",
        "a row has 3 columns",
    )
    refused(cli("score", "runs/payments", "--contamination", 0.7, "--out", "a.csv"), "--contamination", "0.7")
    refused(cli("score", run, "--reasons", 1, "--out", "a.csv"), "columns of a table", "(1, 8, 8)", "--reasons")
    refused(cli("score", run, "--kind", "prior", "--out", "a.csv"), "no density (log_prob)", "swissroll", "SwissRoll")
    refused(cli("score", "runs/payments", "--kind", "x"), "'x' is not one of")
    assert not Path("a.csv").exists()
