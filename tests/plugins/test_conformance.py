"""Every registered component, ours or a stranger's, passes every check of its kind."""

from __future__ import annotations

import pytest

from aaeframe.components.registry import KINDS, Registry
from aaeframe.testing import checks_for, import_cost
from aaeframe.testing.factories import needed_options

REGISTRY = Registry.load()
DOWNLOADED = {f"aaeframe:{name}" for name in ("mnist", "fashion-mnist", "svhn", "tfd")}
"""Data sets that need files; see tests/aaeframe/data/test_catalogue.py."""
CHECKS = [
    pytest.param(check, id=f"{offer.kind}-{offer.full_name}-{name}")
    for offer in REGISTRY.offers()
    if not needed_options(offer.factory()) and offer.full_name not in DOWNLOADED
    for name, check in checks_for(offer.kind, offer.factory())
]


@pytest.mark.parametrize("check", CHECKS)
def test_conformance(check):
    check()


@pytest.mark.parametrize("module", [plugin.module for plugin in REGISTRY.plugins])
def test_hook_modules_import_no_torch(module):
    assert not import_cost(module).torch


def test_all_kinds_are_offered_and_no_plugin_is_broken():
    ours_otherwise = {"preset", "benchmark"}  # files, and the alternatives in the suites themselves
    assert {offer.kind for offer in REGISTRY.offers()} == set(KINDS) - ours_otherwise
    assert {plugin.status for plugin in REGISTRY.plugins} == {"active"}


def test_only_what_is_held_to_its_checks_elsewhere_needs_options():
    needing = [offer.full_name for offer in REGISTRY.offers() if needed_options(offer.factory())]
    assert needing == ["aaeframe:empirical"]  # in test_empirical.py
