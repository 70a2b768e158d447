"""A look at every part of a model on a few rows, before anything is trained or written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from aaeframe.errors import AaeframeError, BrokenComponent
from aaeframe.global_state import restoring
from aaeframe.model.autoencoder import Autoencoder
from aaeframe.model.priors import labeled_blocks
from aaeframe.protocols import Code
from aaeframe.recipes.steps import frozen
from aaeframe.seeds import stream


def dry_run(model: Autoencoder, x: Tensor, told_classes: int | None, seed: int) -> None:
    """Pass rows x (N, *shape), in the user's units, through every part.

    BrokenComponent, naming the part, if one fails, gives another shape than it must or changes its input: some would
    train all the same, to a wrong loss. What a part changes of what all code shares is restored, and the part named by
    PluginWarning. No weight, buffer or random state moves. `told_classes` is how many classes the discriminators
    are told of, or None.
    """
    with stream(seed, "dry run", device=model.device), torch.no_grad(), frozen(model):
        code = _encoded(model, x)
        labels = torch.zeros(len(x), dtype=torch.long, device=x.device)
        representation = model.representation(code, labels if model.representation.takes_labels else None)
        _call("decoder", model.decoder, representation, gives=(len(x), *model.data_shape))
        told = labeled_blocks(model.priors, told_classes)
        unlabeled = None if told_classes is None else torch.full((len(x),), told_classes, device=x.device)
        for name, discriminator in model.discriminators.items():
            seen = unlabeled if name in told else None
            _call(f"discriminator of block {name!r}", discriminator, code[name], seen, gives=(len(x),))


def _encoded(model: Autoencoder, x: Tensor) -> Code:
    code = _run("encoder", model.encoder, model.encoder, model.scale(x))
    if not isinstance(code, Mapping) or code.keys() != model.priors.keys():
        found = list(code) if isinstance(code, Mapping) else type(code).__name__
        raise BrokenComponent(f"the encoder must give a code with the blocks {list(model.priors)}, found {found}")
    for name, prior in model.priors.items():
        _require_shape(f"encoder, for block {name!r},", code[name], (len(x), *prior.event_shape))
    return code


def _call(role: str, part: nn.Module, *inputs: Any, gives: tuple[int, ...]) -> None:
    _require_shape(role, _run(role, part, part, *inputs), gives)


def _run(role: str, part: object, function: Callable[..., Any], *inputs: Any) -> Any:
    before = [it.clone() if isinstance(it, Tensor) else it for it in inputs]
    called = f"the {role} ({type(part).__name__})"
    try:
        with restoring(called):
            result = function(*inputs)
    except AaeframeError:
        raise
    except Exception as error:  # it is someone else's code
        raise BrokenComponent(f"{called} fails on the first rows: {type(error).__name__}: {error}") from error
    for was, now in zip(before, inputs, strict=True):
        if isinstance(now, Tensor) and not torch.equal(was, now):
            raise BrokenComponent(f"{called} changes its input in place, which other parts use, too; fix it")
    return result


def _require_shape(role: str, value: object, expected: tuple[int, ...]) -> None:
    found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
    if found != expected:
        raise BrokenComponent(
            f"the {role} must give a tensor of shape {expected} for {expected[0]} rows, found {found}; fix it, and "
            "see what `aaeframe plugins check` says of the component"
        )
