from __future__ import annotations

import pytest

from aaeframe.configuration.schema import Config
from aaeframe.errors import RunError
from aaeframe.reproduce import divergence, measured
from aaeframe.reproduce.found import find
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
    ("read", "name"),
    [
        (divergence.read, "diverged.json"),
        (measured.read, "result.json"),
        (find, "evaluation.json"),
        (find, "metrics.jsonl"),
    ],
)
def test_a_file_of_a_cell_that_is_too_deep_is_told_of(tmp_path, read, name):
    run = create(RunFolder(tmp_path / "run"), Config().to_toml(), lambda inside: None)
    (run.path / name).write_text(DEEP + "\n")
    with pytest.raises(RunError, match=f"{name} .*nested too deeply.*remove"):
        read(run.path)


def test_a_lock_that_is_too_deep_names_no_process(tmp_path):
    with training_lock(tmp_path, print):
        (tmp_path / "training.lock").write_text(DEEP)
        with pytest.raises(RunError, match="trained by another process"), training_lock(tmp_path, print):
            pass
