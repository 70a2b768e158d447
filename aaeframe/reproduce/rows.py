"""The experiments of the paper, and what fills which column of its tables. Torch-free.

They stand in the order in which a budget is best spent: see `cells.in_order`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

from aaeframe.reproduce import published
from aaeframe.reproduce.columns import ByGenerator, ByPreset, Column
from aaeframe.reproduce.options import OPTIONS, PRESET
from aaeframe.reproduce.published import Published

Unit: TypeAlias = Literal["%", "nats"]

TEST: Final = "test"
"""The evaluation that fills the table, in a run's evaluation.json."""


@dataclass(frozen=True)
class Row:
    """One experiment."""

    name: str
    title: str
    unit: Unit
    columns: Mapping[str, Column]
    default: tuple[str, ...]
    """The columns that are filled if none is named."""
    paper: Published | None
    cited: tuple[Published, ...] = ()
    """What else is published."""
    error: Literal["classification", "clustering"] | None = None
    """The part of an evaluation that holds the error; None: the value is a likelihood."""
    samples: int | None = None
    """Of the likelihood."""
    picked: bool = False
    """Whether a run is also picked among the seeds, by what no label is needed for."""
    runs_of: str | None = None
    """The row with which it shares its runs."""
    by_name_only: bool = False
    """Whether it must be named to be filled: it has other data than MNIST, or stands beside the paper's tables."""

    @property
    def folder(self) -> str:
        """The name of the folder that holds its runs."""
        return self.runs_of or self.name

    @property
    def measure(self) -> dict[str, Any]:
        """JSON-like: what its numbers are of; those of another measure are none of this row."""
        return {"unit": self.unit, "error": self.error, "samples": self.samples}

    @property
    def evaluation(self) -> str:
        """The entry of a run's evaluation.json that holds the value."""
        return TEST if self.samples is None else f"{TEST} likelihood, {self.samples} samples"

    def value(self, evaluations: Mapping[str, Any]) -> float | None:
        """The value in the row's unit, from what a run's evaluation.json holds; None if it is not there."""
        report = evaluations.get(self.evaluation)
        if report is None:
            return None
        return report["log_likelihood"] if self.error is None else 100 * report[self.error]["error"]


_NO_AUTOENCODER: Final = ("training.reconstruction_weight=0.0", "prior.y.weight=0.0", "prior.style.weight=0.0")


def _terms(preset: str) -> dict[str, Column]:
    """What the label-free terms do alone."""
    return {"terms": ByPreset(preset, _NO_AUTOENCODER, judged=False)}


def _warped(preset: str, *settings: str, seen: str | None = None) -> dict[str, Column]:
    """The label-free terms and consistency under warps: knowledge of images, which no other column of a row has."""
    return {"warped": ByPreset(preset, ("label_free.augmentation=1.0", *settings), seen=seen)}


def _following(preset: str, uniform: str, *, after: int = 40_000, early: int = 1) -> dict[str, Column]:
    """Adversarial terms only, and a prior of y that is as frequent as the encoder finds the classes, once it has.

    `uniform` is the error on test images, with a uniform prior, that was known before.
    """
    settings = ("prior.y.options.follow=0.002", f"prior.y.options.follow_after={after}")
    seen = f"that y's prior follows was thought of after {uniform} % of test images were wrong with a uniform one"
    return {"following": ByPreset(preset, settings, early=early, seen=seen)}


def _baseline(preset: str) -> dict[str, Column]:
    return {"baseline": ByPreset(preset, judged=False)}


def _encoders(preset: str, *names: str, settings: tuple[str, ...] = ()) -> dict[str, Column]:
    """Encoders of the paper's section 2, with one budget."""
    return {name: ByPreset(preset, (f"encoder=aaeframe:{name}", *settings), early=1) for name in names}


def _generators() -> dict[str, Column]:
    """The other two models of the likelihood's table that are trained here."""
    return {kind: ByGenerator(kind) for kind in ("gan", "gmmn")}


def _error(
    name: str,
    title: str,
    paper: Published,
    cited: tuple[Published, ...] = (),
    *,
    early: int = 1,
    more: Mapping[str, Column] = MappingProxyType({}),
) -> Row:
    """An error on MNIST, by presets of the row's name; `early` is of the adversarial column."""
    clusters = name.endswith("clusters")
    columns = {
        "label-free": ByPreset(f"modern-mnist-{name}"),
        "adversarial": ByPreset(f"adversarial-mnist-{name}", early=early),
        "paper": ByPreset(f"paper-mnist-{name}", early=1),
        **more,
    }
    return Row(
        name=name,
        title=title,
        unit="%",
        columns=columns,
        default=("label-free", "adversarial"),
        paper=paper,
        cited=cited,
        error="clustering" if clusters else "classification",
        picked=clusters,
    )


