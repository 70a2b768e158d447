from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
import typer

from aaeframe.cli import app, is_of_memory, main
from aaeframe.configuration import presets
from aaeframe.configuration.schema import BlockConfig, DataConfig, LabelFreeConfig, TrainingConfig, parse, read

SMALL = ("--network", "mlp(hidden=[8])", "--discriminator", "mlp(hidden=[8])", "--epochs", "1")


def png(path):
    return Path(path).read_bytes().startswith(b"\x89PNG")


def test_training_prints_match_and_reconstruction_and_paths_that_exist(done, table, tmp_path):
    outcome = done(
        "train", "--data", table, "--prior", "mixture(components=3)", "--labels", 12, *SMALL, "--out", tmp_path / "r"
    )
    for title in ("Match of block 'mixture' with its prior, 6 validation rows", "Reconstruction, 6 validation rows"):
        assert title in outcome.out
    for row in ("sliced Wasserstein", "MMD²", "classifier two-sample accuracy", "codes in their class's component"):
        assert row in outcome.out
    lines = [line.split(maxsplit=1) for line in outcome.out.splitlines()]
    assert ["run", str(tmp_path / "r")] in lines
    figures = [path for kind, *path in filter(None, lines) if kind == "figure"]
    assert len(figures) >= 4
    assert all(png(path) for (path,) in figures)
    assert "epoch 1/1" in outcome.err
    assert "12 labels" in outcome.err
    assert "; 1 epoch, schedule" in outcome.err
    assert json.loads((tmp_path / "r/evaluation.json").read_text()).keys() == {"validation"}


@pytest.mark.slow
def test_json_is_alone_on_standard_output_of_a_real_process(table, tmp_path):
    command = [str(Path(sys.executable).with_name("aaeframe")), "train", "--data", "table.npz", *SMALL, "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    folder = tmp_path / result["run"]
    assert folder.parent == tmp_path / "runs"
    assert folder.name.endswith("-gaussian-deterministic")
    assert result["finished"] is True
    assert result["evaluation"]["blocks"].keys() == {"gaussian"}
    assert all(png(tmp_path / path) for path in result["figures"])
    assert "\x1b" not in done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("epoch 1/1  rec ")]
    assert read(folder / "config.toml")["data"]["source"] == str(table)


def show(done, *arguments):
    return parse(tomllib.loads(done("config", "show", *arguments).out))


def test_every_flag_reaches_the_configuration(done):
    config = show(
        done,
        *("--prior", "y=categorical(classes=3)+z=gaussian", "--encoder", "gaussian", "--network", "conv"),
        *("--discriminator", "spectral", "--data", "mnist", "--label-key", "y", "--labels", 7),
        *("--recipe", "unsupervised(entropy_weight=0.5)", "--schedule", "joint"),
        *("--epochs", 3, "--batch-size", 9, "--seed", 5),
        *("--device", "cpu"),
        *("--precision", "bf16", "--ema", 0.5, "--set", "training.checkpoint_every=4", "--set", "prior.z.weight=0.5"),
    )
    assert {name: part.component for name, part in config.prior.items()} == {
        "y": "aaeframe:categorical",
        "z": "aaeframe:gaussian",
    }
    assert config.prior["y"].options == {"classes": 3}
    assert config.prior["z"].weight == 0.5
    assert config.encoder.component == "aaeframe:gaussian"
    assert config.network.component == "aaeframe:conv"
    assert config.discriminator.component == "aaeframe:spectral"
    assert (config.data.source, config.data.label_key, config.data.labels) == ("aaeframe:mnist", "y", 7)
    training = config.training
    assert (training.schedule, training.epochs, training.batch_size) == ("joint", 3, 9)
    assert (config.recipe.component, config.recipe.options) == ("aaeframe:unsupervised", {"entropy_weight": 0.5})
    assert (training.seed, training.device, training.precision, training.ema) == (5, "cpu", "bf16", 0.5)
    assert training.checkpoint_every == 4


def test_settings_override_flags_override_a_file_overrides_a_preset(done, tmp_path, monkeypatch):
    monkeypatch.setattr(presets, "files", lambda package: tmp_path)
    (tmp_path / "small.toml").write_text('encoder = "universal"\n[training]\nepochs = 2\nseed = 2\nema = 0.2\n')
    (tmp_path / "file.toml").write_text("[training]\nseed = 3\nema = 0.3\nbatch_size = 3\n")
    layers = ("--preset", "small", "--config", tmp_path / "file.toml", "--ema", 0.4, "--batch-size", 4)
    config = show(done, *layers, "--set", "training.batch_size=5")
    assert config.encoder.component == "aaeframe:universal"
    training = config.training
    assert (training.epochs, training.seed, training.ema, training.batch_size) == (2, 3, 0.4, 5)


@pytest.mark.slow
def test_what_config_show_prints_is_the_same_run_when_given_back(done, table, tmp_path):
    flags = ("--data", table, "--prior", "categorical(classes=3)+mixture", "--encoder", "universal(hidden=[8])", *SMALL)
    shown = done("config", "show", *flags).out
    (tmp_path / "shown.toml").write_text(shown)
    assert done("config", "show", "--config", tmp_path / "shown.toml").out == shown
    from aaeframe.components.registry import Registry
    from aaeframe.configuration.resolve import resolve
    from aaeframe.runs.start import start

    registry = Registry.load()
    runs = [
        start(resolve(parse(tomllib.loads(text)), registry).config, registry, out=tmp_path / name)
        for name, text in (("a", shown), ("b", (tmp_path / "shown.toml").read_text()))
    ]
    kept = [(run.folder.config.read_text(), run.sample(3, seed=0).tolist()) for run in runs]
    assert kept[0] == kept[1]
    assert tomllib.loads(kept[0][0]) == tomllib.loads(shown)
    assert kept[0][0].splitlines() == [line for line in shown.splitlines() if not line.startswith("#")]


