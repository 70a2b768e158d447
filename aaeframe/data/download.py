"""Files of public data sets: from the user's data folder, the cache, or the network, in this order.

Every file is verified by its SHA-256 before use, wherever it comes from.
"""

from __future__ import annotations

import gzip
import hashlib
import logging
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aaeframe.data.cache import cache_folder
from aaeframe.errors import DataError, DownloadError

VARIABLE: Final = "AAEFRAME_DATA"
"""The environment variable that names the folder searched first."""

TIMEOUT_SECONDS: Final = 30.0
"""The longest time to wait for a server's next bytes."""


@dataclass(frozen=True)
class RemoteFile:
    """A public file and its digest."""

    name: str
    sha256: str
    urls: tuple[str, ...]
    """The addresses, tried in this order."""
    content_sha256: str | None = None
    """The digest of the uncompressed content of a .gz file, so that a recompressed copy is recognized, too."""


def fetch(file: RemoteFile, dataset: str) -> Path:
    """The path of a verified copy of the file.

    Looks for `$AAEFRAME_DATA/DATASET/FILE`, `$AAEFRAME_DATA/FILE` and the cache folder before it downloads.

    Raises:
        DataError: AAEFRAME_DATA is not a folder or has an altered copy, or the cache cannot be written.
        DownloadError: no server delivered the file.
    """
    kept = find_kept(file.name, dataset)
    if kept is None:
        return _retrieve(file, dataset)
    found = _digest(kept)
    if found != file.sha256 and not _same_content(kept, file):
        raise DataError(
            f"{kept}: is not the {file.name} of {dataset}: its SHA-256 is {found}, expected {file.sha256}. "
            f"Replace it, put the genuine file into {kept_folder()}/{dataset}, or load yours by its path."
        )
    return kept


def kept_folder() -> Path | None:
    """The folder that `AAEFRAME_DATA` names; None if it is not set.

    Raises:
        DataError: there is no such folder.
    """
    value = os.environ.get(VARIABLE)
    if not value:
        return None
    folder = Path(value).expanduser()
    if not folder.is_dir():
        raise DataError(f"{VARIABLE} is {value!r}, which is not a folder. Create it, or unset {VARIABLE}.")
    return folder


def find_kept(name: str, dataset: str) -> Path | None:
    """The file in the folder of `AAEFRAME_DATA`, in the data set's subfolder or directly; None if it does not exist."""
    folder = kept_folder()
    if folder is None:
        return None
    return next((path for path in (folder / dataset / name, folder / name) if path.is_file()), None)


def _retrieve(file: RemoteFile, dataset: str) -> Path:
    import pooch
    from requests.exceptions import RequestException

    folder = cache_folder() / dataset
    # without this header, a server may compress the transfer, and .gz files would be unpacked on arrival
    downloader = pooch.HTTPDownloader(timeout=TIMEOUT_SECONDS, headers={"Accept-Encoding": "identity"})
    failures = []
    for url in file.urls:
        try:
            with _quiet(pooch.get_logger()):
                return Path(pooch.retrieve(url, file.sha256, file.name, folder, downloader=downloader))
        except (RequestException, ValueError) as error:  # ValueError is pooch's for a digest that differs
            failures.append(f"  {url}: {_what_happened(error)}")
        except OSError as error:
            raise DataError(
                f"{file.name} of {dataset} cannot be kept in the cache folder {folder}: {error}. Make room, "
                f"make the folder writable, or put the file into a folder that {VARIABLE} names."
            ) from error
    raise DownloadError(
        f"{file.name} of {dataset} could not be downloaded:\n" + "\n".join(failures) + "\nTry again later, or get "
        f"the file (SHA-256 {file.sha256}) in another way, put it into FOLDER/{dataset} and set "
        f"{VARIABLE}=FOLDER."
    )


def _what_happened(error: Exception) -> str:
    from requests import exceptions

    if isinstance(error, exceptions.HTTPError):
        return str(error)  # the status and its reason
    if isinstance(error, exceptions.Timeout):
        return f"the server was silent for {TIMEOUT_SECONDS:g} seconds"
    if isinstance(error, exceptions.ChunkedEncodingError):
        return f"the download was cut off: {_root(error)}"
    if isinstance(error, exceptions.RequestException):
        return f"no connection: {_root(error)}"
    return str(error)


def _root(error: BaseException) -> BaseException:
    # requests wraps urllib3, which wraps the socket: the innermost error says what happened
    inner = error.__cause__ or error.__context__
    return error if inner is None else _root(inner)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}.") from error


def _same_content(path: Path, file: RemoteFile) -> bool:
    if file.content_sha256 is None:
        return False
    try:
        with gzip.open(path) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == file.content_sha256
    except (OSError, EOFError, zlib.error):  # not gzip, or truncated
        return False


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    # not by its level: pooch's logger is not part of logging's tree, so a cached level would not be reset
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
