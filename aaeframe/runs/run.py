"""A trained run: use its model, evaluate it."""

from __future__ import annotations

import copy
import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from aaeframe.anomaly import Density, Kind, Reasons
from aaeframe.components.registry import Registry
from aaeframe.configuration.schema import Config
from aaeframe.data import AllRows, Dataset, Split
from aaeframe.errors import DataError, RunError, TrainingWarning
from aaeframe.evaluation.likelihood import ALONE, Progress, Ranks
from aaeframe.evaluation.metrics import Metric
from aaeframe.export.folder import Scoring, export_onnx
from aaeframe.model.autoencoder import Autoencoder, Rows
from aaeframe.model.priors import fixed_priors
from aaeframe.protocols import Code, Needs, SupportsFollowing, SupportsLabels
from aaeframe.runs import measuring, new_data
from aaeframe.runs.anomaly import AnomalyScorer
from aaeframe.runs.archive import write_run
from aaeframe.runs.exporting import about, rows_for_check
from aaeframe.runs.observing import Reporting
from aaeframe.runs.reading import training_data
from aaeframe.storage.metrics_file import MetricsRow
from aaeframe.storage.run_folder import RunFolder
from aaeframe.torch_state import default_state
from aaeframe.training.early_stopping import EarlyStopping
from aaeframe.training.keeping import Keeper
from aaeframe.training.loop import load_model


def warn(sentence: str) -> None:
    """Issue a Python warning that points at the caller's caller."""
    warnings.warn(sentence, stacklevel=3)


def warn_of_training(sentence: str) -> None:
    """Issue a TrainingWarning that points at the caller's caller."""
    warnings.warn(sentence, TrainingWarning, stacklevel=3)


