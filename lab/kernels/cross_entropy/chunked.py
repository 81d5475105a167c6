"""Cross-entropy of a linear head, a chunk of rows at a time; the logits of a chunk become their own gradient.

Equation numbers are those of the README.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lab.kernels.precision import product_type, widen, without_autocast

IGNORED = -100
CHUNK_ELEMENTS, FEWEST_ROWS, MOST_ROWS = 2**24, 128, 1024
"""Logits that exist at a time: 64 MiB, but enough rows for good products, and not more than help."""

Turn = Callable[[Tensor, Tensor, bool], tuple[Tensor, Tensor, Tensor]]
"""From logits ``[n, V]``, which it may overwrite, and targets ``[n]`` to losses ``[n]``, totals ``s [n]`` and, if asked
for, the direction ``a - s onehot [n, V]`` of the gradient (equations 2 and 3)."""


@dataclass(frozen=True)
class Way:
    """How the products are done and what is done between them."""

    dtype: torch.dtype
    turn: Turn


def linear_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor, reduction: str) -> Tensor:
    """Shapes as in the package."""
    return cross_entropy_in_chunks(hidden, weight, targets, reduction, turn_by_library_calls)


def cross_entropy_in_chunks(
    hidden: Tensor, weight: Tensor, targets: Tensor, reduction: str, turn: Turn
) -> Tensor:
    """Shapes as in the package; ``turn`` does what stands between the products."""
    way = Way(product_type(hidden), turn)
    with without_autocast(hidden):
        if reduction == "none":
            return _LossOfEachRow.apply(hidden, weight, targets, way)
        if torch.is_grad_enabled() and (hidden.requires_grad or weight.requires_grad):
            return _MeanLoss.apply(hidden, weight, targets, way)
        losses = _losses(hidden, weight, targets, way)
        return (losses * _share_of_mean(targets, losses.dtype)).sum()


def turn_by_library_calls(
    logits: Tensor, targets: Tensor, wants_direction: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """A :data:`Turn` in seven passes over the logits."""
    z, ignored = widen(logits), targets == IGNORED
    wanted = targets.masked_fill(ignored, 0).unsqueeze(-1)
    at_target, largest = z.gather(-1, wanted), z.amax(-1, keepdim=True)
    exponentials = z.sub_(largest).exp_()
    total = exponentials.sum(-1, keepdim=True)
    losses = (total.log() + largest - at_target).squeeze(-1).masked_fill(ignored, 0.0)
    if wants_direction:
        exponentials.scatter_add_(-1, wanted, -total)
    return losses, total.squeeze(-1), exponentials.to(logits.dtype)


def _share_of_mean(targets: Tensor, dtype: torch.dtype) -> Tensor:
    """What each row counts in the mean, ``[N]``: 1 over the number of rows that are not ignored, or 0."""
    counted = (targets != IGNORED).to(dtype)
    return counted / counted.sum().clamp(min=1)


class _MeanLoss(torch.autograd.Function):
    """Makes gradients in the forward pass, where each row's share is known: no logits are made twice."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, way: Way) -> Tensor:
        share = _share_of_mean(targets, widen(hidden[:0]).dtype)
        losses, *gradients = _losses_and_gradients(
            hidden, weight, targets, share, way, ctx.needs_input_grad[0], ctx.needs_input_grad[1]
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
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, way: Way) -> Tensor:
        ctx.save_for_backward(hidden, weight, targets)
        ctx.way = way
        return _losses(hidden, weight, targets, way)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        hidden, weight, targets = ctx.saved_tensors
        share = grad_output.masked_fill(targets == IGNORED, 0.0)
        _, grad_hidden, grad_weight = _losses_and_gradients(
            hidden, weight, targets, share, ctx.way, ctx.needs_input_grad[0], ctx.needs_input_grad[1]
        )
        return grad_hidden, grad_weight, None, None


def _losses(hidden: Tensor, weight: Tensor, targets: Tensor, way: Way) -> Tensor:
    """Losses ``[N]``, 0 where ignored."""
    return _losses_and_gradients(hidden, weight, targets, targets, way, False, False)[0]


def rows_per_chunk(vocab_size: int) -> int:
    """Rows whose logits exist at a time."""
    return min(max(CHUNK_ELEMENTS // vocab_size, FEWEST_ROWS), MOST_ROWS)


def _losses_and_gradients(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    share: Tensor,
    way: Way,
    needs_hidden: bool,
    needs_weight: bool,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Losses ``[N]`` and the gradients of ``sum(share * losses)``.

    The gradient of the logits is ``share / s (a - s onehot)`` (equation 3), whose factor ``share / s`` is applied to
    the narrow side of the products that follow (4).
    """
    head = weight.to(way.dtype)
    losses = hidden.new_empty(hidden.shape[0], dtype=widen(hidden[:0]).dtype)
    grad_hidden = torch.empty_like(hidden) if needs_hidden else None
    grad_weight = torch.zeros_like(weight) if needs_weight else None
    num_rows = rows_per_chunk(weight.shape[0])
    for start in range(0, hidden.shape[0], num_rows):
        rows = slice(start, start + num_rows)
        chunk = hidden[rows].to(way.dtype)
        losses[rows], total, direction = way.turn(chunk @ head.T, targets[rows], needs_hidden or needs_weight)
        factor = (share[rows] / total).unsqueeze(-1)
        if grad_hidden is not None:
            torch.mul(direction @ head, factor, out=grad_hidden[rows])
        if grad_weight is not None:
            _accumulate_product(grad_weight, direction.T, (chunk * factor).to(way.dtype))
    return losses, grad_hidden, grad_weight


def _accumulate_product(into: Tensor, left: Tensor, right: Tensor) -> None:
    """``into += left @ right``, in one pass where the types allow it."""
    if into.dtype == left.dtype:
        into.addmm_(left, right)
    else:
        into += left @ right
