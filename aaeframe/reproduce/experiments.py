"""The paper's experiments: the rows of its tables, and what fills each of their columns. Torch-free.

Rows stand in the order in which a budget is best spent: see `cells.in_order`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal, TypeAlias

from aaeframe.configuration.presets import read_about
from aaeframe.reproduce import published
from aaeframe.reproduce.published import Published

Unit: TypeAlias = Literal["%", "nats"]

TEST: Final = "test"
"""The evaluation that fills the table, in a run's evaluation.json."""

COLUMNS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "label-free": "with label-free terms",
        "modern": "modern settings",
        "adversarial": "adversarial only",
        "following": "adversarial, prior of y follows",
        "warped": "label-free terms and warps",
        "terms": "without the autoencoder",
        "baseline": "baseline",
        "gan": "GAN in pixel space",
        "gmmn": "GMMN + AE",
        "deterministic": "deterministic encoder",
        "gaussian": "gaussian encoder",
        "universal": "universal encoder",
        "paper": "the paper's settings",
    }
)
"""Titles of the columns by name, in the order in which they are filled; generators come last."""


@dataclass(frozen=True)
class ByPreset:
    """A column that is filled by runs of a preset, with overrides."""

    preset: str
    overrides: tuple[str, ...] = ()
    """Settings over the preset's, in the form of --set."""
    priority_seeds: int = 3
    """Seeds that are filled in the column's turn; the others come when all else is done."""
    disclosure: str | None = None
    """Test results that were known when the settings were chosen, besides those that the preset discloses."""
    has_criteria: bool = True
    """Whether a run must match its prior and reconstruct to count; meaningless without an autoencoder."""
    seed_key: ClassVar[str] = "training.seed"
    """The setting that holds the seed, the only one in which runs of one column differ."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that the preset fixes."""
        return read_about(self.preset).seeds

    @property
    def tuned(self) -> str | None:
        """A sentence on the choice of the settings, if held-out rows were used for it."""
        return "; ".join(filter(None, (read_about(self.preset).tuned, self.disclosure))) or None

    def __str__(self) -> str:
        return f"the preset {self.preset!r}"

    def as_dict(self) -> dict[str, Any]:
        """JSON-like: what fills the column."""
        return {"preset": self.preset, "generator": None, "overrides": list(self.overrides)}


@dataclass(frozen=True)
class ByGenerator:
    """A column that is filled by a model of `aaeframe.reproduce.rivals` on MNIST.

    Training and measurement are one piece of work; nothing is kept before its end.
    """

    kind: str
    seeds: tuple[int, ...] = (0, 1, 2)
    priority_seeds: int = 3
    tuned: str | None = "on validation rows"
    seed_key: ClassVar[str] = "seed"
    has_criteria: ClassVar[bool] = False
    """It has no prior to match."""
    data: ClassVar[str] = "mnist"

    @property
    def overrides(self) -> tuple[str, ...]:
        """Its settings as name=value, without seed and device."""
        from aaeframe.reproduce.rivals import DEFAULTS

        settings = DEFAULTS[self.kind].as_dict()
        return tuple(f"{name}={value}" for name, value in settings.items() if name not in ("seed", "device"))

    def __str__(self) -> str:
        return f"the generator {self.kind!r}"

    def as_dict(self) -> dict[str, Any]:
        """JSON-like: what fills the column."""
        return {"preset": None, "generator": self.kind, "overrides": list(self.overrides)}


Column: TypeAlias = ByPreset | ByGenerator


@dataclass(frozen=True)
class Experiment:
    """One row of the tables."""

    name: str
    title: str
    unit: Unit
    columns: Mapping[str, Column]
    default: tuple[str, ...]
    """Columns that are filled if none is named."""
    paper: Published | None
    cited: tuple[Published, ...] = ()
    """Other published numbers."""
    error: Literal["classification", "clustering"] | None = None
    """The part of an evaluation that holds the error; None if the value is a likelihood."""
    samples: int | None = None
    """Samples of the likelihood."""
    best_of_seeds: bool = False
    """Whether the best run of several seeds is also reported, chosen without labels."""
    shares_runs_with: str | None = None
    """The experiment whose runs it uses."""
    opt_in: bool = False
    """Whether it is filled only if named: its data is not MNIST, or the paper's tables do not have it."""

    @property
    def folder(self) -> str:
        """The name of the folder that holds its runs."""
        return self.shares_runs_with or self.name

    @property
    def measure(self) -> dict[str, Any]:
        """JSON-like: what its numbers measure."""
        return {"unit": self.unit, "error": self.error, "samples": self.samples}

    @property
    def evaluation(self) -> str:
        """The entry of a run's evaluation.json that holds the value."""
        return TEST if self.samples is None else f"{TEST} likelihood, {self.samples} samples"

    def value(self, evaluations: Mapping[str, Any]) -> float | None:
        """The value in the row's unit, from the content of a run's evaluation.json; None if it is missing."""
        report = evaluations.get(self.evaluation)
        if report is None:
            return None
        return report["log_likelihood"] if self.error is None else 100 * report[self.error]["error"]


