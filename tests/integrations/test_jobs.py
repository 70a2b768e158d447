"""Jobs from Python alone: each script of `jobs` does one, as a user would write it, in a folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
from PIL import Image

import aaeframe

JOBS = sorted((Path(__file__).parent / "jobs").glob("*.py"))
RNG = np.random.default_rng(0)


def command(name):
    (script,) = (it for it in JOBS if it.stem == name)
    return [sys.executable, script]


@pytest.fixture
def do(tmp_path):
    """Run a script to its end; it must print nothing."""

    def run(name, before=()):
        done = subprocess.run(
            [*before, *command(name)], cwd=tmp_path, env=os.environ, capture_output=True, text=True, timeout=300
        )
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        return done.stderr

    return run


@pytest.mark.parametrize("script", JOBS, ids=lambda it: it.stem)
def test_a_job_is_short(script):
    assert len([line for line in script.read_text().splitlines() if line]) <= 20


def test_a_frame_with_names_of_classes_becomes_codes_with_ids(tmp_path, do):
    pd = pytest.importorskip("pandas", reason="no extra 'integrations'")
    do("frame_to_csv")
    codes = pd.read_csv(tmp_path / "codes.csv")
    assert list(codes) == ["plant", "species", "gaussian_1", "gaussian_2"]
    assert codes.plant.is_unique
    assert codes.species.value_counts().to_dict() == {"setosa": 50, "versicolor": 50, "virginica": 50}
    assert codes.notna().all(axis=None)


@pytest.mark.slow
def test_a_sparse_matrix(tmp_path, do):
    do("sparse_counts")
    codes = np.load(tmp_path / "codes.npy")
    assert codes.shape == (30, 5)
    assert np.isfinite(codes).all()


@pytest.mark.slow
def test_a_data_set_of_images_on_disk(tmp_path, do):
    (tmp_path / "images").mkdir()
    for k in range(60):
        Image.fromarray(RNG.integers(0, 256, (12, 10), dtype=np.uint8)).save(tmp_path / f"images/{k:02}.png")
    do("images_from_disk")
    made = sorted(tmp_path.glob("reconstructed-*.png"))
    assert [it.name for it in made] == [f"reconstructed-{k:02}.png" for k in range(60)]
    with Image.open(made[0]) as image:
        assert image.size == (10, 12)


@pytest.mark.slow
def test_ten_trainings_at_once_in_a_server(tmp_path):
    rows = RNG.normal(size=(10, 60, 3)).tolist()

    def answer(sent):
        with urlopen(f"http://127.0.0.1:{port}", json.dumps(sent).encode(), timeout=300) as found:
            return json.loads(found.read())

    with subprocess.Popen(command("server"), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        try:
            port = int(server.stdout.readline())
            with ThreadPoolExecutor(10) as pool:
                together = list(pool.map(answer, rows))
            assert together == list(map(answer, rows))  # one after another
        finally:
            server.kill()
    assert np.shape(together) == (10, 60, 2)


@pytest.mark.slow
def test_a_read_only_run_is_evaluated_elsewhere(tmp_path, do, bound_by_permissions):
    run = tmp_path / "shared/run"
    aaeframe.train("digits", epochs=1, network="mlp(hidden=[8])", out=run, progress=False)
    before, folders = {it.name for it in run.rglob("*")}, [run, *filter(Path.is_dir, run.rglob("*"))]
    for folder in folders:
        folder.chmod(0o555)
    told = do("read_only", bound_by_permissions)
    for folder in folders:
        folder.chmod(0o755)
    assert {it.name for it in run.rglob("*")} == before
    assert "shared/run/test_accesses.jsonl cannot count" in told
    assert json.loads((tmp_path / "report.json").read_text())["split"] == "test"
    assert len(list((tmp_path / "figures").glob("*.png"))) > 3
