from __future__ import annotations

import logging
import platform
import random
import re
import shutil
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import aaeframe
from aaeframe import cli
from aaeframe import run as runs
from aaeframe.checkpoint import Checkpoint, latest, paths, read, write
from aaeframe.data import from_arrays
from aaeframe.errors import CheckpointError, ConfigError, DataError, RunError
from aaeframe.metrics import MetricsFile
from aaeframe.registry import Registry
from aaeframe.run import Hooks, load, resume

LABELS = np.arange(100) % 10
ROWS = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32) + LABELS[:, None]
SMALL = {"network": "mlp(hidden=[8])", "discriminator": "mlp(hidden=[8])"}
FILES = ["model.safetensors", "optimizer.safetensors", "state.json"]
STEPS = 4
"""Of an epoch: 80 rows are for training."""
TRAINING = {"epochs": 2, "batch_size": 20, "device": "cpu"}


def trained(out, rows=ROWS, *, config=None, hooks=None, prior="gaussian", **training):
    chosen = {} if hooks is None else {"hooks": hooks}
    return aaeframe.train(rows, prior=prior, config=config, out=out, **SMALL, **{**TRAINING, **training}, **chosen)


@pytest.fixture(scope="module")
def registry():
    return Registry.load()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of two epochs with a moving average."""
    return trained(tmp_path_factory.mktemp("runs") / "run", ema=0.9)


class Telling:
    """Remembers what a training told, and asks it to stop after some steps."""

    def __init__(self, stop_after=None, look=lambda row: None):
        self.stop_after, self.look = stop_after, look
        self.started, self.noticed, self.steps = [], [], 0

    @property
    def hooks(self):
        return Hooks(self, lambda: self.steps == self.stop_after, self._start, self.noticed.append)

    def _start(self, config, folder, steps):
        self.started.append((config.training.epochs, folder.path, steps))

    def stepped(self, epoch, step):
        self.steps += 1

    def epoch_ended(self, row, warnings):
        self.look(row)


def command(monkeypatch, capsys, *arguments):
    """The command line's exit code and standard error."""
    monkeypatch.setattr(sys, "argv", ["aaeframe", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return caught.value.code, capsys.readouterr().err


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_same_rows(first, second):
    """Of the metrics, but for times."""
    times = ("seconds", "steps_per_second")
    mine, theirs = (
        [{key: it for key, it in row.items() if key not in times} for row in MetricsFile(run.folder.metrics).rows()]
        for run in (first, second)
    )
    assert mine == theirs


def assert_same_model(first, second):
    mine, theirs = first.model.state_dict(), second.model.state_dict()
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if not torch.equal(mine[name], theirs[name])] == []


# Training and its folder.


def test_a_run_is_told_and_leaves_its_folder(tmp_path):
    told = Telling()
    run = trained(tmp_path / "run", hooks=told.hooks)
    assert run.finished
    assert told.started == [(2, tmp_path / "run", 8)]
    assert told.noticed == []
    assert sorted(path.name for path in run.folder.path.iterdir()) == ["checkpoints", "config.toml", "metrics.jsonl"]
    assert len(MetricsFile(run.folder.metrics).rows()) == 2
    assert not run.model.training


def test_runs_that_start_in_one_second_have_a_folder_each(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda form: "20250101-000000")
    load_data, others = runs.load_data, []

    def load_slowly(config):
        if not others:  # while this run loads its data, another of the same name starts and ends
            others.append(None)
            others[0] = aaeframe.train(data, epochs=1, **SMALL)
        return load_data(config)

    data = tmp_path / "rows.npy"
    np.save(data, ROWS)
    monkeypatch.setattr(runs, "load_data", load_slowly)
    run = aaeframe.train(data, epochs=1, ema=0.5, **SMALL)
    assert run.folder.path.name == f"{others[0].folder.path.name}-2"
    assert [len(MetricsFile(it.folder.metrics).rows()) for it in (run, *others)] == [1, 1]
    assert_same_model(load(run.folder.path), run)


def test_there_is_no_pickle_in_a_run(finished):
    assert {path.suffix for path in content(finished.folder.path)} == {".toml", ".jsonl", ".json", ".safetensors"}
    for path in finished.folder.path.rglob("*.safetensors"):
        load_file(path)


def test_training_leaves_the_callers_random_state_and_logging_alone(tmp_path):
    handlers = [list(logger.handlers) for logger in (logging.getLogger(), logging.getLogger("aaeframe"))]
    before = torch.get_rng_state(), np.random.get_state(), random.getstate()
    trained(tmp_path / "run", encoder="universal", ema=0.9)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1][1])
    assert random.getstate() == before[2]
    assert [list(logger.handlers) for logger in (logging.getLogger(), logging.getLogger("aaeframe"))] == handlers


