from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from aaeframe.data import load
from aaeframe.data.readers import limits
from aaeframe.errors import DataError

GRAY = np.random.default_rng(0).integers(0, 256, (20, 6, 5), dtype=np.uint8)
COLOR = np.random.default_rng(1).integers(0, 256, (20, 6, 5, 3), dtype=np.uint8)


def fill(folder, pictures, suffix=".png"):
    folder.mkdir(parents=True, exist_ok=True)
    for i, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{i:03d}{suffix}")
    return folder


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".PNG"])
def test_color_images_round_trip(tmp_path, suffix):
    data = load(fill(tmp_path / "a", COLOR, suffix))
    assert data.spec.shape == (3, 6, 5)
    np.testing.assert_array_equal(data.train.array(), COLOR.transpose(0, 3, 1, 2)[data.train.index])
    assert data.num_classes is None


def test_gray_images_stay_gray(tmp_path):
    data = load(fill(tmp_path / "a", GRAY))
    assert data.spec.shape == (1, 6, 5)
    np.testing.assert_array_equal(data.train.array()[:, 0], GRAY[data.train.index])


def test_images_with_a_palette_are_rgb(tmp_path):
    data = load(fill(tmp_path / "a", GRAY, ".gif"))
    np.testing.assert_array_equal(data.train.data, np.stack([GRAY] * 3, axis=1))


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_lossy_images_are_read(tmp_path, suffix):
    flat = np.full((12, 8, 8, 3), 100, np.uint8)
    assert np.abs(load(fill(tmp_path / "a", flat, suffix)).train.array().astype(int) - 100).max() < 4


def test_one_color_image_makes_all_of_them_rgb(tmp_path):
    folder = fill(tmp_path / "a", GRAY)
    Image.fromarray(COLOR[0]).save(folder / "z.png")
    data = load(folder)
    assert data.spec.shape == (3, 6, 5)
    np.testing.assert_array_equal(data.train.data[0], np.stack([GRAY[0]] * 3))


def test_transparency_is_dropped(tmp_path):
    folder = fill(tmp_path / "a", np.concatenate([COLOR, np.zeros_like(COLOR[..., :1])], axis=-1))
    np.testing.assert_array_equal(load(folder).train.data, COLOR.transpose(0, 3, 1, 2))


def test_subfolders_are_classes(tmp_path):
    fill(tmp_path / "a" / "zebra", GRAY[:12])
    fill(tmp_path / "a" / "ant", GRAY[12:])
    (tmp_path / "a" / ".hidden").mkdir()
    (tmp_path / "a" / "notes.txt").write_text("passed over")
    (tmp_path / "a" / "ant" / "._000.png").write_text("passed over")
    data = load(tmp_path / "a")
    assert data.class_names == ("ant", "zebra")
    np.testing.assert_array_equal(data.train.data[:, 0], np.concatenate([GRAY[12:], GRAY[:12]]))
    np.testing.assert_array_equal(data.train.labels, (data.train.index >= 8).astype(int))


def test_two_sizes_are_named(tmp_path):
    folder = fill(tmp_path / "a", GRAY)
    Image.fromarray(GRAY[0].T).save(folder / "004.png")
    with pytest.raises(DataError, match=r"000.png is 5x6 pixels, .*004.png is 6x5\. All images must have the same"):
        load(folder)


@pytest.mark.parametrize("content", [b"", b"no picture", None], ids=["empty", "text", "truncated"])
def test_a_corrupt_image_is_named(tmp_path, content):
    folder = fill(tmp_path / "a", np.random.default_rng(0).integers(0, 256, (12, 60, 60), dtype=np.uint8))
    bad = folder / "007.png"
    bad.write_bytes(bad.read_bytes()[:900] if content is None else content)
    with pytest.raises(DataError, match=r"007.png: cannot be decoded as an image: .*Replace or remove it"):
        load(folder)


