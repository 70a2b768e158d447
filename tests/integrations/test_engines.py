"""`Encoder` inside Ray Data and Dask: a million rows, two workers started here, the same bits as in one process."""

from __future__ import annotations

import os

import numpy as np
import pytest

import aaeframe
from aaeframe.inference import Encoder

pa = pytest.importorskip("pyarrow", reason="no extra 'integrations'")
parquet = pytest.importorskip("pyarrow.parquet", reason="no extra 'integrations'")
ray = pytest.importorskip("ray", reason="no extra 'integrations'")
dask = pytest.importorskip("dask", reason="no extra 'integrations'")

pytestmark = pytest.mark.slow
ROWS, COLUMNS = 1_000_000, [f"c{k}" for k in range(8)]


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A run on a table of 8 columns whose density is kept, a million rows in a folder of Parquet, and their results."""
    folder, rng = tmp_path_factory.mktemp("million"), np.random.default_rng(0)
    small = {name: rng.normal(size=2000).astype(np.float32) for name in COLUMNS}
    tiny = {"network": "mlp(hidden=[16])", "discriminator": "mlp(hidden=[16])", "epochs": 2, "device": "cpu"}
    run = aaeframe.train(small, out=folder / "run", progress=False, **tiny)
    run.scores(small)
    rows = {"row": np.arange(ROWS), **{name: rng.normal(size=ROWS).astype(np.float32) for name in COLUMNS}}
    (folder / "rows").mkdir()
    for k, part in enumerate(np.array_split(np.arange(ROWS), 7)):
        table = pa.table({name: it[part] for name, it in rows.items()})
        parquet.write_table(table, folder / f"rows/{k}.parquet", row_group_size=30_000)
    encoder = Encoder(folder / "run", outputs=("codes", "score"), keep=("row",))
    return folder, encoder, encoder(rows)


def same(found, expected):
    order = np.argsort(found["row"], kind="stable")
    assert list(found) == list(expected)
    for name, it in expected.items():
        np.testing.assert_array_equal(np.asarray(found[name])[order], it)


def test_one_process_by_the_command_line_scores_alike(work):
    """Within rounding: its batches have another height."""
    folder, _, expected = work
    some = {name: parquet.read_table(folder / "rows/0.parquet", columns=COLUMNS)[name].to_numpy() for name in COLUMNS}
    scores = aaeframe.load(folder / "run").scores(some)
    np.testing.assert_allclose(expected["score"][: len(scores)], scores, rtol=1e-4)


@pytest.mark.filterwarnings("ignore")  # of Ray's own
def test_ray_data(work, monkeypatch, tmp_path):
    folder, encoder, expected = work
    monkeypatch.setenv("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(num_cpus=2, include_dashboard=False, _node_ip_address="127.0.0.1", log_to_driver=False)
    try:
        rows = ray.data.read_parquet(str(folder / "rows"))
        found = rows.map_batches(encoder, batch_size=10_000).to_pandas()
        workers = rows.map_batches(lambda batch: {"pid": np.array([os.getpid()])}).to_pandas().pid
    finally:
        ray.shutdown()
    assert os.getpid() not in set(workers)
    same({name: found[name].to_numpy() for name in found}, expected)


@pytest.mark.filterwarnings("ignore")  # of Dask's own
def test_dask(work, tmp_path):
    from dask import dataframe
    from distributed import Client, LocalCluster

    folder, encoder, expected = work
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=2,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            local_directory=str(tmp_path),
        ) as cluster,
        Client(cluster),
    ):
        rows = dataframe.read_parquet(folder / "rows")
        found = rows.map_partitions(encoder).compute()
    same({name: found[name].to_numpy() for name in found}, expected)