def test_the_callers_random_state_changes_nothing(tmp_path):
    runs = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        runs.append(trained(tmp_path / str(seed), encoder="universal"))
    assert_same_model(*runs)


def test_same_seed_same_bits_other_seed_others(tmp_path):
    first, second, other = (trained(tmp_path / name, seed=seed) for name, seed in [("a", 5), ("b", 5), ("c", 6)])
    assert_same_model(first, second)
    checkpoints = [content(latest(run.folder.checkpoints)) for run in (first, second)]
    for path, data in checkpoints[0].items():
        if path.suffix == ".safetensors":
            assert checkpoints[1][path] == data
    with pytest.raises(AssertionError):
        assert_same_model(first, other)


def test_evaluating_after_every_epoch_changes_no_weight(tmp_path):
    dataset = from_arrays(ROWS)

    def look(row):
        now = load(tmp_path / "watched")
        if row["epoch"] == 1:
            now.evaluate(dataset, split="validation")
        now.sample(3, seed=0)
        now.encode(ROWS, draws=2, generator=torch.Generator().manual_seed(0))

    watched = trained(tmp_path / "watched", hooks=Telling(look=look).hooks, encoder="universal", checkpoint_every=1)
    assert_same_model(watched, trained(tmp_path / "alone", encoder="universal", checkpoint_every=1))


@pytest.mark.parametrize("labels", [0, 20])
def test_streamed_data_trains_to_the_same_bits(tmp_path, labels):
    def run(name, mib):
        table = {"data": {"max_resident_mib": mib, "labels": labels}}
        return trained(tmp_path / name, (ROWS, LABELS), config=table, prior="mixture")

    assert_same_model(run("resident", 100), run("streamed", 1e-5))


# Loading.


def test_a_loaded_run_is_the_one_that_was_trained(finished):
    again = load(finished.folder.path)
    assert_same_model(again, finished)
    assert again.finished
    assert not again.model.training
    assert torch.equal(again.reconstruct(ROWS), finished.reconstruct(ROWS))
    assert torch.equal(again.sample(3, seed=1), finished.sample(3, seed=1))


def test_the_average_is_loaded_unless_raw_weights_are_asked_for(finished):
    saved = load_file(latest(finished.folder.checkpoints) / "model.safetensors")
    for raw, prefix in [(False, "ema."), (True, "model.")]:
        run = load(finished.folder.path, raw_weights=raw)
        assert all(torch.equal(value, saved[prefix + name]) for name, value in run.model.state_dict().items())
    averaged, raw = (load(finished.folder.path, raw_weights=raw).reconstruct(ROWS) for raw in (False, True))
    assert not torch.equal(averaged, raw)


def test_loading_leaves_the_callers_random_state_alone(finished):
    before = torch.get_rng_state()
    load(finished.folder.path)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_stopped_run_is_loaded_as_unfinished(tmp_path):
    run = trained(tmp_path / "run", hooks=Telling(stop_after=3).hooks)
    assert not run.finished
    assert not load(tmp_path / "run").finished
    assert_same_model(load(tmp_path / "run"), run)


def test_data_and_priors_from_python_must_be_given_again(tmp_path, registry):
    prior = torch.distributions.Independent(torch.distributions.Laplace(torch.zeros(2), 1.0), 1)
    run = trained(tmp_path / "run", prior=prior)
    with pytest.raises(
        DataError, match=r"trained on arrays passed in from Python.*run\.evaluate\(aaeframe\.data\.from_arrays"
    ):
        resume(tmp_path / "run", registry, priors={"z": prior})
    with pytest.raises(ConfigError, match=r"the prior of block 'z' was an object from Python \(Independent\)"):
        load(tmp_path / "run")
    assert_same_model(load(tmp_path / "run", priors={"z": prior}), run)


