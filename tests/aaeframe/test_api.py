from __future__ import annotations

import random
import re

import numpy as np
import pytest
import torch
from torch import distributions as D
from torch.distributions import constraints

import aaeframe
from aaeframe.data import Dataset, from_arrays
from aaeframe.errors import AaeframeError, CheckpointError, ConfigError, DataError, OptionError

SMALL = {"network": "mlp(hidden=[8])", "discriminator": "mlp(hidden=[8])", "epochs": 1, "batch_size": 20}
ROWS = np.random.default_rng(0).normal([5.0, -300.0, 0.01], [2.0, 100.0, 0.001], (60, 3)).astype(np.float32)
IMAGES = np.random.default_rng(1).integers(0, 256, (60, 8, 9), dtype=np.uint8)


@pytest.fixture
def train(tmp_path):
    def run(data=ROWS, **options):
        return aaeframe.train(data, **{**SMALL, "out": tmp_path / "run", **options})

    return run


@pytest.mark.parametrize(
    "prior",
    [
        D.Independent(D.Uniform(-torch.ones(2), torch.ones(2)), 1),
        D.Independent(D.Uniform(-torch.ones(2).double(), torch.ones(2).double()), 1),
        D.Dirichlet(torch.ones(3)),
        D.LowRankMultivariateNormal(torch.zeros(2), torch.ones(2, 1), torch.ones(2)),
        D.MixtureSameFamily(D.Categorical(torch.ones(2)), D.Independent(D.Normal(torch.zeros(2, 3), 1.0), 1)),
        D.TransformedDistribution(D.Independent(D.Normal(torch.zeros(2), 1.0), 1), [D.TanhTransform()]),
        D.OneHotCategoricalStraightThrough(torch.ones(3)),
        D.RelaxedOneHotCategorical(torch.tensor(1.0), logits=torch.zeros(3)),
        D.LKJCholesky(3),
        D.VonMises(torch.tensor(0.0), torch.tensor(1.0)),
        D.Normal(0.0, 1.0),
    ],
    ids=lambda prior: type(getattr(prior, "base_dist", prior)).__name__,
)
def test_any_distribution_is_a_prior(train, prior):
    run = train(prior=prior)
    event_shape = tuple(prior.event_shape) or (1,)
    code = run.encode(ROWS)
    assert code["z"].shape == (60, *event_shape)
    assert run.config.prior["z"].component == f"python:{type(prior).__name__}"
    assert aaeframe.supports.relaxation(prior.support, torch.Size(event_shape)).check(code["z"]).all()
    assert run.sample(4, seed=0).shape == (4, 3)
    assert run.finished


def test_a_mixture_of_intervals_on_the_line_is_a_prior(train):
    intervals = D.Uniform(torch.tensor([0.0, 2.0, 4.0]), torch.tensor([1.0, 3.0, 5.0]))
    code = train(prior=D.MixtureSameFamily(D.Categorical(torch.ones(3)), intervals)).encode(ROWS)["z"]
    assert code.shape == (60, 1)
    assert ((code > 0) & (code < 5)).all()


def test_a_prior_of_the_caller_s_own_making(train):
    class Circle:
        event_shape = torch.Size([2])
        support = constraints.independent(constraints.real, 1)

        def sample(self, sample_shape=torch.Size()):
            z = torch.randn(*sample_shape, 2)
            return z / z.norm(dim=-1, keepdim=True)

    run = train(prior={"y": "categorical(classes=3)", "angle": Circle()})
    assert {name: tuple(z.shape) for name, z in run.encode(ROWS).items()} == {"y": (60, 3), "angle": (60, 2)}


