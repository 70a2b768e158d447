"""benchmarks/gpu_table.py: from results of gpu.py to the README's table of kernels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from aaeframe.benchmarking import SUITES
from aaeframe.benchmarking.case import BenchSettings
from aaeframe.evaluation import likelihood

ROOT = Path(__file__).parents[3]
MACHINE = {"device": "cuda (NVIDIA H200)", "versions": {"torch": "2.11.0", "triton": "3.6.0"}}


@pytest.fixture
def table(script):
    return script("gpu_table")


def result(parts, **changes):
    found = {name: {"found": it} for name, it in parts.items()}
    return {
        "date": "2027-01-02T03:04:05Z",
        "commit": "0123456789",
        "dry": False,
        "machine": MACHINE,
        "parts": found,
    } | changes


def row(alternative, seconds, ratio=None):
    return {"alternative": alternative, "seconds": seconds, "ratio": ratio}


def test_until_it_was_measured_the_table_says_so(table):
    assert set(table.column([]).values()) == {"not measured"}
    assert table.caption([]) == "GPU: not measured."


def test_the_readme_has_what_the_results_say(table):
    """The column of GPUs is in the table once there is a result in benchmarks/results, and not before."""
    results = [table.read(file) for file in sorted((ROOT / "benchmarks/results").glob("*-gpu-*.json"))]
    readme = (ROOT / "README.md").read_text("utf-8")
    assert table.caption(results) in readme
    section = readme.partition("## Kernels")[2].partition("\n## ")[0]
    rows = [line.split("|") for line in section.splitlines() if line.startswith("|")]
    assert ("GPU" in rows[0][-2]) == bool(results)
    for name, cell in table.column(results).items():
        [row] = [row for row in rows if row[1].strip().startswith(name)]
        assert not results or row[-2].strip() == cell


def test_cells_of_a_result(table):
    parzen = {f"fp16, 1 bandwidths, chunks of {likelihood.CHUNK}": {"seconds": 0.36, "product_seconds": 0.24}}
    loss = [{"rows": [row("aaeframe, Triton", 1.0, 0.9)]}, {"rows": [row("aaeframe, Triton", 1.0, 0.35)]}]
    seconds = {"fp32": (1e-3, 0.5e-3), "tf32": (0.9e-3, 0.36e-3)}
    rows = [
        it
        for precision, (plain, ours) in seconds.items()
        for it in (row(f"plain script {precision}", plain), row(f"aaeframe {precision}, with the training loop", ours))
    ]
    measured = result({"parzen-speed": parzen, "loss": loss, "step-100": [{"rows": rows}]})
    assert table.column([measured]) == {
        "Parzen log-likelihood": "0.36 s, 1.50 of one fp16 product",
        "discriminator loss": "0.35 of `Linear` and `BCEWithLogitsLoss`",
        "training step": "0.36 ms in tf32, 0.40 of a plain script",
    }
    assert (
        table.caption([measured]) == "GPU: cuda (NVIDIA H200), torch 2.11.0, triton 3.6.0, 2027-01-02, commit 0123456."
    )


def test_a_part_that_failed_leaves_the_older_figure(table):
    loss = [{"rows": [row("aaeframe, Triton", 1.0, 0.35)]}]
    failed = result({}) | {"parts": {"loss": {"failed": "it broke"}, "step-100": {"failed": "it broke"}}}
    cells = table.column([result({"loss": loss}), failed])
    assert cells["discriminator loss"].startswith("0.35 of")
    assert cells["training step"] == "not measured"


def test_the_alternatives_are_those_of_the_cases(table):
    """The names are those of the cases: a renamed alternative would leave the table empty."""
    device = BenchSettings(torch.device("cuda"))
    loss = [it for it in SUITES["loss"].load()(device)[-1].alternatives if it.name == "aaeframe, Triton"]
    step = [it.name for it in SUITES["step"].load()(device)[0].alternatives]
    assert loss
    assert table.step([{"rows": [row(name, 1.0) for name in step]}]) == "1000.00 ms in fp32, 1.00 of a plain script"
    assert likelihood.CHUNK == table.CHUNK


@pytest.mark.parametrize("changes", [{"dry": True}, {"machine": None}])
def test_rehearsals_are_refused(table, tmp_path, capsys, changes):
    (tmp_path / "dry.json").write_text(json.dumps(result({}, **changes)))
    assert table.main([str(tmp_path / "dry.json")]) == 2
    assert "is a rehearsal" in capsys.readouterr().err


def test_other_files_are_refused(table, tmp_path, capsys):
    (tmp_path / "other.json").write_text("{}")
    assert table.main([str(tmp_path / "other.json")]) == 2
    assert "is not what gpu.py writes" in capsys.readouterr().err
