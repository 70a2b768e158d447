"""Archives: what is written is read back, and nothing else is read."""

from __future__ import annotations

import json
import stat
import zipfile
from contextlib import suppress

import pytest

from aaeframe.errors import RunError
from aaeframe.storage import archive as archives
from aaeframe.storage.archive import MANIFEST, read_archive, write_archive
from aaeframe.storage.output import Output

FILES = {
    "config.toml": b"[data]\n",
    "state.json": b"{}",
    "model.safetensors": bytes(range(256)),
    "metrics.jsonl": b"",
    "README.md": b"# A card\n",
}


def written(path, files=FILES):
    write_archive(Output.named(path, [".zip"]), files)
    return path


@pytest.fixture
def archive(tmp_path):
    return written(tmp_path / "model.zip")


def entries(path):
    with zipfile.ZipFile(path) as it:
        return [(info, it.read(info)) for info in it.infolist()]


def rewrite(path, change):
    """Write the entries anew, as `change` gives them."""
    old = entries(path)
    with zipfile.ZipFile(path, "w") as it:
        for info, content in change(old):
            it.writestr(info, content)


def named(name, content, **attributes):
    info = zipfile.ZipInfo(name)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, content


def test_what_is_written_is_read(archive):
    assert read_archive(archive) == FILES


def test_equal_files_give_equal_bytes(archive, tmp_path):
    other = written(tmp_path / "other.zip", dict(reversed(FILES.items())))

    assert other.read_bytes() == archive.read_bytes()


def test_other_tools_read_it(archive):
    with zipfile.ZipFile(archive) as it:
        assert it.testzip() is None
        manifest = json.loads(it.read(MANIFEST))
        assert manifest["files"]["model.safetensors"]["bytes"] == 256
        assert {stat.S_IFMT(info.external_attr >> 16) for info in it.infolist()} == {stat.S_IFREG}


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../config.toml", "..\\config.toml", "C:\\x", "sub/config.toml", "sub/", "run.py", "Config.toml"],
)
def test_other_names_are_refused(name, archive, tmp_path):
    rewrite(archive, lambda old: [*old, named(name, b"")])

    with pytest.raises(RunError, match=r"it holds '.*', and only .* belong into one\. Get it again"):
        read_archive(archive)
    assert {path.name for path in tmp_path.iterdir()} == {"model.zip"}


def swapped(new, name="config.toml"):
    return lambda old: [new if info.filename == name else (info, content) for info, content in old]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (swapped(named("config.toml", b"/etc/passwd", external_attr=(stat.S_IFLNK | 0o777) << 16)), "is a link or a"),
        (swapped(named("config.toml", bytes(10**6), compress_type=zipfile.ZIP_DEFLATED)), "compressed or encrypted"),
        (swapped(named("config.toml", b"[other]\n")), "the SHA-256 of config.toml is not that of manifest.json"),
        (swapped(named("config.toml", bytes(2**22 + 1))), "config.toml has 4194305 bytes, where at most 4194304"),
        (lambda old: old[1:], "its files are .* which manifest.json does not list"),
        (lambda old: old[:-1], "it has no manifest.json"),
        (swapped(named(MANIFEST, b"[]"), MANIFEST), "manifest.json names no format"),
        (swapped(named(MANIFEST, b"{"), MANIFEST), "cannot be used as the archive"),
        (swapped(named(MANIFEST, b"[" * 10**5), MANIFEST), "it is nested too deeply"),
        (swapped(named(MANIFEST, b'{"format": 1, "files": {}}'), MANIFEST), "does not list"),
        (swapped(named(MANIFEST, b'{"format": 2}'), MANIFEST), "has format 2, and this version reads up to 1: upgrade"),
    ],
    ids=["link", "packed", "altered", "large", "missing", "no manifest", "list", "cut", "deep", "empty", "newer"],
)
def test_what_is_not_as_it_was_written_is_refused(change, message, archive):
    rewrite(archive, change)

    with pytest.raises(RunError, match=message):
        read_archive(archive)


def test_a_file_that_is_there_twice_is_refused(archive):
    with pytest.warns(UserWarning, match="Duplicate name"):
        rewrite(archive, lambda old: [*old, old[0]])

    with pytest.raises(RunError, match="it holds a file twice"):
        read_archive(archive)


def test_files_that_overlap_are_refused(archive):
    """Two entries of one content: a small archive that reads as a large one."""
    with zipfile.ZipFile(archive, "a") as it:
        large = next(info for info in it.infolist() if info.filename == "model.safetensors")
        other = next(info for info in it.infolist() if info.filename == "state.json")
        other.header_offset, other.file_size, other.compress_size = large.header_offset, 256 * 20, 256 * 20
        it._didModify = True

    with pytest.raises(RunError, match="its files overlap"):
        read_archive(archive)


def test_encrypted_entries_are_refused(archive):
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)

    with pytest.raises(RunError, match="compressed or encrypted"):
        read_archive(archive)


def test_no_byte_can_change_unnoticed_or_end_in_another_error(archive):
    content = archive.read_bytes()
    for place in range(0, len(content), 7):
        archive.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        with suppress(RunError):
            assert read_archive(archive) == FILES


@pytest.mark.parametrize("kept", [0, 1, 30, 0.5, 0.99])
def test_an_archive_that_is_cut_off_is_refused(kept, archive):
    content = archive.read_bytes()
    archive.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])

    with pytest.raises(RunError, match="Get it again"):
        read_archive(archive)


def test_needed_files_are_named(tmp_path):
    some = {name: content for name, content in FILES.items() if name != "state.json"}
    with pytest.raises(RunError, match=r"it lacks state\.json"):
        read_archive(written(tmp_path / "model.zip", some))


def test_a_full_disk_leaves_the_old_archive(archive, files_up_to):
    before = archive.read_bytes()
    with files_up_to(500), pytest.raises(RunError, match="cannot write"):
        written(archive, {**FILES, "model.safetensors": bytes(10**4)})

    assert archive.read_bytes() == before
    assert [path.name for path in archive.parent.iterdir()] == ["model.zip"]


def test_a_newer_format_is_not_guessed(archive, monkeypatch):
    monkeypatch.setattr(archives, "FORMAT", 0)
    with pytest.raises(RunError, match="reads up to 0: upgrade aaeframe"):
        read_archive(archive)