def test_priors_from_python_are_passed_again_to_load(train):
    prior = {"y": "categorical(classes=3)", "z": D.Dirichlet(torch.ones(3))}
    run = train(prior=prior)
    with pytest.raises(ConfigError, match="pass it again"):
        aaeframe.load(run.folder.path)
    again = aaeframe.load(run.folder.path, priors={"z": prior["z"]})
    for name, z in run.encode(ROWS).items():
        assert torch.equal(again.encode(ROWS)[name], z)
    with pytest.raises(CheckpointError, match="does not fit the model"):
        aaeframe.load(run.folder.path, priors={"z": D.Dirichlet(torch.ones(4))})


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        (D.Normal(torch.zeros(2), 1.0), "torch.distributions.Independent(prior, 1)"),
        (D.Poisson(torch.tensor(1.0)), "aaeframe.supports.register("),
        ({}, "the prior is empty"),
        ({"z": "gaussian+gaussian"}, "'gaussian+gaussian' in 'gaussian+gaussian' is not of the form"),
        ({"Z": "gaussian"}, "'Z' is no name of a block"),
        ({"x": "gaussian"}, "a block cannot be called 'x'"),
        (3.0, "of type float, has no sample, event_shape, support"),
    ],
)
def test_a_prior_that_cannot_be(train, tmp_path, prior, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        train(prior=prior)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "data",
    [
        ROWS,
        ROWS.tolist(),
        torch.from_numpy(ROWS).requires_grad_(),
        torch.from_numpy(ROWS).double(),
        torch.from_numpy(ROWS).bfloat16(),
        (ROWS, np.arange(60) % 2),
        (torch.from_numpy(ROWS), torch.arange(60) % 2),
        from_arrays(ROWS, name="mine"),
    ],
    ids=["array", "list", "tensor", "float64", "bfloat16", "pair", "pair of tensors", "data set"],
)
def test_data_from_python(train, data):
    run = train(data)
    assert run.config.data.source.startswith("python:")
    assert run.reconstruct(ROWS).shape == (60, 3)
    assert run.evaluate()["rows"] == 6
    assert run.evaluate(data)["rows"] == (6 if isinstance(data, Dataset) else 60)
    loaded = aaeframe.load(run.folder.path)
    with pytest.raises(DataError, match="passed in from Python"):
        loaded.evaluate()
    assert aaeframe.load(run.folder.path, data=data).evaluate() == run.evaluate()


def test_data_from_python_that_has_changed(train):
    path = train(ROWS).folder.path
    with pytest.raises(DataError, match=r"numpy.ndarray is not the data of the training any more"):
        aaeframe.load(path, data=ROWS[::-1]).evaluate()


def test_resume_with_data_from_python(train, tmp_path):
    run = train(ROWS, epochs=2)
    with pytest.warns(UserWarning, match="all 2 epochs were done already"):
        again = aaeframe.resume(run.folder.path, data=ROWS)
    assert again.finished
    assert torch.equal(again.encode(ROWS)["gaussian"], run.encode(ROWS)["gaussian"])


def test_options_for_reading(train):
    run = train({"a": ROWS[:, 0], "b": ROWS[:, 1], "kind": ["x", "y"] * 30}, label_key="kind")
    assert run.class_names == ("x", "y")
    with pytest.raises(ConfigError, match="label_key is not used for a Dataset"):
        train(from_arrays(ROWS), label_key="kind")


def test_data_from_a_path(train, tmp_path):
    np.savez(tmp_path / "rows.npz", x=ROWS, y=np.arange(60) % 3)
    run = train(tmp_path / "rows.npz", prior="mixture(components=3)", labels=30)
    assert run.config.data.source == str(tmp_path / "rows.npz")
    assert run.dataset().num_classes == 3


def test_a_mapped_file_stays_in_its_file(train, tmp_path, monkeypatch):
    np.save(tmp_path / "rows.npy", ROWS)
    kept = train(np.load(tmp_path / "rows.npy", mmap_mode="r")).dataset().train
    assert isinstance(kept.data, np.memmap)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([[1.0, 2.0], [3.0]], "list: is not an array"),
        (np.ma.masked_array(ROWS, ROWS > 0), "masked"),
        (ROWS[:5], "5 rows are too few"),
        (np.where(ROWS > 5, np.nan, ROWS), "values are not finite in float32; the first is nan in row"),
        ((ROWS, np.arange(59)), "the labels have the shape (59,)"),
        ((ROWS, ROWS, ROWS), "a tuple is a pair of rows and labels, found 3 parts"),
        ("no-such-file.npz", "there is no data set and no file 'no-such-file.npz'"),
        (np.array(["a", "b"]), "it must be real numbers"),
    ],
    ids=["ragged", "masked", "few", "nan", "labels", "triple", "missing", "texts"],
)
def test_data_that_cannot_be(train, tmp_path, data, message):
    with pytest.raises(DataError, match=re.escape(message)):
        train(data)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_codes_and_reconstructions_are_in_the_units_of_the_data(train):
    run = train(prior="gaussian(size=3)", epochs=60, batch_size=16, network="mlp(hidden=[32])")
    x_hat = run.decode(run.encode(ROWS))
    assert torch.equal(x_hat, run.reconstruct(ROWS))
    error = np.square(x_hat.numpy() - ROWS).mean(0) / ROWS.var(0)
    assert (error < 0.8).all(), "every column is reconstructed on its own scale, better than by its mean"
    shift = (run.sample(200, seed=0).numpy().mean(0) - ROWS.mean(0)) / ROWS.std(0)
    assert (np.abs(shift) < 0.5).all()