def test_deep_images_are_refused(tmp_path):
    folder = fill(tmp_path / "a", GRAY)
    Image.fromarray(GRAY[0].astype(np.uint16)).save(folder / "003.png")
    with pytest.raises(DataError, match=r"003.png: has more than 8 bits per channel \(mode I;16\)"):
        load(folder)


@pytest.mark.filterwarnings("ignore")
def test_an_image_that_unpacks_to_an_absurd_size_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 29)
    with pytest.raises(DataError, match=r"000.png: cannot be decoded.*exceeds limit of 29 pixels"):
        load(fill(tmp_path / "a", GRAY))


def test_links_that_lead_out_are_refused(tmp_path):
    folder = fill(tmp_path / "a", GRAY)
    fill(tmp_path / "secret", GRAY)
    (folder / "100.png").symlink_to(tmp_path / "secret" / "000.png")
    with pytest.raises(DataError, match=r"100.png: is a link that leads out of .*Copy what it points to"):
        load(folder)
    (folder / "100.png").unlink()
    (folder / "more").symlink_to(tmp_path / "secret")
    with pytest.raises(DataError, match=r"more: is a link that leads out"):
        load(folder)


def test_links_within_the_folder_are_followed(tmp_path):
    folder = fill(tmp_path / "a", GRAY)
    (folder / "100.png").symlink_to(folder / "000.png")
    assert len(load(folder).train.data) == 21
    (folder / "101.png").symlink_to(folder / "nowhere.png")
    with pytest.raises(DataError, match=r"101.png: is not a file, or a link to one"):
        load(folder)


def test_folders_without_images(tmp_path):
    with pytest.raises(DataError, match=r"holds no images\. Images are files that end in \.png, \.jpg"):
        load(tmp_path)
    fill(tmp_path / "cats", GRAY)
    (tmp_path / "dogs").mkdir()
    with pytest.raises(DataError, match=r"the subfolder 'dogs' holds no images\. Remove it, or fill it"):
        load(tmp_path)


def test_images_beside_subfolders_are_ambiguous(tmp_path):
    fill(tmp_path, GRAY)
    fill(tmp_path / "cats", GRAY)
    with pytest.raises(DataError, match=r"in the folder itself \(000.png\) and in subfolders too"):
        load(tmp_path)


@pytest.mark.parametrize("form", ["EPS", "PPM", "ICO"])
def test_a_picture_of_another_kind_than_the_name_says_is_refused(tmp_path, form):
    folder = fill(tmp_path / "a", COLOR)
    Image.fromarray(COLOR[0]).save(folder / "other", form)  # Pillow hands EPS to a program, to be run
    (folder / "other").rename(folder / "007.png")
    with pytest.raises(DataError, match=r"007\.png: cannot be decoded as an image: cannot identify image file"):
        load(folder)


def test_a_folder_whose_name_is_not_utf8_is_no_class(tmp_path):
    fill(tmp_path / "a" / "cat", GRAY)
    fill(tmp_path / "a" / "\udcff", GRAY)
    with pytest.raises(DataError, match=r"the class '\\udcff' has a name that is not in UTF-8. Rename it"):
        load(tmp_path / "a")


def test_images_that_unfold_to_gigabytes_are_refused_before_they_do(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "GENEROUS", 2**20)
    monkeypatch.setattr(np, "empty", lambda *_: pytest.fail("memory was taken"))
    with pytest.raises(DataError, match=r"the header declares 0\.0 GiB, over 500 times the \d+,\d+ bytes"):
        load(fill(tmp_path / "a", np.zeros((10, 2000, 2000), np.uint8)))


@pytest.mark.parametrize("kind", ["pipe", "loop"])
def test_what_cannot_be_opened_is_not_waited_for(tmp_path, kind):
    folder = fill(tmp_path / "a", GRAY)
    if kind == "pipe":
        os.mkfifo(folder / "100.png")
    else:
        (folder / "100.png").symlink_to(folder / "100.png")
    with pytest.raises(DataError, match=r"100\.png"):
        load(folder)
