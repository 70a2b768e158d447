"""The prior given by a file of samples."""

from __future__ import annotations

import shutil
from functools import partial

import numpy as np
import pytest
import torch

import aaeframe
from aaeframe.components.options import resolve_component
from aaeframe.components.registry import Registry
from aaeframe.errors import AaeframeError, CheckpointError, DataError, OptionError
from aaeframe.protocols import SupportsLabels, SupportsLogProb
from aaeframe.testing import checks_for
from aaeframe_plugins.priors.empirical import Empirical

OFFER = Registry.load().find("prior", "empirical")
MOON = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)


@pytest.fixture
def moon(tmp_path):
    path = tmp_path / "moon.npy"
    np.save(path, MOON)
    return path


@pytest.mark.parametrize("options", [{}, {"smoothing": 0.1}], ids=["plain", "smoothed"])
def test_it_conforms(moon, options):
    checks = dict(checks_for("prior", partial(Empirical, path=moon, **options)))

    for check in checks.values():
        check()
    assert {"builds", "sample-device", "prior-state"} <= set(checks)


def test_every_row_of_the_file_is_as_likely(tmp_path):
    np.save(tmp_path / "points.npy", np.array([[0, 5], [1, 5], [2, 5], [3, 5]], np.uint8))
    torch.manual_seed(0)

    z = Empirical(path=tmp_path / "points.npy").sample((20_000,))

    assert z.dtype == torch.float32
    assert bool((z[:, 1] == 5).all())
    shares = torch.bincount(z[:, 0].long(), minlength=4) / len(z)
    torch.testing.assert_close(shares, torch.full((4,), 0.25), atol=0.02, rtol=0)  # 6 standard errors


def test_smoothing_is_gaussian_noise(tmp_path):
    np.save(tmp_path / "point.npy", np.array([[3.0, -1.0]]))
    torch.manual_seed(0)

    z = Empirical(path=tmp_path / "point.npy", smoothing=0.5).sample((20_000,))

    torch.testing.assert_close(z.mean(0), torch.tensor([3.0, -1.0]), atol=0.03, rtol=0)
    torch.testing.assert_close(z.std(0), torch.full((2,), 0.5), atol=0.02, rtol=0)


@pytest.mark.parametrize("name", ["points.npz", "points.csv", "named.csv"])
def test_every_column_of_a_table_is_a_dimension(tmp_path, name):
    """Also a column called y, which would be labels in a data set."""
    path = tmp_path / name
    if name.endswith(".npz"):
        np.savez(path, samples=MOON[:, :2])
    else:
        np.savetxt(path, MOON[:, :2], delimiter=",", header="x,y" if name == "named.csv" else "", comments="")

    prior = Empirical(path=path)

    assert prior.event_shape == (2,)
    torch.testing.assert_close(prior.samples, torch.from_numpy(MOON[:, :2].copy()))


def test_it_claims_no_density_and_no_labels(moon):
    assert not isinstance(Empirical(path=moon), SupportsLogProb | SupportsLabels)


@pytest.mark.parametrize(
    ("support", "inside"),
    [("positive", [[0.1, 9], [1, 1]]), ("unit-interval", [[0, 1], [0.5, 0.5]]), ("simplex", [[1, 0], [0.25, 0.75]])],
)
def test_samples_lie_where_they_are_said_to(tmp_path, support, inside):
    path = tmp_path / "points.npy"
    np.save(path, np.array(inside))
    for check in dict(checks_for("prior", partial(Empirical, path=path, support=support))).values():
        check()

    np.save(path, np.array([*inside, [-1, 2]]))
    with pytest.raises(DataError, match=rf"1 of 3 samples are not in the support '{support}'; the first is row 2"):
        Empirical(path=path, support=support)


WRONG = {
    "missing": (None, "there is no file '.*points.npy'. Give one of a table: .npy, .npz, .csv"),
    "not finite": (np.array([[1.0, np.nan], [0.0, 1.0]]), "not finite"),
    "one number a row": (np.arange(4.0), "has the shape"),
    "images": (np.zeros((3, 4, 4)), "has rows of shape"),
    "no rows": (np.empty((0, 2)), "is empty"),
    "one sample": (np.ones((1, 2)), "1 samples have one and the same value"),
    "one value": (np.ones((5, 2)), "5 samples have one and the same value"),
    "objects": (np.array([[{}], [1]], dtype=object), "Python objects, which are never loaded"),
    "texts": (np.array([["a"], ["b"]]), "must be real numbers"),
}


