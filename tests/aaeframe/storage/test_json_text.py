from __future__ import annotations

import pytest

from aaeframe.configuration.schema import Config
from aaeframe.errors import RunError
from aaeframe.reproduce import outcome, record
from aaeframe.reproduce.cells import cells
from aaeframe.reproduce.experiments import EXPERIMENTS
from aaeframe.storage.formats import loads_json
from aaeframe.storage.locks import training_lock
from aaeframe.storage.run_folder import RunFolder, create

DEEP = "[" * 100_000


def test_what_is_json_is_read():
    assert loads_json('{"a": [1, null]}') == loads_json(b'{"a": [1, null]}') == {"a": [1, None]}


@pytest.mark.parametrize("text", ["", "{", "[1] 2", DEEP, '{"a":' * 100_000])
def test_what_is_no_json_or_too_deep_is_a_value_error(text):
    with pytest.raises(ValueError):  # noqa: PT011  in whose words is json's business
        loads_json(text)


@pytest.mark.parametrize(
    ("column", "name"), [("gan", "result.json"), ("modern", "evaluation.json"), ("modern", "metrics.jsonl")]
)
def test_a_file_of_a_cell_that_is_too_deep_is_told_of(tmp_path, column, name):
    (cell,) = cells([(EXPERIMENTS["likelihood"], column)], tmp_path, seeds=1)
    run = create(RunFolder(cell.folder), Config().to_toml(), lambda inside: None)
    (run.path / name).write_text(DEEP + "\n")
    with pytest.raises(RunError, match=f"{name} .*nested too deeply.*remove"):
        outcome.of_cell(cell)


def test_a_record_that_is_too_deep_is_told_of(tmp_path):
    (tmp_path / "record.json").write_text(DEEP)
    with pytest.raises(RunError, match=r"record.json .*nested too deeply.*remove"):
        record.read(tmp_path / "record.json")


def test_a_lock_that_is_too_deep_names_no_process(tmp_path):
    with training_lock(tmp_path, print):
        (tmp_path / "training.owner.json").write_text(DEEP)
        with pytest.raises(RunError, match="trained by another process"), training_lock(tmp_path, print):
            pass
