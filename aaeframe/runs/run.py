"""A trained run: use its model, evaluate it."""

from __future__ import annotations

import copy
import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import constraints

from aaeframe import data as datasets
from aaeframe.anomaly import Density, Kind, Reasons
from aaeframe.components.objects import PYTHON
from aaeframe.components.registry import Registry
from aaeframe.components.requirements import obstacles
from aaeframe.configuration import schema as configuration
from aaeframe.configuration.data_sets import find_data_set, is_full_name
from aaeframe.configuration.objects import places
from aaeframe.configuration.reading import ReadOptions
from aaeframe.configuration.schema import Config
from aaeframe.data import AllRows, Dataset, Split
from aaeframe.data.identity import changes as changes_of_data
from aaeframe.data.identity import digest, identity
from aaeframe.data.named import opened
from aaeframe.data.read import name_of
from aaeframe.errors import DataError, ReadOnly, RunError, TrainingWarning
from aaeframe.evaluation.class_reports import decoder_labels
from aaeframe.evaluation.evaluate import evaluate, misses
from aaeframe.evaluation.likelihood import (
    ALONE,
    CHUNK,
    VALIDATION_ROWS,
    Decoded,
    Progress,
    Ranks,
    estimate,
    memory_for_samples,
)
from aaeframe.evaluation.metrics import Metric, named_metrics
from aaeframe.evaluation.resumable import Keep
from aaeframe.export.folder import Scoring, export_onnx
from aaeframe.global_state import PATCHABLE, restoring
from aaeframe.model.autoencoder import Autoencoder, Rows
from aaeframe.model.priors import fixed_priors
from aaeframe.protocols import ClassMetric, Code, Needs, SupportsLabels
from aaeframe.runs.anomaly import AnomalyScorer
from aaeframe.runs.archive import write_run
from aaeframe.runs.exporting import about, rows_for_check
from aaeframe.runs.new_data import Loaded, classes_as, load_new, with_classes
from aaeframe.runs.observing import Reporting
from aaeframe.storage.metrics_file import MetricsRow
from aaeframe.storage.run_folder import RunFolder
from aaeframe.storage.shards import Share
from aaeframe.torch_state import default_state, exclusive
from aaeframe.training.device import check_precision
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
        model = copy.deepcopy(self.model, {id(it): it for it in fixed_priors(self.model.priors)})
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
        columns. Arrays and tensors (N, *shape) in the form of the model are taken as they are.
        """
        return self.model.encode(self._rows(x)[0], draws=draws, generator=generator)

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
        rows, found = self._rows(x)
        if labels is None and self.model.representation.takes_labels:
            if isinstance(rows, Split):
                return rows, decoder_labels(self.model, rows)
            labels = None if found is None else torch.from_numpy(found)
        return rows, labels

    def _rows(self, x: Any) -> tuple[Rows, np.ndarray | None]:
        """Rows in the form of the model, and their labels, if there are any, as classes of the run."""
        shape = tuple(self.model.data_shape)
        plain = isinstance(x, np.ndarray) or (isinstance(x, Tensor) and x.layout == torch.strided)
        if isinstance(x, Split) or (plain and tuple(x.shape[1:]) == shape):
            return x, None
        found = self.new_rows(x)
        rows = with_classes(found.rows, found.class_names, self.class_names, name_of(x))
        return rows, rows.labels

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
        learned = self.needs.labels == "every" or self._class_metric == "classification"
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
        dataset = self.given or self._reread()
        if self.config.training.initial is not None and set(dataset.class_names or ()) <= set(self.class_names or ()):
            dataset = self.own_classes(dataset)  # their indices are those of the initial run
        found = changes_of_data(self.data, identity(dataset))
        if found and not data_changed:
            raise DataError(
                f"{dataset.name} is not the data of the training any more: {'; '.join(found)}. Its test rows may be "
                "rows that were trained on. Restore the data, name rows of your own by --data, or use it as it is with "
                "--data-changed"
            )
        return dataset

    def _reread(self) -> Dataset:
        if self.config.training.initial is None:
            return load_data(self.config, self.registry)
        from aaeframe.runs.initial import read_again  # which imports this module

        tensors = {f"model.{name}": getattr(self.model, name).cpu() for name in ("mean", "std")}
        return read_again(self.config, self.data, tensors, self.registry or Registry.load())

    def new_rows(
        self, source: Any, *, label_key: str | None = None, ids: str | None = None, check: bool = True
    ) -> AllRows:
        """All rows of a source that the run has not seen, read as its training data was: see `load_new`.

        `check` reads them once, for values that are not finite and for `check_range`.
        """
        found = self._load_new(partial(datasets.load_rows, check=check), source, label_key, ids)
        if check:
            self.check_range(found.rows, name_of(source))
        return found

    def new_data(self, source: Any, *, label_key: str | None = None, ids: str | None = None) -> Dataset:
        """A source that the run has not seen with its own splits, read as the training data was: see `load_new`."""
        return self._load_new(datasets.load, source, label_key, ids)

    def _load_new(self, load: Callable[..., Loaded], source: Any, label_key: str | None, ids: str | None) -> Loaded:
        source = opened(source, self.registry)
        return load_new(load, source, self.config, self.data, self.means, label_key=label_key, ids=ids)

    def unseen(self, source: Any, *, label_key: str | None = None, data_changed: bool = False) -> Dataset:
        """The data of the training, with all rows of another source, never seen, as its test rows."""
        known, found = self.dataset(data_changed=data_changed), self.new_rows(source, label_key=label_key)
        rows = with_classes(found.rows, found.class_names, known.class_names, name_of(source))
        return replace(known, name=name_of(source), test=rows, reading=found.reading)

    @property
    def means(self) -> np.ndarray:
        """(*shape) the mean of each feature over the training rows, in the user's units."""
        return np.asarray(self.model.mean.cpu().numpy())

    def check_range(self, rows: Split, where: str) -> None:
        """DataError for rows far outside [0, 1] in the units of a model of pixels: they have another scale."""
        if self.data["support"] != "unit_interval":
            return
        low, high = 0.0, 1.0
        for part in rows.chunks(self.model.batch_size):
            scaled = self.model.scale(torch.from_numpy(part).to(self.model.device))
            low, high = min(low, float(scaled.min())), max(high, float(scaled.max()))
        if low < -1 or high > 2:
            raise DataError(
                f"{where}: the values reach from {low:g} to {high:g}, in units in which those of the training are from "
                "0 to 1; bring them to the scale of the training data"
            )

    def own_classes(self, dataset: Dataset) -> Dataset:
        """A data set with the class indices of the run. DataError for a class that the run does not have."""
        return dataset if self.class_names is None else classes_as(dataset, self.class_names)

    @default_state()
    @restoring("a component of the run", PATCHABLE)
    def evaluate(
        self,
        data: Any = None,
        *,
        split: str = "test",
        metrics: Sequence[str | Metric] = (),
        two_sample: bool = True,
        warn: Callable[[str], None] = warn_of_training,
    ) -> dict[str, Any]:
        """Match, reconstruction and classes on a split: see `aaeframe.evaluation.evaluate`.

        `data` is a Dataset, by default that of the training. Other data, as for `encode`, is new: all of its rows are
        measured.

        `metrics` are measured besides those of the configuration: names with options as in "mmd", or functions of an
        `aaeframe.evaluation.Evaluated`. `two_sample=False` leaves out the classifier test.
        Adds the step and `raw_weights`. `warn` is called with a sentence for each block that misses its prior, and for
        each metric that fails; by default it is a Python warning. Where classes are 0 and 1, and nothing learned them,
        the metric "anomaly" of class 1 is measured, too.
        """
        if data is not None and not isinstance(data, Dataset):
            data, split = self.unseen(data), "test"
        data, labels = self.own_classes(data or self.dataset()), self.config.data.labels
        stored = self.config.evaluation.metrics
        asked = [*metrics, *(["anomaly"] if self._has_anomalies(data.split(split)) else ())]
        wanted = named_metrics(asked, self.registry or Registry.load(), stored=stored) if asked or stored else []
        rows = self._rows_of(data, split)
        self._log_access(rows, "evaluate", warn)
        report = evaluate(
            self.model,
            data,
            split,
            self.config.training.seed,
            num_labels=len(data.train.labeled) if labels == "all" else labels,
            class_metric=self._class_metric,
            metrics=wanted,
            two_sample=two_sample,
        )
        for sentence in misses(report):
            warn(sentence)
        for key, why in report.get("metric_errors", {}).items():
            warn(f"the metric {key} failed, and its number is missing: {why}")
        report = {**report, "split": rows, "step": self.step, "raw_weights": self.raw_weights}
        self._report(rows, report, warn)
        return report

    @default_state()
    @restoring("a component of the run", PATCHABLE)
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
        check_precision(precision, self.model.device)
        data, seed = dataset or self.dataset(), self.config.training.seed
        scaled = data.spec.support is constraints.unit_interval
        held = data.split("validation")
        validation = held.rows(np.arange(min(VALIDATION_ROWS, len(held))))
        rows = self._rows_of(data, split)
        first = ranks.share.index == 0
        inexact = {} if precision == "fp32" else {"precision": precision}
        identity = {"split": rows, "samples": samples, "seed": seed, "chunk": CHUNK, **inexact}
        keep = self._keep(identity, ranks.share) if store else None
        if first and (keep is None or not keep.found):  # a resumed estimate was logged already
            self._log_access(rows, ", ".join(["likelihood", f"{samples} samples", *inexact.values()]), warn)
            if keep is not None and keep.others:
                warn(
                    f"{keep.others[0]} is of another number of processes than {ranks.share.count}, so the estimate "
                    "starts anew; stop it and start as many processes as before to resume that one"
                )
        found = estimate(
            self._judged(data, data.split(split).array()),
            Decoded(self.model, samples, seed, scaled, precision, memory_for_samples(self.model.device)),
            validation=self._judged(data, validation),
            keep=keep,
            progress=progress,
            ranks=ranks,
        )
        units = "scaled to [0, 1]" if scaled else "as the data"
        where = {"split": rows, "units": units, "seed": seed, "step": self.step, "raw_weights": self.raw_weights}
        report = {**where, **inexact, **found.as_dict()}
        if split == "validation":
            report["warning"] = (
                "these rows chose the bandwidth, so their likelihood is optimistic; evaluate others, such as test"
            )
        name = ", ".join([f"{rows} likelihood", f"{samples} samples", *inexact.values()])
        if store and first and self.home is not None:
            self.home.write_evaluation(name, report)
        ranks.gather(b"")  # waits: no process discards its progress before the report is written
        if keep is not None:
            keep.remove()
        if keep is not None and first:
            keep.remove_others()
        if first:
            self._report(name, report, warn)
        return report

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

    def _has_anomalies(self, rows: Split) -> bool:
        """Whether the labels of rows say which are anomalies: 0 and 1 both occur, and the run does not learn them."""
        if self.class_names != ("0", "1") or rows.labels is None or self._class_metric is not None:
            return False
        return not self.config.data.labels and {0, 1} <= set(rows.labels.tolist())

    def _report(self, name: str, report: Mapping[str, Any], warn: Callable[[str], None]) -> None:
        """Tell the observers of an evaluation."""
        if self.reporting is not None:
            self.reporting.reported(name, report, warn)

    @property
    def _class_metric(self) -> ClassMetric | None:
        return self.needs.class_metric(self.config.data.labels)

    def _rows_of(self, dataset: Dataset, split: str) -> str:
        """The name of a split in reports, with that of the data if it is not the run's own."""
        own = self.data["digests"].get("training" if split == "train" else split)
        return split if own == digest(dataset.split(split)) else f"{split} of {dataset.name}"

    def _log_access(self, split: str, purpose: str, warn: Callable[[str], None]) -> None:
        """Log each use of the run's test rows, so that readers of a result know how many there were.

        In a read-only folder `warn` is called with the access instead.
        """
        if split != "test" or self.home is None:
            return
        try:
            self.home.log_test_access({"purpose": purpose, "step": self.step, "raw_weights": self.raw_weights})
        except ReadOnly:
            log = self.home.test_accesses
            warn(f"test rows are used ({purpose}, step {self.step}), which read-only {log} cannot count")

    def _keep(self, estimate: Mapping[str, Any], share: Share) -> Keep | None:
        """The file for resuming an estimate; None in memory, or with objects from Python, which nothing identifies."""
        if self.home is None or places(self.config):
            return None
        return Keep(self.home.path / "likelihood", {**estimate, "weights": self.weights_digest()}, share)

    def _judged(self, data: Dataset, x: np.ndarray) -> Tensor:
        """Rows in the units of the likelihood. Pixels stay uint8, which the kernel reads as numbers in [0, 1]."""
        rows = torch.from_numpy(x).to(self.model.device)
        if data.spec.support is constraints.real:
            return rows.to(self.model.mean.dtype)  # uint8 here is a number, not a pixel
        pixels = rows.dtype == torch.uint8 and bool((data.spec.std == 255).all() & (data.spec.mean == 0).all())
        return rows if pixels else self.model.scale(rows)

    @default_state()
    @restoring("a component of the run", PATCHABLE)
    def plot_figures(
        self,
        dataset: Dataset | None = None,
        *,
        split: str = "test",
        out: Path | None = None,
        warn: Callable[[str], None] = warn,
    ) -> list[Path]:
        """Plot the run's figures into the folder `out`, by default its own; returns their paths.

        RunError for a run in memory without `out`. `warn` is called if the access to test rows cannot be logged.
        """
        from aaeframe.figures.gallery import plot_gallery

        target = out or self.folder.figures
        self._log_access(split, "figures", warn)
        paths = plot_gallery(
            self.model,
            self.own_classes(dataset or self.dataset()),
            split,
            self.metrics,
            target,
            seed=self.config.training.seed,
            informed=self.informed,
            loss=self.config.training.loss,
            knows_classes=self.category_names is not None,
        )
        if self.reporting is not None:
            self.reporting.drawn(paths, warn)
        return paths

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


