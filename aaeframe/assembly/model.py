"""Build the priors and the model of a resolved configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from aaeframe.assembly.parts import (
    Saved,
    build_discriminator,
    build_encoder,
    build_network,
    build_prior,
    refuse_initial_std,
)
from aaeframe.configuration.optimizers import optimizer
from aaeframe.configuration.resolve import ResolvedRun
from aaeframe.configuration.schema import Config
from aaeframe.errors import ConfigError
from aaeframe.model.autoencoder import Autoencoder
from aaeframe.model.initialization import draw_weights
from aaeframe.model.priors import block_spec, check_objectives, is_trained, labeled_blocks
from aaeframe.protocols import BlockSpec, DataSpec, Prior
from aaeframe.recipes import Recipe
from aaeframe.supports import is_one_hot


def build_priors(resolved: ResolvedRun, *, saved: Saved = None) -> dict[str, Prior]:
    """The prior of each block."""
    return {name: build_prior(name, prior, saved) for name, prior in resolved.priors.items()}


def build_model(
    resolved: ResolvedRun,
    data: DataSpec,
    num_classes: int | None,
    priors: Mapping[str, Prior],
    *,
    saved: Saved = None,
) -> Autoencoder:
    """The model of a run, with fresh weights from torch's global generator, or those that its parts bring.

    `num_classes` is that of the data if the recipe is given labels, else None. ConfigError if the blocks are not
    those that the recipe needs.
    """
    config, recipe = resolved.config, cast(type[Recipe], resolved.recipe.factory)
    needs = recipe.needs
    told = labeled_blocks(priors, num_classes if needs.labels == "told" else None)
    blocks = {name: block_spec(prior) for name, prior in priors.items()}
    y = class_block_of(config, blocks, num_classes) if needs.class_block else None
    representation = recipe.representation(blocks, y, num_classes)
    network = build_network(resolved.network, data, representation.size, saved)
    encoder = build_encoder(resolved.encoder, network, blocks, saved)
    discriminators = {
        name: build_discriminator(
            name, resolved.discriminators[name], block, num_classes if name in told else None, saved
        )
        for name, block in (blocks.items() if needs.adversarial else ())
    }
    model = Autoencoder(data, encoder, network.decoder, representation, priors, discriminators, class_block=y)
    if config.training.initial_std is not None:
        refuse_initial_std(resolved)
        for part in (model.encoder, model.decoder, model.discriminators):  # a prior's weights are its own
            draw_weights(part, config.training.initial_std)
    return model


def with_prior_phase(resolved: ResolvedRun, priors: Mapping[str, Prior], *, resumed: bool) -> ResolvedRun:
    """The run with the optimizer of phase "prior" if a prior has parameters, which is known only once it is built.

    ConfigError if nothing would train them, if the optimizer is given and there are none, or if it was removed.
    """
    config, needs = resolved.config, resolved.recipe_class.needs
    check_objectives(priors, config.recipe.component, needs.prior_objective)
    given, wanted = "prior" in config.optimizers, any(map(is_trained, priors.values()))
    if given and not wanted:
        raise ConfigError("optimizers.prior is not used: no prior has parameters to train; leave it out")
    if given or not wanted:
        return resolved
    if resumed:
        raise ConfigError("optimizers.prior is missing; bring config.toml back to what it was, or train anew")
    optimizers = {**config.optimizers, "prior": optimizer({})}
    return replace(resolved, config=config.model_copy(update={"optimizers": optimizers}))


def class_block_of(config: Config, blocks: Mapping[str, BlockSpec], num_classes: int | None) -> str:
    """The block that is the class; ConfigError if there is none, or several and none is named.

    With `num_classes`, those of labels to be learned, the block must have as many.
    """
    recipe, named = config.recipe.component, config.training.class_block
    one_hot = [name for name, it in blocks.items() if is_one_hot(it.support) and len(it.event_shape) == 1]
    if named is not None and named not in one_hot:
        raise ConfigError(f"training.class_block={named!r} is no block of one-hot vectors; there are: {one_hot}")
    if named is None and len(one_hot) != 1:
        hint = "name one with --set training.class_block=..." if one_hot else "add one: --prior categorical+gaussian"
        raise ConfigError(
            f"the recipe {recipe!r} needs one block of one-hot vectors as the class, found {one_hot} among "
            f"{list(blocks)}; {hint}"
        )
    chosen = named or one_hot[0]
    size = blocks[chosen].event_shape.numel()
    if num_classes is not None and size != num_classes:
        raise ConfigError(
            f"the block {chosen!r} has {size} classes, but the labels have {num_classes}; set its option, as in "
            f"--prior 'categorical(classes={num_classes})+gaussian'"
        )
    return chosen
