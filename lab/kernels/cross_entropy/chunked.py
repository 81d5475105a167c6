"""Cross-entropy of a linear head, a chunk of rows at a time; the logits of a chunk become their own gradient.

Equation numbers are those of the README.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lab.kernels.precision import product_type, widen, without_autocast

IGNORED = -100
ROWS_PER_CHUNK = 256


def linear_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor, reduction: str) -> Tensor:
    """Shapes as in the package."""
    dtype = product_type(hidden)
    with without_autocast(hidden):
        if reduction == "none":
            return _LossOfEachRow.apply(hidden, weight, targets, dtype)
        if torch.is_grad_enabled() and (hidden.requires_grad or weight.requires_grad):
            return _MeanLoss.apply(hidden, weight, targets, dtype)
        losses = _losses(hidden, weight, targets, dtype)
        return (losses * _share_of_mean(targets, losses.dtype)).sum()


def _share_of_mean(targets: Tensor, dtype: torch.dtype) -> Tensor:
    """What each row counts in the mean, ``[N]``: 1 over the number of rows that are not ignored, or 0."""
    counted = (targets != IGNORED).to(dtype)
    return counted / counted.sum().clamp(min=1)


class _MeanLoss(torch.autograd.Function):
    """Makes gradients in the forward pass, where each row's share is known: no logits are made twice."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, dtype: torch.dtype) -> Tensor:
        share = _share_of_mean(targets, widen(hidden[:0]).dtype)
        losses, *gradients = _losses_and_gradients(
            hidden, weight, targets, share, dtype, ctx.needs_input_grad[0], ctx.needs_input_grad[1]
        )
        ctx.save_for_backward(*gradients)
        return (losses * share).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        hidden, weight = (None if grad is None else grad * grad_output for grad in ctx.saved_tensors)
        return hidden, weight, None, None


class _LossOfEachRow(torch.autograd.Function):
    """The backward pass makes the logits again, for only there each row's share of the gradient is known."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, dtype: torch.dtype) -> Tensor:
        ctx.save_for_backward(hidden, weight, targets)
        ctx.dtype = dtype
        return _losses(hidden, weight, targets, dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        hidden, weight, targets = ctx.saved_tensors
        share = grad_output.masked_fill(targets == IGNORED, 0.0)
        _, grad_hidden, grad_weight = _losses_and_gradients(
            hidden, weight, targets, share, ctx.dtype, ctx.needs_input_grad[0], ctx.needs_input_grad[1]
        )
        return grad_hidden, grad_weight, None, None


def _losses(hidden: Tensor, weight: Tensor, targets: Tensor, dtype: torch.dtype) -> Tensor:
    """Losses ``[N]``, 0 where ignored."""
    return _losses_and_gradients(hidden, weight, targets, targets, dtype, False, False)[0]


def _losses_and_gradients(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    share: Tensor,
    dtype: torch.dtype,
    needs_hidden: bool,
    needs_weight: bool,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Losses ``[N]`` and the gradients of ``sum(share * losses)``; products in ``dtype``, others in float32.

    Logits ``z`` of a chunk are overwritten by ``a = exp(z - max z)``; with ``s = sum a`` the loss is
    ``log s + max z - z_target`` (equation 2) and the gradient of ``z`` is ``share / s (a - s onehot)`` (3),
    whose factor ``share / s`` is applied to the narrow side of the products that follow (4).
    """
    head = weight.to(dtype)
    losses = hidden.new_zeros(hidden.shape[0], dtype=widen(hidden[:0]).dtype)
    grad_hidden = torch.empty_like(hidden) if needs_hidden else None
    grad_weight = torch.zeros_like(weight) if needs_weight else None
    for start in range(0, hidden.shape[0], ROWS_PER_CHUNK):
        rows = slice(start, start + ROWS_PER_CHUNK)
        chunk, ignored = hidden[rows].to(dtype), targets[rows] == IGNORED
        wanted = targets[rows].masked_fill(ignored, 0).unsqueeze(-1)
        logits = widen(chunk @ head.T)
        at_target, largest = logits.gather(-1, wanted), logits.amax(-1, keepdim=True)
        exponentials = logits.sub_(largest).exp_()
        total = exponentials.sum(-1, keepdim=True)
        losses[rows] = (total.log() + largest - at_target).squeeze(-1).masked_fill(ignored, 0.0)
        if not (needs_hidden or needs_weight):
            continue
        direction = exponentials.scatter_add_(-1, wanted, -total).to(dtype)
        factor = share[rows].unsqueeze(-1) / total
        if grad_hidden is not None:
            grad_hidden[rows] = (direction @ head) * factor
        if grad_weight is not None:
            _accumulate_product(grad_weight, direction.T, (chunk * factor).to(dtype))
    return losses, grad_hidden, grad_weight


def _accumulate_product(into: Tensor, left: Tensor, right: Tensor) -> None:
    """``into += left @ right``, in one pass where the types allow it."""
    if into.dtype == left.dtype:
        into.addmm_(left, right)
    else:
        into += left @ right
