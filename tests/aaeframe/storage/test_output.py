"""A file that a user names for a result: regular files, links, devices, pipes and standard output."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from aaeframe.errors import ConfigError, RunError
from aaeframe.storage.output import Output

FORMATS = (".npz", ".csv")


def put(path, data=b"new", **options):
    with Output.named(path, FORMATS, **options).writing() as file:
        file.write(data)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "--out is empty; give a file that ends in .npz or .csv, or - for standard output"),
        ("/", "--out / is a folder; give a file"),
        (".", "is a folder"),
        ("new.csv/", "new.csv/ is a folder"),
        ("codes.txt", "--out codes.txt ends in .txt, which is no format here; give a file that ends in .npz or .csv"),
        ("codes", "--out codes has no suffix"),
        ("codes.csv.gz", "ends in .gz"),
        (".csv", "has no suffix"),
    ],
)
def test_names_of_no_file_and_other_suffixes_are_refused(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=f"^.*{message.replace('.', '[.]')}"):
        Output.named(name, FORMATS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("form", "words"), [("json", "is not a format"), ("npz", "is .csv by its suffix")])
def test_a_format_is_one_of_those_offered_and_agrees_with_the_suffix(tmp_path, form, words):
    with pytest.raises(ConfigError, match=words):
        Output.named(tmp_path / "a.csv", FORMATS, form=form)
    assert Output.named(tmp_path / "A.CSV", FORMATS, form="csv").suffix == ".csv"


def test_a_missing_folder_is_made_when_the_file_is_written(tmp_path):
    output = Output.named(tmp_path / "a/b/c.csv", FORMATS)
    assert list(tmp_path.iterdir()) == []
    with output.writing() as file:
        file.write(b"x")
    assert (tmp_path / "a/b/c.csv").read_bytes() == b"x"


def test_a_folder_that_is_a_file_is_refused_before_any_work(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"cannot write .*file/new/a\.csv: Not a directory"):
        Output.named(tmp_path / "file/new/a.csv", FORMATS)


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_written_through_and_stays(tmp_path, there):
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far/target.csv", tmp_path / "link.csv"
    if there:
        target.write_bytes(b"old")
    link.symlink_to("far/target.csv")
    put(link)
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert [path.name for path in (tmp_path / "far").iterdir()] == ["target.csv"]


def test_a_loop_of_links_is_an_error(tmp_path):
    (tmp_path / "a.csv").symlink_to("a.csv")
    with pytest.raises(RunError, match=r"cannot write .*a\.csv"):
        put(tmp_path / "a.csv")


def test_what_fails_on_the_way_leaves_the_target_of_a_link_as_it_was(tmp_path):
    (tmp_path / "target.csv").write_bytes(b"old")
    (tmp_path / "link.csv").symlink_to("target.csv")

    def stop():
        with Output.named(tmp_path / "link.csv", FORMATS).writing() as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert (tmp_path / "target.csv").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.csv", "target.csv"]


@pytest.mark.parametrize("name", ["/dev/null", "link"])
def test_a_device_is_written_through(tmp_path, name):
    (tmp_path / "link").symlink_to("/dev/null")
    put(tmp_path / name)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    assert (tmp_path / "link").is_symlink()


def test_a_full_device_is_an_error_in_words():
    with pytest.raises(RunError, match="cannot write /dev/full: No space left on device"):
        put("/dev/full", bytes(2**20))


def test_a_pipe_is_written_through(tmp_path):
    pipe, found = tmp_path / "pipe.npz", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    assert Output.named(pipe, FORMATS).suffix == ".npz"
    assert Output.named(pipe, FORMATS, form="csv").suffix == ".csv"
    put(pipe)
    reader.join()
    assert found == [b"new"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize(("name", "place"), [("-", "out"), ("/dev/stdout", "out"), ("/dev/stderr", "err")])
def test_standard_output_is_written_to_and_stays_open(capfdbinary, name, place):
    put(name)
    put(name)
    assert getattr(capfdbinary.readouterr(), place) == b"newnew"
    assert Output.named(name, FORMATS).is_standard == (place == "out")


def test_standard_output_that_is_a_file_is_appended_to(tmp_path):
    """As `>>` of a shell expects: /dev/stdout leads to the file, which is neither replaced nor cut."""
    with (tmp_path / "log").open("ab") as log:
        log.write(b"before ")
        log.flush()
        put(f"/dev/fd/{log.fileno()}")
    assert (tmp_path / "log").read_bytes() == b"before new"


def test_a_reader_that_ended_is_no_error_of_writing():
    read, write = os.pipe()
    os.close(read)
    with pytest.raises(BrokenPipeError):
        put(f"/dev/fd/{write}")
    os.close(write)
