from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from aaeframe.configuration.reading import ReadOptions
from aaeframe.data import load, load_rows
from aaeframe.data.readers import images
from aaeframe.errors import DataError


def fill(folder, *values):
    folder.mkdir(parents=True, exist_ok=True)
    for value in values:
        Image.fromarray(np.full((4, 5), value, np.uint8)).save(folder / f"{value:03d}.png")
    return folder


def read(path):
    return images.read(path, ReadOptions())


def values(part):
    return part.x[:, 0, 0, 0].tolist()


def test_folders_in_a_class_belong_to_it(tmp_path):
    fill(tmp_path / "cat", 1, 2)
    fill(tmp_path / "cat" / "more" / "of them", 0, 3)
    fill(tmp_path / "dog" / "a", 5)
    fill(tmp_path / "dog" / "b", 4)
    raw = read(tmp_path)
    assert values(raw.parts[0]) == [1, 2, 0, 3, 5, 4]
    assert raw.parts[0].labels.tolist() == [0, 0, 0, 0, 1, 1]
    assert raw.class_names == ("cat", "dog")
    assert raw.labels_from == "the subfolders"


def test_everything_that_is_not_read_is_counted(tmp_path):
    fill(tmp_path / "cat", 1)
    fill(tmp_path / ".hidden", 2)
    fill(tmp_path / "dog" / "empty")
    (tmp_path / "cat" / ".DS_Store").touch()
    for i in range(3):
        (tmp_path / "cat" / f"{i}.TXT").touch()
    (tmp_path / "README").touch()
    (tmp_path / "a.eps").touch()
    assert sorted(read(tmp_path).passed_over) == [
        "1 file of .eps",
        "1 file without a suffix",
        "2 folders without images",
        "2 hidden files and folders",
        "3 files of .txt",
    ]


def test_many_suffixes_are_counted_together(tmp_path):
    fill(tmp_path, 1)
    for i in range(9):
        (tmp_path / f"a.{i}").touch()
    assert len(read(tmp_path).passed_over) == 6
    assert read(tmp_path).passed_over[-1] == "4 files of other suffixes"


def test_a_folder_without_images_says_what_it_holds(tmp_path):
    (tmp_path / "a.txt").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        DataError,
        match=r"holds no images\. It holds 1 file of \.txt and 1 folder without images\. Images are files that",
    ):
        load(tmp_path)


def test_images_beside_subfolders_are_ambiguous(tmp_path):
    fill(tmp_path, 0)
    fill(tmp_path / "cats", 1)
    with pytest.raises(DataError, match=r"in the folder itself \(000.png\) and in subfolders too"):
        load(tmp_path)


def test_a_folder_whose_name_is_not_utf8_is_no_class(tmp_path):
    fill(tmp_path / "cat", 0)
    fill(tmp_path / "\udcff", 0)
    with pytest.raises(DataError, match=r"the class '\\udcff' has a name that is not in UTF-8. Rename it"):
        load(tmp_path)


def test_one_folder_around_the_classes_is_refused(tmp_path):
    fill(tmp_path / "PetImages" / "Cat", 0)
    fill(tmp_path / "PetImages" / "Dog", 1)
    with pytest.raises(
        DataError, match=r"holds one folder, 'PetImages', with the folders 'Cat', 'Dog'\. .*give .*PetImages;"
    ):
        load(tmp_path)


# splits


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [("train", "val", "test"), ("Training", "VALID", "Testing"), ("TRAIN", "validation", "TEST")],
)
def test_folders_named_as_splits_are_splits(tmp_path, train, validation, test):
    fill(tmp_path / train, *range(12))
    fill(tmp_path / validation, 20, 21)
    fill(tmp_path / test, 30, 31, 32)
    data = load(tmp_path)
    assert [values_of(split) for split in (data.train, data.validation, data.test)] == [
        list(range(12)),
        [20, 21],
        [30, 31, 32],
    ]
    assert data.num_classes is None


def values_of(split):
    return split.array()[:, 0, 0, 0].tolist()


def test_training_and_test_rows_without_validation(tmp_path):
    fill(tmp_path / "train", *range(20))
    fill(tmp_path / "test", 30, 31, 32)
    data = load(tmp_path)
    assert values_of(data.test) == [30, 31, 32]
    assert sorted(values_of(data.train) + values_of(data.validation)) == list(range(20))


def test_training_and_validation_rows_without_test(tmp_path):
    fill(tmp_path / "train", *range(20))
    fill(tmp_path / "val", 30, 31, 32)
    data = load(tmp_path)
    assert values_of(data.validation) == [30, 31, 32]
    assert sorted(values_of(data.train) + values_of(data.test)) == list(range(20))
    assert len(data.test) == 2
    assert data.reading.passed_over == ("2 of 20 training images, which are the test rows, as there is no folder test",)
    assert len(load_rows(tmp_path).rows) == 23


