"""The observer of the plugin guide that writes to MLflow, with a store of files."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest

import aaeframe

mlflow = pytest.importorskip("mlflow", reason="no extra 'integrations'")

GUIDE = (Path(__file__).parents[2] / "plugins/README.md").read_text()
ROWS = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
SMALL = {"network": "mlp(hidden=[8])", "discriminator": "mlp(hidden=[8])", "batch_size": 20, "device": "cpu"}


@pytest.fixture
def observer(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    file = tmp_path / "aaeframe_mlflow.py"
    file.write_text(re.search(r"`aaeframe_mlflow.py`:\n\n```python\n(.*?)```", GUIDE, re.DOTALL)[1])
    spec = importlib.util.spec_from_file_location("aaeframe_mlflow", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.MLflow


class Stops:
    def stepped(self, step, losses):
        if step == 6:
            raise aaeframe.StopRun


@pytest.mark.filterwarnings("ignore:The filesystem tracking backend:FutureWarning")
def test_a_stopped_and_resumed_run_is_one_of_mlflow(tmp_path, observer):
    out = tmp_path / "runs" / "mine"
    with pytest.warns(UserWarning, match="'Stops' ended the run"):
        aaeframe.train(ROWS, observers=[observer(), Stops()], epochs=3, out=out, **SMALL)
    client = mlflow.MlflowClient()
    known = (out / "mlflow-run").read_text()
    assert client.get_run(known).info.status == "KILLED"

    run = aaeframe.resume(out, data=ROWS, observers=[observer()])
    run.evaluate(split="validation")

    (found,) = client.search_runs([client.get_experiment_by_name("aaeframe").experiment_id])
    assert (found.info.run_id, found.info.run_name, found.info.status) == (known, "mine", "FINISHED")
    assert (found.data.params["epochs"], found.data.params["data"]) == ("3", "python:numpy.ndarray")
    losses = [(it.step, it.value) for it in client.get_metric_history(known, "reconstruction")]
    assert losses == [(row["step"], pytest.approx(row["reconstruction"])) for row in run.metrics]
    report = json.loads(Path(client.download_artifacts(known, "validation.json")).read_text())
    assert report["step"] == run.step
