"""Every test of this folder has an empty cache and no AAEFRAME_DATA, whatever the caller's environment is."""

from __future__ import annotations

import os
from pathlib import Path

import pooch
import pytest

KEPT = os.environ.get("AAEFRAME_DATA")


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.delenv("AAEFRAME_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(pooch, "os_cache", lambda project: folder / project)
    return folder / "aaeframe"


@pytest.fixture
def real_data(monkeypatch):
    """The folder of real data the caller keeps."""
    if KEPT is None:
        pytest.skip("no AAEFRAME_DATA: real data is not here")
    monkeypatch.setenv("AAEFRAME_DATA", KEPT)
    return Path(KEPT)
