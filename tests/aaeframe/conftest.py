"""A disk that fills up; distributions put on sys.path for one test, as an installer would lay them out."""

from __future__ import annotations

import gc
import resource
import sys
from contextlib import contextmanager

import pytest


@pytest.fixture(scope="module")
def frozen_heap():
    """Leaves what is there now out of garbage collections: each measurement collects, and torch is a large heap."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def files_up_to():
    """Inside `files_up_to(size)`, the system refuses to let any file grow beyond `size` bytes, as a full disk does."""

    @contextmanager
    def limited(size):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a distribution on sys.path: install("aaeframe-x", {"aaeframe_x": "source"}, {"entry": "aaeframe_x"})."""
    modules_before = set(sys.modules)
    for variable in ("AAEFRAME_NO_PLUGINS", "AAEFRAME_STRICT_PLUGINS"):
        monkeypatch.delenv(variable, raising=False)

    def install(name, modules, entry_points=None, version="1.0"):
        folder = tmp_path / f"site-{name}-{version}"
        entries = entry_points or {name.removeprefix("aaeframe-"): next(iter(modules))}
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = [f"{key} = {value}" for key, value in entries.items()]
        (info / "entry_points.txt").write_text("\n".join(["[aaeframe]", *lines, ""]))
        for module, source in modules.items():
            path = folder / (module.replace(".", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)
        monkeypatch.syspath_prepend(folder)
        return folder

    yield install
    for module in set(sys.modules) - modules_before:
        if module.startswith("aaeframe_") and module.partition(".")[0] not in ("aaeframe_plugins", "aaeframe_kernels"):
            del sys.modules[module]