@dataclass(frozen=True)
class Run:
    """A trained run: its folder, its configuration and its model, in evaluation mode."""

    home: RunFolder | None
    """Its folder; None for a run in memory."""
    config: Config
    needs: Needs
    """The requirements of its recipe."""
    model: Autoencoder
    finished: bool
    """Whether the training reached its end."""
    step: int
    """The number of training steps of the weights."""
    raw_weights: bool
    """Whether these are the trained weights and not their moving average."""
    data: Mapping[str, Any] = field(repr=False)
    """The identity of the data it was trained on: see `aaeframe.data.identity`."""
    keeper: Keeper = field(repr=False)
    stopping: EarlyStopping | None = field(default=None, repr=False)
    """Early stopping as the training left it; None without `training.patience`."""
    given: Dataset | None = field(default=None, repr=False)
    """The data of the training, if it was passed in from Python."""
    registry: Registry | None = field(default=None, repr=False)
    """The installed plugins, by which data sets are found; loaded when needed if not given."""
    reporting: Reporting | None = field(default=None, repr=False)
    """Tells the observers of the run about evaluations and figures."""
    densities: dict[str, Density] = field(default_factory=dict, repr=False)
    """The densities of anomaly scores in memory, by the digest of the weights."""

    def __copy__(self) -> Run:
        return replace(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Run:
        return replace(self, **{it.name: copy.deepcopy(getattr(self, it.name), memo) for it in fields(self)})

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse to pickle. RunError, which says what to pass on in its place."""
        place = "run.folder.path" if self.home is not None else "the path of run.save(path)"
        raise RunError(f"a run is not pickled; pass on {place}, and read it by aaeframe.load")

    @property
    def stopped_early(self) -> bool:
        """Whether the training ended because its validation criterion no longer improved."""
        return self.stopping is not None and self.stopping.exhausted

    @property
    def best_epoch(self) -> int | None:
        """The epoch of the best validation criterion, from 1; None without `training.patience` or before one ended."""
        return self.stopping.best_epoch or None if self.stopping is not None else None

    def save(self, path: str | Path) -> Run:
        """Write a run in memory to a new folder, and return the run in it: see `aaeframe.runs.in_memory.save`."""
        from aaeframe.runs.in_memory import save  # which imports this module

        return save(self, path)

    def best(self) -> Run:
        """The run with the weights of its best epoch by the validation criterion.

        The criterion measures reconstruction or classes only, not the match of codes with the prior.
        RunError for a run without `training.patience`, or before its first epoch ended. CheckpointError if the
        checkpoint is missing or damaged.
        """
        if self.stopping is None or not self.stopping.best_epoch:
            found = "it was trained without training.patience" if self.stopping is None else "no epoch has ended"
            raise RunError(
                f"this run has no best epoch: {found}; use its last weights, or train with --set training.patience=N"
            )
        step = self.stopping.best_step
        if step == self.step:
            return self
        saved = self.keeper.best(step)
        # A prior that follows codes has state in the checkpoint, which must not replace that of this run.
        shared = (it for it in fixed_priors(self.model.priors) if not isinstance(it, SupportsFollowing))
        model = copy.deepcopy(self.model, {id(it): it for it in shared})
        load_model(model, saved.model, "model." if self.raw_weights else "ema.")
        return replace(self, model=model.eval(), step=step)

    @property
    def folder(self) -> RunFolder:
        """Its folder. RunError for a run in memory."""
        if self.home is None:
            raise RunError("this run is in memory and has no folder; write it to one with save(path)")
        return self.home

    @property
    def metrics(self) -> Sequence[MetricsRow]:
        """The metrics of the training, one row an epoch."""
        return self.keeper.rows

    @property
    def evaluations(self) -> Mapping[str, Any]:
        """The stored reports by split; none for a run in memory."""
        return self.keeper.evaluations

    def encode(self, x: Any, *, draws: int = 0, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """The codes of x, in the user's units: see `Autoencoder.encode`.

        x is whatever `aaeframe.train` takes, read with the options of the training: a data frame is brought to its
        columns. Arrays and tensors (N, *shape) in the form of the model are taken as they are. A warning tells of rows
        that are left out for their empty cells.
        """
        return self.model.encode(new_data.model_rows(self, x), draws=draws, generator=generator)

    def decode(self, code: Code, labels: Tensor | None = None) -> Tensor:
        """Decode codes: see `Autoencoder.decode`."""
        return self.model.decode(code, labels)

    def reconstruct(self, x: Any, labels: Tensor | None = None) -> Tensor:
        """The result of decode(encode(x), labels): see `Autoencoder.reconstruct`. x is as for `encode`.

        A decoder that takes labels is given those of x, unless `labels` are given.
        """
        return self.model.reconstruct(*self.rows_and_labels(x, labels))

    def scores(
        self, x: Any, *, kind: Kind = "density", labels: Tensor | None = None, warn: Callable[[str], None] = warn
    ) -> np.ndarray:
        """The anomaly score (N,) of each row; higher is odder. x and `labels` are as for `reconstruct`.

        Kinds are "density", "reconstruction", "prior" and "discriminator": see `aaeframe.anomaly.scores`. The density
        is fitted to the training rows when it is first needed, and kept in the run's folder, if it has one; `warn` is
        called if it cannot be. ConfigError for a kind that the model does not give.
        """
        return AnomalyScorer(self, warn).scores(x, kind, labels)

    def reasons(
        self, x: Any, count: int = 3, *, labels: Tensor | None = None, warn: Callable[[str], None] = warn
    ) -> Reasons:
        """The columns of each row that deviate most from what the model expects; otherwise as for `scores`."""
        return AnomalyScorer(self, warn).reasons(x, count, labels)

    def rows_and_labels(self, x: Any, labels: Tensor | None) -> tuple[Rows, Tensor | None]:
        """Rows in the form of the model, and the labels for its decoder: those given, or those of x. None without."""
        return new_data.rows_and_labels(self, x, labels)

    def sample(self, count: int, *, seed: int | None = None, label: int | None = None) -> Tensor:
        """Decoded samples of the prior, of one class if it is given: see `Autoencoder.sample`."""
        return self.model.sample(count, seed=seed, label=label)

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The names of the classes in the data of the training; None if it had no labels."""
        names = self.data["class_names"]
        return None if names is None else tuple(names)

    def weights_digest(self) -> str:
        """The digest of all weights and buffers of the model, hexadecimal."""
        digest = hashlib.sha256()
        for name, value in self.model.state_dict().items():
            it = value.detach().cpu().contiguous().flatten().view(torch.uint8)
            digest.update(name.encode() + it.numpy().tobytes())
        return digest.hexdigest()

    @property
    def category_names(self) -> tuple[str, ...] | None:
        """The names of the model's categories, if they are classes of the data; None for clusters."""
        learned = self.needs.labels == "every" or self.needs.class_metric(self.config.data.labels) == "classification"
        return self.class_names if learned else None

    def class_index(self, name: str) -> int:
        """The class of this name, for `sample`; of a model of clusters, which have no names, the cluster's number.

        DataError, which lists the names, for another name.
        """
        names = self.category_names or tuple(map(str, range(self.model.num_classes or 0)))
        if name not in names:
            known = f"has the classes {', '.join(names)}" if names else "has no classes"
            raise DataError(f"samples of class {name!r} were requested; this model {known}")
        return names.index(name)

    def dataset(self, *, data_changed: bool = False) -> Dataset:
        """The data of the training: what was passed in from Python, or loaded from its source.

        DataError if it came from Python and is not at hand: see `data` of `load`. DataError, which says what is
        different, if it is no longer the data of the training: another order or number of rows would make training rows
        test rows. `data_changed` allows it.
        """
        return training_data(self, data_changed=data_changed)

    def new_rows(
        self, source: Any, *, label_key: str | None = None, ids: str | None = None, check: bool = True
    ) -> AllRows:
        """All rows of a source that the run has not seen, read as its training data was: see `load_new`.

        `check` reads them once, for values that are not finite and for `check_range`.
        """
        return new_data.new_rows(self, source, label_key=label_key, ids=ids, check=check)

    def new_data(self, source: Any, *, label_key: str | None = None, ids: str | None = None) -> Dataset:
        """A source that the run has not seen with its own splits, read as the training data was: see `load_new`."""
        return new_data.new_data(self, source, label_key=label_key, ids=ids)

    def unseen(self, source: Any, *, label_key: str | None = None, data_changed: bool = False) -> Dataset:
        """The data of the training, with all rows of another source, never seen, as its test rows.

        The classes are those of the training; if that had no labels, those of the source.
        """
        return new_data.unseen(self, source, label_key=label_key, data_changed=data_changed)

    @property
    def means(self) -> np.ndarray:
        """(*shape) the mean of each feature over the training rows, in the user's units."""
        return np.asarray(self.model.mean.cpu().numpy())

    def check_range(self, rows: Split, where: str) -> None:
        """DataError for rows on another scale than a model of pixels.

        Either they are far outside [0, 1] in its units, or its pixels have 8 or 16 bits and theirs have fewer or are
        within 0..1.
        """
        new_data.check_range(self, rows, where)

    def own_classes(self, dataset: Dataset) -> Dataset:
        """A data set with the class indices of the run. DataError for a class that the run does not have."""
        return dataset if self.class_names is None else new_data.classes_as(dataset, self.class_names)

    def evaluate(
        self,
        data: Any = None,
        *,
        split: str = "test",
        metrics: str | Metric | Sequence[str | Metric] = (),
        two_sample: bool = True,
        warn: Callable[[str], None] = warn_of_training,
    ) -> dict[str, Any]:
        """Match, reconstruction and classes on a split: see `aaeframe.evaluation.evaluate`.

        `data` is a Dataset, by default that of the training. Other data, as for `encode`, is new: all of its rows are
        measured.

        `metrics`, one or several, are measured besides those of the configuration: names with options as in "mmd", or
        functions of an `aaeframe.evaluation.Evaluated`. `two_sample=False` leaves out the classifier test.
        Adds the step and `raw_weights`. `warn` is called with a sentence for each block that misses its prior, and for
        each metric that fails; by default it is a Python warning. Where classes are 0 and 1, and nothing learned them,
        the metric "anomaly" of class 1 is measured, too.
        """
        return measuring.evaluate_run(self, data, split=split, metrics=metrics, two_sample=two_sample, warn=warn)

    def likelihood(
        self,
        dataset: Dataset | None = None,
        *,
        split: str = "test",
        samples: int = 10_000,
        precision: str = "fp32",
        progress: Progress = lambda doing, done, of: None,
        store: bool = True,
        warn: Callable[[str], None] = warn,
        ranks: Ranks = ALONE,
    ) -> dict[str, Any]:
        """The Parzen log-likelihood of a split under decoded samples: see `aaeframe.evaluation.likelihood`.

        Images are scaled to [0, 1], other data are in their own units. The first validation rows choose the bandwidth.
        `precision` is the arithmetic of the decoder: "fp32", "tf32" (on a GPU) or "bf16". The report is stored in the
        run's folder, if it has one. An interrupted estimate is resumed. With `store` false, neither is written, so that
        the folder may be read-only. `warn` is called if the access cannot be logged, and if the estimate was begun by
        another number of processes, which alone can resume it. Several processes (`ranks`) share
        the samples; the first one writes and logs. DeviceError if the device does not support the precision,
        ConfigError if there is no such precision.
        """
        return measuring.estimate_likelihood(
            self, dataset, split, samples, precision=precision, progress=progress, store=store, warn=warn, ranks=ranks
        )

    @default_state()
    def export(
        self,
        path: Path | str,
        *,
        part: str | Sequence[str] = (),
        kind: Kind = "density",
        data: Any = None,
        label_key: str | None = None,
        warn: Callable[[str], None] = warn,
    ) -> list[Path]:
        """Write parts of the model as ONNX files into a new folder: see `aaeframe.export.folder.export_onnx`.

        Args:
            path: the new folder.
            part: "encoder", "decoder" or "score", or several; by default encoder and decoder.
            kind: the kind of score, as for `scores`.
            data: rows for the check of the files, as for `encode`; by default validation rows of the training data.
            label_key: the column or array of `data` that holds labels, if it has another name than in training.
            warn: as for `scores`.

        Returns the paths, that of the manifest last.
        """
        parts = [part] if isinstance(part, str) else list(part)
        rows, origin = rows_for_check(self, data, label_key)

        def scoring() -> Scoring:
            return Scoring(kind, AnomalyScorer(self, warn).density() if kind == "density" else None)

        return export_onnx(self.model, rows, Path(path), parts=parts, scoring=scoring, about=about(self), origin=origin)

    def to_archive(self, path: Path | str) -> Path:
        """Write the run into one .zip file, for `aaeframe.load`: weights, configuration, numbers, a model card.

        It holds no data and no optimizer: it can be used and not resumed. Returns the path.
        """
        return write_run(self, path)

    def plot_figures(
        self,
        dataset: Dataset | None = None,
        *,
        split: str = "test",
        out: Path | str | None = None,
        warn: Callable[[str], None] = warn,
    ) -> list[Path]:
        """Plot the run's figures into the folder `out`, by default its own; returns their paths.

        RunError for a run in memory without `out`. `warn` is called if the access to test rows cannot be logged.
        """
        from aaeframe.runs.reporting import plot_figures

        return plot_figures(self, dataset, split, out, warn)

    @default_state()
    def report(
        self,
        out: Path | str | None = None,
        *,
        split: str = "validation",
        points: int | None = None,
        data_changed: bool = False,
        warn: Callable[[str], None] = warn_of_training,
    ) -> Path:
        """Write the run's report with the latent explorer, one HTML file, and return its path.

        Args:
            out: the file; by default report.html in the folder of the run.
            split: the rows that it shows: "validation", "test" or "train". Test rows count as an access.
            points: the largest number of rows in the explorer; by default 5,000, or fewer if they are large.
            data_changed: use the data even if it is no longer that of the training.
            warn: called with sentences of the evaluation; by default they are Python warnings.
        """
        from aaeframe.runs.reporting import default_output, write_report
        from aaeframe.storage.output import Output

        target = default_output([self]) if out is None else Output.named(out, [".html"], option="out=")
        write_report({self.name: self}, target, split=split, points=points, data_changed=data_changed, warn=warn)
        return target.path

    @property
    def name(self) -> str:
        """The name of its folder; of a run in memory "run in memory"."""
        return "run in memory" if self.home is None else self.home.path.resolve().name

    @property
    def informed(self) -> tuple[str, ...]:
        """The blocks whose discriminator takes labels."""
        if not self.config.data.labels:
            return ()
        return tuple(name for name, prior in self.model.priors.items() if isinstance(prior, SupportsLabels))
