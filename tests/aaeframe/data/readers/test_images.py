from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aaeframe.configuration.reading import ReadOptions
from aaeframe.data import load, load_rows
from aaeframe.data.columns import Known
from aaeframe.data.readers import image_file, images, limits
from aaeframe.data.readers.image_folder import SUFFIXES
from aaeframe.errors import DataError

GRAY = np.random.default_rng(0).integers(0, 256, (20, 6, 5), dtype=np.uint8)
COLOR = np.random.default_rng(1).integers(0, 256, (20, 6, 5, 3), dtype=np.uint8)


def read(path, **given):
    return images.read(Path(path), ReadOptions(**given))


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


def test_gray_images_are_colors_for_a_run_of_colors(tmp_path):
    known = Known(np.zeros(()), None, (3, 6, 5))
    found = load_rows(fill(tmp_path / "a", GRAY), known=known)
    np.testing.assert_array_equal(found.rows.array(), np.stack([GRAY] * 3, axis=1))
    assert found.reading.passed_over == ("lack of color in 20 images, whose gray is in each channel",)
    np.save(tmp_path / "a.npy", GRAY)
    assert load_rows(tmp_path / "a.npy", channels="none", known=known).rows.shape == (1, 6, 5)


@pytest.mark.parametrize("suffix", [".gif", ".png"])
def test_a_palette_is_gray_if_its_colors_are(tmp_path, suffix):
    for i, picture in enumerate(GRAY):
        (tmp_path / "gray").mkdir(exist_ok=True)
        Image.fromarray(picture).convert("P").save(tmp_path / "gray" / f"{i:03d}{suffix}")
    assert load(tmp_path / "gray").spec.shape == (1, 6, 5)
    np.testing.assert_array_equal(load(tmp_path / "gray").train.data[:, 0], GRAY)


def test_a_palette_with_colors_is_rgb(tmp_path):
    for i in range(12):
        picture = Image.fromarray(np.arange(30, dtype=np.uint8).reshape(6, 5) % 3)
        picture.putpalette([255, 0, 0, 0, 255, 0, 1, 2, 3])
        picture.save(tmp_path / f"{i:03d}.png")
    row = load(tmp_path).train.data[0]
    assert row[:, 0, :3].T.tolist() == [[255, 0, 0], [0, 255, 0], [1, 2, 3]]


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
    np.testing.assert_array_equal(data.train.data[20], COLOR[0].transpose(2, 0, 1))
    assert read(folder).passed_over == ("lack of color in 20 of 21 images",)


def test_transparency_is_passed_over_and_counted(tmp_path):
    folder = fill(tmp_path / "a", np.concatenate([COLOR, np.zeros_like(COLOR[..., :1])], axis=-1))
    np.testing.assert_array_equal(load(folder).train.data, COLOR.transpose(0, 3, 1, 2))
    assert read(folder).passed_over == ("transparency of 20 images",)


def test_transparency_without_effect_is_not_mentioned(tmp_path):
    assert (
        read(fill(tmp_path / "a", np.concatenate([COLOR, np.full_like(COLOR[..., :1], 255)], axis=-1))).passed_over
        == ()
    )


@pytest.mark.parametrize("mode", ["LA", "P", "L"])
def test_transparency_of_other_modes_is_counted(tmp_path, mode):
    gray = np.arange(30, dtype=np.uint8).reshape(6, 5)
    image = Image.fromarray(gray)
    if mode == "LA":
        image.putalpha(100)
        image.save(tmp_path / "a.png")
    else:
        image.convert(mode).save(tmp_path / "a.png", transparency=7)
    raw = read(tmp_path)
    assert raw.passed_over == ("transparency of 1 image",)
    np.testing.assert_array_equal(raw.parts[0].x, gray[None, None])


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


