from __future__ import annotations

import errno
import os

import pytest

from aaeframe.errors import RunError
from aaeframe.files import flush_folder, write_atomically, writing


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
    with pytest.raises(RunError, match=r"cannot write .*a: No space left on device.*was there before stands") as caught:
        write_atomically(tmp_path / "a", b"second")
    assert caught.value.exit_code == 2
    assert (tmp_path / "a").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


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