def test_a_run_of_a_plugin_that_is_gone_says_so(tmp_path):
    trained(tmp_path / "run")
    config = tmp_path / "run" / "config.toml"
    config.write_text(config.read_text().replace("aaeframe:gaussian", "aaeframe-torus:torus"))
    with pytest.raises(CheckpointError, match=r"(?s)needs what is not here: .*torus.*pip install"):
        load(tmp_path / "run")


DRAWN = """
import torch
from aaeframe import Component, hookimpl

@hookimpl
def aaeframe_priors():
    return [Component("drawn", "aaeframe_drawn:Drawn", "a Gaussian around a center of its own")]

class Drawn(torch.distributions.MultivariateNormal):
    def __init__(self):
        super().__init__(torch.randn(2), torch.eye(2))
"""


def test_what_a_prior_drew_when_it_was_built_is_loaded_again(tmp_path, install):
    install("aaeframe-drawn", {"aaeframe_drawn": DRAWN})
    center = trained(tmp_path / "run", prior="drawn", seed=3).model.priors["drawn"].loc
    torch.manual_seed(99)
    assert torch.equal(load(tmp_path / "run").model.priors["drawn"].loc, center)
    assert not torch.equal(trained(tmp_path / "other", prior="drawn", seed=4).model.priors["drawn"].loc, center)


def test_a_prior_that_cannot_be_copied_stands_beside_a_moving_average(tmp_path):
    scale = torch.ones(2, requires_grad=True) * 2  # no leaf of a graph: deepcopy refuses it
    prior = torch.distributions.Independent(torch.distributions.Normal(torch.zeros(2), scale), 1)
    assert trained(tmp_path / "run", prior=prior, ema=0.9).finished


# Encoding.


def test_any_array_is_encoded_whatever_its_memory(finished):
    locked = ROWS.copy()
    locked.flags.writeable = False
    [code] = finished.encode(ROWS).values()
    for x, expected in [(ROWS[::-1], code.flip(0)), (locked, code), (np.asfortranarray(ROWS), code)]:
        [found] = finished.encode(x).values()
        assert torch.equal(found, expected)


# Resuming.


def test_a_finished_run_is_not_harmed(finished, registry):
    told = Telling()
    before = content(finished.folder.path)
    again = resume(finished.folder.path, registry, dataset=from_arrays(ROWS), hooks=told.hooks)
    assert again.finished
    assert told.noticed == ["all 2 epochs were done already; nothing was trained"]
    assert told.steps == 0
    assert content(finished.folder.path) == before
    assert_same_model(again, finished)


def test_changed_data_is_refused_and_nothing_touched(tmp_path, registry):
    trained(tmp_path / "run", hooks=Telling(stop_after=6).hooks)
    metrics = tmp_path / "run" / "metrics.jsonl"
    metrics.write_bytes(metrics.read_bytes() + b'{"epoch": 2}\n')
    before = content(tmp_path / "run")
    with pytest.raises(CheckpointError, match="the training data is not what this run was trained on so far"):
        resume(tmp_path / "run", registry, dataset=from_arrays(ROWS + 1))
    assert content(tmp_path / "run") == before


def test_rows_after_the_checkpoint_are_written_anew(tmp_path, registry):
    whole = trained(tmp_path / "whole")
    trained(tmp_path / "run", hooks=Telling(stop_after=6).hooks)
    metrics = MetricsFile(tmp_path / "run" / "metrics.jsonl")
    metrics.append({"epoch": 2, "of": "a process that was killed"})
    resume(tmp_path / "run", registry, dataset=from_arrays(ROWS))
    rows = metrics.rows()
    assert [row["epoch"] for row in rows] == [1, 2]
    assert rows[1]["reconstruction"] == MetricsFile(whole.folder.metrics).rows()[1]["reconstruction"]


