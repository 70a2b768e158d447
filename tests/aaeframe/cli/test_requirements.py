"""Lines for pip that install the same plugins elsewhere."""

from __future__ import annotations

import subprocess
import sys

import pytest

import aaeframe

HOOK = """
from aaeframe import Component, hookimpl

@hookimpl
def aaeframe_priors():
    return [Component("toy", "aaeframe_toy:toy", "a toy")]

def toy(): ...
"""
OURS = f"aaeframe=={aaeframe.__version__}"


@pytest.fixture
def plugins(install):
    """Distributions with an active plugin, with a broken one, and with two of which one is broken."""
    install("aaeframe-toy", {"aaeframe_toy": HOOK}, version="2.0")
    install("Aaeframe_Broken", {"aaeframe_broken": "raise RuntimeError('no license')"}, {"broken": "aaeframe_broken"})
    both = {"aaeframe_half": HOOK.replace("toy", "half"), "aaeframe_no": "raise RuntimeError"}
    install("Aaeframe.Half", both, {"half": "aaeframe_half", "no": "aaeframe_no"}, version="1.0rc1+local.2")


def test_every_distribution_that_offers_something_is_a_line(done, plugins):
    outcome = done("plugins", "list", "--requirements")
    assert outcome.out.splitlines() == [OURS, "aaeframe-half==1.0rc1+local.2", "aaeframe-toy==2.0"]
    assert done("plugins", "list", "--requirements", "--json").json == {"requirements": outcome.out.splitlines()}


def test_what_is_blocked_is_left_out(done, plugins):
    lines = done("--no-plugin", "aaeframe-toy", "plugins", "list", "--requirements").out.splitlines()
    assert lines == [OURS, "aaeframe-half==1.0rc1+local.2"]


@pytest.mark.slow
def test_pip_reads_them(done):
    lines = done("plugins", "list", "--requirements").out
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--no-index", "--no-deps"]
    read = subprocess.run([*pip, "-r", "/dev/stdin"], input=lines, capture_output=True, text=True)
    assert read.returncode == 0, read.stderr
    assert f"Requirement already satisfied: {OURS}" in read.stdout


def test_of_a_run_what_it_was_made_with(done, run):
    config = run / "config.toml"
    config.write_text(config.read_text().replace("[plugins]\n", '[plugins]\naaeframe-torus = "1.0"\n'))
    lines = done("plugins", "list", "--requirements", "--run", run).out.splitlines()
    assert lines == ["aaeframe-torus==1.0", OURS]
    assert done("plugins", "list", "--requirements", "--run", run, "--json").json == {"requirements": lines}


def test_a_run_without_requirements_is_a_question_half_asked(cli, refused, run):
    refused(cli("plugins", "list", "--run", run), "--run goes with --requirements", "add --requirements")


def test_what_is_no_run_has_none(cli, refused, tmp_path):
    refused(cli("plugins", "list", "--requirements", "--run", tmp_path / "no"), "is not a run")
