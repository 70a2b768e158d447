"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import typer

if TYPE_CHECKING:
    from aaeframe.components.registry import Kind, Registry
    from aaeframe.configuration.schema import Config
    from aaeframe.runs.run import Run

Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")]
RunArgument: TypeAlias = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.", show_default=False)]
Device: TypeAlias = Annotated[str, typer.Option(help="cpu, cuda, cuda:1 ..., or auto.")]
RawWeights: TypeAlias = Annotated[
    bool, typer.Option("--raw-weights", help="Use the weights themselves, not their moving average.")
]
Preset: TypeAlias = Annotated[str | None, typer.Option(metavar="NAME", help="Start from a preset.")]
ConfigFile: TypeAlias = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="A TOML file; it overrides the preset.")
]
Settings: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY.PATH=VALUE", help="Any key of the configuration; may be repeated."),
]
Data: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|PATH",
        help="digits, mnist, fashion-mnist, svhn, tfd; or a .npz, .npy, .csv, .mat or idx file, or a folder of images.",
    ),
]
Labels: TypeAlias = Annotated[
    int | None,
    typer.Option(metavar="N", help="Learn from N labels, balanced by class: told to discriminators, or classified."),
]
Prior: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="PRIOR", help='By name, as "swissroll(turns=3)"; a product as "y=categorical+gaussian".'),
]
Component: TypeAlias = Annotated[
    str | None, typer.Option(metavar="NAME(OPTIONS)", help="By name, as in aaeframe plugins list.")
]
Recipe: TypeAlias = Annotated[
    str | None, typer.Option(help="unsupervised, supervised, semi-supervised, clustering, reduction or variational.")
]
Schedule: TypeAlias = Annotated[str | None, typer.Option(help="alternating (the paper's) or joint.")]
Epochs: TypeAlias = Annotated[int | None, typer.Option(help="Passes over the unlabeled training set.")]
BatchSize: TypeAlias = Annotated[int | None, typer.Option(help="Rows in a minibatch.")]
Seed: TypeAlias = Annotated[int | None, typer.Option(help="Of everything random in the run.")]
TrainingDevice: TypeAlias = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 ..., or auto.")]
Precision: TypeAlias = Annotated[str | None, typer.Option(help="fp32, bf16, or on a GPU tf32.")]
Loss: TypeAlias = Annotated[
    str | None, typer.Option(help="The adversarial loss: bce, hinge, least-squares or wasserstein; bce if not given.")
]
GradientPenalty: TypeAlias = Annotated[
    float | None, typer.Option(metavar="GAMMA", help="Weight of R1, the discriminators' slope at prior samples.")
]
Ema: TypeAlias = Annotated[
    float | None, typer.Option(help="Decay of a moving average of the weights, for evaluation; 0: none.")
]

LARGEST_SEED: Final = 2**63 - 1
"""Of those that go to torch; that of a training is checked with its configuration."""

_TRAINING = (
    *("recipe", "schedule", "loss", "gradient_penalty", "epochs", "batch_size"),
    *("seed", "device", "precision", "ema"),
)


def registry(context: typer.Context) -> Registry:
    """The installed plugins, less those blocked on the command line."""
    from aaeframe.components.registry import Registry

    return Registry.load(context.obj["no_plugins"])


def kind(name: str) -> Kind:
    """The kind of component that is meant."""
    from aaeframe.components.registry import KINDS

    for known in KINDS:
        if name == known:
            return known
    raise typer.BadParameter(f"{name!r} is none of {', '.join(KINDS)}", param_hint="--kind")


def load_run(context: typer.Context, path: Path, device: str, raw_weights: bool) -> Run:
    """The run in a folder."""
    from aaeframe.cli.console import note
    from aaeframe.runs.run import load

    run = load(path, registry(context), device=device, raw_weights=raw_weights, warn=note)
    if not run.finished:
        note(f"{path} has not trained all its epochs; go on with: aaeframe train --resume {path}")
    return run


def flags(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a command that shapes a run, by the keys of the configuration they set."""
    return {
        "data": {"source": given["data"], "labels": given["labels"]},
        **{kind: given[kind] for kind in ("prior", "encoder", "network", "discriminator")},
        "training": {key: given[key] for key in _TRAINING},
    }


def composed(flags: Mapping[str, Any], preset: str | None, config: Path | None, settings: list[str] | None) -> Config:
    """The configuration of all layers; flags and --set on top, the latter last."""
    from aaeframe.configuration.compose import compose, without_none

    return compose(preset, config, without_none(flags), settings or ())