def spoil(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """A run of four epochs; its checkpoints are of steps 12 and 16."""
    return trained(tmp_path_factory.mktemp("runs") / "run", checkpoint_every=1, epochs=4)


@pytest.fixture
def copy(tmp_path, long):
    """A copy of it, to be damaged."""
    return shutil.copytree(long.folder.path, tmp_path / "run")


def resumed(path, registry, told):
    return resume(path, registry, dataset=from_arrays(ROWS), hooks=told.hooks)


@pytest.mark.parametrize("file", FILES)
def test_a_damaged_checkpoint_is_told_of_and_set_aside_and_the_bits_are_the_same(copy, long, registry, file):
    newest, told = latest(copy / "checkpoints"), Telling()
    spoil(newest / file)
    spoilt = content(newest)
    run = resumed(copy, registry, told)
    assert told.steps == STEPS
    assert_same_model(run, long)
    assert_same_rows(run, long)
    assert content(latest(copy / "checkpoints")).keys() == spoilt.keys()
    assert_same_model(load(copy), long)
    damage, kept = told.noticed
    assert damage.startswith(f"the checkpoint file {newest / file} cannot be used: ")
    assert damage.endswith("; step-00000012, the newest that is whole, is taken in its place")
    assert kept == f"step-00000016 is kept as {newest.with_name('set-aside-step-00000016')}"
    assert content(newest.with_name("set-aside-step-00000016")) == spoilt


def test_from_python_what_is_worth_telling_is_a_warning(copy, long, registry):
    spoil(latest(copy / "checkpoints") / "model.safetensors")
    with pytest.warns(UserWarning, match="step-00000016") as told:
        assert_same_model(resume(copy, registry, dataset=from_arrays(ROWS)), long)
    damage, kept = (str(it.message) for it in told)
    assert damage.endswith("step-00000012, the newest that is whole, is taken in its place")
    assert kept.startswith("step-00000016 is kept as")


PHASES = "reconstruction, discriminator, generator"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "optimizers.reconstruction",
            "optimizers.foo",
            f"phases foo, discriminator, generator, where .* has {PHASES};",
        ),
        ("[plugins]", '[optimizers.foo]\nname = "adam"\n\n[plugins]', f"phases {PHASES}, foo, where .* has {PHASES};"),
        ('"alternating"', '"joint"', f"phases {PHASES}, where schedule 'joint' of .* has autoencoder, discriminator;"),
        ('schedule = "alternating"\n', "", "training.schedule is missing; .* has: alternating, joint"),
    ],
    ids=["another", "one more", "schedule", "no schedule"],
)
def test_optimizers_that_do_not_fit_the_recipe_are_refused(copy, registry, old, new, message):
    text = (copy / "config.toml").read_text()
    assert old in text
    (copy / "config.toml").write_text(text.replace(old, new))
    before = content(copy)
    with pytest.raises(ConfigError, match=message):
        resumed(copy, registry, Telling())
    assert content(copy) == before


def test_without_a_whole_checkpoint_each_is_told_of_and_nothing_touched(copy, registry):
    for path, file in zip(paths(copy / "checkpoints"), FILES, strict=False):
        (path / file).unlink()
    before = content(copy)
    with pytest.raises(CheckpointError) as caught:
        resumed(copy, registry, Telling())
    assert re.fullmatch(
        r"no checkpoint in .*/checkpoints can be used; restore one of them, .*, or train anew:\n"
        r"  .*/step-00000016/optimizer.safetensors cannot be used: No such file or directory\n"
        r"  .*/step-00000012/model.safetensors cannot be used: No such file or directory",
        str(caught.value),
    )
    assert content(copy) == before


@pytest.mark.parametrize("kept", [20, -1])
def test_rows_that_were_lost_are_trained_again_from_the_checkpoint_before_them(copy, long, registry, kept):
    metrics, told = copy / "metrics.jsonl", Telling()
    rows = metrics.read_bytes().splitlines(keepends=True)
    metrics.write_bytes(b"".join(rows[:3]) + rows[3][:kept])
    run = resumed(copy, registry, told)
    assert told.steps == STEPS
    assert_same_model(run, long)
    assert_same_rows(run, long)
    assert "metrics.jsonl has" in told.noticed[0]
    assert "rows were lost" in told.noticed[0]


@pytest.mark.parametrize("kept", [0, 20])
def test_rows_that_no_checkpoint_can_do_without_are_an_error(copy, registry, kept):
    metrics = copy / "metrics.jsonl"
    metrics.write_bytes(metrics.read_bytes()[:kept])
    before = content(copy)
    with pytest.raises(
        CheckpointError, match=rf"(?s)or what it lacks, from a copy.*(has {kept} bytes, but .*lost.*){{2}}"
    ):
        resumed(copy, registry, Telling())
    assert content(copy) == before