def test_images_come_back_as_images_in_their_own_range(train):
    run = train(IMAGES)
    x = run.model.scale(torch.from_numpy(IMAGES[:, None]))
    assert x.max() <= 1.0
    x_hat = run.reconstruct(IMAGES[:, None])
    assert x_hat.shape == (60, 1, 8, 9)
    assert x_hat.min() >= 0.0
    assert 50 < x_hat.mean() < 200
    assert torch.equal(run.reconstruct(IMAGES), x_hat)
    with pytest.raises(DataError, match=re.escape("rows of shape (1, 8, 9) are expected")):
        run.encode(IMAGES[:, :, 1:])


def test_draws(train):
    run = train(encoder="universal(hidden=[8])")
    assert run.encode(ROWS)["gaussian"].shape == (60, 2)
    assert run.encode(ROWS, draws=1)["gaussian"].shape == (1, 60, 2)
    generators = [torch.Generator().manual_seed(seed) for seed in (0, 0, 1)]
    first, same, other = (run.encode(ROWS, draws=3, generator=it)["gaussian"] for it in generators)
    assert first.shape == (3, 60, 2)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert not torch.equal(first[0], first[1])
    assert torch.equal(run.encode(ROWS)["gaussian"], run.encode(ROWS)["gaussian"])


def random_states():
    return torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()


def test_nothing_touches_the_caller_s_random_state(train):
    torch.manual_seed(123)
    before = random_states()
    run = train(prior="categorical+swissroll", encoder="universal(hidden=[8])")
    again = aaeframe.load(run.folder.path)
    again.sample(5, seed=3)
    again.encode(ROWS)
    again.reconstruct(ROWS)
    run.evaluate(from_arrays(ROWS), split="test")
    assert random_states() == before


def test_samples_with_a_seed_are_the_same_and_without_one_are_the_caller_s(train):
    run = train()
    assert torch.equal(run.sample(5, seed=3), run.sample(5, seed=3))
    assert not torch.equal(run.sample(5, seed=3), run.sample(5, seed=4))
    torch.manual_seed(0)
    first = run.sample(5)
    assert not torch.equal(run.sample(5), first)
    torch.manual_seed(0)
    assert torch.equal(run.sample(5), first)


def test_the_same_seed_is_the_same_run_whatever_was_drawn_before(tmp_path):
    runs = []
    for name in ("a", "b"):
        torch.manual_seed(len(runs))
        runs.append(aaeframe.train(ROWS, **SMALL, seed=5, out=tmp_path / name))
    codes = [run.encode(ROWS)["gaussian"] for run in runs]
    assert torch.equal(*codes)


