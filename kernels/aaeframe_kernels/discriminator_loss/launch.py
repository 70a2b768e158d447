"""The host side of the Triton kernels: tiles, memory, launches, and the autograd function around them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from aaeframe_kernels.discriminator_loss.reference import BOUNDARIES, DiscriminatorLoss, Form, reference

SEGMENTS: Final = 4
"""The largest number of segments of rows in the kernel's statistics."""
SLOTS: Final = 16
"""The number of scalars before dw in a program's partial sums."""
WIDEST: Final = 8192
"""The largest number of features of a row: a program holds whole rows."""
PROGRAMS: Final = 512
"""The largest number of programs, the same for every GPU, so that every GPU adds in the same order."""
MERGED: Final = 64
"""The numbers of rows and columns of the partial sums that the merge reads at a time."""
SCALED: Final = 2048
"""The number of values that a program of the scaling kernel reads."""


class Tile(NamedTuple):
    """The rows that a program reads at a time, the power of two that holds their width, and warps."""

    rows: int
    columns: int
    warps: int


class Outputs(NamedTuple):
    """The kernels' outputs: the result, and the requested gradients, for an upstream gradient of 1."""

    result: DiscriminatorLoss
    of_features: Tensor | None
    of_weight: Tensor | None
    of_bias: Tensor | None


def unsupported_reason(inputs: tuple[Tensor, ...], form: Form) -> str | None:
    """The reason why the kernels do not support these inputs, as those of `reference`; None if they do."""
    features, _, _, target, row_weight = inputs
    if features.dtype == torch.float64:
        return "features are float64, and the kernel computes in float32"
    if torch.is_grad_enabled() and (target.requires_grad or row_weight.requires_grad):
        return "target or row_weight requires a gradient, which the kernel does not have"
    if features.shape[1] > WIDEST:
        return f"features are {features.shape[1]} wide, the kernel holds rows of at most {WIDEST}"
    if len(form.sizes) > SEGMENTS:
        return f"there are {len(form.sizes)} segments, the kernel counts at most {SEGMENTS}"
    return None