def test_two_sizes_are_named_with_the_option(tmp_path):
    folder = fill(tmp_path / "a", GRAY)
    Image.fromarray(GRAY[0].T).save(folder / "004.png")
    with pytest.raises(
        DataError,
        match=r"2 different sizes \(height, width\): \[6, 5\] \(000.png and 18 more\), \[5, 6\] \(004.png\)\. .*"
        r"data\.image_size=\[6,5\] to resize",
    ):
        load(folder)


def test_images_are_resized_antialiased(tmp_path):
    for i in range(12):
        shape = (8, 4 * (i % 2 + 1))
        Image.fromarray(np.indices(shape).sum(0).astype(np.uint8) % 2 * 200).save(tmp_path / f"{i:03d}.png")
    rows = read(tmp_path, image_size=(4, 4)).parts[0].x
    assert rows.shape == (12, 1, 4, 4)
    assert np.abs(rows[1::2].astype(int) - 100).max() < 30  # a checkerboard, mixed


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.int32])
def test_every_type_keeps_its_range_when_resized(tmp_path, dtype):
    Image.fromarray(np.full((6, 6), 200, dtype)).save(tmp_path / "a.tif")
    x = read(tmp_path, image_size=(3, 2)).parts[0].x
    assert x.dtype == dtype
    np.testing.assert_array_equal(x, np.full((1, 1, 3, 2), 200))


def test_the_largest_integers_stay_when_resized(tmp_path):
    Image.fromarray(np.full((6, 6), 2**31 - 1, np.int32)).save(tmp_path / "a.tif")
    assert (read(tmp_path, image_size=(3, 2)).parts[0].x == 2**31 - 1).all()


def test_an_image_of_the_wanted_size_is_not_changed(tmp_path):
    fill(tmp_path, COLOR[:1])
    np.testing.assert_array_equal(read(tmp_path, image_size=(6, 5)).parts[0].x[0], COLOR[0].transpose(2, 0, 1))


@pytest.mark.parametrize("content", [b"", b"no picture", None], ids=["empty", "text", "truncated"])
def test_a_corrupt_image_is_named(tmp_path, content):
    folder = fill(tmp_path / "a", np.random.default_rng(0).integers(0, 256, (12, 60, 60), dtype=np.uint8))
    bad = folder / "007.png"
    bad.write_bytes(bad.read_bytes()[:900] if content is None else content)
    with pytest.raises(DataError, match=r"007.png: cannot be decoded as an image: .*Replace or remove it"):
        load(folder)


def test_images_of_two_types_are_refused(tmp_path):
    folder = fill(tmp_path / "a", GRAY)
    Image.fromarray(GRAY[0].astype(np.uint16)).save(folder / "003.png")
    with pytest.raises(
        DataError, match=r"000.png has 8 bits per channel, .*003.png has 16 bits per channel\. .*convert them"
    ):
        load(folder)


@pytest.mark.filterwarnings("ignore")
def test_an_image_that_unpacks_to_an_absurd_size_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 29)
    with pytest.raises(DataError, match=r"000.png: cannot be decoded.*exceeds limit of 29 pixels"):
        load(fill(tmp_path / "a", GRAY))


def test_a_format_that_runs_a_program_is_refused_whatever_its_name(tmp_path):
    folder = fill(tmp_path / "a", COLOR)
    Image.fromarray(COLOR[0]).save(folder / "other", "EPS")  # Pillow hands EPS to a program, to be run
    (folder / "other").rename(folder / "007.png")
    with pytest.raises(DataError, match=r"007\.png: cannot be decoded as an image: its content is of no image"):
        load(folder)


def test_images_that_unfold_to_gigabytes_are_refused_before_they_do(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "GENEROUS", 2**20)
    monkeypatch.setattr(np, "empty", lambda *_: pytest.fail("memory was taken"))
    with pytest.raises(DataError, match=r"the header declares 0\.0 GiB, over 500 times the \d+,\d+ bytes"):
        load(fill(tmp_path / "a", np.zeros((10, 2000, 2000), np.uint8)))


