"""The options for reading data: keys of the table [data], and arguments of `aaeframe.data.load`. Torch-free."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, ValidationError

from aaeframe.configuration.strict import Strict
from aaeframe.errors import ConfigError
from aaeframe.storage.problems import problems


def _rising(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] >= ends[1]:
        raise ValueError(f"the first of {list(ends)} must be less than the second")
    return ends


Scale: TypeAlias = Annotated[
    Annotated[Literal["pixels", "standardize", "none"], Tag("name")]
    | Annotated[tuple[float, float], Field(strict=False), AfterValidator(_rising), Tag("range")],
    Discriminator(lambda value: "name" if isinstance(value, str) else "range"),
]


Column: TypeAlias = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)]
"""The name of a column. It may be a number: `--set data.label_key=3` is one."""


class ReadOptions(Strict):
    """Options for reading a file or a folder. Each format uses some of them and refuses the others.

    Without an option, what cannot be misread is found out, and what can be is an error that names the option.
    """

    label_key: Column | None = Field(
        None, description="the column or array that holds the labels; found if not given. Empty: a table has none"
    )
    ids: Column | None = Field(
        None, description="the column or array that names the rows; it is kept next to the codes"
    )
    drop: tuple[Column, ...] | None = Field(
        None, strict=False, description="columns of a table, or arrays of a file, that are left out"
    )
    categories: tuple[Column, ...] | None = Field(
        None, strict=False, description="columns of a table that become one column of 0 and 1 for each of their values"
    )
    missing: Literal["drop", "mean"] | None = Field(
        None, description="rows of a table with empty cells: leave them out, or fill in the column's training mean"
    )
    header: bool | None = Field(
        None, description="whether the first line of a table names its columns; found if not given"
    )
    encoding: str | None = Field(None, description="encoding of a table's text; UTF-8, or UTF-16 with its mark")
    separator: str | None = Field(
        None, min_length=1, max_length=1, description="character between a table's cells; found if not given"
    )
    decimal: Literal[".", ","] | None = Field(None, description="decimal mark of a table's numbers; found if not given")
    channels: Literal["first", "last", "none"] | None = Field(
        None, description="axis of the channels in an array, after or before the axes of space and time; none: no such"
    )
    rows: Literal["first", "last"] | None = Field(None, description="axis of the rows in a MATLAB array")
    frames: Literal["all", "first"] | None = Field(
        None, description="pages and frames of an image file: each is a row, or only the first is read"
    )
    image_size: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = Field(
        None, strict=False, description="height and width to which images are resized"
    )
    scale: Scale | None = Field(
        None,
        description="pixels, standardize, none, or the two values that become 0 and 1; found from type and range if "
        "not given",
    )
    held_out: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] | None = Field(
        None,
        strict=False,
        description="validation and test rows of a file without a split; a tenth each if not given, 0 and 0: train on "
        "every row",
    )

    @property
    def given(self) -> dict[str, Any]:
        """The options that are set, by name."""
        return {name: value for name in ReadOptions.model_fields if (value := getattr(self, name)) is not None}


def read_options(**given: Any) -> ReadOptions:
    """Options from keyword arguments. ConfigError for an option that is unknown or wrong."""
    try:
        return ReadOptions(**given)
    except ValidationError as error:
        raise ConfigError("; ".join(problems(error))) from error
