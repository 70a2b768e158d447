"""Archives: a zip file of known names that is not compressed, with a digest of each file.

Without compression no file can be larger than the archive, so that a small archive cannot fill the memory.
"""

from __future__ import annotations

import hashlib
import json
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from aaeframe.errors import RunError
from aaeframe.storage.formats import loads_json
from aaeframe.storage.output import Output
from aaeframe.version import __version__

FORMAT: Final = 1
"""The format's number. It grows when older versions can no longer read an archive."""
SUFFIX: Final = ".zip"
MANIFEST: Final = "manifest.json"
MOST_BYTES: Final[Mapping[str, int]] = {
    "README.md": 2**20,
    "config.toml": 2**22,
    "state.json": 2**26,
    "metrics.jsonl": 2**28,
    "evaluation.json": 2**28,
    "model.safetensors": 2**63,
    "anomaly.safetensors": 2**63,
    MANIFEST: 2**20,
}
"""The files of an archive, in their order, with the largest size of each in bytes."""


def write_archive(output: Output, files: Mapping[str, bytes]) -> None:
    """Write files of the known names, and the manifest. RunError if it cannot be written.

    Equal files give equal bytes: an archive holds no times and no owners.
    """
    entries = {
        name: {"bytes": len(files[name]), "sha256": _digest(files[name])} for name in MOST_BYTES if name in files
    }
    manifest = {"format": FORMAT, "aaeframe": __version__, "files": entries}
    content = {**{name: files[name] for name in entries}, MANIFEST: json.dumps(manifest, indent=1).encode()}
    with output.writing() as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in content.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(info, data)


def read_archive(path: Path) -> dict[str, bytes]:
    """The files of an archive by name, without the manifest, all of them verified. Nothing is unpacked to disk.

    RunError if it is no archive, holds anything else, or was damaged or cut off.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_entries(archive, path.stat().st_size)
            files = {info.filename: archive.read(info) for info in archive.infolist()}
        _check_manifest(files)
    except OSError as error:
        raise RunError(f"the archive {path} cannot be read: {error.strerror or error}") from error
    except (ValueError, zipfile.BadZipFile, EOFError, RuntimeError, LookupError) as error:  # zipfile's own, for damage
        raise RunError(
            f"{path} cannot be used as the archive of a run: {error}. Get it again, or write it anew with aaeframe "
            "export RUN --format archive --out model.zip"
        ) from error
    return {name: content for name, content in files.items() if name != MANIFEST}


def _check_entries(archive: zipfile.ZipFile, size: int) -> None:
    """ValueError unless every entry is a plain, stored file of a known name, each once, of a bounded size."""
    entries = archive.infolist()
    names = [info.orig_filename for info in entries]
    unknown = [name for name in names if name not in MOST_BYTES]
    if unknown:
        raise ValueError(f"it holds {unknown[0][:80]!r}, and only {', '.join(MOST_BYTES)} belong into one")
    if len(set(names)) < len(names):
        raise ValueError("it holds a file twice")
    for info in entries:
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise ValueError(f"{info.filename} is a link or a special file")
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size or info.flag_bits & 1:
            raise ValueError(f"{info.filename} is compressed or encrypted, which archives of runs are not")
        if info.file_size > MOST_BYTES[info.filename]:
            raise ValueError(
                f"{info.filename} has {info.file_size} bytes, where at most {MOST_BYTES[info.filename]} are read"
            )
    if sum(info.file_size for info in entries) > size:
        raise ValueError("its files overlap")


def _check_manifest(files: Mapping[str, bytes]) -> None:
    """ValueError unless the files are those of the manifest, with its digests."""
    manifest = _manifest(files)
    if manifest["format"] > FORMAT:
        raise ValueError(f"it has format {manifest['format']}, and this version reads up to {FORMAT}: upgrade aaeframe")
    entries = manifest.get("files")
    found = {name for name in files if name != MANIFEST}
    if not isinstance(entries, dict) or entries.keys() != found:
        raise ValueError(f"its files are {', '.join(sorted(found))}, which {MANIFEST} does not list")
    needed = {"config.toml", "state.json", "model.safetensors", "metrics.jsonl"}
    if needed - found:
        raise ValueError(f"it lacks {', '.join(sorted(needed - found))}")
    for name in sorted(found):
        entry = entries[name]
        if not isinstance(entry, dict) or entry.get("sha256") != _digest(files[name]):
            raise ValueError(f"the SHA-256 of {name} is not that of {MANIFEST}")


def _manifest(files: Mapping[str, bytes]) -> dict[str, Any]:
    if MANIFEST not in files:
        raise ValueError(f"it has no {MANIFEST}")
    manifest = loads_json(files[MANIFEST])
    if not isinstance(manifest, dict) or type(manifest.get("format")) is not int:
        raise ValueError(f"{MANIFEST} names no format")
    return manifest


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
