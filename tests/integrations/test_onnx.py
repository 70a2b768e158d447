"""ONNX files of every kind of component, run in onnxruntime, and what is refused."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from contextlib import nullcontext
from importlib import import_module
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import aaeframe
import aaeframe.export
from aaeframe.errors import ConfigError, DataError, ExportError, RunError
from aaeframe.export.check import check
from aaeframe.export.folder import export_onnx
from aaeframe.export.onnx import to_onnx
from aaeframe.export.parts import Part, Port

onnx = pytest.importorskip("onnx", reason="no extra 'integrations'")
pytest.importorskip("onnxscript", reason="no extra 'integrations'")
onnxruntime = pytest.importorskip("onnxruntime", reason="no extra 'integrations'")

EXAMPLES = Path(__file__).parents[2] / "plugins/examples"
RANDOM = np.random.default_rng(0)
LABELS = np.arange(200) % 4
TABLE = (RANDOM.normal(size=(200, 5)) * [1e-3, 1, 1, 1, 1e4] + LABELS[:, None]).astype(np.float32)
IMAGES = RANDOM.integers(0, 256, (200, 1, 8, 8), dtype=np.uint8)
SMALL = {"network": "mlp(hidden=[8])", "discriminator": "mlp(hidden=[8])", "epochs": 1, "batch_size": 40}
MOST = 1e-4
"""The largest difference that is left, as a share of the range."""


def trained(data=TABLE, **options):
    return aaeframe.train(data, keep=False, device="cpu", **{**SMALL, **options})


def examples():
    """The priors of all example packages in one product, and the recipe and the discriminator of two others."""
    made = {
        "dirichlet": import_module("aaeframe_dirichlet").dirichlet,
        "flow": import_module("aaeframe_flow.flow").Flow,
        "hypersphere": import_module("aaeframe_hypersphere.sphere").Hypersphere,
        "torus": import_module("aaeframe_torus").Torus,
        "vamp": import_module("aaeframe_vamp.vamp").Vamp,
    }
    return {
        "prior": {name: make() for name, make in made.items()},
        "encoder": "gaussian",
        "discriminator": import_module("aaeframe_fourier.discriminator").Fourier,
    }


def wasserstein():
    return {"recipe": import_module("aaeframe_wasserstein.recipe").Wasserstein, "prior": "mixture"}


FEW = {"labels": 20, "prior": "y=categorical(classes=4)+z=gaussian"}
CASES = {
    "deterministic, swiss roll": (TABLE, {"prior": "swissroll"}, ()),
    "gaussian, mixture, batch norm": (
        TABLE,
        {"prior": "mixture", "encoder": "gaussian", "network": 'mlp(hidden=[8], batch_norm="everywhere")'},
        (),
    ),
    "universal, product, images": (
        IMAGES,
        {
            "prior": "categorical+gaussian",
            "encoder": "universal(hidden=[8], batch_norm=true)",
            "network": 'conv(channels=[4], hidden=8, batch_norm="everywhere")',
            "channels": "first",
        },
        (),
    ),
    "supervised": ((TABLE, LABELS), {"recipe": "supervised"}, ()),
    "reduction": ((TABLE, LABELS), {"recipe": "reduction", **FEW}, ()),
    "semi-supervised": ((TABLE, LABELS), {"recipe": "semi-supervised", **FEW}, ("decoder",)),
    "clustering": (TABLE, {"recipe": "clustering", "prior": FEW["prior"]}, ("encoder",)),
    "variational": (TABLE, {"recipe": "variational", "encoder": "gaussian"}, ("encoder",)),
    "examples": (TABLE, examples, ()),
    "wasserstein": (TABLE, wasserstein, ("decoder",)),
    "names of the exporter's own": (TABLE, {"prior": "linear=gaussian+noise=gaussian", "encoder": "gaussian"}, ()),
    "numbers far from zero": (TABLE.astype(np.float64) + 1e7, {}, ()),
}


@pytest.fixture(scope="module", autouse=True)
def importable():
    """The example packages, in place."""
    with pytest.MonkeyPatch.context() as patched:
        for folder in EXAMPLES.glob("aaeframe-*"):
            patched.syspath_prepend(folder)
        yield


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES)
def exported(request, tmp_path_factory):
    data, options, part = request.param
    run = trained(data, **(options() if callable(options) else options))
    out = tmp_path_factory.mktemp("export") / "out"
    paths = run.export(out, part=part, data=data[0] if isinstance(data, tuple) else data)
    return run, paths, json.loads((out / "manifest.json").read_text())


def outputs(path, inputs):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return dict(zip([it.name for it in session.get_outputs()], session.run(None, inputs), strict=True))


def rows_of(run, count):
    rows = IMAGES if len(run.model.data_shape) == 3 else TABLE
    rows = rows[-count:]
    return rows.astype(np.float64) + 1e7 if run.model.mean.dtype == torch.float64 else rows


def near(got, want, scale=lambda it: it):
    got, want = scale(got.astype(np.float64)), scale(want.astype(np.float64))
    return np.abs(got - want).max() <= MOST * max(np.ptp(want), 1e-2 * np.abs(want).max())


def codes(run, rows, noise):
    """The codes by torch, under the names of the files."""
    with torch.no_grad():
        code = run.model.encoder(run.model.scale(torch.from_numpy(rows)), *map(torch.from_numpy, noise))
    return {"noise_" if block == "noise" else block: z.numpy() for block, z in code.items()}


def test_it_gives_what_the_run_gives_for_any_number_of_rows(exported):
    run, paths, manifest = exported
    for rows in (rows_of(run, 7), rows_of(run, 1)):
        shape = (len(rows), *run.model.noise_shape)
        noise = [RANDOM.normal(size=shape).astype(np.float32)] if run.model.noise_shape else []
        code = codes(run, rows, noise)
        if "encoder" in manifest["parts"]:
            found = outputs(paths[0], {"x": rows, **({"noise": noise[0]} if noise else {})})
            assert all(near(found[name], z) for name, z in code.items())
            found = outputs(paths[0], {"x": rows, **({"noise": np.zeros_like(noise[0])} if noise else {})})
            pairs = zip(found.values(), run.encode(rows).values(), strict=True)
            assert all(near(got, z.numpy()) for got, z in pairs)
        if "decoder" in manifest["parts"]:
            labels = torch.arange(len(rows)) % 4 if run.model.representation.takes_labels else None
            found = outputs(paths[-2], code if labels is None else {**code, "labels": labels.numpy()})
            blocks = dict(zip(run.model.priors, map(torch.from_numpy, code.values()), strict=True))
            x_hat = run.decode(blocks, labels).numpy()
            assert found["x_hat"].dtype == x_hat.dtype
            assert near(found["x_hat"], x_hat, lambda it: (it - run.model.mean.numpy()) / run.model.std.numpy())


def test_the_manifest_describes_the_files(exported):
    run, paths, manifest = exported
    assert [path.name for path in paths] == [*(f"{it}.onnx" for it in manifest["parts"]), "manifest.json"]
    for path, part in zip(paths, manifest["parts"].values(), strict=False):
        content = path.read_bytes()
        assert (part["sha256"], part["bytes"]) == (hashlib.sha256(content).hexdigest(), len(content))
        session = onnxruntime.InferenceSession(content)
        for ports, described in ((session.get_inputs(), part["inputs"]), (session.get_outputs(), part["outputs"])):
            kinds = {"uint8": "uint8", "float32": "float", "float64": "double", "int64": "int64"}
            assert [(it.name, it.shape, it.type) for it in ports] == [
                (it["name"], it["shape"], f"tensor({kinds[it['dtype']]})") for it in described
            ]
        assert all(it["share_of_range"] <= MOST for it in part["difference"].values())
        assert onnx.load(path).opset_import[0].version == part["opset"]
    assert manifest["check"]["rows"] == 64
    assert manifest["run"]["step"] == run.step


def test_a_part_holds_its_own_weights_and_no_paths(exported):
    run, paths, manifest = exported
    for path, title in zip(paths, manifest["parts"], strict=False):
        held = sum(int(np.prod(it.dims)) for it in onnx.load(path).graph.initializer)
        own = [run.model.encoder] if title == "encoder" else [run.model.decoder, run.model.representation]
        needed = sum(it.numel() for part in own for it in (*part.parameters(), *part.buffers()))
        moments = 2 * run.model.data_shape.numel()
        assert held <= needed + moments + 100, path  # and shapes
        content = path.read_bytes()
        assert not [it for it in (str(Path.cwd()), str(Path(torch.__file__).parent), ".py") if it.encode() in content]


WITHOUT_TORCH = """
import importlib.abc, sys

