"""The distributions a run was made with: recorded, and told of when they are others or gone."""

from __future__ import annotations

import platform
import re
import shutil
import sys

import numpy as np
import pytest
from small_runs import ROWS, Telling, command, trained

import aaeframe
from aaeframe.components.registry import Registry
from aaeframe.errors import CheckpointError
from aaeframe.runs.loading import load
from aaeframe.runs.reading import read_config
from aaeframe.runs.start import resume
from aaeframe.storage.checkpoint import latest, read
from aaeframe.storage.run_folder import RunFolder

TOY = """
from aaeframe import Component, hookimpl

@hookimpl
def aaeframe_priors():
    return [Component("toy", "aaeframe_toy:toy", "a Gaussian")]

def toy():
    import torch
    return torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2))
"""
OTHER = (
    'the run was made with aaeframe-toy 1.0, installed is 2.0; to get that of the run: pip install "aaeframe-toy==1.0"'
)


def made_with_a_plugin(folder, install):
    """A run of version 1.0 of a plugin, stopped before its end; the plugin is gone."""
    site, rows = install("aaeframe-toy", {"aaeframe_toy": TOY}), folder.with_suffix(".npy")
    np.save(rows, ROWS)
    trained(folder, str(rows), prior="toy", callbacks=Telling(stop_after=3).callbacks)
    shutil.rmtree(site)
    del sys.modules["aaeframe_toy"]  # not by monkeypatch, whose undoing would leave it to the tests after this one
    return folder


def test_a_run_records_what_it_was_made_with(tmp_path, install):
    folder = made_with_a_plugin(tmp_path / "run", install)
    run = RunFolder(folder)
    versions = {"aaeframe": aaeframe.__version__, "aaeframe-toy": "1.0"}
    assert read_config(run).plugins == versions
    recorded = read(latest(run.checkpoints)).state["versions"]
    assert versions.items() <= recorded.items()
    assert recorded.keys() - versions.keys() == {"python", "numpy", "safetensors", "torch"}
    assert recorded["python"] == platform.python_version()


def test_a_run_whose_distribution_is_missing_says_what_to_install(tmp_path, install, monkeypatch, capsys):
    folder = made_with_a_plugin(tmp_path / "run", install)
    for asked in (["sample", folder], ["evaluate", folder], ["train", "--resume", folder]):
        code, err = command(monkeypatch, capsys, *asked)
        assert code == 2
        assert err == (
            "error: this run needs what is not here: no active plugin offers a prior named 'aaeframe-toy:toy'\n  "
            'aaeframe-toy 1.0 is not installed: pip install "aaeframe-toy==1.0". A plugin is code: install it only if '
            "you trust who made it\n"
        )


@pytest.mark.slow
def test_a_distribution_of_another_version_is_told_in_words(tmp_path, install, monkeypatch, capsys):
    folder = made_with_a_plugin(tmp_path / "run", install)
    install("aaeframe-toy", {"aaeframe_toy": TOY}, version="2.0")
    with pytest.warns(UserWarning, match=re.escape(OTHER)) as caught:
        load(folder)
    assert caught[0].filename == __file__
    code, err = command(monkeypatch, capsys, "sample", folder)
    assert (code, err.splitlines()[0]) == (0, f"note: {OTHER}")
    told = Telling()
    resume(folder, Registry.load(), callbacks=told.callbacks)
    assert told.warn == [OTHER]
    assert read(latest(RunFolder(folder).checkpoints)).state["versions"]["aaeframe-toy"] == "2.0"


def test_a_distribution_of_another_version_that_lacks_the_component_is_an_error_with_both_versions(tmp_path, install):
    folder = made_with_a_plugin(tmp_path / "run", install)
    install("aaeframe-toy", {"aaeframe_toy": TOY.replace('"toy"', '"other"')}, version="2.0")
    with pytest.raises(CheckpointError, match=rf"named 'aaeframe-toy:toy'\n  {re.escape(OTHER)}"):
        load(folder)


def test_a_distribution_that_is_there_but_blocked_or_broken_is_an_error_that_says_so(tmp_path, install):
    folder = made_with_a_plugin(tmp_path / "run", install)
    install("aaeframe-toy", {"aaeframe_toy": "raise RuntimeError('no license')"})
    with pytest.raises(CheckpointError, match=r"not active: aaeframe-toy 1\.0, .*broken: RuntimeError: no license"):
        load(folder)
    with pytest.raises(CheckpointError, match=r"not active: aaeframe-toy 1\.0, entry point toy \(blocked\)"):
        load(folder, Registry.load(["aaeframe-toy"]))
