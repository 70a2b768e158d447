"""A broken plugin never takes the tool down: real distributions, each broken in its own way."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from aaeframe.hookspecs import API

HOOK = """
from aaeframe import Component, hookimpl

@hookimpl
def aaeframe_priors():
    return [Component("{name}", "{module}:prior", "a prior")]

def prior(*, size: int = 2):
    import torch
    return torch.distributions.Independent(torch.distributions.Normal(torch.zeros(size), 1.0), 1)
"""


SLOW = """
import time
end = time.process_time() + 0.6
while time.process_time() < end: ...
"""
QUICK = ["--network", "mlp(hidden=[16])", "--discriminator", "mlp(hidden=[16])", "--epochs", "1"]


@dataclass(frozen=True)
class Kind:
    """A way to be broken."""

    edit: tuple[str, str]
    """A text of the healthy module and its replacement; an empty text inserts the replacement at the start."""
    error: str
    status: str = "broken"

    def source(self, name: str) -> str:
        healthy = HOOK.format(name=name, module=f"aaeframe_{name.replace('-', '_')}")
        old, new = self.edit
        return healthy.replace(old, new) if old else f"{new}\n{healthy}"


KINDS = {
    "raises-at-import": Kind(("", "raise RuntimeError('no license')"), "RuntimeError: no license"),
    "exits-at-import": Kind(("", "raise SystemExit(3)"), "SystemExit: 3"),
    "misses-dependency": Kind(
        ("", "import aaeframe_nowhere"), "ModuleNotFoundError: No module named 'aaeframe_nowhere'"
    ),
    "misspells-hook": Kind(
        ("aaeframe_priors", "aaeframe_prior"), "aaeframe_prior is not a hook; did you mean aaeframe_priors?"
    ),
    "wrong-signature": Kind(("priors()", "priors(device)"), "Argument(s) {'device'} are declared in the hookimpl but"),
    "raises-in-hook": Kind(("return [", "return 1 / 0, ["), "ZeroDivisionError: division by zero"),
    "no-component": Kind(("return [", "return ['torus', "), "must return Component records; one is str"),
    "offers-twice": Kind(
        ("return [", "return 2 * ["), "aaeframe-offers-twice offers the prior 'offers-twice' more than once"
    ),
    "no-factory": Kind((":prior", ":priro"), "no attribute 'priro'; did you mean prior?"),
    "newer-api": Kind(("", f"aaeframe_api = {API + 1}"), f"needs plugin interface {API + 1}", "incompatible"),
    "clashes": Kind(('"clashes"', '"gaussian"'), "", "active"),
    "imports-torch": Kind(("", "import torch"), "", "active"),
    "slow": Kind(("", SLOW), "", "active"),
}
BROKEN = [name for name, kind in KINDS.items() if kind.status != "active"]


@pytest.fixture(scope="module")
def wheels(workshop):
    """One wheel of each kind."""
    projects = {name: workshop.project(f"aaeframe-{name}", kind.source(name)) for name, kind in KINDS.items()}
    return {name: workshop.wheel(project) for name, project in projects.items()}


@pytest.fixture(scope="module")
def environment(new_environment):
    """An environment to which each test adds one of them by its path."""
    return new_environment()


@pytest.fixture(scope="module")
def all_installed(new_environment, wheels):
    """An environment with all of them, installed by pip."""
    environment = new_environment()
    environment.install(*wheels.values())
    return environment


def described(listing, name):
    (found,) = [it for it in listing.json["plugins"] if it["distribution"] == f"aaeframe-{name}"]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_each_is_listed_with_its_error_and_help_does_not_touch_it(environment, workshop, wheels, name):
    alone = environment.with_path(workshop.unpack(wheels[name]))
    kind = KINDS[name]

    help_, listing, wanted = alone.run(["--help"], ["plugins", "list", "--json"], ["plugins", "info", name])

    assert (help_.code, help_.loaded) == (0, [])
    assert listing.code == 0
    found = described(listing, name)
    assert (found["status"], found["version"]) == (kind.status, "1.0")
    assert kind.error in (found["error"] or "")
    assert {it["status"] for it in listing.json["plugins"] if it["distribution"] == "aaeframe"} == {"active"}
    if name in BROKEN:
        assert (wanted.code, wanted.out) == (2, "")
        assert f"it may be in a plugin that is not active: aaeframe-{name} 1.0" in wanted.err
        assert kind.error in wanted.err


@pytest.mark.slow
def test_beside_all_of_them_healthy_components_train_and_missing_ones_are_explained(all_installed, tmp_path):
    good, bad = tmp_path / "good", tmp_path / "bad"
    listing, trained, ambiguous, *missing = all_installed.run(
        ["plugins", "list", "--json"],
        ["train", "--prior", "swissroll", *QUICK, "--out", str(good)],
        ["train", "--prior", "gaussian", *QUICK, "--out", str(bad)],
        *(["train", "--prior", name, *QUICK, "--out", str(bad)] for name in BROKEN),
    )

    assert {name: described(listing, name)["status"] for name in KINDS} == {n: it.status for n, it in KINDS.items()}
    assert trained.code == 0, trained.err
    assert (good / "metrics.jsonl").exists()
    assert ambiguous.code == 2
    assert "aaeframe:gaussian, aaeframe-clashes:gaussian; use a full name" in ambiguous.err
    for name, asked in zip(BROKEN, missing, strict=True):
        assert asked.code == 2
        assert asked.err.startswith(f"error: no active plugin offers a prior named {name!r}\n")
        assert f"aaeframe-{name} 1.0, entry point {name} ({KINDS[name].status}: " in asked.err
        assert KINDS[name].error in asked.err
    assert not bad.exists()


@pytest.mark.slow
def test_check_reports_what_is_heavy_slow_or_broken(all_installed):
    torch, slow, broken = all_installed.run(
        ["plugins", "check", "aaeframe-imports-torch"],
        ["plugins", "check", "aaeframe-slow"],
        ["plugins", "check", "aaeframe-raises-at-import"],
    )

    assert (torch.code, slow.code, broken.code) == (1, 1, 1)
    assert "FAIL  hook-module: importing aaeframe_imports_torch imports torch: " in torch.out
    assert "FAIL  hook-module: importing aaeframe_slow takes " in slow.out
    assert "FAIL  active: broken: RuntimeError: no license (at " in broken.out
    assert "aaeframe_raises_at_import.py:1)" in broken.out
    assert "pass  sample-shape" in slow.out
    assert broken.out.count("no license") == 1


def test_check_of_a_broken_plugin_needs_no_torch(environment, workshop, wheels):
    alone = environment.with_path(workshop.unpack(wheels["raises-at-import"]))

    (broken,) = alone.run(["plugins", "check", "aaeframe-raises-at-import"])

    assert (broken.code, "torch" in broken.loaded) == (1, False)


def test_a_broken_plugin_can_be_blocked(environment, workshop, wheels):
    alone = environment.with_path(workshop.unpack(wheels["exits-at-import"]))

    (listing,) = alone.run(["--no-plugin", "aaeframe-exits-at-import", "plugins", "list", "--json"])

    found = described(listing, "exits-at-import")
    assert (found["status"], found["error"]) == ("blocked", None)
    assert "aaeframe_exits_at_import" not in listing.loaded
