from __future__ import annotations

import json

import numpy as np

from aaeframe.data import from_arrays, load
from aaeframe.data.summary import columns, lines, summary

RNG = np.random.default_rng(0)


def test_a_table_with_ids_columns_and_classes(tmp_path):
    (tmp_path / "t.csv").write_text(
        "id,age,size,kind\n"
        + "".join(f"p{i},{i},{i % 7}.5,{'cat' if i % 4 else 'dog'}\n" for i in range(20))
        + "p20,20,,cat\n"
    )
    data = load(tmp_path / "t.csv", ids="id", label_key="kind", missing="drop")
    found = summary(data)
    assert found == json.loads(json.dumps(found))
    assert found["rows"] == {"training": 16, "validation": 2, "test": 2}
    assert found["ids"] == [f"p{i}" for i in data.train.index[:3]]
    assert found["classes"] == {"cat": 15, "dog": 5}
    assert found["columns"] == ["age", "size"]
    assert found["unlabeled"] == {"training": 0, "validation": 0, "test": 0}
    assert list(lines(found)) == [
        f"data      {tmp_path / 't.csv'}: 20 rows (16 training, 2 validation, 2 test)",
        "rows      a table of 2 columns, float64",
        "scale     standardized by the training rows, a table",
        "columns   age, size",
        "classes   2, from column 'kind': cat (15), dog (5)",
        f"ids       {', '.join(found['ids'])}, ...",
        "left out  1 row with empty cells",
    ]


def test_one_column_is_not_columns(tmp_path):
    (tmp_path / "t.csv").write_text("a\n" + "".join(f"{i}.5\n" for i in range(20)))
    assert "rows      a table of 1 column, float64" in list(lines(summary(load(tmp_path / "t.csv"))))


def test_images_with_classes_and_rows_without_a_label():
    x = RNG.integers(0, 256, (1500, 6, 5), dtype=np.uint8)
    x[:, 0, 0] = 255
    labels = np.where(np.arange(1500) % 10 < 3, np.arange(1500) % 10, -1)
    data = from_arrays(x, labels, name="mine")
    found = summary(data)
    assert found["classes"] == {"0": 150, "1": 150, "2": 150}
    assert sum(found["unlabeled"].values()) == 1050
    assert found["unlabeled"]["test"] == (data.test.labels < 0).sum()
    assert list(lines(found)) == [
        "data      mine: 1,500 rows (1,200 training, 150 validation, 150 test)",
        "rows      images of 1 x 6 x 5, uint8",
        "scale     pixels within 0..255, the range of uint8",
        "classes   3: 0 (150), 1 (150), 2 (150)",
        "          1,050 rows have no label",
    ]


def test_what_has_many_classes_and_columns_is_cut():
    data = from_arrays(RNG.random((200, 40)), np.arange(200) % 20, columns=[f"c{i}" for i in range(40)])
    said = "\n".join(lines(summary(data)))
    assert "c11, and 28 more" in said
    assert "11 (10), and 8 more" in said


def test_series_and_volumes_are_called_so():
    series, volumes = RNG.random((20, 3, 9)), RNG.random((20, 6, 5, 7))
    assert "rows      series of 3 x 9, float64" in lines(summary(from_arrays(series, channels="first")))
    assert "rows      volumes of 1 x 6 x 5 x 7, float64" in lines(summary(from_arrays(volumes, channels="none")))


def test_data_without_labels_say_nothing_of_them():
    found = summary(from_arrays(RNG.random((20, 2))))
    assert (found["classes"], found["columns"], found["ids"]) == (None, None, None)
    assert len(list(lines(found))) == 3


def test_labels_of_a_part_only_are_counted(tmp_path):
    x = RNG.random((20, 3))
    np.savez(tmp_path / "x.npz", x_train=x, y_train=np.arange(20) % 2, x_test=x)
    found = summary(load(tmp_path / "x.npz"))
    assert found["classes"] == {"0": 10, "1": 10}
    assert found["unlabeled"] == {"training": 0, "validation": 0, "test": 20}


def test_the_columns_of_a_table():
    x = np.stack([np.arange(20) % 3, 1.7e9 + np.arange(20)], axis=1)
    data = from_arrays(x, columns=("kind", "time"))
    first, second = columns(data.split("all"), data.columns)
    assert first == {"column": "kind", "least": 0.0, "mean": 0.95, "greatest": 2.0, "different": 3}
    assert second == {"column": "time", "least": 1.7e9, "mean": 1.7e9 + 9.5, "greatest": 1.7e9 + 19, "different": 20}
    assert [it["column"] for it in columns(data.split("all"), None)] == ["1", "2"]
