"""The distributions that a run was made with and the installed ones, as sentences and as lines for pip. Torch-free."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from aaeframe.version import __version__

if TYPE_CHECKING:
    from aaeframe.components.registry import Registry

NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.!+_-]*[A-Za-z0-9])?")
_TRUST: Final = "A plugin is code: install it only if you trust who made it"


def check_name(name: str) -> str:
    """The name of a distribution, unchanged. ValueError if pip or a shell could read it as something else."""
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a valid name of a distribution")
    return name


def check_version(version: str) -> str:
    """A version, unchanged. ValueError if pip or a shell could read it as something else."""
    if not _VERSION.fullmatch(version):
        raise ValueError(f"{version!r} is not a valid version")
    return version


def installed(registry: Registry) -> dict[str, str]:
    """The versions of aaeframe and of every distribution that offers active plugins, by name."""
    active = {it.distribution: it.version for it in registry.plugins if it.status == "active"}
    return dict(sorted({"aaeframe": __version__, **active}.items()))


def lines(versions: Mapping[str, str]) -> list[str]:
    """Lines for `pip install -r`: name==version."""
    return [f"{name}=={version}" for name, version in versions.items()]


def other_versions(made_with: Mapping[str, str], registry: Registry) -> list[str]:
    """A sentence for each distribution whose installed version is not that of the run."""
    here = installed(registry)
    return [
        f"the run was made with {name} {version}, installed is {here[name]}; to get that of the run: "
        f"{_pip(name, version)}"
        for name, version in made_with.items()
        if name in here and here[name] != version
    ]


def obstacles(made_with: Mapping[str, str], registry: Registry) -> list[str]:
    """A sentence for each distribution that keeps a run from its components, with what to do."""
    return [*_missing(made_with, registry), *other_versions(made_with, registry)]


def _missing(made_with: Mapping[str, str], registry: Registry) -> Iterator[str]:
    for name, version in made_with.items():
        plugins = [it for it in registry.plugins if it.distribution == name]
        if not plugins and name != "aaeframe":
            yield f"{name} {version} is not installed: {_pip(name, version)}. {_TRUST}"
        yield from (f"installed but not active: {plugin}" for plugin in plugins if plugin.status != "active")


def _pip(name: str, version: str) -> str:
    return f'pip install "{name}=={version}"'