OPTIONS_PRESET: Final = "modern-mnist-100-labels"

OPTIONS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "without virtual adversary": ("label_free.virtual_adversarial=0.0",),
        "without mutual information": ("label_free.mutual_information=0.0",),
        "without batch norm": ("network.options.batch_norm=none",),
        "without moving average": ("training.ema=0.0",),
        "without instance noise": ("prior.y.instance_noise=0.0",),
        "with input noise": ("training.input_noise=0.3",),
        "with input dropout": ("training.input_dropout=0.2",),
        "with batch norm on heads": ("encoder.options.batch_norm=true",),
        "with softened one-hots": ("prior.y.softening=0.1",),
        "with augmentation": ("label_free.augmentation=1.0",),
    }
)
"""Settings over `OPTIONS_PRESET`'s, in the form of --set, by what they do."""


_NO_AUTOENCODER: Final = ("training.reconstruction_weight=0.0", "prior.y.weight=0.0", "prior.style.weight=0.0")


def _terms(row: str) -> ByPreset:
    """The label-free terms alone."""
    return ByPreset(f"modern-mnist-{row}", _NO_AUTOENCODER, has_criteria=False)


def _warped(row: str, *settings: str, disclosure: str | None = None) -> ByPreset:
    """The label-free terms and consistency under warps: knowledge of images, which no other column uses."""
    return ByPreset(f"modern-mnist-{row}", ("label_free.augmentation=1.0", *settings), disclosure=disclosure)


def _following(row: str, uniform: str, *, after: int = 40_000, priority_seeds: int = 1) -> ByPreset:
    """Adversarial terms only, and a prior of y that follows the frequencies of the classes that the encoder finds.

    Args:
        row: the name of the row.
        uniform: the error on test images with a uniform prior, which was known before.
        after: the step from which the prior follows.
        priority_seeds: see `ByPreset`.
    """
    settings = ("prior.y.options.follow=0.002", f"prior.y.options.follow_after={after}")
    disclosure = f"that y's prior follows was thought of after {uniform} % of test images were wrong with a uniform one"
    return ByPreset(f"adversarial-mnist-{row}", settings, priority_seeds=priority_seeds, disclosure=disclosure)


def _baseline(task: str) -> ByPreset:
    return ByPreset(f"baseline-{task}", has_criteria=False)


def _encoder(name: str, preset: str, *settings: str) -> ByPreset:
    """One of the encoders of the paper's section 2, with the budget of the others."""
    return ByPreset(preset, (f"encoder=aaeframe:{name}", *settings), priority_seeds=1)


def _error(
    name: str,
    title: str,
    paper: Published,
    cited: tuple[Published, ...] = (),
    *,
    priority_seeds: int = 1,
    **more: Column,
) -> Experiment:
    """An error on MNIST, by presets of the row's name, and `more` columns; `priority_seeds` are the adversarial's."""
    clusters = name.endswith("clusters")
    columns = {
        "label-free": ByPreset(f"modern-mnist-{name}"),
        "adversarial": ByPreset(f"adversarial-mnist-{name}", priority_seeds=priority_seeds),
        "paper": ByPreset(f"paper-mnist-{name}", priority_seeds=1),
        **more,
    }
    return Experiment(
        name=name,
        title=title,
        unit="%",
        columns=columns,
        default=("label-free", "adversarial"),
        paper=paper,
        cited=cited,
        error="clustering" if clusters else "classification",
        best_of_seeds=clusters,
    )


def _likelihood(
    name: str,
    title: str,
    samples: int,
    paper: Published,
    cited: tuple[Published, ...],
    *,
    priority_seeds: int,
    **more: Column,
) -> Experiment:
    """A likelihood of MNIST, with `more` columns; all of them share their runs."""
    modern = "modern-mnist-likelihood"
    columns = {
        "modern": ByPreset(modern, priority_seeds=priority_seeds),
        "paper": ByPreset("paper-mnist-likelihood", priority_seeds=1),
        "baseline": _baseline("mnist-vae"),
        **more,
        # Only the Gaussian encoder has an entropy to reward, so that none is compared with it.
        **{
            encoder: _encoder(encoder, modern, "recipe.options.entropy_weight=0.0")
            for encoder in ("deterministic", "gaussian", "universal")
        },
    }
    return Experiment(
        name, title, "nats", columns, ("modern",), paper, cited, samples=samples, shares_runs_with="likelihood"
    )