def test_resized_images_may_not_unfold_to_gigabytes_either(tmp_path, monkeypatch):
    folder = fill(tmp_path / "a", np.zeros((10, 2000, 2000), np.uint8))
    monkeypatch.setattr(limits, "GENEROUS", 2**20)
    with pytest.raises(DataError, match=r"over 500 times the \d+,\d+ bytes"):
        load(folder, image_size=(4, 4))


@pytest.mark.parametrize("form", ["PPM", "TGA", "PCX", "SGI", "DDS", "JPEG2000"])
def test_formats_that_pillow_decodes_are_read(tmp_path, form):
    suffix = {"JPEG2000": ".Jp2"}.get(form, f".{form}")
    Image.fromarray(COLOR[0]).save(tmp_path / f"a{suffix}", form)
    np.testing.assert_array_equal(read(tmp_path).parts[0].x[0], COLOR[0].transpose(2, 0, 1))


def test_the_suffixes_are_those_of_the_formats():
    Image.init()
    known = {suffix for suffix, form in Image.registered_extensions().items() if form in {*image_file.FORMATS, "MPO"}}
    assert known <= SUFFIXES


def test_formats_that_run_or_hold_others_are_not_read():
    assert not {"EPS", "WMF", "IPTC", "FPX", "MIC"} & set(image_file.FORMATS)
    assert not {".eps", ".ps", ".wmf", ".emf", ".iim"} & SUFFIXES


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_the_orientation_of_exif_is_applied(tmp_path, suffix, orientation):
    picture = np.zeros((16, 24), np.uint8)
    picture[:8, :8] = 255
    image = Image.fromarray(picture)
    exif = image.getexif()
    exif[274] = orientation
    image.save(tmp_path / f"a{suffix}", exif=exif)
    row = read(tmp_path).parts[0].x[0, 0]
    down, right = {1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)}[orientation]
    height, width = row.shape
    assert (height, width) == ((24, 16) if orientation > 4 else (16, 24))
    assert row[down * (height - 1), right * (width - 1)] > 200
    assert (row > 128).sum() == 64
    bright = np.argwhere(row > 128)
    assert np.ptp(bright, axis=0).tolist() == [7, 7]


def test_orientation_exchanges_height_and_width_before_sizes_are_compared(tmp_path):
    for i in range(2):
        image = Image.fromarray(np.zeros((16, 24) if i else (24, 16), np.uint8))
        exif = image.getexif()
        exif[274] = 6 if i else 1
        image.save(tmp_path / f"{i}.jpg", exif=exif)
    assert read(tmp_path).parts[0].x.shape == (2, 1, 24, 16)


def test_corrupt_exif_data_is_counted(tmp_path):
    Image.fromarray(GRAY[0]).save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*nonsense")
    raw = read(tmp_path)
    assert raw.passed_over == ("corrupt EXIF data of 1 image",)
    assert raw.parts[0].x.shape == (1, 1, 6, 5)


def animated(path, pictures):
    first, *more = [Image.fromarray(picture) for picture in pictures]
    first.save(path, save_all=True, append_images=more, **({"lossless": True} if path.suffix == ".webp" else {}))
    return path


@pytest.mark.parametrize("suffix", [".tif", ".gif", ".png", ".webp"])
def test_frames_are_refused_all_or_the_first(tmp_path, suffix):
    for i in range(2):
        animated(tmp_path / f"{i}{suffix}", GRAY[10 * i : 10 * i + 10])
    with pytest.raises(
        DataError, match=r"0\.\w+: has 10 pages or frames\. Give data\.frames=all .* or data\.frames=first"
    ):
        read(tmp_path)
    rows = read(tmp_path, frames="all").parts[0].x
    np.testing.assert_array_equal(rows[:, 0], GRAY)
    first = read(tmp_path, frames="first")
    np.testing.assert_array_equal(first.parts[0].x[:, 0], GRAY[::10])
    assert first.passed_over == ("18 frames after the first of a file",)


