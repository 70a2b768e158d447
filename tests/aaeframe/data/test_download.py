from __future__ import annotations

import gzip
import hashlib
import logging.handlers
import pickle
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pooch
import pytest

from aaeframe.data import catalogue as named
from aaeframe.data import load
from aaeframe.data.download import RemoteFile, fetch
from aaeframe.errors import DataError, DownloadError

CONTENT = bytes(range(256)) * 40
PACKED = gzip.compress(CONTENT, mtime=1)


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@dataclass
class Site:
    """A server's answers by path, (status, body, the length it promises, headers), and what it was asked."""

    url: str = ""
    answers: dict[str, tuple[int, bytes, int, dict[str, str]]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def offer(self, path, body, status=200, promised=None, **headers):
        self.answers[path] = (status, body, len(body) if promised is None else promised, headers)
        return self.url + path


@pytest.fixture
def site():
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            site.requests.append(self.path)
            status, body, promised, headers = site.answers.get(self.path, (404, b"", 0, {}))
            self.send_response(status)
            for name, value in {"Content-Length": str(promised), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Keep the tests' output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        site.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield site
        server.shutdown()
        thread.join()


def remote(*urls, content=PACKED, inside=None):
    return RemoteFile("x.gz", sha256(content), urls, None if inside is None else sha256(inside))


class Explosive:
    """Fails the test that unpickles it."""

    def __reduce__(self):
        return pytest.fail, ("it was unpickled",)


def refuse_to_open(path, *_):
    pytest.fail(f"{path} was opened")


def files_in(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_file_is_downloaded_once(site, cache):
    file = remote(site.offer("/x.gz", PACKED))
    path = fetch(file, "set")
    assert path == cache / "set" / "x.gz"
    assert path.read_bytes() == PACKED
    assert fetch(file, "set") == path
    assert site.requests == ["/x.gz"]


def test_a_download_says_nothing_and_leaves_poochs_logger_as_it_was(site, monkeypatch):
    said = logging.handlers.BufferingHandler(capacity=100)
    logger = pooch.get_logger()
    monkeypatch.setattr(logger, "handlers", [said])
    logger.info("the handler hears what pooch would say")
    fetch(remote(site.offer("/x.gz", PACKED)), "set")
    logger.info("and hears it again afterwards")
    assert len(said.buffer) == 2


def test_a_damaged_copy_in_the_cache_is_fetched_again(site):
    file = remote(site.offer("/x.gz", PACKED))
    path = fetch(file, "set")
    path.write_bytes(PACKED[:-1])
    assert fetch(file, "set").read_bytes() == PACKED
    assert len(site.requests) == 2


def test_the_next_mirror_is_tried(site):
    file = remote(site.url + "/gone.gz", site.offer("/bad.gz", b"bad"), site.offer("/x.gz", PACKED))
    assert fetch(file, "set").read_bytes() == PACKED
    assert site.requests == ["/gone.gz", "/bad.gz", "/x.gz"]


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (
            {"body": PACKED, "promised": len(PACKED) + 7},
            rf"was cut off: .*{len(PACKED)} bytes read, 7 more expected",
        ),
        ({"body": PACKED[:-1] + b"!"}, f"expected {sha256(PACKED)} but got {sha256(PACKED[:-1] + b'!')}"),
        ({"body": b"", "status": 404}, "404 Client Error: Not Found"),
        ({"body": b"", "status": 503}, "503 Server Error"),
    ],
    ids=["truncated", "corrupted", "404", "503"],
)
def test_a_download_that_fails(site, cache, answer, what):
    file = remote(site.offer("/x.gz", **answer))
    with pytest.raises(DownloadError, match=what) as caught:
        fetch(file, "set")
    message = str(caught.value)
    assert message.startswith(f"x.gz of set could not be downloaded:\n  {site.url}/x.gz: ")
    assert f"(SHA-256 {sha256(PACKED)})" in message
    assert message.endswith("put it into FOLDER/set and set AAEFRAME_DATA=FOLDER.")
    assert files_in(cache) == []


@pytest.mark.parametrize("kind", ["another archive", "a pickle", "nothing"])
def test_what_was_altered_on_the_way_is_refused_before_anyone_opens_it(site, cache, monkeypatch, kind):
    images = gzip.compress(b"\0\0\x08\x03" + np.array([40, 8, 8], ">u4").tobytes() + bytes(40 * 64))
    altered = {"another archive": images, "a pickle": pickle.dumps(Explosive()), "nothing": b""}[kind]
    site.offer("/x.gz", altered)
    monkeypatch.setattr(named, "MNIST", (remote(site.url + "/x.gz"),) * 4)
    for reader in ("gzip.open", "aaeframe.data.readers.idx.read"):
        monkeypatch.setattr(reader, refuse_to_open)
    with pytest.raises(DownloadError, match=f"expected {sha256(PACKED)} but got {sha256(altered)}") as caught:
        load("mnist")
    assert caught.value.exit_code == 2
    assert files_in(cache) == []


@pytest.mark.parametrize("scheme", ["file://", "ftp://127.0.0.1:1", "data:application/gzip,"])
def test_a_server_sends_to_no_file_of_ours(site, cache, tmp_path, scheme):
    (tmp_path / "x.gz").write_bytes(PACKED)  # even if it were the right one
    url = site.offer("/x.gz", b"", status=302, Location=f"{scheme}{tmp_path / 'x.gz'}")
    with pytest.raises(DownloadError, match="No connection adapters were found"):
        fetch(remote(url), "set")
    assert files_in(cache) == []


def test_a_server_does_not_choose_where_a_file_is_kept(site, cache):
    name = 'attachment; filename="../../../evil.gz"'
    url = site.offer("/x.gz", PACKED, **{"Content-Disposition": name})
    assert fetch(remote(url), "set") == cache / "set" / "x.gz"
    assert files_in(cache.parent) == [cache / "set" / "x.gz"]


def test_a_refused_connection_and_every_mirror_is_reported(cache):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: nobody else can answer there
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(DownloadError) as caught:
            fetch(remote(url + "/a", url + "/b"), "set")
    for path in ("/a", "/b"):
        assert f"  {url}{path}: no connection: [Errno" in str(caught.value)
    assert str(caught.value).count("Connection refused") == 2


def test_a_silent_server_is_given_up(monkeypatch):
    monkeypatch.setattr("aaeframe.data.download.TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        with pytest.raises(DownloadError, match=r"the server was silent for 0\.2 seconds"):
            fetch(remote(url), "set")


def test_a_cache_that_cannot_be_written(site, cache):
    cache.parent.mkdir(exist_ok=True)
    cache.write_text("a file where the folder should be")
    with pytest.raises(DataError, match=r"cannot be kept in the cache folder .*Make room, make the folder"):
        fetch(remote(site.offer("/x.gz", PACKED)), "set")


def test_a_full_disk_leaves_nothing_and_once_there_is_room_the_file_is_had(site, cache, files_up_to):
    content = np.random.default_rng(0).bytes(50_000)
    file = remote(site.offer("/x.gz", content), content=content)
    with (
        files_up_to(10_000),
        pytest.raises(DataError, match=r"x.gz of set cannot be kept .* File too large. Make"),
    ):
        fetch(file, "set")
    assert files_in(cache) == []
    assert fetch(file, "set").read_bytes() == content


@pytest.mark.parametrize("place", ["x.gz", "set/x.gz"])
def test_the_users_folder_comes_first(site, tmp_path, monkeypatch, place):
    fetch(remote(site.offer("/x.gz", PACKED)), "set")
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_bytes(PACKED)
    monkeypatch.setenv("AAEFRAME_DATA", str(tmp_path))
    assert fetch(remote(), "set") == tmp_path / place


def test_a_users_folder_without_the_file_is_passed_over(site, tmp_path, monkeypatch, cache):
    monkeypatch.setenv("AAEFRAME_DATA", str(tmp_path))
    assert fetch(remote(site.offer("/x.gz", PACKED)), "set") == cache / "set" / "x.gz"
    assert files_in(tmp_path) == []


def test_an_altered_file_in_the_users_folder_is_refused(site, tmp_path, monkeypatch):
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"other"))
    monkeypatch.setenv("AAEFRAME_DATA", str(tmp_path))
    with pytest.raises(DataError, match=rf"is not the x.gz of set: its SHA-256 is .*, expected {sha256(PACKED)}"):
        fetch(remote(site.offer("/x.gz", PACKED), inside=CONTENT), "set")
    (tmp_path / "x.gz").write_bytes(b"not even gzip")
    with pytest.raises(DataError, match=r"Replace it, put the genuine file into .*/set, or load yours by its path"):
        fetch(remote(site.offer("/x.gz", PACKED), inside=CONTENT), "set")
    assert site.requests == []


def test_a_copy_compressed_again_is_known_by_its_content(tmp_path, monkeypatch):
    again = gzip.compress(CONTENT, compresslevel=1, mtime=2)
    (tmp_path / "x.gz").write_bytes(again)
    monkeypatch.setenv("AAEFRAME_DATA", str(tmp_path))
    assert sha256(again) != sha256(PACKED)
    assert fetch(remote(inside=CONTENT), "set").read_bytes() == again
    with pytest.raises(DataError, match=r"is not the x.gz of set"):
        fetch(remote(), "set")


def test_a_users_folder_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("AAEFRAME_DATA", str(tmp_path / "gone"))
    with pytest.raises(DataError, match=r"AAEFRAME_DATA is '.*gone', which is not a folder\. Create it, or unset"):
        fetch(remote(), "set")
