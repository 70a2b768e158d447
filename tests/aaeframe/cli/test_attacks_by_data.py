"""Data from a stranger: whatever a file or a folder holds, none of it is run, and nothing outside of it is touched."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from PIL import Image
from scipy import io as matlab

from aaeframe.data import load
from aaeframe.errors import DataError

X = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def npz(**members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return stream.getvalue()


def mat(**arrays):
    stream = io.BytesIO()
    matlab.savemat(stream, arrays)
    return stream.getvalue()


def function_handle(code):
    """A .mat file whose x is a function of MATLAB with this source."""
    text = mat(x=code)[128:]
    flags, dimensions, name = struct.pack("<IIII", 6, 8, 16, 0), struct.pack("<IIii", 5, 8, 1, 1), b"\1\0\1\0x\0\0\0"
    inner = flags + dimensions + name + text
    return mat(x=code)[:128] + struct.pack("<II", 14, len(inner)) + inner


PICKLES = {
    "x.npy": lambda bomb: npy(np.array([bomb, None], dtype=object)),
    "bare.npy": pickle.dumps,
    "x.npz": lambda bomb: npz(x=npy(np.array([bomb], dtype=object))),
    "labels.npz": lambda bomb: npz(x=npy(X), y=npy(np.array([bomb] * 40, dtype=object))),
    "record.npz": lambda bomb: npz(x=npy(np.array([(1, bomb)], dtype=[("a", int), ("b", object)]))),
    "member.npz": lambda bomb: npz(x=pickle.dumps(bomb)),
    "bare.npz": pickle.dumps,
    "bare.mat": pickle.dumps,
    "bare.csv": pickle.dumps,
    "x-idx3-ubyte": pickle.dumps,
    "x-idx3-ubyte.gz": lambda bomb: gzip.compress(pickle.dumps(bomb)),
}


@pytest.mark.parametrize(("name", "make"), PICKLES.items(), ids=PICKLES)
def test_a_pickle_is_never_loaded(cli, refused, tmp_path, bomb, name, make):
    path = tmp_path / name
    path.write_bytes(make(bomb))
    refused(cli("train", "--data", path, "--out", tmp_path / "run"), name)
    refused(cli("parzen", "--samples", path, "--test", path, "--bandwidth", 0.1), name)
    assert not (tmp_path / "run").exists()


POSTSCRIPT = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(x) print\n"
CODE = "__import__('os').mkdir('code-ran')"
TEXTS = {
    "code.csv": f'a,b\n1,"{CODE}"\n'.encode(),
    "header.npy": b"\x93NUMPY\x01\x00" + struct.pack("<H", len(CODE) + 1) + CODE.encode() + b"\n",
    "shape.npy": npy(X).replace(b"(40, 8, 8)", b"(exit(),8)"),
    "type.npy": npy(X).replace(b"'|u1'", b"exit("),
    "cells.mat": mat(x=np.array([[CODE, "b"]] * 20, dtype=object)),
    "struct.mat": mat(x={"a": CODE, "b": 1}),
    "function.mat": function_handle(CODE),
}


@pytest.mark.parametrize(("name", "content"), TEXTS.items(), ids=TEXTS)
def test_text_that_is_code_somewhere_is_text(cli, refused, tmp_path, canary, monkeypatch, name, content):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(content)
    refused(cli("train", "--data", tmp_path / name, "--out", tmp_path / "run"), name)


def test_an_image_is_decoded_as_an_image_and_by_no_other_program(cli, refused, tmp_path, canary, monkeypatch):
    """Pillow knows formats by their first bytes, whatever the name, and has Ghostscript interpret PostScript."""
    tools, photos = tmp_path / "tools", tmp_path / "photos"
    tools.mkdir()
    photos.mkdir()
    (tools / "gs").write_text(f"#!/bin/sh\ntouch {canary}\necho 10.0\n")
    (tools / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    for number in range(12):
        (photos / f"{number}.png").write_text(POSTSCRIPT)
    refused(cli("train", "--data", photos, "--out", tmp_path / "run"), "0.png: cannot be decoded as an image")


# What leaves a folder or an archive.


def test_names_in_an_archive_are_no_paths(tmp_path):
    evil = {
        "../out": npy(X),
        "../../out": npy(X),
        str(tmp_path / "out"): npy(X),
        "x": npy(X),
        "y": npy(np.arange(40) % 2),
    }
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.npz").write_bytes(npz(**evil))
    data = load(tmp_path / "in" / "x.npz")
    assert data.spec.shape == (1, 8, 8)
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["in", "x.npz"]


def test_the_one_array_of_an_archive_may_be_called_as_a_path_and_stays_inside(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.npz").write_bytes(npz(**{"../out": npy(X)}))
    assert load(tmp_path / "in" / "x.npz").spec.shape == (1, 8, 8)
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["in", "x.npz"]


@pytest.fixture
def photos(tmp_path):
    """A folder of images, and another beside it that is nobody's business."""
    for name in ("photos", "private"):
        (tmp_path / name).mkdir()
        for number, picture in enumerate(X[:12]):
            Image.fromarray(picture).save(tmp_path / name / f"{number}.png")
    return tmp_path / "photos"


