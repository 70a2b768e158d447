"""The page of worked examples: its code is installed, checked and trained, and each is what it claims to be."""

from __future__ import annotations

import importlib
import json
import math
import re
import shutil
import sys
import textwrap
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.distributions import constraints

import aaeframe
from aaeframe.protocols import BlockSpec, DataSpec

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "plugins" / "examples"
PAGE = (EXAMPLES / "README.md").read_text()
PROJECT = (ROOT / "plugins" / "README.md").read_text().split("```toml\n")[1].split("```")[0]
"""The project file of the guide's smallest plugin."""
PROGRAM = """
import json, sys, tempfile
from pathlib import Path
import aaeframe, numpy as np
from aaeframe.components.registry import Registry
from aaeframe.testing.plugin import check_component, check_plugin
runs, weights = json.loads(sys.argv[1]), Path(sys.argv[2])
registry = Registry.load()
[plugin] = [it for it in registry.plugins if it.distribution == "aaeframe-mine"]
outcomes = {"plugin": list(check_plugin(plugin))}
for offer in registry.offers():
    if offer.distribution == "aaeframe-mine":
        options = {"weights": str(weights)} if offer.name == "backbone" else {}
        outcomes[offer.name] = list(check_component(offer, options))
failed = {name: [str(it) for it in found if it.verdict == "failed"] for name, found in outcomes.items()}
small = {"network": "mlp(hidden=[16])", "discriminator": "mlp(hidden=[16])", "epochs": 1, "batch_size": 20}
random, losses = np.random.default_rng(0), {}
for name, (shape, parts) in runs.items():
    x = random.random((60, *shape), dtype="float32")
    channels = {} if len(shape) == 1 else {"channels": "first"}
    with tempfile.TemporaryDirectory() as folder:
        run = aaeframe.train((x, np.arange(60) % 3), out=folder + "/run", **channels, **{**small, **parts})
        if name == "backbone":
            weights.unlink()
        again = aaeframe.load(folder + "/run")
        same = all(np.array_equal(code, again.encode(x)[key]) for key, code in run.encode(x).items())
        losses[name] = {**json.loads(open(folder + "/run/metrics.jsonl").readlines()[-1]), "same": same}
print(json.dumps({"failed": failed, "losses": losses}))
"""
"""Prints what fails of the package and of each component, and the losses of a tiny run of each, which is loaded again.
"""


@dataclass(frozen=True)
class Block:
    """A block of Python, the file that the text above says it is, and the complete package that this text links."""

    text: str
    file: str | None
    package: str | None


def blocks():
    for match in re.finditer(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE):
        paragraph = PAGE[: match.start()].rstrip().rpartition("\n\n")[2]
        files = re.findall(r"`([\w/]+\.py)`", paragraph)
        packages = re.findall(r"\]\((aaeframe-\w+)\)", paragraph)
        yield Block(match[1], files[-1] if files else None, packages[-1] if packages else None)


BLOCKS = list(blocks())
FILES = {block.file: block.text for block in BLOCKS if block.file}
EXCERPTS = {block.package: block.text for block in BLOCKS if block.file is None}
NAMES = [Path(file).stem for file in FILES if not file.endswith("__init__.py")]
IMAGES = DataSpec(torch.Size([1, 8, 8]), constraints.unit_interval, torch.zeros(1), torch.ones(1))


@pytest.fixture(scope="module")
def project(workshop):
    """The package of the page, as its author has it."""
    project = workshop.folder / "aaeframe_mine"
    for file, text in FILES.items():
        (project / file).parent.mkdir(parents=True, exist_ok=True)
        (project / file).write_text(text)
    (project / "pyproject.toml").write_text(PROJECT.replace("torus", "mine"))
    return project


@pytest.fixture(scope="module")
def environment(new_environment, workshop, project):
    environment = new_environment()
    environment.install(workshop.wheel(project))
    return environment