def read_config(folder: RunFolder) -> Config:
    """The configuration of a run; RunError if the folder is not a run, or a part of it lies outside."""
    folder.check()
    return configuration.parse(configuration.read(folder.config))


def given(data: Any, config: Config) -> Dataset | None:
    """Data from Python as a data set, read with the options of a run; None if there is none."""
    return data if data is None or isinstance(data, Dataset) else read_given(data, config.data.reading)


def read_given(data: Any, options: ReadOptions) -> Dataset:
    """Data from Python as a data set. Items that draw random numbers leave torch's state as it was."""
    with exclusive(), torch.random.fork_rng(devices=[]):
        return datasets.load(data, options)


def load_data(config: Config, registry: Registry | None = None) -> Dataset:
    """The data that a configuration names; DataError if it was passed in from Python, or its plugin is missing."""
    registry = registry or Registry.load()
    return datasets.load(checked_source(config, registry), config.data.reading, registry=registry)


def checked_source(config: Config, registry: Registry) -> str:
    """The name or path of the data. DataError if it was passed in from Python, or its plugin is missing."""
    source = config.data.source
    if source.startswith(PYTHON):
        raise DataError(
            "this run was trained on data passed in from Python, which no file holds, or shared without its place "
            f"({source.removeprefix(PYTHON)}): pass the same data again, as in aaeframe.load(path, data=x)"
        )
    made_with = {name: version for name, version in config.plugins.items() if source.startswith(f"{name}:")}
    if is_full_name(source) and find_data_set(source, registry) is None:
        lacking = obstacles(made_with, registry)
        raise DataError("\n  ".join([f"the data of this run are {source!r}, which no active plugin offers", *lacking]))
    return source