LINKS = {
    "an absolute link": ("12.png", "/etc/passwd", "12.png: cannot be decoded as an image"),
    "a link to itself": ("12.png", "12.png", "12.png: is not a file, or a link to one"),
    "a class": ("class", "../private", "in the folder itself (0.png) and in subfolders too"),
    "the folder above": ("class", "..", "in the folder itself (0.png) and in subfolders too"),
}


@pytest.mark.parametrize(("name", "target", "words"), LINKS.values(), ids=LINKS)
def test_a_link_in_a_folder_of_images_is_followed_to_images_only(cli, refused, photos, tmp_path, name, target, words):
    (photos / name).symlink_to(target)
    refused(cli("train", "--data", photos, "--out", tmp_path / "run"), words)


@pytest.mark.parametrize("packed", ["", ".gz"])
def test_a_link_out_of_a_folder_of_idx_files_is_refused(cli, refused, tmp_path, packed):
    folder = tmp_path / "four"
    folder.mkdir()
    for part in ("train", "t10k"):
        for kind in ("images-idx3", "labels-idx1"):
            (folder / f"{part}-{kind}-ubyte{packed}").touch()
    (tmp_path / "private").write_text("mine")
    link = folder / f"t10k-labels-idx1-ubyte{packed}"
    link.unlink()
    link.symlink_to(tmp_path / "private")
    refused(cli("train", "--data", folder, "--out", tmp_path / "run"), f"{link}: is a link that leads out of {folder}")


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.csv", "x.mat", "x-idx3-ubyte", "photos/0.png"])
def test_a_pipe_is_refused_before_anyone_waits_for_it(cli, refused, photos, tmp_path, name):
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    path = photos if "photos" in name else tmp_path / name
    refused(
        cli("train", "--data", path, "--out", tmp_path / "run"), "neither a file" if path != photos else "not a file"
    )


# What unpacks to more than it says, or says more than it has.


def idx(shape, content):
    return b"\0\0\x08" + bytes([len(shape)]) + np.array(shape, ">u4").tobytes() + content


@pytest.mark.parametrize(
    ("declared", "content"),
    [((40, 8, 8), bytes(2**26)), ((2**14, 2**10, 2**9), bytes(8)), ((2**31, 2**31), b"")],
    ids=["more than it says", "less than it says", "more than there is memory"],
)
def test_a_packed_file_takes_no_more_memory_than_it_may(tmp_path, declared, content):
    path = tmp_path / f"x-idx{len(declared)}-ubyte.gz"
    path.write_bytes(gzip.compress(idx(declared, content), 1))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=path.name):
            load(path)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()