def test_numbers_are_never_of_an_older_checkpoint_than_the_newest(copy, monkeypatch, capsys):
    newest = latest(copy / "checkpoints")
    spoil(newest / "model.safetensors")
    before = content(copy)
    with pytest.raises(
        CheckpointError, match=rf"model.safetensors cannot be used: its SHA-256 .* train --resume {copy}"
    ):
        load(copy)
    for arguments in (["evaluate"], ["sample"], ["encode"], ["reconstruct"], ["figures"]):
        code, err = command(monkeypatch, capsys, *arguments, copy)
        assert code == 2
        assert "step-00000012 is whole, and would give other numbers" in err
        assert "or remove step-00000016 to use it as it is" in err
    assert content(copy) == before
    shutil.rmtree(newest)
    assert load(copy).step == 3 * STEPS


def test_another_number_of_threads_is_noted_in_words(tmp_path, registry):
    trained(tmp_path / "run", hooks=Telling(stop_after=6).hooks)
    told, threads = Telling(), torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        run = resume(tmp_path / "run", registry, dataset=from_arrays(ROWS), hooks=told.hooks)
    finally:
        torch.set_num_threads(threads)
    assert run.finished
    assert told.noticed == [
        f"no longer bitwise equal to a run that was never stopped: threads was {threads}, is {threads + 1}"
    ]


def test_a_configuration_that_was_changed_is_noted_in_words(copy, monkeypatch, capsys, registry):
    load(copy)  # without a warning, which would be an error
    config, told = copy / "config.toml", Telling()
    config.write_text(f"# by hand\n{config.read_text().replace('epochs = 4', 'epochs = 5')}")
    sentence = f"{config} was changed since the checkpoint was written: training.epochs was 4, is 5"
    with pytest.warns(UserWarning, match=re.escape(sentence)):
        load(copy)
    _, err = command(monkeypatch, capsys, "sample", copy)
    assert f"note: {sentence}" in err.splitlines()
    resumed(copy, registry, told)
    assert told.steps == STEPS
    assert told.noticed == [f"no longer bitwise equal to a run that was never stopped: {sentence}"]
    load(copy)


def test_a_checkpoint_of_a_version_that_kept_no_configuration_passes(copy, registry):
    newest = latest(copy / "checkpoints")
    saved = read(newest)
    before = {key: value for key, value in saved.state.items() if key not in ("config", "format", "digests")}
    shutil.rmtree(newest)
    write(copy / "checkpoints", before["step"], Checkpoint(saved.model, saved.optimizer, before))
    told = Telling()
    resumed(copy, registry, told)
    assert told.noticed == ["all 4 epochs were done already; nothing was trained"]
    load(copy)


def test_resuming_leaves_the_callers_random_state_alone(tmp_path, registry):
    trained(tmp_path / "run", hooks=Telling(stop_after=6).hooks)
    torch.rand(1)  # a state no run ends in
    before = torch.get_rng_state()
    resume(tmp_path / "run", registry, dataset=from_arrays(ROWS))
    assert torch.equal(torch.get_rng_state(), before)


def test_in_the_same_environment_nothing_is_noted(tmp_path, registry):
    trained(tmp_path / "run", hooks=Telling(stop_after=6).hooks)
    told = Telling()
    resume(tmp_path / "run", registry, dataset=from_arrays(ROWS), hooks=told.hooks)
    assert told.noticed == []
    assert told.steps == 2


# The distributions it was made with.

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
    'the run was made with aaeframe-toy 1.0, here is 2.0; for what it was made with: pip install "aaeframe-toy==1.0"'
)


def made_with_a_plugin(folder, install):
    """A run of version 1.0 of a plugin, stopped before its end; the plugin is gone."""
    site, rows = install("aaeframe-toy", {"aaeframe_toy": TOY}), folder.with_suffix(".npy")
    np.save(rows, ROWS)
    trained(folder, str(rows), prior="toy", hooks=Telling(stop_after=3).hooks)
    shutil.rmtree(site)
    del sys.modules["aaeframe_toy"]  # not by monkeypatch, whose undoing would leave it to the tests after this one
    return folder


def test_a_run_records_what_it_was_made_with(tmp_path, install):
    folder = made_with_a_plugin(tmp_path / "run", install)
    run = runs.RunFolder(folder)
    versions = {"aaeframe": aaeframe.__version__, "aaeframe-toy": "1.0"}
    assert run.read_config().plugins == versions
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


