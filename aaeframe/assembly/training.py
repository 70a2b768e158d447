"""From a resolved configuration and a data set to a training ready to run."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from typing import Any, cast

import numpy as np
import torch
from torch.distributions import constraints
from torch.nn.modules.batchnorm import _BatchNorm

from aaeframe.assembly.dry_run import dry_run
from aaeframe.assembly.mixing import ROWS, refuse_mixing
from aaeframe.assembly.model import build_model, build_priors, with_prior_phase
from aaeframe.assembly.optimizers import build_optimizers, refuse_uncapturable
from aaeframe.assembly.recipe import build_recipe
from aaeframe.configuration.resolve import ResolvedRun
from aaeframe.configuration.schema import Config
from aaeframe.data import Dataset, labeled_subset
from aaeframe.data.identity import identity
from aaeframe.errors import CheckpointError, ConfigError, DataError
from aaeframe.evaluation.validation import Validation
from aaeframe.model.autoencoder import Autoencoder
from aaeframe.protocols import DataSpec, Needs, SupportsBinding
from aaeframe.recipes import Recipe
from aaeframe.seeds import derive, stream
from aaeframe.storage.checkpoint import tensors_below
from aaeframe.training.batches import Batches, Everything, ResidentRows, add_windows, split_labels
from aaeframe.training.device import check_precision, pick
from aaeframe.training.early_stopping import EarlyStopping
from aaeframe.training.loop import Training
from aaeframe.training.loss_weights import LossWeights

MOST_BOUND = 10_000
"""The largest number of training rows that a prior is bound to."""
_SUPPORTS = {"unit_interval": constraints.unit_interval, "real": constraints.real}


def prepare(
    resolved: ResolvedRun,
    dataset: Dataset,
    *,
    saved: Mapping[str, torch.Tensor] | None = None,
    initial: Mapping[str, torch.Tensor] | None = None,
) -> Training:
    """Build all parts of a run; nothing is written.

    `saved` holds the model tensors of the checkpoint to resume from; `initial` those of a model to start from.
    ConfigError if the latter do not fit.
    """
    config, settings = resolved.config, resolved.config.training
    recipe = cast(type[Recipe], resolved.recipe.factory)
    _check_criterion(config, recipe.needs, dataset)
    device = pick(settings.device)
    check_precision(settings.precision, device)
    if device.type == "cuda" and settings.cuda_graph:
        refuse_uncapturable(config)
    num_classes = _classes(config, recipe.needs, dataset)
    batches = _batches(config, recipe.needs, dataset, device)
    resolved = _with_epochs(resolved, batches)
    with stream(settings.seed, "initialization"):
        known = initial if saved is None else saved
        priors = build_priors(resolved, saved=known)
        model = build_model(resolved, dataset.spec, num_classes, priors, saved=known).to(device)
        model.bind_priors(_some_rows(model, batches) if known is None else None)
        if initial is not None and saved is None:
            _start_from(initial, model)
    resolved = with_prior_phase(resolved, model.priors, resumed=saved is not None)
    config = resolved.config
    _check_batch_norm(model, batches)
    told_classes = num_classes if recipe.needs.labels == "told" else None
    dry_run(model, batches.rows[batches.unlabeled[:2]], told_classes, settings.seed)
    refuse_mixing(model, batches.rows[batches.unlabeled[:ROWS]], told_classes, settings.seed)
    of_priors = [it for it in model.prior_modules.parameters() if it.requires_grad]
    optimizers = build_optimizers(config, {**recipe.parameters(model), "prior": of_priors})
    weights = LossWeights.of(config, device)
    return Training(
        config=config,
        recipe=build_recipe(resolved, dataset.spec, model, optimizers, weights),
        model=model,
        optimizers=optimizers,
        weights=weights,
        batches=batches,
        device=device,
        validate=Validation(dataset, settings.seed, device, class_metric=recipe.needs.class_metric(config.data.labels)),
        data={**describe(dataset.spec), "num_classes": num_classes, **identity(dataset), **batches.order},
        versions=_versions(resolved),
        stopping=early_stopping(config, recipe.needs),
    )


def early_stopping(config: Config, needs: Needs) -> EarlyStopping | None:
    """The early stopping of a run before its first epoch; None without `training.patience`."""
    criterion, patience = needs.criterion(config.data.labels), config.training.patience
    return None if patience is None or criterion is None else EarlyStopping(criterion, patience)


def _check_criterion(config: Config, needs: Needs, dataset: Dataset) -> None:
    """DataError if `training.patience` is given and the validation rows cannot be measured by its criterion."""
    if config.training.patience is None:
        return
    lacks = None if len(dataset.validation) else "no validation rows"
    if needs.criterion(config.data.labels) == "validation/error" and not len(dataset.validation.labeled):
        lacks = "no labeled validation rows, whose error is the criterion"
    if lacks is not None:
        raise DataError(
            f"training.patience={config.training.patience} needs validation rows to measure, but {dataset.name} has "
            f"{lacks}; give it some, or leave training.patience out"
        )


def describe(spec: DataSpec) -> dict[str, Any]:
    """Shape and support of the data as a checkpoint keeps them; mean and std are the model's buffers."""
    support = next(name for name, it in _SUPPORTS.items() if it is spec.support)
    return {"shape": list(spec.shape), "support": support}