@pytest.fixture(scope="module")
def mine(project):
    """Imports a module of the package from its source."""
    sys.path.insert(0, str(project))
    yield lambda name: importlib.import_module(f"aaeframe_mine.{name}")
    sys.path.remove(str(project))
    for name in [it for it in sys.modules if it.partition(".")[0] == "aaeframe_mine"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def weights(mine, tmp_path_factory):
    """A file with the weights of a trunk for gray images, batch norm statistics that are not those of a new one."""
    trunk = mine("backbone").trunk(1)
    for _ in range(5):
        trunk(torch.rand(20, 1, 8, 8))
    path = tmp_path_factory.mktemp("weights") / "trunk.safetensors"
    save_file(trunk.state_dict(), path)
    return path


def test_each_of_the_ten_has_a_section_and_code():
    sections = PAGE.split("\n## ")[1:]
    assert len(sections) == 10
    assert all(section.count("```python\n") == 1 for section in sections)
    assert len(FILES) + len(EXCERPTS) == len(BLOCKS) == 11


@pytest.mark.parametrize("package", EXCERPTS)
def test_lines_of_a_complete_package_are_those_of_the_package(package):
    sources = [textwrap.dedent(path.read_text()) for path in (EXAMPLES / package).rglob("*.py")]
    assert any(EXCERPTS[package] in source for source in sources)


@pytest.fixture(scope="module")
def results(environment, weights, tmp_path_factory):
    """The program's results for runs of each component on rows of a shape."""
    file = Path(shutil.copy(weights, tmp_path_factory.mktemp("copy")))
    runs = {
        "pinwheel": ([5], {"prior": "pinwheel(classes=3)", "labels": 9}),
        "circle": ([5], {"prior": "categorical+circle"}),
        "series": ([2, 24], {"prior": "gaussian", "network": "series"}),
        "backbone": ([1, 8, 8], {"prior": "gaussian", "network": f"backbone(weights={json.dumps(str(file))})"}),
        "patches": ([1, 8, 8], {"prior": "gaussian", "network": "patches(width=16)"}),
        "full": ([5], {"prior": "gaussian", "encoder": "full", "recipe": "variational"}),
        "minibatch": ([5], {"prior": "pinwheel(classes=3)", "labels": 9, "discriminator": "minibatch"}),
    }
    return environment.ask(PROGRAM, json.dumps(runs), str(file))


@pytest.mark.slow
def test_they_pass_their_checks(results):
    assert sorted(results["failed"]) == sorted(["plugin", *NAMES])
    assert not any(results["failed"].values())


@pytest.mark.slow
def test_they_train_and_are_loaded_with_the_same_codes(results):
    assert sorted(results["losses"]) == sorted(NAMES)
    assert all(math.isfinite(row["reconstruction"]) and row["same"] for row in results["losses"].values())


def test_blades_of_the_pinwheel_are_its_classes(mine):
    """Without the bend a point lies in the direction of its blade."""
    points, labels = mine("pinwheel").Pinwheel(classes=4, bend=0.0).sample_labeled((1000,))
    blade = (torch.atan2(points[:, 1], points[:, 0]) / (math.pi / 2)).round() % 4
    assert (blade == labels).float().mean() > 0.99
    assert points.norm(dim=1).mean().item() == pytest.approx(2, abs=0.1)


def test_codes_of_the_circle_lie_on_it_and_samples_have_its_mean(mine):
    prior = mine("circle").VonMises(loc=1.0, concentration=3.0)
    rows = np.random.default_rng(0).normal(size=(60, 5)).astype("float32")
    small = {"network": "mlp(hidden=[16])", "discriminator": "mlp(hidden=[16])", "epochs": 1, "keep": False}
    code = aaeframe.train(rows, prior=prior, **small).encode(rows)["z"]
    torch.testing.assert_close(torch.as_tensor(code).norm(dim=1), torch.ones(60))

    with torch.random.fork_rng():
        torch.manual_seed(0)
        mean = prior.sample((20_000,)).mean(0)
    length = torch.special.i1(torch.tensor(3.0)) / torch.special.i0(torch.tensor(3.0))
    expected = length * torch.tensor([math.cos(1.0), math.sin(1.0)])
    torch.testing.assert_close(mean, expected, rtol=0, atol=5 / math.sqrt(20_000))  # five standard errors at most

    angle = torch.linspace(-math.pi, math.pi, 1001)[:-1]
    density = prior.log_prob(torch.stack([angle.cos(), angle.sin()], dim=1)).exp()
    assert (density.mean() * 2 * math.pi).item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("time", [1, 2, 3, 24, 25])
def test_a_network_for_series_serves_any_length_and_data_in_0_to_1(mine, time):
    data = DataSpec(torch.Size([3, time]), constraints.unit_interval, torch.zeros(1), torch.ones(1))
    network = mine("series").Series(data, 2)
    x = network.decoder(100 * torch.randn(8, 2))
    assert network.encoder(x).shape == (8, network.num_features)
    assert x.shape == (8, 3, time)
    assert 0 <= x.min() <= x.max() <= 1
    with pytest.raises(ValueError, match=r"rows \(channels, time\), found the shape \(3, 8, 8\)"):
        mine("series").Series(DataSpec(torch.Size([3, 8, 8]), constraints.real, torch.zeros(1), torch.ones(1)), 2)


def trunk_of(run):
    """The trained trunk among the tensors of a run."""
    state = run.model.encoder.body.state_dict()
    return {name.removeprefix("body."): value for name, value in state.items()}


@pytest.mark.parametrize("frozen", [True, False])
def test_a_backbone_is_frozen_or_fine_tuned_and_its_run_needs_the_file_no_more(mine, weights, frozen, tmp_path):
    file = tmp_path / "copy.safetensors"
    file.write_bytes(weights.read_bytes())
    network = partial(mine("backbone").Pretrained, weights=file, frozen=frozen)
    rows = np.random.default_rng(0).random((60, 1, 8, 8), dtype="float32")
    run = aaeframe.train(
        rows, channels="first", prior="gaussian", network=network, epochs=1, batch_size=20, out=tmp_path / "run"
    )

    before, after = load_file(file), trunk_of(run)
    assert before.keys() == after.keys()
    kept = {name for name, value in before.items() if torch.equal(value, after[name])}
    assert kept == (before.keys() if frozen else set())
    file.unlink()
    again = aaeframe.load(tmp_path / "run", network=network)
    assert all(torch.equal(value, trunk_of(again)[name]) for name, value in after.items())
    assert torch.equal(torch.as_tensor(again.encode(rows)["gaussian"]), torch.as_tensor(run.encode(rows)["gaussian"]))


def test_weights_of_another_module_are_refused(mine, tmp_path):
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    for name in ("other", "missing"):
        with pytest.raises(ValueError, match=rf"{name}\.safetensors does not hold the weights of the trunk"):
            mine("backbone").Pretrained(IMAGES, 2, weights=tmp_path / f"{name}.safetensors")


def test_tokens_of_the_transformer_see_each_other(mine):
    """A change of one patch changes what becomes of the others."""
    network = mine("patches").Patches(IMAGES, 2, width=16)
    x = torch.rand(1, 1, 8, 8)
    changed = x.clone()
    changed[..., :4, :4] = 1 - changed[..., :4, :4]
    cut, attention, *_ = network.encoder
    difference = (attention(cut(x)) - attention(cut(changed))).abs().amax(1)[0]
    assert difference.shape == (2, 2)
    assert (difference > 1e-6).all()


def test_codes_of_the_full_covariance_follow_their_posterior(mine):
    with torch.random.fork_rng():
        torch.manual_seed(0)

        class Network:
            encoder, num_features = torch.nn.Linear(3, 8), 8

        blocks = {"z": BlockSpec(torch.Size([2]), constraints.independent(constraints.real, 1))}
        encoder = mine("full").Full(Network, blocks)
        x = torch.randn(1, 3)
        (q,) = encoder.posterior(x).values()
        code = encoder(x.expand(100_000, -1))["z"]
    assert isinstance(q, torch.distributions.MultivariateNormal)
    covariance = q.covariance_matrix[0].detach()
    assert covariance[0, 1].abs() > 0.01  # far above what rounding gives, or a diagonal would do
    size = covariance.diagonal().max().item()
    torch.testing.assert_close(code.mean(0), q.loc[0], rtol=0, atol=5 * math.sqrt(size / 100_000))
    torch.testing.assert_close(code.T.cov(), covariance, rtol=0, atol=5 * size * math.sqrt(2 / 100_000))
    zero = encoder(x, torch.zeros(1, 2))["z"]
    torch.testing.assert_close(zero, q.loc)


def test_the_minibatch_discriminator_sees_others_of_the_batch_and_remembers_them(mine):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        block = BlockSpec(torch.Size([2]), constraints.independent(constraints.real, 1))
        critic = mine("minibatch").Minibatch(block, None, kept=4)
        z, spread = torch.randn(1, 2), 3 * torch.randn(7, 2)
    collapsed = z.expand(7, -1)

    def near(others):
        features = critic.features(z)
        return critic.nearness(features, critic.features(others))

    torch.testing.assert_close(near(collapsed), torch.ones(1, 16))
    assert (near(spread) < 1).all()

    def trained_with(others):
        alone = critic.train()(torch.cat([others, z]))[-1]
        return alone, critic.eval()(z)[0]

    (seen, remembered), (other, forgotten) = trained_with(spread), trained_with(collapsed)
    assert not torch.isclose(seen, other)
    assert not torch.isclose(remembered, forgotten)