def test_config_show_prints_every_key_and_comments_on_those_that_are_not_set(done):
    shown = done("config", "show", "--prior", "mixture").out
    for line in (
        "# labeled_batch_size: not set; labeled examples a step; batch_size if not given",
        "# components: not set",
        "# discriminator: not set",
    ):
        assert line in shown.splitlines()
    found = {line.removeprefix("# ").partition(" = ")[0].partition(":")[0] for line in shown.splitlines()}
    for table in (DataConfig, BlockConfig, TrainingConfig, LabelFreeConfig):
        assert table.model_fields.keys() - {"options"} <= found


def test_config_show_as_json(done):
    shown = done("config", "show", "--prior", "mixture", "--json").json
    assert shown["prior"]["mixture"]["options"]["components"] is None
    assert shown["training"]["epochs"] == 100


def test_config_show_takes_every_flag_of_train_that_shapes_a_run():
    def flags(*path):
        command = typer.main.get_command(app)
        for name in path:
            command = command.commands[name]
        return {option for parameter in command.params for option in parameter.opts}

    assert flags("train") - flags("config", "show") == {"--out", "--resume"}
    assert flags("config", "show") - flags("train") == set()


def test_a_blocked_plugin_is_not_loaded(cli):
    outcome = cli("--no-plugin", "priors", "config", "show")
    assert outcome.code == 2
    assert "gaussian" in outcome.err
    assert "blocked" in outcome.err


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_out_of_range_is_refused(cli, seed):
    outcome = cli("config", "show", "--seed", seed)
    assert outcome.code == 2
    assert "training.seed: should be" in outcome.err


@pytest.mark.slow
@pytest.mark.usefixtures("no_figures")
def test_the_largest_seed_is_one(done, table, tmp_path):
    show(done, "--seed", 2**63 - 1)
    done("train", "--data", table, *SMALL, "--seed", 2**63 - 1, "--out", tmp_path / "run")
    for command in ("sample", "encode"):
        done(command, tmp_path / "run", "--seed", 2**63 - 1)


ENDED = {
    "of Python": (MemoryError(), "nothing is left"),
    "of NumPy": (MemoryError("Unable to allocate 9 EiB"), "Unable to allocate 9 EiB"),
    "of the CPU": (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "you tried"),
    "of a GPU": (
        torch.OutOfMemoryError("CUDA out of memory. Tried\nmore lines"),
        "CUDA out of memory. Tried. Use less",
    ),
}


@pytest.mark.parametrize(("error", "words"), ENDED.values(), ids=ENDED.keys())
def test_memory_that_runs_out_is_told_in_a_sentence(cli, monkeypatch, error, words):
    def hungry(*_):
        raise error

    monkeypatch.setattr("aaeframe.configuration.compose.compose", hungry)
    outcome = cli("config", "show")
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    for part in ("error: out of memory: ", words, "a smaller --batch-size"):
        assert part in outcome.err


def test_the_cpus_allocator_is_known_by_its_words():
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**60)
    assert is_of_memory(raised.value)


def test_another_error_of_torch_keeps_its_traceback(monkeypatch):
    def broken(*_):
        raise RuntimeError("sizes do not match")

    monkeypatch.setattr("aaeframe.configuration.compose.compose", broken)
    monkeypatch.setattr(sys, "argv", ["aaeframe", "config", "show"])
    with pytest.raises(RuntimeError, match="sizes"):
        main()


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch):
    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr("aaeframe.configuration.compose.compose", broken)
    monkeypatch.setattr(sys, "argv", ["aaeframe", "config", "show"])
    with pytest.raises(ZeroDivisionError):
        main()


@pytest.mark.slow
@pytest.mark.usefixtures("no_figures")
def test_a_run_starts_from_another(done, cli, refused, table, tmp_path):
    first = tmp_path / "first"
    parts = ("--prior", "mixture(components=3)", *SMALL[:4])
    done("train", "--data", table, *parts, "--epochs", 1, "--out", first)
    done("train", "--data", table, "--initial", first, "--epochs", 1, "--out", tmp_path / "second")
    config = read(tmp_path / "second/config.toml")
    assert config["prior"]["mixture"]["options"]["components"] == 3
    assert config["training"]["initial"] == str(first)
    refused(cli("train", "--data", table, "--initial", tmp_path / "none", "--epochs", 1), "is not a run")


def test_every_row_is_trained_on_for_a_number_of_steps(done, table, tmp_path):
    settings = ("--set", "data.held_out=[0,0]", "--set", "training.steps=3")
    outcome = done("train", "--data", table, *SMALL[:4], *settings, "--out", tmp_path / "r")
    assert "no validation rows were held out, so nothing is evaluated" in outcome.err
    assert json.loads((tmp_path / "r/metrics.jsonl").read_text().splitlines()[-1])["step"] == 3
