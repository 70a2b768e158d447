"""`plugin_checks`, the test suite of a plugin in one line."""

from __future__ import annotations

import pytest

from aaeframe.errors import OptionError, PluginError
from aaeframe.testing import plugin_checks

TOY = """
from aaeframe import Component, hookimpl

@hookimpl
def aaeframe_priors():
    return [Component("toy", "aaeframe_toy_prior:toy", "a toy"), Component("gone", "aaeframe_toy_prior:gone", "none")]
"""
TOY_PRIOR = """
import torch
from torch.distributions import Independent, Normal

def toy(*, size: int = 2):
    return Independent(Normal(torch.zeros(size), 1.0), {rank})
"""


def failures(checks):
    """The message of each check that fails, by its id."""
    found = {}
    for check in checks:
        try:
            check()
        except AssertionError as error:
            found[str(check)] = str(error)
    return found


@pytest.mark.parametrize("name", ["aaeframe-toy", "aaeframe_toy", "toy"])
def test_it_has_all_checks_that_apply_and_those_that_fail_do(install, monkeypatch, name):
    folder = install("aaeframe-toy", {"aaeframe_toy": TOY, "aaeframe_toy_prior": TOY_PRIOR.format(rank=0)})
    monkeypatch.setenv("PYTHONPATH", str(folder))

    checks = plugin_checks(name)

    assert {"active", "prior:toy:options", "prior:toy:log-prob-fit"} <= set(map(str, checks))
    assert "prior:toy:labels" not in map(str, checks)
    failed = failures(it for it in checks if str(it) in ("active", "prior:toy:batch-shape", "prior:gone:factory"))
    assert set(failed) == {"prior:toy:batch-shape", "prior:gone:factory"}
    assert "the batch_shape must be empty, not (2,)" in failed["prior:toy:batch-shape"]
    assert "cannot be loaded from aaeframe_toy_prior:gone" in failed["prior:gone:factory"]


def test_options_are_checked_besides_the_defaults(install):
    hook = TOY.replace(', Component("gone", "aaeframe_toy_prior:gone", "none")', "")
    install("aaeframe-toy", {"aaeframe_toy": hook, "aaeframe_toy_prior": TOY_PRIOR.format(rank=1)})

    checks = {str(it): it for it in plugin_checks("aaeframe-toy", "toy(size=3)")}

    assert {"active", "prior:toy:sample-shape", "prior:toy(size=3):sample-shape"} <= set(checks)
    checks["prior:toy(size=3):sample-shape"]()
    with pytest.raises(OptionError, match="has no option 'sizes'"):
        plugin_checks("aaeframe-toy", "toy(sizes=3)")
    with pytest.raises(PluginError, match="the plugin offers no component 'torus'; it offers toy"):
        plugin_checks("aaeframe-toy", "torus(size=3)")


@pytest.mark.slow
def test_a_heavy_hook_module_fails(install, monkeypatch):
    modules = {"aaeframe_toy": f"import torch\n{TOY}", "aaeframe_toy_prior": TOY_PRIOR.format(rank=1)}
    monkeypatch.setenv("PYTHONPATH", str(install("aaeframe-toy", modules)))

    failed = failures(it for it in plugin_checks("aaeframe-toy") if str(it) == "hook-module")

    assert "importing aaeframe_toy imports torch: " in failed["hook-module"]


def test_a_plugin_that_does_not_load_has_one_check_which_says_why(install):
    install("aaeframe-toy", {"aaeframe_toy": "raise RuntimeError('no license')"})

    checks = plugin_checks("aaeframe-toy")

    assert list(map(str, checks)) == ["active"]
    assert "broken: RuntimeError: no license (at " in failures(checks)["active"]


def test_what_is_not_installed_is_an_error_with_the_remedy():
    with pytest.raises(PluginError, match=r"no installed plugin has .*'aaeframe-toy'; .*aaeframe.* pip install -e \."):
        plugin_checks("aaeframe-toy")