class NoTorch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "aaeframe", "onnx"):
            raise ImportError(name)

sys.meta_path.insert(0, NoTorch())
"""
PAGE = Path(aaeframe.export.__file__).with_name("README.md").read_text("utf-8")


def test_onnxruntime_alone_encodes_decodes_and_scores(tmp_path, monkeypatch):
    """The program of the room's README, where torch cannot be imported."""
    run = trained(prior="mixture", encoder="universal(hidden=[8])")
    monkeypatch.chdir(tmp_path)
    run.export("scored", part=["encoder", "decoder", "score"])
    manifest = json.loads(Path("scored/manifest.json").read_text())
    x = run.dataset().validation.array()[:64]
    np.save("x.npy", x)
    (program,) = re.findall(r"^```py\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    save = "np.savez('found.npz', **code, x_hat=x_hat, score=score)"
    subprocess.run([sys.executable, "-c", f"{WITHOUT_TORCH}{program}{save}"], check=True)
    found, code = np.load("found.npz"), run.encode(x)
    wanted = {"encoder": code["mixture"], "decoder": run.decode(code), "score": run.scores(x)}
    for (title, want), name in zip(wanted.items(), ("mixture", "x_hat", "score"), strict=True):
        largest = manifest["parts"][title]["difference"][name]["largest"]
        rounding = 1e-6 * np.abs(np.asarray(want)).max()  # the code that is decoded is that of the file
        assert np.abs(found[name] - np.asarray(want)).max() <= 2 * largest + rounding


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("density", {"prior": "mixture", "encoder": "gaussian"}),
        ("density", {"recipe": "supervised"}),
        ("reconstruction", {"encoder": "universal(hidden=[8])"}),
        ("discriminator", {"prior": "categorical+gaussian"}),
        ("prior", {"prior": "gaussian"}),
    ],
)
def test_a_score_is_that_of_the_run(kind, options, tmp_path):
    run = trained((TABLE, LABELS) if "recipe" in options else TABLE, **options)
    path, manifest = run.export(tmp_path / "out", part="score", kind=kind)
    labels = {"labels": LABELS[:9]} if "recipe" in options else {}
    found = outputs(path, {"x": TABLE[:9], **labels})["score"]
    want = run.scores(TABLE[:9], kind=kind, labels=torch.from_numpy(LABELS[:9]) if labels else None)

    assert near(found, want)
    entry = json.loads(manifest.read_text())["parts"]["score"]
    assert entry["kind"] == kind
    if kind == "density":
        training = run.scores(
            run.dataset().train.array(), labels=torch.from_numpy(run.dataset().train.labels) if labels else None
        )
        assert entry["training_quantiles"]["0.9"] == pytest.approx(np.quantile(training, 0.9), rel=1e-6)