def test_a_distribution_of_another_version_is_told_in_words(tmp_path, install, monkeypatch, capsys):
    folder = made_with_a_plugin(tmp_path / "run", install)
    install("aaeframe-toy", {"aaeframe_toy": TOY}, version="2.0")
    with pytest.warns(UserWarning, match=re.escape(OTHER)) as caught:
        load(folder)
    assert caught[0].filename == __file__
    code, err = command(monkeypatch, capsys, "sample", folder)
    assert (code, err.splitlines()[0]) == (0, f"note: {OTHER}")
    told = Telling()
    resume(folder, Registry.load(), hooks=told.hooks)
    assert told.noticed == [OTHER]
    assert read(latest(runs.RunFolder(folder).checkpoints)).state["versions"]["aaeframe-toy"] == "2.0"


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


# What cannot be written.


@pytest.mark.parametrize("size", [10, 1500], ids=["configuration", "first checkpoint"])
def test_a_run_that_a_full_disk_does_not_let_begin_leaves_nothing(tmp_path, files_up_to, size):
    with files_up_to(size), pytest.raises(RunError, match=r"cannot write .*File too large") as caught:
        trained(tmp_path / "a" / "run")
    assert caught.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_run_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot write .*run: Not a directory"):
        trained(tmp_path / "file" / "run")


# The same from the command line.


@pytest.mark.parametrize("damage", ["truncated", "altered", "missing"])
def test_a_damaged_checkpoint_is_reported_without_a_traceback(monkeypatch, capsys, copy, damage):
    path = latest(copy / "checkpoints") / "optimizer.safetensors"
    data = path.read_bytes()
    spoil(path)
    if damage == "truncated":
        path.write_bytes(data[: len(data) // 2])
    if damage == "missing":
        path.unlink()
    code, err = command(monkeypatch, capsys, "sample", copy)
    assert code == 2
    assert err.startswith(f"error: the checkpoint file {path} cannot be used")
    assert "Traceback" not in err
    code, err = command(monkeypatch, capsys, "train", "--resume", copy)
    assert err.startswith(f"note: the checkpoint file {path} cannot be used")
    assert "error: this run was trained on arrays passed in from Python" in err


def test_divergence_is_reported_with_exit_code_1(tmp_path, monkeypatch, capsys):
    np.save(tmp_path / "x.npy", ROWS)
    optimizer = "optimizers.reconstruction=sgd(lr=1e30)"
    flags = ["--network", "mlp(hidden=[8])", "--discriminator", "mlp(hidden=[8])", "--epochs", 1, "--set", optimizer]
    out = tmp_path / "run"
    code, err = command(monkeypatch, capsys, "train", "--data", tmp_path / "x.npy", *flags, "--out", out)
    assert code == 1
    assert "error: step 0: the loss of the discriminator phase, block 'gaussian' is not finite" in err
    assert "Traceback" not in err
    saved = read(latest(out / "checkpoints"))
    assert all(bool(torch.isfinite(value).all()) for value in saved.model.values())
    assert not MetricsFile(out / "metrics.jsonl").rows()


@pytest.mark.parametrize(
    "flags",
    [["--epochs", "5"], ["--prior", "gaussian"], ["--set", "training.seed=1"], ["--out", "x"], ["--ema", "0.0"]],
    ids=lambda flags: flags[0],
)
def test_nothing_else_can_be_given_with_resume(monkeypatch, capsys, finished, flags):
    before = content(finished.folder.path)
    code, err = command(monkeypatch, capsys, "train", "--resume", finished.folder.path, *flags)
    assert code == 2
    assert f"as it was configured and takes nothing else, found {flags[0]};" in err
    assert content(finished.folder.path) == before


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "is not a run: it has no config.toml"),
        (lambda path: path.mkdir(), "is not a run: it has no config.toml"),
        (lambda path: path.write_text(""), "is not a run: it has no config.toml"),
    ],
    ids=["missing", "empty", "file"],
)
def test_resuming_what_is_no_run_is_refused(tmp_path, monkeypatch, capsys, make, message):
    make(tmp_path / "run")
    code, err = command(monkeypatch, capsys, "train", "--resume", tmp_path / "run")
    assert code == 2
    assert message in err
    assert "Traceback" not in err