def test_the_classes_of_splits_are_the_union(tmp_path):
    fill(tmp_path / "train" / "cat", *range(6))
    fill(tmp_path / "train" / "emu", *range(10, 16))
    fill(tmp_path / "test" / "dog", 20)
    fill(tmp_path / "test" / "emu", 21)
    raw = read(tmp_path)
    assert raw.class_names == ("cat", "dog", "emu")
    assert raw.parts[0].labels.tolist() == [0] * 6 + [2] * 6
    assert raw.parts[1].labels.tolist() == [1, 2]
    assert load(tmp_path).class_names == ("cat", "dog", "emu")


def test_a_test_split_may_have_no_labels(tmp_path):
    fill(tmp_path / "train" / "cat", *range(6))
    fill(tmp_path / "train" / "dog", *range(10, 16))
    fill(tmp_path / "test", 20, 21)
    raw = read(tmp_path)
    assert raw.parts[0].labels.tolist() == [0] * 6 + [1] * 6
    assert raw.parts[1].labels is None


def test_training_rows_alone_are_split_as_any(tmp_path):
    fill(tmp_path / "train" / "cat", *range(10))
    fill(tmp_path / "train" / "dog", *range(10))
    fill(tmp_path / "test")
    data = load(tmp_path)
    assert (data.class_names, len(data.train), len(data.test)) == (("cat", "dog"), 16, 2)
    assert read(tmp_path).passed_over == ("1 folder without images",)


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        (["train", "cat", "dog"], r"'train' is named as a split, and 'cat', 'dog' is not\. If all are classes, rename"),
        (["train", "training"], r"'train' and 'training' are both train rows\. Leave one"),
        (["test"], r"holds 'test', and no folder of training rows\. Add train, or give .*test itself"),
        (["val", "test"], r"holds 'test' and 'val', and no folder of training rows"),
        (["bottle/train", "bottle/test"], r"bottle/test: is named as a split, and lies where"),
        (["train/train", "test/test"], r"train/train: is named as a split|train: is named as a split"),
    ],
)
def test_splits_that_can_be_read_in_two_ways_are_refused(tmp_path, folders, words):
    for folder in folders:
        fill(tmp_path / folder, *range(12))
    with pytest.raises(DataError, match=words):
        load(tmp_path)


def test_images_beside_splits_are_refused(tmp_path):
    fill(tmp_path, 1)
    fill(tmp_path / "train", *range(12))
    fill(tmp_path / "test", *range(12))
    with pytest.raises(DataError, match=r"in the folder itself \(001.png\) and in subfolders too"):
        load(tmp_path)


# links


def test_links_are_followed(tmp_path):
    fill(tmp_path / "kept", *range(5))
    fill(tmp_path / "a" / "cat", 20)
    (tmp_path / "a" / "dog").symlink_to(tmp_path / "kept")
    (tmp_path / "a" / "cat" / "100.png").symlink_to(tmp_path / "kept" / "000.png")
    raw = read(tmp_path / "a")
    assert values(raw.parts[0]) == [20, 0, 0, 1, 2, 3, 4]
    assert raw.parts[0].labels.tolist() == [0, 0, 1, 1, 1, 1, 1]


def test_links_in_a_circle_end(tmp_path):
    for name in "abcdefgh":
        fill(tmp_path / "root" / "cat" / name, ord(name))
    for name in "abcdefgh":
        for other in "abcdefgh":
            (tmp_path / "root" / "cat" / name / f"to {other}").symlink_to(tmp_path / "root" / "cat" / other)
        (tmp_path / "root" / "cat" / name / "up").symlink_to(tmp_path / "root")
    fill(tmp_path / "root" / "dog", 1)
    raw = read(tmp_path / "root")
    assert sorted(values(raw.parts[0])) == [1, *map(ord, "abcdefgh")]
    assert "links to folders read already" in raw.passed_over[-1]


def test_folders_that_are_too_deep_are_refused(tmp_path):
    fill(tmp_path.joinpath(*"x" * 40), 1)
    with pytest.raises(DataError, match="lies more than 32 folders deep"):
        load(tmp_path)


@pytest.mark.parametrize("kind", ["pipe", "loop", "nowhere"])
def test_what_cannot_be_opened_is_not_waited_for(tmp_path, kind):
    fill(tmp_path, *range(12))
    if kind == "pipe":
        os.mkfifo(tmp_path / "100.png")
    else:
        (tmp_path / "100.png").symlink_to(tmp_path / ("100.png" if kind == "loop" else "nowhere.png"))
    with pytest.raises(DataError, match=r"100\.png: is not a file, or a link to one\. Remove it"):
        load(tmp_path)
