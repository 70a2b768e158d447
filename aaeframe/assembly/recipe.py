"""Build the recipe of a resolved configuration."""

from __future__ import annotations

from collections.abc import Mapping

from torch.optim import Optimizer

from aaeframe.configuration.resolve import ResolvedRun
from aaeframe.configuration.schema import Config
from aaeframe.losses.adversarial import AdversarialLoss
from aaeframe.losses.label_free import LabelFree
from aaeframe.model.autoencoder import Autoencoder
from aaeframe.protocols import DataSpec
from aaeframe.recipes import Adversary, Corruption, Recipe, SharedSettings
from aaeframe.training.loss_weights import LossWeights


def build_recipe(
    resolved: ResolvedRun,
    data: DataSpec,
    model: Autoencoder,
    optimizers: Mapping[str, Optimizer],
    weights: LossWeights,
) -> Recipe:
    """The recipe of a resolved configuration, which reads `weights` at each step.

    ConfigError if an encoder or a prior is not what the recipe needs.
    """
    config, settings = resolved.config, resolved.config.training
    shared = SharedSettings(
        schedule=settings.schedule or "",
        corruption=Corruption(settings.input_noise, settings.input_dropout),
        adversary=_adversary(config, model, optimizers, weights) if model.discriminators else None,
        reconstruction_weight=weights.reconstruction,
        classification_weight=1.0 if settings.classification_weight is None else settings.classification_weight,
        label_free=LabelFree(**config.label_free.model_dump(exclude_none=True)),
        support=data.support,
    )
    recipe: Recipe = resolved.recipe.build(model, optimizers, shared)
    return recipe


def _adversary(
    config: Config, model: Autoencoder, optimizers: Mapping[str, Optimizer], weights: LossWeights
) -> Adversary:
    settings = config.training
    return Adversary(
        model,
        AdversarialLoss(settings.loss, settings.label_smoothing),
        settings.gradient_penalty,
        {name: part.instance_noise for name, part in config.prior.items()},
        {name: part.softening for name, part in config.prior.items()},
        weights.generators,
        optimizers.get("prior"),
        settings.seed,
    )