def data_spec(state: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> DataSpec:
    """The spec that `describe` described, with mean and std from a model's tensors; CheckpointError without them."""
    shape = torch.Size(state["shape"])
    moments = [it for name in ("mean", "std") if (it := tensors.get(f"model.{name}")) is not None]
    if len(moments) < 2 or not all(it.is_floating_point() and _scales(it.shape, shape) for it in moments):
        raise CheckpointError(f"the checkpoint holds no mean and std of data of shape {tuple(shape)}; restore it")
    mean, std = moments
    return DataSpec(shape, _SUPPORTS[state["support"]], mean, std)


def _scales(moment: torch.Size, shape: torch.Size) -> bool:
    """Whether a moment (1 or D at each axis) broadcasts to data of this shape."""
    return len(moment) <= len(shape) and all(
        d in (1, n) for d, n in zip(reversed(moment), reversed(shape), strict=False)
    )


def _versions(resolved: ResolvedRun) -> dict[str, str]:
    """The versions of Python, of the computing libraries, and of the distributions that the run uses."""
    computing = {name: version(name) for name in ("numpy", "safetensors", "torch")}
    return {"python": platform.python_version(), **dict(sorted({**computing, **resolved.versions}.items()))}


def _classes(config: Config, needs: Needs, dataset: Dataset) -> int | None:
    """The number of classes if the run is given labels."""
    if not config.data.labels and needs.labels != "every":
        return None
    if dataset.num_classes is None or dataset.train.labels is None:
        asked, instead = f"--labels {config.data.labels} was asked for", "leave --labels out"
        if needs.labels == "every":
            asked, instead = f"the recipe {config.recipe.component!r} uses labels", "use a recipe without"
        raise DataError(
            f"{asked}, but the data {dataset.name} has no labels; {instead}, or name the labels with --label-key NAME"
        )
    lacking = {
        name: len(split) - len(split.labeled)
        for name, split in (("training", dataset.train), ("validation", dataset.validation))
    }
    if needs.labels == "every" and any(lacking.values()):
        found = " and ".join(f"{count} {name} rows" for name, count in lacking.items() if count)
        raise DataError(
            f"the recipe {config.recipe.component!r} decodes each row with its label, but {found} of {dataset.name} "
            "have none; use a recipe that needs few labels, such as semi-supervised, or leave these rows out"
        )
    return dataset.num_classes


def _start_from(initial: Mapping[str, torch.Tensor], model: Autoencoder) -> None:
    """Give a model the weights of another. ConfigError if it has other ones."""
    try:
        model.load_state_dict(tensors_below("model.", initial))
    except RuntimeError as error:
        raise ConfigError(
            "the weights of the initial run do not fit this model; start from it without another prior, encoder, "
            f"network, discriminator, recipe or number of classes: {error}"
        ) from error


def _with_epochs(resolved: ResolvedRun, batches: Batches) -> ResolvedRun:
    """The run with as many epochs as its number of steps takes, if it has one."""
    steps = batches.steps = resolved.config.training.steps
    if steps is None:
        return resolved
    training = resolved.config.training.model_copy(update={"epochs": math.ceil(steps / batches.steps_per_epoch)})
    return replace(resolved, config=resolved.config.model_copy(update={"training": training}))


def _some_rows(model: Autoencoder, batches: Batches) -> torch.Tensor | None:
    """Up to 10,000 scaled training rows, evenly spaced, if a prior wants them."""
    if not any(isinstance(prior, SupportsBinding) for prior in model.priors.values()):
        return None
    rows = batches.unlabeled
    places = torch.linspace(0, len(rows) - 1, min(len(rows), MOST_BOUND), dtype=torch.float64)  # exact for all counts
    chosen = rows[places.round().long()]
    return model.scale(batches.rows[chosen])


def _check_batch_norm(model: Autoencoder, batches: Batches) -> None:
    """ConfigError if a minibatch is one row, which has no spread to normalize by."""
    smallest = batches.batch_size if batches.labeled is None else min(batches.batch_size, batches.labeled_batch_size)
    if smallest == 1 and any(isinstance(it, _BatchNorm) for it in model.modules()):
        raise ConfigError("batch norm needs two rows or more in each minibatch, labeled ones too; found a size of 1")


def _batches(config: Config, needs: Needs, dataset: Dataset, device: torch.device) -> Batches:
    batches, split = _batches_in_memory(config, needs, dataset, device), dataset.train
    if split.is_stored:
        add_windows(batches, split, config.data.window_mib * 2**20)
    return batches


def _batches_in_memory(config: Config, needs: Needs, dataset: Dataset, device: torch.device) -> Batches:
    settings, split = config.training, dataset.train
    most = min(config.data.max_resident_mib, config.data.window_mib if split.is_stored else math.inf)
    rows = ResidentRows(split, device, resident_bytes=most * 2**20)
    seed = derive(settings.seed, "batches")
    everything = Everything(len(split)) if split.is_stored else torch.arange(len(split))
    if needs.labels == "every" and split.labels is not None:
        return Batches(rows, everything, settings.batch_size, seed, row_labels=torch.from_numpy(split.labels))
    if not config.data.labels or split.labels is None or dataset.num_classes is None:
        return Batches(rows, everything, settings.batch_size, seed)
    known = np.flatnonzero(split.labels >= 0)
    if config.data.labels == "all":
        chosen = known
    else:
        seed_of_labels = derive(settings.seed, "labeled subset")
        chosen = known[labeled_subset(split.labels[known], config.data.labels, dataset.num_classes, seed_of_labels)]
    rest, labeled, labels = split_labels(split.labels, chosen)
    size = settings.labeled_batch_size or settings.batch_size
    is_whole = needs.labels != "told" or config.data.labels == "all"  # what has a label is reconstructed, too
    unlabeled = everything if is_whole else rest
    return Batches(rows, unlabeled, settings.batch_size, seed, labeled=labeled, labels=labels, labeled_batch_size=size)
