"""From a configuration to what it names: components resolved, checked, complete, and built."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aaeframe
from aaeframe.components.options import build, resolve_options, restore
from aaeframe.components.recipes import RECIPES, RecipeInfo
from aaeframe.components.registry import Kind, Offer, Registry
from aaeframe.configuration.schema import AdamConfig, BlockConfig, ComponentConfig, Config
from aaeframe.configuration.unused import PYTHON, check_used, phases_of
from aaeframe.errors import ConfigError, OptionError

if TYPE_CHECKING:
    import torch
    from torch.optim import Optimizer

    from aaeframe.configuration.schema import OptimizerConfig
    from aaeframe.model.autoencoder import Autoencoder
    from aaeframe.model.representation import Representation
    from aaeframe.protocols import BlockSpec, DataSpec, Prior


def resolve(config: Config, registry: Registry) -> Config:
    """The configuration made whole: full names and paths, every option, every optimizer, the plugins used.

    Raises ComponentError, OptionError or ConfigError for what cannot be, without building anything.
    """
    recipe = recipe_of(config)
    if config.training.schedule is None:
        config = config.model_copy(
            update={"training": config.training.model_copy(update={"schedule": next(iter(recipe.schedules))})}
        )
    check_used(config, recipe)
    used = {"aaeframe": aaeframe.__version__}

    def whole(kind: Kind, part: ComponentConfig) -> dict[str, Any]:
        offer = registry.find(kind, part.component)
        used[offer.distribution] = offer.version
        return {"component": offer.full_name, "options": _storable(offer, part.options)}

    def block(part: BlockConfig) -> BlockConfig:
        other = part.discriminator
        prior = {} if part.component.startswith(PYTHON) else whole("prior", part)
        rival = {} if other is None else {"discriminator": ComponentConfig(**whole("discriminator", other))}
        return part.model_copy(update={**prior, **rival})

    return config.model_copy(
        update={
            "data": config.data.model_copy(update={"source": _from_anywhere(config.data.source)}),
            "prior": {name: block(part) for name, part in config.prior.items()},
            "encoder": ComponentConfig(**whole("encoder", config.encoder)),
            "network": ComponentConfig(**whole("network", config.network)),
            "discriminator": ComponentConfig(**whole("discriminator", config.discriminator)),
            "optimizers": {p: config.optimizers.get(p, AdamConfig(name="adam")) for p in phases_of(config, recipe)},
            "plugins": dict(sorted(used.items())),
        }
    )


def recipe_of(config: Config) -> RecipeInfo:
    """The recipe the configuration names, with its schedule known; ConfigError otherwise."""
    name, schedule = config.training.recipe, config.training.schedule
    if name not in RECIPES:
        raise ConfigError(f"no recipe is named {name!r}{_near(name, RECIPES)}; there are: {', '.join(RECIPES)}")
    schedules = RECIPES[name].schedules
    if schedule is not None and schedule not in schedules:
        raise ConfigError(
            f"the recipe {name!r} has no schedule {schedule!r}{_near(schedule, schedules)}; "
            f"there are: {', '.join(schedules)}"
        )
    return RECIPES[name]


def check_phases(config: Config) -> None:
    """ConfigError unless a configuration that should be resolved has the optimizers of its recipe and no others."""
    recipe, schedule = recipe_of(config), config.training.schedule
    if schedule is None:
        raise ConfigError(
            f"training.schedule is missing; recipe {config.training.recipe!r} has: {', '.join(recipe.schedules)}"
        )
    phases, given = phases_of(config, recipe), config.optimizers
    if given.keys() != set(phases):
        raise ConfigError(
            f"the optimizers are of the phases {', '.join(given) or 'none'}, where schedule {schedule!r} of recipe "
            f"{config.training.recipe!r} has {', '.join(phases)}; bring config.toml back to what it was, or train anew"
        )


def build_priors(
    config: Config, registry: Registry, given: Mapping[str, Prior], saved: Mapping[str, torch.Tensor] | None = None
) -> dict[str, Prior]:
    """The prior of each block. `given` holds those that were passed in from Python, `saved` a checkpoint's model."""
    from aaeframe.model.autoencoder import prior_state
    from aaeframe.model.priors import checked_prior

    priors: dict[str, Prior] = {}
    for name, part in config.prior.items():
        if part.component.startswith(PYTHON):
            if name not in given:
                raise ConfigError(
                    f"the prior of block {name!r} was an object from Python ({part.component.removeprefix(PYTHON)}), "
                    f"which no file can hold: pass it again, priors={{{name!r}: ...}}"
                )
            prior = given[name]
        elif saved is None:
            prior = build(registry.find("prior", part.component), options=part.options)
        else:
            prior = restore(registry.find("prior", part.component), prior_state(name, saved), options=part.options)
        priors[name] = checked_prior(name, prior)
    return priors