def test_arguments_override_config_and_preset(train, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "aaeframe.configuration.compose.read_preset", lambda name, registry: {"training": {"ema": 0.5, "seed": 1}}
    )
    (tmp_path / "run.toml").write_text("[training]\nseed = 2\nepochs = 7\n")
    run = train(preset="mine", config=str(tmp_path / "run.toml"), epochs=2, labels=None)
    assert (run.config.training.ema, run.config.training.seed, run.config.training.epochs) == (0.5, 2, 2)
    table = {"prior": "mixture", "training": {"seed": 3}}
    run = train(config=table, out=tmp_path / "other")
    assert (list(run.config.prior), run.config.training.seed) == (["mixture"], 3)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"epoch": 3}, ConfigError, "training: unknown key 'epoch'; did you mean 'epochs'?"),
        ({"resume": "runs/a"}, ConfigError, "a new run; resume one by aaeframe.resume(path)"),
        ({"epochs": 0}, ConfigError, "training.epochs: should be greater than or equal to 1, found 0"),
        ({"batch_size": "20"}, ConfigError, "training.batch_size: should be a valid integer, found '20'"),
        ({"network": "mlp(hidden=[0])"}, OptionError, "hidden=[0] does not fit"),
        ({"labels": 10}, DataError, "has no labels; leave --labels out"),
        ({"config": "none.toml"}, ConfigError, "the configuration file none.toml cannot be read"),
        ({"blocked": ("none",)}, AaeframeError, "cannot block 'none'"),
        ({"blocked": "none"}, AaeframeError, "cannot block 'none'"),
        ({"config": ["run.toml"]}, ConfigError, "config=['run.toml'] is of type list"),
        ({"preset": ("a", "b")}, ConfigError, "preset=('a', 'b') is of type tuple"),
        (
            {"observers": {"tensorboard": {"every": 3}}},
            ConfigError,
            "not dict; write [it], and options of a name as in",
        ),
    ],
)
def test_arguments_that_cannot_be(train, tmp_path, options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        train(**options)
    assert not (tmp_path / "run").exists()


def test_numbers_of_numpy_and_torch_are_numbers(train):
    settings = train(seed=np.int64(4), epochs=np.uint8(2), ema=np.float32(0.5), batch_size=torch.tensor(20)).config
    training = settings.training
    assert (training.seed, training.epochs, training.ema, training.batch_size) == (4, 2, 0.5, 20)
    assert all(type(it) in (int, float) for it in (training.seed, training.epochs, training.ema, training.batch_size))


def test_more_labels_than_there_are(train):
    with pytest.raises(DataError, match="100 labeled examples were requested"):
        train((ROWS, np.arange(60) % 2), prior="mixture(components=2)", labels=100)


def test_a_code_that_lacks_a_block(train):
    run = train(prior="categorical+gaussian")
    with pytest.raises(DataError, match=re.escape("['gaussian'] missing")):
        run.decode({"categorical": torch.eye(10)})


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda run: run.encode(torch.complex(*torch.zeros(2, 4, 3))), "real numbers, found .* torch.complex64"),
        (lambda run: run.encode(ROWS, draws=-1), r"draws is a whole number from 0 to 2\*\*40, found -1"),
        (lambda run: run.sample(-1), r"count is a whole number from 0 to 2\*\*40, found -1"),
        (lambda run: run.encode(ROWS, draws=10**20), r"draws is a whole number from 0 to 2\*\*40, found 1000"),
        (lambda run: run.sample(10**20), r"count is a whole number from 0 to 2\*\*40, found 1000"),
        (lambda run: run.sample(1.5), r"count is a whole number from 0 to 2\*\*40, found 1.5"),
        (lambda run: run.decode(torch.zeros(4, 2)), r"mapping of the blocks \['gaussian'\] .*, found Tensor"),
        (lambda run: run.decode({"gaussian": torch.zeros(4, 3)}), r"'gaussian' are \(N, 2\), found \(4, 3\)"),
        (
            lambda run: run.decode(run.encode(ROWS, draws=3)),
            r"found \(3, 60, 2\); of several draws, decode one at a time",
        ),
        (lambda run: run.evaluate(split="tset"), "no split 'tset'; there are train, validation, test and all"),
        (lambda run: run.likelihood(split="tset"), "no split 'tset'"),
        (lambda run: run.likelihood(ROWS), r"a Dataset is needed, found ndarray; run.unseen\(x\) gives one"),
        (lambda run: run.plot_figures(ROWS), "a Dataset is needed, found ndarray"),
    ],
    ids=[
        "complex",
        "draws",
        "less",
        "many draws",
        "many",
        "half",
        "tensor",
        "wide",
        "of draws",
        "split",
        "its split",
        "rows",
        "drawn rows",
    ],
)
def test_what_a_run_cannot_do_is_told(used, use, message):
    with pytest.raises(DataError, match=message):
        use(used)


def test_the_number_of_samples_may_be_of_numpy(used):
    assert used.likelihood(split="validation", samples=np.int64(20), store=False)["samples"] == 20
    assert (
        used.likelihood(split="validation", samples=np.int64(20))
        == used.evaluations["validation likelihood, 20 samples"]
    )


@pytest.fixture(scope="module")
def used(tmp_path_factory):
    return aaeframe.train(ROWS, **SMALL, out=tmp_path_factory.mktemp("used") / "run")


def test_blocks_of_a_code_have_as_many_rows(train):
    run = train(prior="categorical(classes=3)+gaussian")
    with pytest.raises(DataError, match=r"one row for each code, found {'categorical': 4, 'gaussian': 1}"):
        run.decode({"categorical": torch.eye(3)[[0, 1, 2, 0]], "gaussian": torch.zeros(1, 2)})


def test_a_metric_may_be_given_alone(used):
    assert list(used.evaluate(metrics="sliced-wasserstein", two_sample=False)["metrics"]) == ["sliced-wasserstein"]


def test_a_blocked_plugin_is_not_used(train):
    with pytest.raises(AaeframeError, match="may be in a plugin that is not active"):
        train(blocked=("priors",))
