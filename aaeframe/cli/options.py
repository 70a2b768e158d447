"""Options that several commands share."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias, get_type_hints
from zipfile import is_zipfile

import typer

from aaeframe.errors import ConfigError, ReadOnly

if TYPE_CHECKING:
    from aaeframe.components.registry import Kind, Registry
    from aaeframe.configuration.schema import Config
    from aaeframe.data import AllRows
    from aaeframe.runs.run import Run
    from aaeframe.storage.output import Output

LARGEST_SEED: Final = 2**63 - 1
"""The largest seed of torch. The seed of a training is checked with its configuration."""

BINARY: Final = (".npz", ".npy", ".parquet", ".png", ".zip")
"""The formats that a terminal cannot show."""


class Part(StrEnum):
    """The rows of a data set."""

    test = "test"
    validation = "validation"
    train = "train"
    all = "all"


def _check_seed(seed: int) -> int:
    if not 0 <= seed <= LARGEST_SEED:
        raise typer.BadParameter(f"{seed} is not from 0 to {LARGEST_SEED}")
    return seed


def folder(text: str) -> Path:
    """A folder to write into, by its name; for typer."""
    if not text:
        raise typer.BadParameter("it is empty; give a folder")
    return Path(text)


Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print only JSON on standard output.")]
RunArgument: TypeAlias = Annotated[
    Path, typer.Argument(metavar="RUN", help="Folder of a run, or its archive.", show_default=False)
]
Device: TypeAlias = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda, cuda:1 ...")]
RawWeights: TypeAlias = Annotated[
    bool, typer.Option("--raw-weights", help="Use the trained weights instead of their moving average.")
]
Best: TypeAlias = Annotated[
    bool, typer.Option("--best", help="Use the weights of the best epoch of a run with training.patience.")
]
DataChanged: TypeAlias = Annotated[
    bool,
    typer.Option("--data-changed", help="Use the data of the run even if it is no longer the data of the training."),
]
OutFile: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="File to write: .npz (all arrays), .npy (one), .csv or .parquet (a table); - is standard output. Default: "
        "an .npz in the folder of the run.",
    ),
]
Form: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help="Format for --out -, a pipe or a device: npz, npy, csv or parquet. Default: csv, or npz for images.",
    ),
]
Ids: TypeAlias = Annotated[
    str | None, typer.Option(metavar="NAME", help="Column or array with the names of the rows, kept next to codes.")
]
Seed: TypeAlias = Annotated[
    int, typer.Option(metavar="N", callback=_check_seed, help="Random seed. The same seed gives the same result.")
]
Shard: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="I/N",
        help="Compute shard I of N, counted from 0, into a file with both numbers in its name. aaeframe concat joins "
        "them.",
    ),
]


def _shown(panel: str, metavar: str, help: str, *names: str) -> Any:
    """An option in a panel of the help."""
    return typer.Option(*names, metavar=metavar, rich_help_panel=panel, help=help)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options that configure a run, in the order of the help."""

    data: Annotated[
        str | None,
        _shown(
            "Data",
            "NAME|PATH",
            "Data set, with options in parentheses if it has some; table (.csv, .tsv, .txt), file (.npz, .npy, .mat, "
            "idx or an image) or folder of images; default: digits. Look at it with `aaeframe data`.",
        ),
    ] = None
    label_key: Annotated[
        str | None, _shown("Data", "NAME", "Column or array of the labels; default: found by its name.")
    ] = None
    ids: Annotated[str | None, _shown("Data", "NAME", "Column or array with the names of the rows.")] = None
    labels: Annotated[
        str | None, _shown("Data", "N|all", "Learn from N labels, balanced by class, or from all; default: 0.")
    ] = None

    prior: Annotated[
        str | None,
        _shown(
            "Model",
            "PRIOR",
            'Prior of the codes, with options as in "swissroll(turns=3)". Several blocks: "y=categorical+z=gaussian". '
            "Default: gaussian.",
        ),
    ] = None
    encoder: Annotated[
        str | None,
        _shown("Model", "NAME", 'Encoder, with options as in "universal(noise_size=5)". Default: deterministic.'),
    ] = None
    network: Annotated[
        str | None, _shown("Model", "NAME", "Network of encoder and decoder, with options. Default: mlp.")
    ] = None
    discriminator: Annotated[
        str | None, _shown("Model", "NAME", "Discriminator of codes, with options. Default: mlp.")
    ] = None

    epochs: Annotated[int | None, _shown("Training", "N", "Passes over the unlabeled training rows; default: 100.")] = (
        None
    )
    recipe: Annotated[
        str | None, _shown("Training", "NAME", "Training procedure, with options; see aaeframe plugins list.")
    ] = None
    batch_size: Annotated[int | None, _shown("Training", "N", "Rows of a minibatch; default: 100.")] = None
    seed: Annotated[int | None, _shown("Training", "N", "Seed of everything random; default: 0.")] = None
    device: Annotated[
        str | None,
        _shown("Training", "NAME", "cpu, cuda, cuda:1 ..., or auto: the first GPU, else the CPU; default: auto."),
    ] = None
    precision: Annotated[str | None, _shown("Training", "NAME", "fp32, bf16, or tf32 (GPU only); default: fp32.")] = (
        None
    )
    loss: Annotated[
        str | None,
        _shown("Training", "NAME", "Adversarial loss: bce, hinge, least-squares or wasserstein; default: bce."),
    ] = None
    schedule: Annotated[
        str | None,
        _shown(
            "Training",
            "NAME",
            "Order of the updates: alternating (as in the paper) or joint; default: the first that the recipe has.",
        ),
    ] = None
    gradient_penalty: Annotated[
        float | None,
        _shown("Training", "GAMMA", "Weight of R1, the squared slope of discriminators at prior samples; default: 0."),
    ] = None
    ema: Annotated[
        float | None,
        _shown(
            "Training",
            "DECAY",
            "Decay of a moving average of the weights, used for evaluation; default: 0, no average.",
        ),
    ] = None

    observer: Annotated[
        list[str] | None,
        _shown("Training", "NAME", 'Observer that follows the run, with options as in "csv". May be repeated.'),
    ] = None

    preset: Annotated[
        str | None, _shown("Configuration", "NAME", "Start from a preset of `aaeframe presets list`.")
    ] = None
    config: Annotated[Path | None, _shown("Configuration", "FILE", "TOML file; overrides the preset.")] = None
    initial: Annotated[
        Path | None,
        _shown(
            "Configuration",
            "RUN",
            "Start from the weights of this run; its components are the defaults, below the preset.",
        ),
    ] = None
    settings: Annotated[
        list[str] | None,
        _shown(
            "Configuration",
            "KEY=VALUE",
            "Set any key of `aaeframe config show`, such as training.input_noise=0.3; overrides the rest. May be "
            "repeated.",
            "--set",
        ),
    ] = None

    def compose(self, registry: Registry) -> Config:
        """The configuration: defaults, preset, file, options and --set, each overriding those before it."""
        from aaeframe.configuration.compose import compose, without_none
        from aaeframe.configuration.schema import read
        from aaeframe.configuration.shorthand import expand
        from aaeframe.storage.run_folder import RunFolder

        initial = None
        if self.initial is not None and self.initial.is_file():
            from aaeframe.runs.archive import read_run  # which imports torch

            initial = read_run(self.initial, registry).config.model_dump(exclude_none=True)
        elif self.initial is not None:
            RunFolder(self.initial).check()
            initial = read(RunFolder(self.initial).config)

        given = {
            "data": {
                "source": self.data,
                "label_key": self.label_key,
                "ids": self.ids,
                "labels": _number_or_name(self.labels),
            },
            **{kind: getattr(self, kind) for kind in ("prior", "encoder", "network", "discriminator", "recipe")},
            "observers": expand({"observers": self.observer or ()})["observers"],
            "training": {
                **{key: getattr(self, key) for key in _TRAINING},
                "initial": None if self.initial is None else str(self.initial),
            },
        }
        return compose(self.preset, self.config, without_none(given), self.settings or (), registry, initial)