def _likelihood(
    name: str,
    title: str,
    samples: int,
    paper: Published,
    cited: tuple[Published, ...],
    *,
    early: int,
    more: Mapping[str, Column] = MappingProxyType({}),
) -> Row:
    """A likelihood of MNIST; all of them share their runs."""
    preset = "modern-mnist-likelihood"
    columns = {
        "modern": ByPreset(preset, early=early),
        "paper": ByPreset("paper-mnist-likelihood", early=1),
        **_baseline("baseline-mnist-vae"),
        **more,
        # Only the Gaussian encoder has an entropy to reward, so that none is compared with it.
        **_encoders(preset, "deterministic", "gaussian", "universal", settings=("training.entropy_weight=0.0",)),
    }
    return Row(name, title, "nats", columns, ("modern",), paper, cited, samples=samples, runs_of="likelihood")


def _option(words: str, settings: tuple[str, ...]) -> Row:
    """The 100 labels with an option more or less, to hold against the row of all of the preset's."""
    return Row(
        name=f"100-labels-{words.replace(' ', '-')}",
        title=f"100 labels, {words}",
        unit="%",
        columns={"label-free": ByPreset(PRESET, settings, early=1)},
        default=("label-free",),
        paper=None,
        error="classification",
        by_name_only=True,
    )


_ROWS: Final = (
    _error(
        "100-labels",
        "100 labels",
        published.LABELS_100,
        published.OTHERS_100,
        early=3,
        more={
            **_warped(
                "modern-mnist-100-labels",
                "training.epochs=60",
                seen="60 epochs after 1.16 % of test images were wrong in 22, seed 0",
            ),
            **_following("adversarial-mnist-100-labels", "3.10", early=3),
            **_terms("modern-mnist-100-labels"),
            **_baseline("baseline-mnist-100-labels"),
            **_encoders("adversarial-mnist-100-labels", "gaussian", "universal"),
        },
    ),
    _error(
        "1000-labels",
        "1000 labels",
        published.LABELS_1000,
        published.OTHERS_1000,
        more={
            **_warped("modern-mnist-1000-labels"),
            **_following("adversarial-mnist-1000-labels", "2.37"),
            **_baseline("baseline-mnist-1000-labels"),
        },
    ),
    _error(
        "all-labels",
        "all 50,000 labels",
        published.LABELS_ALL,
        published.OTHERS_ALL,
        more={
            **_warped("modern-mnist-all-labels"),
            # The labels tell classes apart from the first step on.
            **_following("adversarial-mnist-all-labels", "1.05", after=0),
            **_baseline("baseline-mnist-all-labels"),
        },
    ),
    _error(
        "16-clusters",
        "16 clusters",
        published.CLUSTERS_16,
        published.OTHERS_CLUSTERS,
        more=_terms("modern-mnist-16-clusters"),
    ),
    _error(
        "30-clusters",
        "30 clusters",
        published.CLUSTERS_30,
        published.OTHERS_CLUSTERS,
        early=3,
        more=_terms("modern-mnist-30-clusters"),
    ),
    _error(
        "2d-100-labels",
        "2-D, 100 labels",
        published.PLANE_100,
        more=_following("adversarial-mnist-2d-100-labels", "12.24"),
    ),
    _error(
        "2d-1000-labels",
        "2-D, 1000 labels",
        published.PLANE_1000,
        more=_following("adversarial-mnist-2d-1000-labels", "4.94"),
    ),
    _error("2d-20-clusters", "2-D, 20 clusters", published.PLANE_20_CLUSTERS),
    _error(
        "10d-100-labels",
        "10-D, 100 labels",
        published.TEN_DIMENSIONS_100,
        more=_following("adversarial-mnist-10d-100-labels", "3.31"),
    ),
    _likelihood(
        "likelihood",
        "Parzen, 10,000 samples",
        10_000,
        published.PARZEN_10K,
        published.OTHERS_PARZEN_10K,
        early=3,
        more=_generators(),
    ),
    _likelihood(
        "likelihood-10m",
        "Parzen, 10 million samples",
        10_000_000,
        published.PARZEN_10M,
        published.OTHERS_PARZEN_10M,
        early=1,
    ),
    Row(
        name="svhn-1000-labels",
        title="street numbers, 1000 labels",
        unit="%",
        columns={
            "label-free": ByPreset("modern-svhn-1000-labels"),
            "paper": ByPreset("paper-svhn-1000-labels", early=1),
            **_baseline("baseline-svhn-1000-labels"),
        },
        default=("label-free", "baseline"),
        paper=published.LABELS_SVHN,
        cited=published.OTHERS_SVHN,
        error="classification",
        by_name_only=True,
    ),
    Row(
        name="faces-likelihood",
        title="faces, Parzen, 10,000 samples",
        unit="nats",
        columns={
            "modern": ByPreset("modern-faces-likelihood"),
            "paper": ByPreset("paper-tfd-likelihood", early=1),
        },
        default=("modern",),
        paper=None,
        cited=published.OTHERS_FACES,
        samples=10_000,
        by_name_only=True,
    ),
)

ROWS: Final[Mapping[str, Row]] = MappingProxyType(
    {row.name: row for row in (*_ROWS, *(_option(*option) for option in OPTIONS.items()))}
)
"""By name."""