def build_model(
    config: Config, registry: Registry, data: DataSpec, num_classes: int | None, priors: Mapping[str, Prior]
) -> Autoencoder:
    """The model of a resolved configuration, with fresh weights from torch's global generator.

    `num_classes` is that of the data if the recipe is given labels, else None. ConfigError if the blocks are not
    those that the recipe needs.
    """
    from aaeframe.model.autoencoder import Autoencoder
    from aaeframe.model.initialization import draw_weights
    from aaeframe.model.priors import block_spec, labeled_blocks

    recipe = recipe_of(config)
    told = labeled_blocks(priors, num_classes if recipe.labels == "told" else None)
    blocks = {name: block_spec(prior) for name, prior in priors.items()}
    y = class_block_of(config, blocks, num_classes) if recipe.class_block else None
    representation = _representation(recipe, blocks, y, num_classes)
    network = _build(registry, "network", config.network, data, representation.size)
    encoder = _build(registry, "encoder", config.encoder, network, blocks)
    discriminators = {
        name: _build(
            registry,
            "discriminator",
            config.prior[name].discriminator or config.discriminator,
            block,
            num_classes if name in told else None,
        )
        for name, block in (blocks.items() if recipe.adversarial else ())
    }
    model = Autoencoder(data, encoder, network.decoder, representation, priors, discriminators, class_block=y)
    if config.training.initial_std is not None:
        for part in (model.encoder, model.decoder, model.discriminators):  # a prior's weights are its own
            draw_weights(part, config.training.initial_std)
    return model


def class_block_of(config: Config, blocks: Mapping[str, BlockSpec], num_classes: int | None) -> str:
    """The block that is the class; ConfigError if there is none, or several and none is named.

    With `num_classes`, those of labels to be learned, the block must have as many.
    """
    from aaeframe.supports import is_one_hot

    recipe, named = config.training.recipe, config.training.class_block
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


def _representation(
    recipe: RecipeInfo, blocks: Mapping[str, BlockSpec], class_block: str | None, num_classes: int | None
) -> Representation:
    """What the recipe's decoder sees of a code."""
    from torch.distributions import constraints

    from aaeframe.model.representation import ClusterHeads, Concatenate, WithLabel
    from aaeframe.supports import unwrapped

    if recipe.representation == "with label":
        assert num_classes is not None
        return WithLabel(blocks, num_classes)
    if recipe.representation == "concatenate":
        return Concatenate(blocks)
    assert class_block is not None
    style = [name for name in blocks if name != class_block]
    if len(style) != 1 or unwrapped(blocks[style[0]].support) is not constraints.real:
        raise ConfigError(
            f"the representation W_C y + z needs, beside the class {class_block!r}, one block of real numbers, found "
            f"{style}; for example --prior 'categorical+gaussian(size=2)'"
        )
    return ClusterHeads(blocks, class_block, style[0])


def build_optimizers(config: Config, parameters: Mapping[str, list[torch.nn.Parameter]]) -> dict[str, Optimizer]:
    """The optimizer of each phase over the parameters the recipe gives it, ready to be captured in a CUDA graph."""
    return {phase: _optimizer(part, parameters[phase]) for phase, part in config.optimizers.items()}


def _from_anywhere(source: str) -> str:
    """The source as it can be found from any folder: a path from the root, a name as it is."""
    from aaeframe.data import NAMES

    try:
        is_path = source not in NAMES and Path(source).exists()
    except OSError:  # loading the data will say what is wrong with it
        return source
    return str(Path(source).absolute()) if is_path else source


def _storable(offer: Offer, given: Mapping[str, Any]) -> dict[str, Any]:
    """Every option of the offer. OptionError if a file, which has no word for None, would not keep them."""
    options = resolve_options(offer, given)
    for name, default in resolve_options(offer, {k: v for k, v in given.items() if v is not None}).items():
        if options[name] is None and default is not None:
            raise OptionError(f"{offer}: {name}=None cannot be stored with the run; leave it out for {default!r}")
    return options


def _build(registry: Registry, kind: Kind, part: ComponentConfig, *positional: Any) -> Any:
    offer: Offer = registry.find(kind, part.component)
    return build(offer, *positional, options=part.options)


def _optimizer(part: OptimizerConfig, parameters: list[torch.nn.Parameter]) -> Optimizer:
    import torch
    from torch.optim import SGD, Adam, AdamW

    on_gpu = any(parameter.is_cuda for parameter in parameters)
    # Captured steps read the rate from the device; on the CPU a number is faster.
    rate = torch.tensor(part.lr, device=parameters[0].device) if on_gpu else part.lr
    if isinstance(part, AdamConfig):
        kind = AdamW if part.name == "adamw" else Adam
        betas, decay = part.betas, part.weight_decay
        return kind(parameters, lr=rate, betas=betas, weight_decay=decay, fused=True, capturable=on_gpu)
    return SGD(parameters, lr=rate, momentum=part.momentum, weight_decay=part.weight_decay, fused=True)


def _near(name: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
