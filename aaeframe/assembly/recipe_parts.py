"""From a configuration and built parts to a recipe ready to step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.distributions import constraints
from torch.optim import Optimizer

from aaeframe.configuration.resolve import recipe_of
from aaeframe.configuration.schema import Config
from aaeframe.errors import ConfigError
from aaeframe.losses.adversarial import AdversarialLoss
from aaeframe.losses.label_free import LabelFree
from aaeframe.model.autoencoder import Autoencoder
from aaeframe.model.priors import has_density, on_device
from aaeframe.model.representation import ClusterHeads
from aaeframe.protocols import DataSpec, SupportsPosterior
from aaeframe.recipes.adversary import Adversary
from aaeframe.recipes.corruption import Corruption
from aaeframe.recipes.reduction import Reduction
from aaeframe.recipes.semi_supervised import SemiSupervised
from aaeframe.supports import described, is_one_hot, unwrapped
from aaeframe.training.loss_weights import LossWeights

HEAD_DISTANCE = 6.0
"""How far apart cluster heads are kept if not told: three standard deviations of a standard normal style each."""


def build_recipe(
    config: Config,
    data: DataSpec,
    model: Autoencoder,
    optimizers: Mapping[str, Optimizer],
    weights: LossWeights,
) -> Any:
    """The recipe of a resolved configuration, which reads `weights` at each step.

    ConfigError if an encoder or a prior is not what the recipe needs.
    """
    factory = recipe_of(config).load()
    if config.training.recipe == "variational":
        return factory(**_variational(config, data, model), model=model, optimizers=optimizers)
    common = _adversarial(config, model, optimizers, weights)
    if config.training.recipe == "unsupervised":
        _check_entropy(config, model)
        return factory(**common, entropy_weight=config.training.entropy_weight)
    if config.training.recipe == "supervised":
        return factory(**common)
    if config.training.recipe != "reduction":
        return factory(**common, **_classifying(config, model))
    return _reduction(config, model, optimizers, common)


def _corruption(config: Config) -> Corruption:
    return Corruption(config.training.input_noise, config.training.input_dropout)


def _adversarial(
    config: Config, model: Autoencoder, optimizers: Mapping[str, Optimizer], weights: LossWeights
) -> dict[str, Any]:
    settings = config.training
    _check_softening(config, model)
    adversary = Adversary(
        model,
        AdversarialLoss(settings.loss, settings.label_smoothing),
        settings.gradient_penalty,
        {name: part.instance_noise for name, part in config.prior.items()},
        {name: part.softening for name, part in config.prior.items()},
        weights.generators,
    )
    return {
        "model": model,
        "optimizers": optimizers,
        "adversary": adversary,
        "schedule": settings.schedule,
        "corruption": _corruption(config),
        "reconstruction_weight": weights.reconstruction,
    }


def _check_entropy(config: Config, model: Autoencoder) -> None:
    """An entropy can be raised of an encoder that has a density, on blocks of real numbers."""
    real = all(unwrapped(prior.support) is constraints.real for prior in model.priors.values())
    if config.training.entropy_weight and not (real and isinstance(model.encoder, SupportsPosterior)):
        raise ConfigError(
            "training.entropy_weight needs an encoder whose q(z|x) has a density, on blocks of real numbers, found "
            f"{config.encoder.component} and {', '.join(part.component for part in config.prior.values())}; use "
            "--encoder gaussian and priors such as gaussian, mixture or swissroll"
        )


def _check_softening(config: Config, model: Autoencoder) -> None:
    for name, part in config.prior.items():
        support = model.priors[name].support
        if part.softening and not is_one_hot(support):
            raise ConfigError(
                f"prior.{name}.softening is for blocks of one-hot vectors, and {name!r} ({part.component}) lives on "
                f"{described(support)}; leave it out, or take instance_noise"
            )


def _classifying(config: Config, model: Autoencoder) -> dict[str, Any]:
    terms = LabelFree(**config.label_free.model_dump(exclude_none=True))
    if terms.augmentation and len(model.data_shape) != 3:
        raise ConfigError(
            f"label_free.augmentation warps images (channels, height, width); this data has rows of shape "
            f"{tuple(model.data_shape)}; leave it out"
        )
    return {
        "class_block": model.class_block,
        "label_free": terms,
        "classification_weight": _or(config.training.classification_weight, 1.0),
    }


def _reduction(
    config: Config, model: Autoencoder, optimizers: Mapping[str, Optimizer], common: Mapping[str, Any]
) -> Any:

    assert isinstance(model.representation, ClusterHeads)
    classes = SemiSupervised(**common, **_classifying(config, model))
    return Reduction(classes, model.representation, optimizers, _or(config.training.head_distance, HEAD_DISTANCE))


def _variational(config: Config, data: DataSpec, model: Autoencoder) -> dict[str, Any]:
    if not isinstance(model.encoder, SupportsPosterior):
        raise ConfigError(
            f"the recipe 'variational' needs an encoder whose q(z|x) has a density, and {config.encoder.component!r} "
            "has none; use --encoder gaussian"
        )
    for name, prior in model.priors.items():
        if not has_density(prior):
            raise ConfigError(
                f"the recipe 'variational' needs the density of every prior, and that of block {name!r} "
                f"({config.prior[name].component}) has no log_prob; use gaussian or mixture, or an adversarial recipe, "
                "which needs samples alone"
            )
        if unwrapped(prior.support) is not constraints.real:
            raise ConfigError(
                f"the recipe 'variational' needs priors on real numbers, and block {name!r} "
                f"({config.prior[name].component}) lives on {described(prior.support)}; use an adversarial recipe"
            )
    unit = data.support is constraints.unit_interval
    likelihood = config.training.likelihood or ("bernoulli" if unit else "gaussian")
    if likelihood == "bernoulli" and not unit:
        raise ConfigError(
            "training.likelihood='bernoulli' is for data in [0, 1]; this data is standardized: 'gaussian'"
        )
    return {
        "priors": {name: on_device(prior, model.device) for name, prior in model.priors.items()},
        "likelihood": likelihood,
        "kl_weight": _or(config.training.kl_weight, 1.0),
        "corruption": _corruption(config),
    }


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