def test_a_density_that_onnx_cannot_compute_is_refused(tmp_path):
    run = trained(prior="mixture")
    with pytest.raises(ExportError, match=r"score cannot be exported to ONNX: .*linalg_solve_triangular"):
        run.export(tmp_path / "out", part="score", kind="prior")
    with pytest.raises(ConfigError, match="there is no kind of score 'density2'; kinds are density, "):
        run.export(tmp_path / "out", part="score", kind="density2")
    assert list(tmp_path.iterdir()) == []


class Body(nn.Module):
    """An encoder's body that computes something else while it is exported, in a form that `wrong` decides."""

    def __init__(self, size, wrong):
        super().__init__()
        self.layer, self.wrong = nn.Linear(size, 8), wrong

    def forward(self, x):
        x = self.layer(x)
        if self.wrong == "branch" and x.sum() > 0:
            return x
        return x * 1.01 if self.wrong == "other" and torch.compiler.is_exporting() else x


class Network(nn.Module):
    def __init__(self, data, code_size, *, wrong: str):
        super().__init__()
        self.num_features = 8
        self.encoder = Body(data.shape.numel(), wrong)
        self.decoder = nn.Sequential(nn.Linear(code_size, data.shape.numel()))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [("other", "encoder is not the model: its 'gaussian' differs by up to"), ("branch", "cannot be exported to ONNX")],
)
def test_a_file_that_is_not_the_model_is_not_left(wrong, message, tmp_path):
    from functools import partial

    run = trained(network=partial(Network, wrong=wrong), prior="gaussian")
    with pytest.raises(ExportError, match=message):
        run.export(tmp_path / "new" / "out")
    assert list(tmp_path.iterdir()) == []


def test_values_that_are_not_finite_are_refused(tmp_path):
    run = trained()
    with torch.no_grad():
        next(run.model.decoder.parameters()).fill_(torch.nan)
    with pytest.raises(ExportError, match="'x_hat' differs by up to nan"):
        run.export(tmp_path / "out", part="decoder")
    assert list(tmp_path.iterdir()) == []


