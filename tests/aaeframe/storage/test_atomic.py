from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from aaeframe.errors import RunError
from aaeframe.storage.atomic import flush_folder, write_atomically, writing, written_atomically


def test_a_file_is_written_and_replaced_whole(tmp_path):
    write_atomically(tmp_path / "a", b"first")
    write_atomically(tmp_path / "a", b"2")
    assert (tmp_path / "a").read_bytes() == b"2"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_full_disk_leaves_what_was_there_and_nothing_else(tmp_path, monkeypatch):
    write_atomically(tmp_path / "a", b"first")

    def refuse(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(
        RunError, match=r"cannot write .*a: No space left on device.*Existing files are unchanged"
    ) as caught:
        write_atomically(tmp_path / "a", b"second")
    assert caught.value.exit_code == 2
    assert (tmp_path / "a").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_two_who_write_one_file_at_a_time_each_write_it_whole(tmp_path):
    with written_atomically(tmp_path / "a") as first:
        first.write(b"fir")
        first.flush()
        with written_atomically(tmp_path / "a") as second:
            second.write(b"second")
        assert (tmp_path / "a").read_bytes() == b"second"
        first.write(b"st")
    assert (tmp_path / "a").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_an_error_of_what_is_read_is_not_one_of_writing(tmp_path):
    with pytest.raises(FileNotFoundError, match="source"), written_atomically(tmp_path / "a") as file:
        file.write((tmp_path / "source").read_bytes())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [1, 10 * 2**20])
def test_a_disk_that_fills_meanwhile_is_one_of_writing(tmp_path, size):
    def write():
        with written_atomically(tmp_path / "a") as file:
            full = os.open("/dev/full", os.O_WRONLY)
            os.dup2(full, file.fileno())
            os.close(full)
            file.write(bytes(size))

    with pytest.raises(RunError, match=r"cannot write .*a: No space left on device"):
        write()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["file/a", "missing/a"])
def test_a_folder_that_cannot_be_is_named(tmp_path, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=f"cannot write .*{place}: (Not a directory|No such file or directory)"):
        write_atomically(tmp_path / place, b"")


def test_only_refusals_of_the_system_become_run_errors(tmp_path):
    with pytest.raises(ValueError, match="ours"), writing(tmp_path):
        raise ValueError("ours")


def test_flushing_a_missing_folder_is_the_systems_error(tmp_path):
    flush_folder(tmp_path)
    with pytest.raises(FileNotFoundError):
        flush_folder(tmp_path / "missing")


def test_the_next_write_removes_what_a_killed_writer_left_but_not_what_a_living_one_holds(tmp_path):
    left, other = tmp_path / ".a.0123abcd.tmp", tmp_path / ".b.0123abcd.tmp"
    left.write_bytes(b"half")
    other.write_bytes(b"of another file")
    with written_atomically(tmp_path / "a") as living:
        living.write(b"first")
        write_atomically(tmp_path / "a", b"second")
        assert not left.exists()
    assert (tmp_path / "a").read_bytes() == b"first"
    assert sorted(path.name for path in tmp_path.iterdir()) == [other.name, "a"]


def test_the_partial_file_of_a_writer_killed_by_sigkill_is_removed_by_the_next_write(tmp_path):
    script = (
        "import os, signal, sys; from pathlib import Path; from aaeframe.storage.atomic import written_atomically\n"
        "with written_atomically(Path(sys.argv[1])) as file:\n"
        "    file.write(b'half'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path / "a"], timeout=100)
    assert len(list(tmp_path.glob(".a.*.tmp"))) == 1
    write_atomically(tmp_path / "a", b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