def tile(width: int) -> Tile:
    """The tile for rows of a width: at most 32 values a thread, so that four programs of 4 warps share the registers.

    Found by compiling, not by timing: 16 rows of 1000 values on 8 warps, or of 100 on 4, spill registers on some chips.
    """
    columns = max(16, 1 << (width - 1).bit_length())
    numbers, warps = (4096, 4) if columns <= 1024 else (8192, 8)
    return Tile(min(8, numbers // columns), columns, warps)


def fused_loss(inputs: tuple[Tensor, ...], form: Form) -> DiscriminatorLoss:
    """The loss by the kernels, with gradients only if an input requires them; inputs as those of `reference`."""
    if torch.is_grad_enabled() and any(part.requires_grad for part in inputs):
        return DiscriminatorLoss(*FusedLoss.apply(*inputs, form))
    return launch(inputs, form, need_features=False, need_parameters=False).result


def launch(inputs: tuple[Tensor, ...], form: Form, need_features: bool, need_parameters: bool) -> Outputs:
    """The loss, its statistics and the requested gradients, in two launches; inputs as those of `reference`."""
    from aaeframe_kernels.discriminator_loss.kernel import head_kernel, merge_kernel

    features = inputs[0] if inputs[0].stride(1) == 1 else inputs[0].contiguous()
    rows, width = features.shape
    block = tile(width)
    programs = min(-(-rows // block.rows), PROGRAMS)
    needed = {"NEED_PARAMETERS": need_parameters, "WIDTH": width, "PITCH": SLOTS + need_parameters * block.columns}
    partials = _empty(features, programs, needed["PITCH"])
    loss, statistics = _empty(features), _empty(features, 2, len(form.sizes))
    of_weight, of_bias = (_empty(features, width), _empty(features, 1)) if need_parameters else (loss, loss)
    of_features = _empty(features, rows, width, dtype=_stored(features)) if need_features else loss
    parts = [part.contiguous() for part in inputs[1:]]
    with _on(features.device):
        head_kernel[(programs,)](
            features, *parts, of_features, partials, rows, *_ends(form.sizes),
            KIND=form.kind, RELU=form.relu,
            LOGIT_BOUNDARY=BOUNDARIES[form.kind].logit, TARGET_BOUNDARY=BOUNDARIES[form.kind].target,
            NEED_FEATURES=need_features, **needed, STRIDE=features.stride(0),
            ROWS=block.rows, COLUMNS=block.columns, num_warps=block.warps, enable_fp_fusion=True,
        )  # fmt: skip
        merge_kernel[(-(-(SLOTS + need_parameters * width) // MERGED),)](
            partials, loss, statistics, of_weight, of_bias, programs,
            COUNT=len(form.sizes), **needed, ROWS=MERGED, COLUMNS=MERGED, num_warps=4, enable_fp_fusion=True,
        )  # fmt: skip
    result = DiscriminatorLoss(loss, *statistics.unbind())
    parameters = (of_weight, of_bias) if need_parameters else (None, None)
    return Outputs(result, of_features if need_features else None, *parameters)


class FusedLoss(torch.autograd.Function):
    """The loss, accuracy and mean logit of the inputs, with gradients computed in the forward pass.

    The first backward pass returns them, scaled in place by the upstream gradient. A second one through the same graph,
    and one that is itself differentiated, use the reference.
    """

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
        """The loss, and the gradients that are needed."""
        *inputs, form = arguments
        found = launch(tuple(inputs), form, ctx.needs_input_grad[0], any(ctx.needs_input_grad[1:3]))
        ctx.form, ctx.gradients = form, found[1:]
        ctx.save_for_backward(*inputs)
        ctx.mark_non_differentiable(found.result.accuracy, found.result.mean_logit)
        ctx.set_materialize_grads(False)
        return found.result.loss, found.result.accuracy, found.result.mean_logit

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor | None) -> Any:
        """The stored gradients times the upstream gradient of the loss."""
        if upstream[0] is None:
            return (None,) * 6
        if ctx.gradients is None or torch.is_grad_enabled():
            return _by_reference(ctx, upstream[0])
        gradients, ctx.gradients = ctx.gradients, None
        scale(gradients[0], gradients[1], gradients[2], upstream[0])
        shaped = [
            None if gradient is None or not needed else gradient.to(part.dtype).view_as(part)
            for part, gradient, needed in zip(ctx.saved_tensors[:3], gradients, ctx.needs_input_grad[:3], strict=True)
        ]
        return (*shaped, None, None, None)


def _by_reference(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
    """The gradients by autograd from the saved inputs; differentiable if autograd records."""
    record = torch.is_grad_enabled()
    with torch.enable_grad():
        inputs = [part if record else part.detach().requires_grad_(part.requires_grad) for part in ctx.saved_tensors]
        loss = reference(inputs[0], inputs[1], inputs[2], inputs[3], inputs[4], ctx.form).loss
    needed = [part for part, need in zip(inputs, ctx.needs_input_grad[:5], strict=True) if need]
    found = iter(torch.autograd.grad(loss, needed, upstream, create_graph=record))
    return (*(next(found) if need else None for need in ctx.needs_input_grad[:5]), None)


def scale(of_features: Tensor | None, of_weight: Tensor | None, of_bias: Tensor | None, upstream: Tensor) -> None:
    """Multiply the gradients by the upstream gradient, in place."""
    from aaeframe_kernels.discriminator_loss.kernel import scale_kernel

    count = 0 if of_features is None else of_features.numel()
    width = 0 if of_weight is None else of_weight.numel()
    spare = upstream
    with _on(upstream.device):
        scale_kernel[(-(-max(count, width) // SCALED),)](
            spare if of_features is None else of_features, spare if of_weight is None else of_weight,
            spare if of_bias is None else of_bias, upstream, count,
            NEED_FEATURES=of_features is not None, NEED_PARAMETERS=of_weight is not None, WIDTH=width,
            BLOCK=SCALED, num_warps=4, enable_fp_fusion=True,
        )  # fmt: skip


def _empty(like: Tensor, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(shape, dtype=dtype, device=like.device)


def _stored(features: Tensor) -> torch.dtype:
    """The dtype of dh until it is scaled: unscaled gradients may underflow in float16."""
    return torch.float32 if features.dtype == torch.float16 else features.dtype


def _ends(sizes: tuple[int, ...]) -> tuple[int, int, int]:
    """The ends of the first three segments; missing segments end with the rows."""
    ends = [sum(sizes[: number + 1]) for number in range(SEGMENTS - 1)]
    return ends[0], ends[1], ends[2]


def _on(device: torch.device) -> AbstractContextManager[object]:
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()
