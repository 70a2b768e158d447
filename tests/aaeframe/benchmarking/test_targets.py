"""benchmarks/targets.py: what is to be reached, told of measurements, on both devices."""

from __future__ import annotations

import json

import pytest
import torch

from aaeframe.benchmarking import SUITES
from aaeframe.benchmarking.case import BenchSettings


@pytest.fixture
def targets(script):
    return script("targets")


def case(**seconds):
    rows = [{"alternative": name.replace("_", " "), "seconds": value} for name, value in seconds.items()]
    return {"name": "step alternating batch=100 pixels=784 width=1000 code=8", "rows": rows}


def timed(plain, ours):
    return case(
        **{f"plain script {it}": value for it, value in plain.items()},
        **{f"aaeframe {it}": value / 9 for it, value in ours.items()},
        **{f"aaeframe {it}, with the training loop": value for it, value in ours.items()},
    )


def test_on_a_gpu_they_apply_to_the_step_with_the_training_loop(targets):
    measured = timed({"fp32": 0.8e-3, "tf32": 0.9e-3}, {"fp32": 0.4e-3, "tf32": 0.25e-3, "bf16": 0.2e-3})
    assert targets.step_targets([measured]) == {
        "fp32: 0.400 ms, at most 0.30": False,
        "fp32: 2.00 times as fast as the plain script, fp32, at least 3": False,
        "tf32: 0.250 ms, at most 0.30": True,
        "tf32: 3.60 times as fast as the plain script, tf32, at least 3": True,
        "bf16: 0.200 ms, at most 0.30": True,
    }


def test_on_a_cpu_they_apply_to_the_step_with_the_training_loop(targets):
    measured = timed({"fp32": 50e-3, "bf16": 60e-3}, {"fp32": 40e-3, "bf16": 32e-3})
    assert targets.step_targets([measured]) == {
        "fp32: 1.25 times as fast as the plain script, fp32, at least 1": True,
        "bf16: 1.25 times as fast as ours in fp32, at least 1.5": False,
    }


def test_what_was_not_measured_has_no_target(targets):
    assert targets.step_targets([case(**{"aaeframe fp32": 0.1e-3, "plain script fp32": 1e-3})]) == {}


@pytest.mark.parametrize(("device", "precisions"), [("cpu", ("fp32", "bf16")), ("cuda", ("fp32", "tf32", "bf16"))])
def test_every_target_has_its_alternatives(targets, device, precisions):
    """The names are those of the cases: a renamed alternative would pass every target by having none."""
    (it, *_) = SUITES["step"].load()(BenchSettings(torch.device(device)))
    rows = [{"alternative": alternative.name, "seconds": 1.0} for alternative in it.alternatives]
    told = targets.step_targets([{"name": it.name, "rows": rows}])
    assert len(told) == (2 if device == "cpu" else 2 * len(precisions))


def test_one_bandwidth_has_the_target_and_more_get_their_exponentials(targets):
    row = {"pairs": 1e11, "product_seconds": 0.2, "seconds": 0.5}
    found = {"rows": 10, "products": {"5": 0.1}, "one": {"bandwidths": 1, **row}, "many": {"bandwidths": 20, **row}}
    assert targets.parzen_targets(found) == {
        "one: 0.500 s, at most 0.30": False,
        "one: 2.50 of the fp16 product, at most 1.50": False,
        "many: 0.500 s, at most 0.75": True,
        "many: 2.50 of the fp16 product, at most 3.77": True,
    }


def test_a_stored_measurement_is_told_of(targets, tmp_path, capsys):
    file = tmp_path / "bench.json"
    file.write_text(json.dumps({"cases": [timed({"fp32": 1.0}, {"fp32": 0.5}), {"name": "loss", "rows": []}]}))
    assert targets.main([str(file)]) == 0
    assert capsys.readouterr().out == (
        "target met: step alternating batch=100 pixels=784 width=1000 code=8: "
        "fp32: 2.00 times as fast as the plain script, fp32, at least 1\n"
    )


def test_another_file_is_refused(targets, tmp_path, capsys):
    (tmp_path / "other.json").write_text("[]")
    assert targets.main([str(tmp_path / "other.json")]) == 2
    assert "is not what `aaeframe bench --out` writes" in capsys.readouterr().err
