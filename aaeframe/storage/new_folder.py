"""New folders, which appear with all of their content or not at all."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

from aaeframe.storage.atomic import flush_folder, writing
from aaeframe.storage.locks import creation_lock, is_abandoned


def new_folder(path: Path, fill: Callable[[Path], None], *, may_be_numbered: bool = False) -> Path:
    """Make a folder with what `fill` puts into it: completely or not at all. Returns its path.

    It is made under a temporary name, given to `fill`, and then renamed. With `may_be_numbered`, for generated names,
    the next number is appended to a name that is taken. RunError if the folder cannot be made or the name is taken. On
    an error, nothing is left.
    """
    missing = [it for it in path.parents if not it.exists()]
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with writing(path):
            if not path.parent.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
            _remove_leftovers(path, may_be_numbered)
            aside.mkdir()
        with creation_lock(aside):
            fill(aside)
            with writing(path):
                made = _renamed(aside, path, may_be_numbered)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        for it in missing:
            with suppress(OSError):  # it may contain something else by now
                it.rmdir()
        raise
    with suppress(OSError):  # the folder is complete; at worst, a power cut undoes the renaming
        flush_folder(path.parent)
    return made


def _renamed(aside: Path, path: Path, may_be_numbered: bool) -> Path:
    """Rename the folder. Processes that ask for the same name each get a folder of their own."""
    for number in count(1):
        made = path if number == 1 else path.with_name(f"{path.name}-{number}")
        try:
            if made.exists():  # otherwise rename would replace an empty folder
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            aside.rename(made)
        except OSError as error:
            if not may_be_numbered or error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
        else:
            break
    return made


def _remove_leftovers(path: Path, may_be_numbered: bool) -> None:
    """Remove folders left by an interrupted `new_folder` of this name, or of any generated name."""
    name = r"\d{8}-\d{6}-.+" if may_be_numbered else re.escape(path.name)
    form = re.compile(rf"\.{name}\.[0-9a-f]+\.tmp")
    for it in path.parent.iterdir():
        if form.fullmatch(it.name):
            with is_abandoned(it) as left:
                if left:
                    shutil.rmtree(it, ignore_errors=True)
