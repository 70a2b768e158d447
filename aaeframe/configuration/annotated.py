"""A configuration as TOML in which keys that are not set are comments."""

from __future__ import annotations

import uuid
from typing import Any

import tomli_w
from pydantic import BaseModel

from aaeframe.configuration.schema import Config


def annotated_toml(config: Config) -> str:
    """The TOML of Config.to_toml, with a comment for each key that is not set."""
    config.to_toml()  # raises ConfigError for an option that has no form in TOML
    comments: dict[str, str] = {}
    text = tomli_w.dumps(_marked(config, comments))
    return "".join(_line(line, comments) for line in text.splitlines(keepends=True))


def _marked(value: Any, comments: dict[str, str], doc: str | None = None) -> Any:
    """The value with a mark, unlike any text in it, in place of each None; `comments` says what stands for each."""
    if isinstance(value, BaseModel):
        fields = type(value).model_fields.items()
        return {name: _marked(getattr(value, name), comments, field.description) for name, field in fields}
    if isinstance(value, dict):
        return {name: _marked(part, comments) for name, part in value.items()}
    if value is not None:
        return value
    mark = uuid.uuid4().hex
    comments[mark] = "not set" if doc is None else f"not set; {doc}"
    return mark


def _line(line: str, comments: dict[str, str]) -> str:
    key, _, mark = line.rstrip().rpartition(" = ")
    comment = comments.get(mark.strip('"'))
    return line if comment is None else f"# {key}: {comment}\n"
