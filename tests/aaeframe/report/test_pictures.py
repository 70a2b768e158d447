from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image
from reported_runs import trained

from aaeframe.errors import ConfigError
from aaeframe.report.pictures import MOST_COLUMNS, Look, look_of, packed, require_points, sheet


def opened(found):
    """The pictures of a sheet, each (H, W) or (H, W, 3)."""
    image = Image.open(io.BytesIO(base64.b64decode(found["src"].partition(",")[2])))
    pixels, height, width = np.asarray(image.convert("RGB")), found["height"], found["width"]
    places = [divmod(k, found["across"]) for k in range(found["count"])]
    return np.stack([pixels[y * height : (y + 1) * height, x * width : (x + 1) * width] for y, x in places])


def test_a_sheet_has_the_images_in_their_order():
    images = np.random.default_rng(0).integers(0, 256, (7, 1, 5, 3)) / 255

    found = opened(sheet(images))

    np.testing.assert_array_equal(found[..., 0], np.round(images[:, 0] * 255))


def test_colors_keep_their_channels():
    images = np.zeros((2, 3, 16, 16))
    images[0, 0], images[1, 2] = 1, 1

    found = opened(sheet(images)).mean((1, 2))

    np.testing.assert_allclose(found, [[255, 0, 0], [0, 0, 255]], atol=6)  # lossy


def test_large_images_are_reduced():
    found = sheet(np.ones((2, 1, 200, 100)))

    assert (found["height"], found["width"]) == (64, 32)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32])
def test_an_array_is_little_endian_bytes(dtype):
    array = np.array([[1, -2], [3, 4]], dtype=np.dtype(dtype).newbyteorder(">"))

    found = packed(array)

    assert (found["type"], found["shape"]) == (np.dtype(dtype).name, [2, 2])
    values = np.frombuffer(base64.b64decode(found["data"]), np.dtype(dtype).newbyteorder("<"))
    assert values.tolist() == [1, -2, 3, 4]


def look(data, example=None):
    run = trained(data, channels="first") if data.ndim > 2 else trained(data)
    dataset = run.dataset()
    return run, look_of(run.model, dataset, dataset.train, run.sample(64, seed=0) if example is None else example)


def test_standardized_images_are_shown_between_their_least_and_greatest_value():
    rows = np.random.default_rng(0).normal(size=(60, 1, 4, 4)).astype(np.float32)
    run, found = look(rows)
    train = torch.from_numpy(run.dataset().train.array())

    shown = found.shown(train)

    assert (shown.min(), shown.max()) == (0, 1)
    scale, offset = found.affine(run.model)
    scaled = run.model.scale(train).flatten(1).double().numpy()
    np.testing.assert_allclose(scaled * scale + offset, shown.reshape(len(shown), -1), atol=1e-5)


def test_volumes_are_shown_by_their_middle_slice():
    rows = np.random.default_rng(0).integers(0, 256, (40, 1, 5, 4, 3)).astype(np.uint8)
    run, found = look(rows)
    train = run.dataset().train.array()

    np.testing.assert_allclose(found.shown(torch.from_numpy(train)), train[:, :, 2] / 255)


def test_of_many_columns_those_that_vary_with_the_codes_are_shown():
    rows = np.random.default_rng(0).normal(size=(60, MOST_COLUMNS + 6)).astype(np.float32)
    example = torch.zeros(10, MOST_COLUMNS + 6)
    varying = [*range(3, MOST_COLUMNS + 3)]
    example[:, varying] = torch.randn(10, MOST_COLUMNS)

    _, found = look(rows, example)

    assert found.features.tolist() == varying
    assert found.names[0] == "column 4"


def test_series_are_shown_by_channel():
    _, found = look(np.random.default_rng(0).normal(size=(40, 2, 9)).astype(np.float32))

    assert (found.kind, found.shape, list(found.names)) == ("series", (2, 9), ["channel 1", "channel 2"])


def test_the_most_images_of_a_sheet_fill_it_and_no_more_are_taken(monkeypatch):
    monkeypatch.setattr("aaeframe.report.pictures.MOST_SIDE", 20)
    images = np.random.default_rng(0).integers(0, 256, (6 * 2, 1, 3, 7)) / 255  # 6 below each other, 2 side by side

    require_points((1, 3, 7), 12)

    np.testing.assert_array_equal(opened(sheet(images))[..., 0], np.round(images[:, 0] * 255))
    with pytest.raises(ConfigError, match=r"room for 12 of these images \(3 x 7 .*found 13 .*--points 12, in Python"):
        require_points((1, 3, 7), 13)


def test_more_images_than_webp_takes_are_refused():
    require_points((3, 128, 128), 255**2)
    with pytest.raises(ConfigError, match="room for 65,025 of these images"):
        require_points((3, 128, 128), 255**2 + 1)


@pytest.mark.parametrize("count", range(1, 13))
def test_no_sheet_is_longer_than_its_limit(monkeypatch, count):
    monkeypatch.setattr("aaeframe.report.pictures.MOST_SIDE", 20)

    found = sheet(np.ones((count, 1, 3, 7)))

    image = Image.open(io.BytesIO(base64.b64decode(found["src"].partition(",")[2])))
    assert max(image.size) <= 20


@pytest.mark.parametrize(("low", "type_of"), [(0, "float32"), (1.7e9, "float64")])
def test_values_far_from_zero_keep_their_differences(low, type_of):
    values = low + np.random.default_rng(0).normal(0, 3, (50, 2))
    values[:, 1] = 0.1  # of a constant, there is nothing to hide

    found = Look("table", (2,), None, ("a", "b")).gallery(torch.from_numpy(values))["values"]

    assert found["type"] == type_of
    read = np.frombuffer(base64.b64decode(found["data"]), type_of).reshape(50, 2)
    np.testing.assert_allclose(read, values, rtol=0, atol=1e-5)