def _number_or_name(text: str | None) -> int | str | None:
    return int(text) if text and text.removeprefix("-").isdecimal() else text


_TRAINING = (
    *("schedule", "loss", "gradient_penalty", "epochs", "batch_size"),
    *("seed", "device", "precision", "ema"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowOptions:
    """The options that choose the rows to encode, in the order of the help."""

    data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH", help="Data of the same kind as the run's, never seen; default: the data of the run."
        ),
    ] = None
    label_key: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column or array of --data that holds the labels.")
    ] = None
    ids: Ids = None
    split: Annotated[
        Part | None,
        typer.Option(
            metavar="SPLIT", help="Rows to use: test, validation, train or all; default: test, or all of --data."
        ),
    ] = None
    data_changed: DataChanged = False

    def load(self, run: Run, *, check: bool = True) -> AllRows:
        """The rows of a run that are asked for. `check` is as for `Run.new_rows`."""
        from aaeframe import data as datasets
        from aaeframe.cli.console import note

        if self.data is not None and self.split in (None, Part.all):
            found = run.new_rows(self.data, label_key=self.label_key, ids=self.ids, check=check)
            for phrase in found.reading.passed_over:
                note(f"{self.data}: left out: {phrase}")
            return found
        for flag, value in (("--label-key", self.label_key), ("--ids", self.ids)):
            if self.data is None and value is not None:
                raise ConfigError(f"{flag} is for the rows of --data, which is not given; leave it out")
        if self.data is None:
            dataset = run.dataset(data_changed=self.data_changed)
        else:
            own = {"label_key": self.label_key, "ids": self.ids}
            dataset = run.new_data(self.data, **own)
        rows = dataset.split(self.split or Part.test)
        return datasets.AllRows(rows, dataset.class_names, dataset.columns, dataset.reading)


