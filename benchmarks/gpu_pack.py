"""Make .gpu, all that must travel to a GPU: python benchmarks/gpu_pack.py [--environment FILE] [--python 3.12]

It holds our wheel, and MNIST if AAEFRAME_DATA has it. It also holds the wheels that we and the kernels' tests need and
that environment lacks, in the versions installed here. The folder is replaced as a whole. Needs the `dev` extra, and a
package index or cache that pip can reach.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from gpu import PACKED, ROOT, commit, digest_of_sources, say
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOTS = ("aaeframe", "pytest", "pytest-benchmark", "pytest-timeout", "pytest-xdist", "hypothesis")
"""Imports of the runs: the package, and the tools that run its tests."""
PLATFORMS = tuple(f"manylinux{it}_x86_64" for it in ("_2_28", "_2_27", "_2_24", "_2_17", "2014", "1"))


class CannotPack(Exception):
    """Something is missing here, and what."""


def needed(roots: Sequence[str] = ROOTS) -> dict[str, SpecifierSet]:
    """Everything that the roots need, themselves included: name and what its version must be."""
    found: dict[str, SpecifierSet] = {}
    left = list(map(Requirement, roots))
    while left:
        wanted = left.pop()
        name = canonicalize_name(wanted.name)
        known = name in found
        found[name] = found.get(name, SpecifierSet()) & wanted.specifier
        if not known:
            version(name)
            requires = map(Requirement, metadata.requires(name) or ())
            left += [it for it in requires if it.marker is None or it.marker.evaluate({"extra": ""})]
    return found


def suffices(there: str | None, wanted: SpecifierSet) -> bool:
    """Whether a version will do; of one that the list does not tell it is assumed."""
    return there is None or wanted.contains(there, prereleases=True)


def version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError as error:
        raise CannotPack(f"{name} is not installed here: pip install -e '.[dev]'") from error


def listed(file: Path) -> dict[str, str | None]:
    """The packages of a list such as `pip freeze` writes, and their versions; None where the list does not tell."""
    try:
        lines = [line.partition("#")[0].strip() for line in file.read_text("utf-8").splitlines()]
        packages = [Requirement(line) for line in lines if line]
        return {canonicalize_name(it.name): next((s.version for s in it.specifier), None) for it in packages}
    except OSError as error:
        raise CannotPack(f"{file}: {error.strerror}") from error
    except InvalidRequirement as error:
        raise CannotPack(f"{file} is not a list of packages as `pip freeze` writes it: {error}") from error


def pack(folder: Path, environment: Path, python: str) -> None:
    """Fill an empty folder. Raises CannotPack."""
    wheels = folder / "wheels"
    build = ("-m", "build", "--wheel", "--no-isolation", "-o", str(wheels), str(ROOT))
    run(build, "our wheel could not be built")
    there = listed(environment)
    lacking = [
        f"{name}=={version(name)}"
        for name, wanted in needed().items()
        if name != "aaeframe" and (name not in there or not suffices(there[name], wanted))
    ]
    target = ("--python-version", python, "--implementation", "cp", "--only-binary=:all:")
    platforms = [word for it in PLATFORMS for word in ("--platform", it)]
    if lacking:
        download = ("-m", "pip", "download", "-q", "--no-deps", *target, *platforms, "-d", str(wheels), *lacking)
        run(download, f"no wheels for Python {python}")
    copy_mnist(folder / "data")
    names = sorted(it.name for it in wheels.iterdir())
    about = {"commit": commit(), "sources": digest_of_sources(), "python": python, "wheels": names}
    (folder / "about.json").write_text(json.dumps(about, indent=1) + "\n", "utf-8")


def copy_mnist(target: Path) -> None:
    """Copy it if it is here; otherwise say what is measured in its place."""
    source = Path(os.environ.get("AAEFRAME_DATA", ""), "mnist")
    if "AAEFRAME_DATA" in os.environ and source.is_dir():
        shutil.copytree(source, target / "mnist", copy_function=shutil.copyfile)
    else:
        say("without MNIST (AAEFRAME_DATA/mnist): accuracy will be measured on the digits of scikit-learn, enlarged")


def run(arguments: Sequence[str], failure: str) -> None:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise CannotPack(f"{failure}: {(done.stderr or done.stdout).strip().splitlines()[-1]}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    expected = ROOT / "benchmarks/gpu_environment.txt"
    parser.add_argument("--environment", type=Path, default=expected, metavar="FILE", help="a pip freeze of the GPU's")
    parser.add_argument("--python", default="3.12", help="the version of Python there; 3.12 if not given")
    parser.add_argument(
        "--out", type=Path, default=PACKED, metavar="FOLDER", help=".gpu if not given, which gpu.py uses"
    )
    asked = parser.parse_args(arguments)
    if asked.out.exists() and not (asked.out / "about.json").exists():
        parser.error(f"--out {asked.out} exists and was not made by this script; choose another folder")
    with tempfile.TemporaryDirectory(dir=asked.out.resolve().parent, prefix=".gpu-") as partial:
        try:
            pack(Path(partial), asked.environment, asked.python)
        except CannotPack as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        shutil.rmtree(asked.out, ignore_errors=True)
        shutil.copytree(partial, asked.out)
    files = [it for it in asked.out.rglob("*") if it.is_file()]
    say("\n".join(sorted(str(it.relative_to(asked.out)) for it in files)))
    say(
        f"{asked.out}: {sum(it.stat().st_size for it in files) / 2**20:.1f} MiB; there: python3 benchmarks/gpu.py first"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