def test_every_frame_has_the_label_of_its_file(tmp_path):
    for name, count in (("cat", 3), ("dog", 5)):
        (tmp_path / name).mkdir()
        animated(tmp_path / name / "a.tif", GRAY[:count])
    assert read(tmp_path, frames="all").parts[0].labels.tolist() == [0] * 3 + [1] * 5


def test_one_file_of_many_pages_is_rows(tmp_path):
    path = animated(tmp_path / "stack.TIF", GRAY)
    with pytest.raises(DataError, match=r"stack\.TIF: has 20 pages or frames"):
        load(path)
    data = load(path, frames="all")
    np.testing.assert_array_equal(data.train.array()[:, 0], GRAY[data.train.index])


def test_one_file_of_one_picture_is_one_row(tmp_path):
    fill(tmp_path, GRAY[:1])
    with pytest.raises(DataError, match="1 rows are too few"):
        load(tmp_path / "000.png")
    assert len(load_rows(tmp_path / "000.png").rows) == 1


def test_a_stack_of_imagej_with_one_page_is_refused(tmp_path):
    Image.fromarray(GRAY[0]).save(tmp_path / "a.tif", tiffinfo={270: "ImageJ=1.53\nimages=20\nslices=20\n"})
    with pytest.raises(DataError, match=r"declares 20 pictures, and it has 1 pages\. .*data\.frames=first"):
        read(tmp_path)
    Image.fromarray(GRAY[0]).save(tmp_path / "a.tif", tiffinfo={270: '{"shape": [20, 6, 5], "truncated": true}'})
    with pytest.raises(DataError, match="declares 20 pictures"):
        read(tmp_path, frames="all")
    assert len(read(tmp_path, frames="first").parts[0].x) == 1


def layered(picture):
    """A PSD file of two empty layers and the picture they make."""
    height, width = picture.shape
    layer = struct.pack(">4IHhI", 0, 0, 1, 1, 1, 0, 3) + b"8BIMnorm" + b"\xff\0\0\0" + struct.pack(">I", 12) + bytes(12)
    layers = struct.pack(">h", 2) + 2 * layer + 2 * bytes(3)
    section = struct.pack(">I", len(layers)) + layers + bytes(4)
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 1, height, width, 8, 1) + bytes(8)
    return head + struct.pack(">I", len(section)) + section + bytes(2) + picture.tobytes()


def test_layers_are_no_frames(tmp_path):
    (tmp_path / "a.psd").write_bytes(layered(GRAY[0]))
    with Image.open(tmp_path / "a.psd") as image:
        assert image.n_frames == 2
    raw = read(tmp_path)
    assert raw.passed_over == ("layers of 1 PSD file",)
    np.testing.assert_array_equal(raw.parts[0].x[0, 0], GRAY[0])


def test_the_other_sizes_of_an_icon_are_counted(tmp_path):
    Image.new("RGB", (32, 32)).save(tmp_path / "a.ico", sizes=[(16, 16), (32, 32)])
    assert read(tmp_path).passed_over == ("other sizes of 1 icon",)


@pytest.mark.parametrize(("mode", "suffix"), [("CMYK", ".tif"), ("CMYK", ".jpg"), ("YCbCr", ".jpg")])
def test_other_colors_become_rgb(tmp_path, mode, suffix):
    Image.new("RGB", (16, 16), (200, 100, 50)).convert(mode).save(tmp_path / f"a{suffix}")
    x = read(tmp_path).parts[0].x
    assert np.abs(x[0].mean((1, 2)) - [200, 100, 50]).max() < 4


def test_one_bit_becomes_black_and_white(tmp_path):
    Image.fromarray(GRAY[0] > 99).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path).parts[0].x[0, 0], (GRAY[0] > 99) * 255)
