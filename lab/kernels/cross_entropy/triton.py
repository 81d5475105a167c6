"""Cross-entropy of a linear head for GPUs: logits live in tiles, and no row or column of them is ever stored.

Forward, a program walks over words with a running maximum and sum. Backward, logits are made again, and their
gradient is held for :data:`WORDS_PER_CHUNK` words at a time. Equation numbers are those of the README.
"""
# mypy: disable-error-code="import-not-found,no-untyped-def"

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from lab.kernels.cross_entropy.chunked import IGNORED
from lab.kernels.precision import product_type, widen, without_autocast
from lab.kernels.triton_support import block_of, num_programs, operand_type, wide_type

WORDS_PER_CHUNK = 4096
ROWS, WORDS, CHANNELS = 64, 64, 64
"""Of a tile of logits, and of one step of the product that makes it; chosen by hand, never timed."""


def linear_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor, reduction: str) -> Tensor:
    """Shapes as in the package."""
    dtype = product_type(hidden)
    with without_autocast(hidden):
        losses = _LossOfEachRow.apply(hidden, weight, targets, dtype)
        if reduction == "none":
            return losses
        return losses.sum() / (targets != IGNORED).sum().clamp(min=1)


class _LossOfEachRow(torch.autograd.Function):
    """Keeps its inputs and a number a row."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, dtype: torch.dtype) -> Tensor:
        rows, head = hidden.to(dtype).contiguous(), weight.to(dtype).contiguous()
        number, vocabulary = len(rows), len(head)
        row_blocks, word_blocks = triton.cdiv(number, ROWS), triton.cdiv(vocabulary, WORDS)
        splits = max(1, num_programs(hidden, row_blocks * word_blocks) // max(row_blocks, 1))
        words_per_split = triton.cdiv(word_blocks, splits) * WORDS
        splits = triton.cdiv(vocabulary, words_per_split)
        log_sums, at_target = widen(hidden[:0]).new_empty(2, splits, number)
        _log_sums[(row_blocks, splits)](
            *(rows, head, targets, log_sums, at_target, words_per_split),
            *_sizes_and_types(rows, head),
        )
        log_sum = log_sums.logsumexp(0)
        ctx.save_for_backward(hidden, weight, targets, log_sum)
        ctx.dtype = dtype
        return (log_sum - at_target.sum(0)).masked_fill(targets == IGNORED, 0.0)  # (2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_losses: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        hidden, weight, targets, log_sum = ctx.saved_tensors
        rows, head = hidden.to(ctx.dtype).contiguous(), weight.to(ctx.dtype).contiguous()
        share = grad_losses.masked_fill(targets == IGNORED, 0.0).unsqueeze(-1)
        scaled = (rows * share).to(ctx.dtype)
        grad_hidden = torch.zeros(hidden.shape, dtype=log_sum.dtype, device=hidden.device)
        grad_weight = torch.empty_like(weight)
        for start in range(0, len(head), WORDS_PER_CHUNK):
            part = head[start : start + WORDS_PER_CHUNK]
            direction = rows.new_empty(len(rows), len(part))
            _directions[(triton.cdiv(len(rows), ROWS), triton.cdiv(len(part), WORDS))](
                *(rows, part, targets - start, log_sum, direction),
                *_sizes_and_types(rows, part),
            )
            if ctx.needs_input_grad[0]:
                grad_hidden += direction @ part
            if ctx.needs_input_grad[1]:
                grad_weight[start : start + len(part)] = direction.T @ scaled  # (4)
        return (
            (grad_hidden * share).to(hidden.dtype) if ctx.needs_input_grad[0] else None,
            grad_weight if ctx.needs_input_grad[1] else None,
            None,
            None,
        )


def _sizes_and_types(rows: Tensor, head: Tensor) -> tuple[Any, ...]:
    channels = min(CHANNELS, block_of(rows.shape[1], 16))
    types = wide_type(rows), operand_type(rows.dtype)
    return len(rows), len(head), rows.shape[1], *types, ROWS, WORDS, channels


@triton.jit
def _logits(
    hidden_ptr, head_ptr, row, word, number, vocabulary, width,
    WIDE: tl.constexpr, OPERAND: tl.constexpr,
    ROWS: tl.constexpr, WORDS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """A tile of (1), minus infinity beyond the vocabulary."""
    logits = tl.zeros([ROWS, WORDS], WIDE)
    hidden_rows = hidden_ptr + row.to(tl.int64)[:, None] * width
    head_columns = head_ptr + word.to(tl.int64)[None, :] * width
    for start in range(0, width, CHANNELS):
        channel = start + tl.arange(0, CHANNELS)
        hidden = tl.load(
            hidden_rows + channel[None, :],
            mask=(row < number)[:, None] & (channel < width)[None, :], other=0.0,
        )  # fmt: skip
        head = tl.load(
            head_columns + channel[:, None],
            mask=(channel < width)[:, None] & (word < vocabulary)[None, :], other=0.0,
        )  # fmt: skip
        logits = tl.dot(hidden.to(OPERAND), head.to(OPERAND), logits, input_precision="ieee", out_dtype=WIDE)
    return tl.where((word < vocabulary)[None, :], logits, float("-inf"))


@triton.jit
def _log_sums(
    hidden_ptr, head_ptr, targets_ptr, log_sums_ptr, at_target_ptr, words_per_split, number, vocabulary, width,
    WIDE: tl.constexpr, OPERAND: tl.constexpr,
    ROWS: tl.constexpr, WORDS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Of a block of rows and a split of the vocabulary: log sum of exp(logits), and the target's logit or 0."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    target = tl.load(targets_ptr + row, mask=row < number, other=-1)
    first = tl.program_id(1) * words_per_split
    largest = tl.full([ROWS], float("-inf"), WIDE)
    total = tl.zeros([ROWS], WIDE)
    at_target = tl.zeros([ROWS], WIDE)
    for start in range(first, tl.minimum(first + words_per_split, vocabulary), WORDS):
        word = start + tl.arange(0, WORDS)
        logits = _logits(
            hidden_ptr, head_ptr, row, word, number, vocabulary, width, WIDE, OPERAND, ROWS, WORDS, CHANNELS
        )
        new_largest = tl.maximum(largest, tl.max(logits, 1))
        exponentials = tl.exp(logits - new_largest[:, None])
        total = total * tl.exp(largest - new_largest) + tl.sum(exponentials, 1)
        at_target += tl.sum(tl.where(word[None, :] == target[:, None], logits, 0.0), 1)
        largest = new_largest
    place = tl.program_id(1) * number + row
    tl.store(log_sums_ptr + place, largest + tl.log(total), mask=row < number)
    tl.store(at_target_ptr + place, at_target, mask=row < number)


@triton.jit
def _directions(
    hidden_ptr, head_ptr, targets_ptr, log_sum_ptr, direction_ptr, number, vocabulary, width,
    WIDE: tl.constexpr, OPERAND: tl.constexpr,
    ROWS: tl.constexpr, WORDS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """A tile of ``softmax(logits) - onehot(target)``, the gradient of a row's loss (3)."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    word = tl.program_id(1) * WORDS + tl.arange(0, WORDS)
    logits = _logits(
        hidden_ptr, head_ptr, row, word, number, vocabulary, width, WIDE, OPERAND, ROWS, WORDS, CHANNELS
    )
    target = tl.load(targets_ptr + row, mask=row < number, other=-1)
    log_sum = tl.load(log_sum_ptr + row, mask=row < number, other=0.0)
    onehot = tl.where(word[None, :] == target[:, None], 1.0, 0.0)
    direction = tl.exp(logits - log_sum[:, None]) - onehot
    place = row.to(tl.int64)[:, None] * vocabulary + word[None, :]
    tl.store(direction_ptr + place, direction, mask=(row < number)[:, None] & (word < vocabulary)[None, :])
