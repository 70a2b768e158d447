"""Named data sets: what the factory of a plugin's data set returns, ready for a reader."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aaeframe.components.options import ResolvedComponent
from aaeframe.components.registry import Registry
from aaeframe.configuration.data_sets import find_data_set
from aaeframe.data.dataset import Dataset
from aaeframe.data.readers import objects
from aaeframe.errors import BrokenComponent, DataError


@dataclass(frozen=True, eq=False)
class NamedData:
    """The result of a data set's factory."""

    name: str
    """The short name of the data set."""
    value: Any
    """A `Dataset`, a path, or an object that `aaeframe.data.load` takes."""


def opened(source: Any, registry: Registry | None = None) -> Any:
    """A source as it is, or if it names a data set, what its factory returns as `NamedData`.

    Raises ComponentError and OptionError for what is wrong with the name, its options or its factory, and DataError for
    data that is not available.
    """
    found = find_data_set(source, registry)
    return source if found is None else built(found)


def built(data_set: ResolvedComponent) -> NamedData:
    """Call the factory of a data set, which may read or download. Its prints go to standard error."""
    with redirect_stdout(sys.stderr):
        value = data_set.build()
    check_value(value, str(data_set.offer))
    return NamedData(data_set.offer.name, value)


def check_value(value: Any, whose: str) -> None:
    """BrokenComponent unless `aaeframe.data.load` takes the value; DataError for a path that does not exist."""
    if isinstance(value, Path) and not value.expanduser().exists():
        raise DataError(f"{whose} names {value}, which does not exist. Put the file there.")
    if isinstance(value, Dataset | Path):
        return
    try:
        objects.kind_of(value)
    except DataError as error:
        raise BrokenComponent(
            f"{whose} returns {objects.name_of(value)}; return an aaeframe.data.Dataset, a "
            f"pathlib.Path, or one of these: {objects.TAKEN}"
        ) from error
