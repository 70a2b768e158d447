"""The tree of a folder of images: its splits, its classes, and what is passed over."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from aaeframe.data.classes import check_names
from aaeframe.data.splits import NAMES, WORDS
from aaeframe.errors import DataError
from aaeframe.storage.text import plural

# fmt: off
SUFFIXES: Final = frozenset({
    ".apng", ".avif", ".avifs", ".blp", ".bmp", ".bw", ".cur", ".dcx", ".dds", ".dib", ".fit", ".fits", ".flc",
    ".fli", ".ftc", ".ftu", ".gbr", ".gif", ".icb", ".icns", ".ico", ".im", ".j2c", ".j2k", ".jfif", ".jp2",
    ".jpc", ".jpe", ".jpeg", ".jpf", ".jpg", ".jpx", ".mpo", ".msp", ".pbm", ".pcd", ".pcx", ".pfm", ".pgm",
    ".png", ".pnm", ".ppm", ".psd", ".pxr", ".qoi", ".ras", ".rgb", ".rgba", ".sgi", ".tga", ".tif", ".tiff",
    ".vda", ".vst", ".webp", ".xbm", ".xpm",
})
# fmt: on
"""The suffixes of the formats that Pillow decodes itself."""

USUAL: Final = ".png, .jpg, .tif, .bmp, .gif, .webp or another suffix of Pillow's"
"""The suffixes in messages."""

MOST_LEVELS: Final = 32
"""The deepest tree of folders."""

MOST_SUFFIXES: Final = 5
"""The number of suffixes that are named one by one."""

Classes: TypeAlias = dict[str | None, list[Path]]
"""The images of each class; of the class None if they have no class."""


@dataclass
class Node:
    """A folder."""

    path: Path
    images: list[Path] = field(default_factory=list)
    folders: dict[str, Node] = field(default_factory=dict)
    """The folders in it that hold images at any depth, by name."""

    def all_images(self) -> Iterator[Path]:
        """The images of the folder, then those of each folder in it, by name."""
        yield from self.images
        for folder in self.folders.values():
            yield from folder.all_images()


@dataclass(frozen=True)
class Tree:
    """The images of a folder, by split and by class."""

    splits: Mapping[str | None, Classes]
    """In the order training, validation, test; None is a folder without splits."""
    passed_over: tuple[str, ...]


def read_tree(root: Path) -> Tree:
    """Find the images in a folder and the folders in it. Links are followed, each folder once per branch.

    Raises:
        DataError: there are no images, or their places can be understood in two ways.
    """
    walk = _Walk()
    node = walk.node(root, frozenset())
    if not any(node.all_images()):
        said = f" It holds {' and '.join(walk.phrases())}." if walk.phrases() else ""
        raise DataError(f"{root}: holds no images.{said} Images are files that end in {USUAL}.")
    splits = _splits(node) or {None: _classes(node)}
    if None in splits:
        _check_one_level(node, root)
    for classes in splits.values():
        check_names((name for name in classes if name is not None), str(root))
    return Tree(splits, walk.phrases())


class _Walk:
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.suffixes: Counter[str] = Counter()

    def node(self, folder: Path, above: frozenset[tuple[int, int]], seen: set[tuple[int, int]] | None = None) -> Node:
        """A folder with all that is in it. `seen` holds the folders of this branch that were read before."""
        if len(above) > MOST_LEVELS:
            raise DataError(f"{folder}: lies more than {MOST_LEVELS} folders deep. Put the images higher up.")
        node, above = Node(folder), above | {_identity(folder)}
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
        for entry in ordered:
            path = folder / entry.name
            if entry.name.startswith("."):
                self.counts["hidden"] += 1
            elif _is_folder(entry):
                branch = set[tuple[int, int]]() if seen is None else seen  # each folder of the root is a branch
                identity = _identity(path)
                if identity in above or identity in branch:
                    self.counts["again"] += 1
                    continue
                branch.add(identity)
                inner = self.node(path, above, branch)
                if inner.images or inner.folders:
                    node.folders[entry.name] = inner
                else:
                    self.counts["empty"] += 1
            elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:  # noqa: PTH122 - faster for 50,000 files
                if not _is_file(entry):
                    raise DataError(f"{path}: is not a file, or a link to one. Remove it.")
                node.images.append(path)
            else:
                self.suffixes[path.suffix.lower()] += 1
        return node

    def phrases(self) -> tuple[str, ...]:
        """A phrase for each kind of thing that is passed over."""
        named = self.suffixes.most_common(MOST_SUFFIXES)
        rest = self.suffixes.total() - sum(count for _, count in named)
        found = [f"{plural(count, 'file')} {_of_suffix(suffix)}" for suffix, count in named]
        found += [f"{plural(rest, 'file')} of other suffixes"] * bool(rest)
        words = {
            "hidden": ("hidden file or folder", "hidden files and folders"),
            "empty": ("folder without images", "folders without images"),
            "again": ("link to a folder read already", "links to folders read already"),
        }
        found += [
            f"{self.counts[key]} {one if self.counts[key] == 1 else many}"
            for key, (one, many) in words.items()
            if self.counts[key]
        ]
        return tuple(found)


def _of_suffix(suffix: str) -> str:
    if not suffix:
        return "without a suffix"
    return f"of {suffix if suffix.isprintable() and len(suffix) <= 20 else ascii(suffix)[:20]}"


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _splits(root: Node) -> dict[str | None, Classes]:
    """The splits of a folder with folders named as splits; empty if it has none."""
    named = {name: split for name in root.folders if (split := WORDS.get(name.lower()))}
    if not named:
        return {}
    first = next(iter(named))
    if others := [name for name in root.folders if name not in named]:
        raise DataError(
            f"{root.path}: {first!r} is named as a split, and {', '.join(map(repr, others[:4]))} is not. If all are "
            f"classes, rename {first!r}; if {first!r} is a split, move the others out of the folder."
        )
    folders: dict[str, list[str]] = {}
    for name, split in named.items():
        folders.setdefault(split, []).append(name)
    for split, names in folders.items():
        if len(names) > 1:
            raise DataError(f"{root.path}: {' and '.join(map(repr, names))} are both {split} rows. Leave one of them.")
    if "train" not in folders:
        raise DataError(
            f"{root.path}: holds {' and '.join(map(repr, named))}, and no folder of training rows. Add train, or give "
            f"{root.path / first} itself to read it as a folder without splits."
        )
    if root.images:
        raise _mixed(root)
    return {split: _classes(root.folders[folders[split][0]]) for split in NAMES if split in folders}


def _classes(node: Node) -> Classes:
    """The first level of folders as classes, or the images of the folder without a class."""
    if node.images and node.folders:
        raise _mixed(node)
    if node.images:
        return {None: node.images}
    for name, folder in node.folders.items():
        within = next((inner for inner in folder.folders if inner.lower() in WORDS), None)
        if within or (len(node.folders) == 1 and name.lower() in WORDS):
            raise DataError(
                f"{folder.path / (within or '')}: is named as a split, and lies where folders are read as a class. "
                "Put train, val and test at the top, with the classes in them; rename it if it is none."
            )
    return {name: list(folder.all_images()) for name, folder in node.folders.items()}


def _check_one_level(node: Node, root: Path) -> None:
    """Refuse a folder around the folders of the classes: it would be the only class."""
    inner = next(iter(node.folders.values()), None)
    if inner is not None and len(node.folders) == 1 and not inner.images and len(inner.folders) > 1:
        below = ", ".join(map(repr, [*inner.folders][:4]))
        raise DataError(
            f"{root}: holds one folder, {inner.path.name!r}, with the folders {below}. "
            f"If these are the classes, give {inner.path}; if it is all one class, put its images into one folder."
        )


def _mixed(node: Node) -> DataError:
    return DataError(
        f"{node.path}: images lie in the folder itself ({node.images[0].name}) and in subfolders too. Put all of "
        "them into the folder, or each into the subfolder of its class."
    )
