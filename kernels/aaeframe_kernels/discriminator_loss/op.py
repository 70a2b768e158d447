"""The public discriminator loss: checks the inputs and chooses the backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from torch import Tensor

from aaeframe_kernels.discriminator_loss.cpu import cpu_loss
from aaeframe_kernels.discriminator_loss.launch import fused_loss, unsupported_reason
from aaeframe_kernels.discriminator_loss.reference import BOUNDARIES, DiscriminatorLoss, Form, LossKind, reference
from aaeframe_kernels.dispatch import choose, launches

NAME: Final = "discriminator_loss"


def discriminator_loss(
    features: Tensor,
    weight: Tensor,
    bias: Tensor,
    target: Tensor,
    row_weight: Tensor,
    *,
    kind: LossKind = "bce",
    sizes: Sequence[int] | None = None,
    relu: bool = False,
) -> DiscriminatorLoss:
    """A linear layer and the loss of its logits: sum_i row_weight_i l(z_i, target_i), z = features @ weight + bias.

    features (R, H), weight (H,) or (1, H), bias () or (1,), target (R,), row_weight (R,), of any floating dtype.
    Arithmetic is in float32, with or without autocast, or float64 for float64 features. `kind` names l, see `LossKind`.
    `row_weight` has the reduction: 1/n_real and 1/n_fake for the sum of two means. `sizes` are the numbers of
    consecutive rows of each segment of the statistics, R in all; one segment by default. `relu`: apply a ReLU to the
    features first.

    Gradients of features, weight and bias take one pass over the features, and nothing waits for the device. Gradients
    of target and row_weight, float64 and higher derivatives use torch operations. ValueError for inputs that do not fit
    together; KernelUnavailable for a forced backend that cannot run.
    """
    form = Form(kind, (len(features),) if sizes is None else tuple(sizes), relu)
    _check(features, weight, bias, target, row_weight, form)
    inputs = (features, weight, bias, target, row_weight)
    backend = choose(features.device, unsupported_reason(inputs, form)).backend
    launches[f"{backend}/{NAME}"] += 1
    if backend == "reference":
        return reference(*inputs, form)
    return cpu_loss(*inputs, form) if backend == "cpu" else fused_loss(inputs, form)


def _check(features: Tensor, weight: Tensor, bias: Tensor, target: Tensor, row_weight: Tensor, form: Form) -> None:
    """ValueError if the inputs do not fit together."""
    if form.kind not in BOUNDARIES:
        raise ValueError(f"kind={form.kind!r} names no loss; there are: {', '.join(BOUNDARIES)}")
    if features.ndim != 2 or 0 in features.shape:
        raise ValueError(f"features must be (rows, width) with at least one of each, not {tuple(features.shape)}")
    rows, width = features.shape
    if sum(form.sizes) != rows or min(form.sizes) < 1:
        raise ValueError(f"sizes={form.sizes} must be positive and sum to the features' {rows} rows")
    if weight.shape not in ((width,), (1, width)):
        raise _misfit("weight", weight, f"({width},) or (1, {width})", features)
    if bias.shape not in ((), (1,)):
        raise _misfit("bias", bias, "() or (1,)", features)
    if target.shape != (rows,):
        raise _misfit("target", target, f"({rows},)", features)
    if row_weight.shape != (rows,):
        raise _misfit("row_weight", row_weight, f"({rows},)", features)


def _misfit(name: str, found: Tensor, wanted: str, features: Tensor) -> ValueError:
    return ValueError(f"{name} must be {wanted} for features {tuple(features.shape)}, not {tuple(found.shape)}")