def _option(words: str, settings: tuple[str, ...]) -> Experiment:
    """100 labels of MNIST with one option more or less, to compare with the preset's."""
    return Experiment(
        name=f"100-labels-{words.replace(' ', '-')}",
        title=f"100 labels, {words}",
        unit="%",
        columns={"label-free": ByPreset(OPTIONS_PRESET, settings, priority_seeds=1)},
        default=("label-free",),
        paper=None,
        error="classification",
        opt_in=True,
    )


_EXPERIMENTS: Final = (
    _error(
        "100-labels",
        "100 labels",
        published.LABELS_100,
        published.OTHERS_100,
        priority_seeds=3,
        warped=_warped(
            "100-labels",
            "training.epochs=60",
            disclosure="60 epochs after 1.16 % of test images were wrong in 22, seed 0",
        ),
        following=_following("100-labels", "3.10", priority_seeds=3),
        terms=_terms("100-labels"),
        baseline=_baseline("mnist-100-labels"),
        gaussian=_encoder("gaussian", "adversarial-mnist-100-labels"),
        universal=_encoder("universal", "adversarial-mnist-100-labels"),
    ),
    _error(
        "1000-labels",
        "1000 labels",
        published.LABELS_1000,
        published.OTHERS_1000,
        warped=_warped("1000-labels"),
        following=_following("1000-labels", "2.37"),
        baseline=_baseline("mnist-1000-labels"),
    ),
    _error(
        "all-labels",
        "all 50,000 labels",
        published.LABELS_ALL,
        published.OTHERS_ALL,
        warped=_warped("all-labels"),
        # The labels tell classes apart from the first step on.
        following=_following("all-labels", "1.05", after=0),
        baseline=_baseline("mnist-all-labels"),
    ),
    _error("16-clusters", "16 clusters", published.CLUSTERS_16, published.OTHERS_CLUSTERS, terms=_terms("16-clusters")),
    _error(
        "30-clusters",
        "30 clusters",
        published.CLUSTERS_30,
        published.OTHERS_CLUSTERS,
        priority_seeds=3,
        terms=_terms("30-clusters"),
    ),
    _error("2d-100-labels", "2-D, 100 labels", published.PLANE_100, following=_following("2d-100-labels", "12.24")),
    _error("2d-1000-labels", "2-D, 1000 labels", published.PLANE_1000, following=_following("2d-1000-labels", "4.94")),
    _error("2d-20-clusters", "2-D, 20 clusters", published.PLANE_20_CLUSTERS),
    _error(
        "10d-100-labels",
        "10-D, 100 labels",
        published.TEN_DIMENSIONS_100,
        following=_following("10d-100-labels", "3.31"),
    ),
    _likelihood(
        "likelihood",
        "Parzen, 10,000 samples",
        10_000,
        published.PARZEN_10K,
        published.OTHERS_PARZEN_10K,
        priority_seeds=3,
        gan=ByGenerator("gan"),
        gmmn=ByGenerator("gmmn"),
    ),
    _likelihood(
        "likelihood-10m",
        "Parzen, 10 million samples",
        10_000_000,
        published.PARZEN_10M,
        published.OTHERS_PARZEN_10M,
        priority_seeds=1,
    ),
    Experiment(
        name="svhn-1000-labels",
        title="street numbers, 1000 labels",
        unit="%",
        columns={
            "label-free": ByPreset("modern-svhn-1000-labels"),
            "paper": ByPreset("paper-svhn-1000-labels", priority_seeds=1),
            "baseline": _baseline("svhn-1000-labels"),
        },
        default=("label-free", "baseline"),
        paper=published.LABELS_SVHN,
        cited=published.OTHERS_SVHN,
        error="classification",
        opt_in=True,
    ),
    Experiment(
        name="faces-likelihood",
        title="faces, Parzen, 10,000 samples",
        unit="nats",
        columns={
            "modern": ByPreset("modern-faces-likelihood"),
            "paper": ByPreset("paper-tfd-likelihood", priority_seeds=1),
        },
        default=("modern",),
        paper=None,
        cited=published.OTHERS_FACES,
        samples=10_000,
        opt_in=True,
    ),
)

EXPERIMENTS: Final[Mapping[str, Experiment]] = MappingProxyType(
    {it.name: it for it in (*_EXPERIMENTS, *(_option(*option) for option in OPTIONS.items()))}
)
"""All experiments by name."""
