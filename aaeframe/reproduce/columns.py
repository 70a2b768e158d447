"""The columns of the tables, and how one is filled: by runs of a preset, or by a generator. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Final, TypeAlias

from aaeframe.configuration.presets import read_about

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
"""What the columns are called, by name, in the order in which they take their turns; generators take theirs last."""


@dataclass(frozen=True)
class ByPreset:
    """By runs of a preset, with settings over it."""

    preset: str
    settings: tuple[str, ...] = ()
    """As --set takes them."""
    early: int = 3
    """How many of its seeds are filled in its turn; the others come when all else is done."""
    seen: str | None = None
    """What was seen of test images before its settings were chosen, besides what the preset tells."""
    judged: bool = True
    """Whether a run must match its prior and reconstruct to count; nonsense where there is no autoencoder."""
    seed_key: ClassVar[str] = "training.seed"
    """Where the settings of a run have its seed, in which alone those of one column differ."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of the runs that are reported, as the preset fixes them."""
        return read_about(self.preset).seeds

    @property
    def tuned(self) -> str | None:
        """How the settings were chosen, where held-out labels had a part in it."""
        return "; ".join(filter(None, (read_about(self.preset).tuned, self.seen))) or None

    def __str__(self) -> str:
        return f"the preset {self.preset!r}"

    def as_dict(self) -> dict[str, Any]:
        """JSON-like: what it is filled by."""
        return {"preset": self.preset, "generator": None, "settings": list(self.settings)}


@dataclass(frozen=True)
class ByGenerator:
    """By a model of `aaeframe.reproduce.rivals`, of MNIST: trained and measured in one go, and nothing kept
    before the end."""

    kind: str
    seeds: tuple[int, ...] = (0, 1, 2)
    early: int = 3
    tuned: str | None = "on validation rows"
    seed_key: ClassVar[str] = "seed"
    judged: ClassVar[bool] = False
    """It has no prior to match."""
    data: ClassVar[str] = "mnist"

    @property
    def settings(self) -> tuple[str, ...]:
        """As name=value, without seed and device."""
        from aaeframe.reproduce.rivals import DEFAULTS

        found = DEFAULTS[self.kind].as_dict()
        return tuple(f"{name}={value}" for name, value in found.items() if name not in ("seed", "device"))

    def __str__(self) -> str:
        return f"the generator {self.kind!r}"

    def as_dict(self) -> dict[str, Any]:
        """JSON-like: what it is filled by."""
        return {"preset": None, "generator": self.kind, "settings": list(self.settings)}


Column: TypeAlias = ByPreset | ByGenerator
"""How a column of a row is filled."""