def unfolded(group: type[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of a dataclass. It receives them as one object, its argument of that type."""
    hints = get_type_hints(group, include_extras=True)
    shared = [
        inspect.Parameter(it.name, inspect.Parameter.KEYWORD_ONLY, default=it.default, annotation=hints[it.name])
        for it in dataclasses.fields(group)
    ]

    def decorated(command: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(command, eval_str=True).parameters.values())
        (place,) = (index for index, it in enumerate(own) if it.annotation is group)
        name = own[place].name
        before = own[:place]
        after = [it.replace(kind=inspect.Parameter.KEYWORD_ONLY) for it in own[place + 1 :]]

        @functools.wraps(command)
        def wrapper(*arguments: Any, **given: Any) -> None:
            parts = {it.name: given.pop(it.name) for it in shared}
            command(*arguments, **{name: group(**parts)}, **given)

        signature = inspect.Signature([*before, *shared, *after])
        wrapper.__signature__ = signature  # type: ignore[attr-defined]  # typer reads the options from it
        wrapper.__annotations__ = {name: it.annotation for name, it in signature.parameters.items()}
        return wrapper

    return decorated


with_run_options = unfolded(RunOptions)
with_row_options = unfolded(RowOptions)


def output(
    text: str | Path, suffixes: Sequence[str], *, json: bool, option: str = "--out", form: str | None = None
) -> Output:
    """The file that an option names for a result: see `Output.named`. ConfigError if --json needs its place."""
    from aaeframe.storage.output import Output

    found = Output.named(text, suffixes, option=option, form=form)
    if json and found.is_standard:
        raise ConfigError(f"--json and {option} {text} both write to standard output; leave one of them out")
    if found.is_standard and found.suffix in BINARY and sys.stdout.isatty():
        raise ConfigError(f"{option} {text} would print {found.suffix} on the terminal; pipe or redirect it")
    return found


def check_not_read(output: Output | None, *sources: str | Path | None, option: str = "--out") -> None:
    """ConfigError if the file to write is data that the command, or the training of its run, reads."""
    if output is None or output.descriptor is not None or not output.path.is_file():
        return
    target = output.path.resolve()
    for source in (it for it in sources if it is not None):
        is_read = False
        with suppress(OSError, ValueError, RuntimeError):  # the name of a data set is no file
            path = Path(source).expanduser()
            # Of a folder, readers take files in it and in its own folders. A single word may name a data set instead.
            in_folder = path != Path(path.name) and path.resolve() in [*target.parents][:2]
            in_folder = in_folder and target.suffix.lower() in (".npy", ".parquet", ".png")
            is_read = target.samefile(path) or in_folder
        if is_read:
            raise ConfigError(f"{option} {output} would replace the data {source}; give another file")


def form_of(form: str | None, out: str | None) -> str | None:
    """The value of --format. ConfigError without --out."""
    if form is not None and out is None:
        raise ConfigError(f"--format {form} is the format of --out -, a pipe or a device; give --out")
    return form


def registry(context: typer.Context) -> Registry:
    """The installed plugins without those blocked on the command line."""
    from aaeframe.components.registry import Registry

    return Registry.load(context.obj["no_plugins"])


def kind(name: str) -> Kind:
    """The kind of component with this name."""
    from aaeframe.components.registry import KINDS

    for known in KINDS:
        if name == known:
            return known
    raise typer.BadParameter(f"{name!r} is not one of {', '.join(KINDS)}", param_hint="--kind")


def check_writable(folder: Path) -> None:
    """ReadOnly, before any work is done, if this user cannot write into an existing folder; nor into an archive."""
    if is_zipfile(folder):
        raise ReadOnly(f"{folder} is an archive, into which nothing is written; name another place by --out")
    if folder.is_dir() and not os.access(folder, os.W_OK):
        raise ReadOnly(f"{folder} is read-only, and the result would be written there; name another place by --out")


def load_run(context: typer.Context, path: Path, device: str, raw_weights: bool, best: bool = False) -> Run:
    """The run in a folder."""
    from aaeframe.cli.console import note
    from aaeframe.runs.loading import load

    run = load(path, registry(context), device=device, raw_weights=raw_weights, best=best, warn=note)
    if not run.finished:
        note(f"{path} has not trained all its epochs; resume it with: aaeframe train --resume {path}")
    return run
