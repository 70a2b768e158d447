"""Starts of a launch: those of the same store have names of their own, whatever earlier ones have left in it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from launching import launcher_store
from torch.distributed import TCPStore

from aaeframe.errors import ConfigError
from aaeframe.processes import launcher
from aaeframe.processes.joining import _name_of_start


def named(store, rank, size, seconds=20.0):
    """The name that a process finds by a connection of its own: one waits for the answer to one question."""
    return _name_of_start(TCPStore("127.0.0.1", store.port, is_master=False), rank, size, seconds)


def started(store, size=3):
    """The name that each process of a start finds."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda rank: named(store, rank, size), range(size)))


def test_each_start_has_a_name_of_its_own():
    store = launcher_store()
    names = [started(store) for _ in range(3)]
    assert [len(set(it)) for it in names] == [1, 1, 1]
    assert len({it[0] for it in names}) == 3


def test_a_process_that_was_started_before_is_not_taken_for_one_of_now():
    store = launcher_store()
    store.set("aaeframe/hello/1", "of one that was killed")
    with ThreadPoolExecutor() as pool:
        first = pool.submit(named, store, 0, 2)
        store.get("aaeframe/answer/of one that was killed")  # it has been answered, in vain
        assert not first.done()
        second = pool.submit(named, store, 1, 2)
        assert first.result() == second.result()


def test_processes_that_do_not_come_are_named():
    with pytest.raises(RuntimeError, match="missing: 1, 2"):
        named(launcher_store(), 0, 3, seconds=0.1)


@pytest.mark.parametrize(
    ("variables", "size", "first", "command"),
    [
        ({}, 1, True, "aaeframe"),
        ({"WORLD_SIZE": "4"}, 1, True, "aaeframe"),
        ({"WORLD_SIZE": "1", "RANK": "0"}, 1, True, "aaeframe"),
        ({"WORLD_SIZE": "4", "RANK": "3"}, 4, False, "torchrun --nproc-per-node 4 -m aaeframe"),
        (
            {"WORLD_SIZE": "4", "RANK": "0", "LOCAL_WORLD_SIZE": "2", "GROUP_WORLD_SIZE": "2"},
            4,
            True,
            "torchrun [the options of this launch] -m aaeframe",
        ),
    ],
)
def test_the_launch_is_read_from_the_environment(monkeypatch, variables, size, first, command):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1", **variables}.items():
        monkeypatch.setenv(name, value)
    assert launcher.launch_size() == size
    assert launcher.is_first_of_launch() == first
    assert launcher.command() == command


@pytest.mark.parametrize(("launch", "folder"), [("roll", "runs/roll"), ("a/b", "runs/b"), ("none", None), ("..", None)])
def test_the_id_of_a_launch_names_a_folder_of_runs(monkeypatch, launch, folder):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", launch)
    if folder is None:
        with pytest.raises(ConfigError, match="need the folder of the run: give --out FOLDER"):
            launcher.folder_of_launch()
    else:
        assert str(launcher.folder_of_launch()) == folder


def test_a_variable_that_is_no_number_is_named(monkeypatch):
    for name, value in {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1", "RANK": "0", "WORLD_SIZE": "two"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="WORLD_SIZE is 'two', not a number"):
        launcher.launch_size()