class Shifted(Part):
    """A part whose file is off by a constant from what is expected."""

    title = "encoder"

    def __init__(self, off):
        nn.Module.__init__(self)
        self.inputs, self.outputs, self.off = [Port("x", "float32", (1,), "")], [Port("z", "float32", (1,), "")], off

    def forward(self, *inputs):
        return (inputs[0] + self.off,)

    def expected(self, model, feeds):
        return feeds


@pytest.mark.parametrize(
    ("low", "high", "rows", "off", "refused"),
    [
        (1000, 1005, 20, 0.09, True),  # 1.8 % of the range
        (1000, 1005, 20, 1e-3, False),  # 1e-6 of the magnitude, as rounding is
        (1000, 1000, 20, 0.09, True),
        (1000, 1000, 1, 0.09, False),  # the range of one number is its magnitude
        (0, 0, 20, 1e-3, True),
    ],
)
def test_a_difference_is_compared_with_the_range_far_from_zero_too(low, high, rows, off, refused):
    part, feeds = Shifted(off), [np.linspace(low, high, rows, dtype=np.float32).reshape(-1, 1)]
    with pytest.raises(ExportError, match="'z' differs by up to") if refused else nullcontext():
        check(part, to_onnx(part, feeds), None, feeds)


def test_packages_of_another_distribution_name_are_enough(tmp_path, finished_run, monkeypatch):
    """onnxruntime-gpu brings the module onnxruntime, and no distribution of that name."""
    known = Distribution.from_name

    def renamed(name):
        if name in ("aaeframe", "onnxruntime", "torch"):
            raise PackageNotFoundError(name)
        return known(name)

    monkeypatch.setattr(Distribution, "from_name", renamed)
    *_, manifest = finished_run.export(tmp_path / "out", part="decoder", data=TABLE)
    versions = json.loads(manifest.read_text())["versions"]
    assert (versions["aaeframe"], versions["onnxruntime"]) == (aaeframe.__version__, onnxruntime.__version__)
    assert versions["torch"] == torch.__version__


class Whole(nn.Module):
    """An encoder that holds the whole network, decoder and all."""

    noise_shape = torch.Size()

    def __init__(self, network, blocks):
        super().__init__()
        self.network = network
        self.head = nn.Linear(network.num_features, 2)

    def forward(self, x, noise=None):
        return {"gaussian": self.head(self.network.encoder(x))}


def test_weights_that_a_part_does_not_use_are_left_out(tmp_path):
    run = trained(encoder=Whole, network="mlp(hidden=[8], decoder_hidden=[300])", prior="gaussian")
    path, _ = run.export(tmp_path / "out", part="encoder")
    assert run.model.encoder.network.decoder[0].weight.numel() == 600
    assert sum(int(np.prod(it.dims)) for it in onnx.load(path).graph.initializer) < 100


def test_what_is_asked_for_wrongly(tmp_path, finished_run):
    with pytest.raises(ConfigError, match="--part head is not a part of a model; parts are encoder, decoder and score"):
        finished_run.export(tmp_path / "out", part="head")
    with pytest.raises(RunError, match="exists already; an export is never overwritten"):
        finished_run.export(tmp_path)
    with pytest.raises(DataError, match="the given rows: there are none to check the files on; give at least one"):
        export_onnx(finished_run.model, TABLE[:0], tmp_path / "out")
    with pytest.raises(DataError, match=r"passed in from Python.* Or check the files on other rows: --data"):
        aaeframe.load(finished_run.folder.path).export(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    return aaeframe.train(TABLE, out=tmp_path_factory.mktemp("runs") / "run", device="cpu", **SMALL)


def test_the_command_prints_what_it_wrote(tmp_path, finished_run):
    np.save(tmp_path / "rows.npy", TABLE[:9])
    command = [
        *(sys.executable, "-m", "aaeframe", "export", finished_run.folder.path, "--out", tmp_path / "out"),
        *("--part", "encoder", "--data", tmp_path / "rows.npy", "--json"),
    ]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=True)
    files = [str(tmp_path / "out" / name) for name in ("encoder.onnx", "manifest.json")]
    assert json.loads(done.stdout) == {"files": files}
    assert done.stderr == ""
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert manifest["check"] == {"rows": 9, "of": "rows of rows.npy", "against": "torch on cpu"}