@pytest.mark.parametrize(("content", "message"), WRONG.values(), ids=WRONG)
def test_files_that_are_no_samples_are_refused(tmp_path, content, message):
    path = tmp_path / "points.npy"
    if content is not None:
        np.save(path, content, allow_pickle=True)

    with pytest.raises(DataError, match=message):
        resolve_component(OFFER, {"path": str(path)}).build()


def test_a_file_of_another_format_is_refused(tmp_path):
    (tmp_path / "points.mat").write_text("1 2 3")

    with pytest.raises(DataError, match="is not a table by its name"):
        resolve_component(OFFER, {"path": str(tmp_path / "points.mat")}).build()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"smoothing": 0.1, "support": "unit-interval"}, "smoothing is noise, which would leave the support"),
        ({"smoothing": -1.0}, "greater than or equal to 0"),
        ({"support": "torus"}, "'real', 'positive', 'unit-interval' or 'simplex'"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path, options, message):
    np.save(tmp_path / "points.npy", np.array([[0.5], [0.7]]))

    with pytest.raises(OptionError, match=message):
        resolve_component(OFFER, {"path": str(tmp_path / "points.npy"), **options}).build()


def test_it_says_that_it_needs_a_path():
    with pytest.raises(OptionError, match=r"the prior 'empirical' of aaeframe .* needs path: "):
        resolve_component(OFFER, {}).build()


def train(prior, out, **training):
    data = np.random.default_rng(1).normal(size=(60, 5)).astype(np.float32)
    return aaeframe.train(
        data,
        prior=prior,
        network="mlp(hidden=[16])",
        discriminator="mlp(hidden=[16])",
        batch_size=12,
        out=out,
        **training,
    )


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_run_has_the_samples_and_needs_the_file_no_more(moon, tmp_path, monkeypatch, ema):
    monkeypatch.chdir(tmp_path)
    run = train('empirical(path="moon.npy")+gaussian', tmp_path / "run", epochs=1, ema=ema)
    moon.unlink()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.move(tmp_path / "run", elsewhere / "run")
    monkeypatch.chdir(elsewhere)

    again = aaeframe.load("run")

    torch.testing.assert_close(again.model.priors["empirical"].samples, torch.from_numpy(MOON), rtol=0, atol=0)
    assert again.config.prior["empirical"].options["path"] == str(moon)
    assert torch.equal(again.sample(4, seed=0), run.sample(4, seed=0))


def test_a_run_is_resumed_to_the_same_bits_without_the_file(moon, tmp_path):
    from aaeframe.data import from_arrays
    from aaeframe.runs.start import resume

    prior = f'empirical(path="{moon}", smoothing=0.1)'
    whole = train(prior, tmp_path / "whole", epochs=2)

    class Stops:
        def stepped(self, step, losses):
            if step == 4:
                raise aaeframe.StopRun

    with pytest.warns(UserWarning, match="the observer 'Stops' ended the run, at step 4"):
        stopped = train(prior, tmp_path / "stopped", epochs=2, observers=[Stops()])
    assert not stopped.finished
    moon.unlink()

    data = from_arrays(np.random.default_rng(1).normal(size=(60, 5)).astype(np.float32))
    resumed = resume(stopped.folder.path, Registry.load(), dataset=data)

    for name, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name


def test_a_moving_average_of_the_weights_holds_the_samples_once(moon, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr("aaeframe.runs.start._train", lambda training, *others: made.append(training))
    train(f'empirical(path="{moon}")', tmp_path / "run", epochs=1, ema=0.9)
    [training] = made
    assert training.average.model is not training.model
    assert training.average.model.priors["empirical"].samples is training.model.priors["empirical"].samples
    assert training.average.model.encoder is not training.model.encoder


def test_a_checkpoint_without_the_samples_is_refused_as_such(moon):
    with pytest.raises(CheckpointError, match=r"the checkpoint lacks 'samples' of the prior 'empirical'"):
        resolve_component(OFFER, {"path": str(moon)}).restore({})


def test_training_anew_without_the_file_is_refused(moon, tmp_path):
    run = train(f'empirical(path="{moon}")', tmp_path / "run", epochs=1)
    moon.unlink()

    with pytest.raises(AaeframeError, match="there is no file"):
        train(None, tmp_path / "again", config=tmp_path / "run" / "config.toml")
    assert not (tmp_path / "again").exists()
    assert run.finished
