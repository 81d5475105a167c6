"""Experts for GPUs: one launch multiplies the rows of all experts, and the host waits for no count.

A tile of rows belongs to one expert. Experts share at most ``M / ROWS + E`` tiles however the router chose, so as
many programs are launched, and those that no expert needs end at once.
"""
# mypy: disable-error-code="import-not-found,no-untyped-def"

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from lab.kernels.experts.activation import Activation
from lab.kernels.precision import product_type, widen, without_autocast
from lab.kernels.triton_support import block_of, operand_type, wide_type

ROWS, OUTPUTS, INPUTS = 64, 64, 32
"""Of a tile of the result, and of one step of the sum that makes it; chosen by hand, never timed."""


def expert_feed_forward(
    x: Tensor, indices: Tensor, weights: Tensor, w_in: Tensor, w_out: Tensor, activation: Activation
) -> Tensor:
    """Shapes as in the package; a row of the sorted order is one (token, choice) pair, ``M = N k`` in all."""
    num_tokens, top_k = indices.shape
    expert_of_row, pair_of_row = indices.flatten().sort(stable=True)
    row_of_pair = pair_of_row.argsort()
    edges = torch.searchsorted(expert_of_row, torch.arange(len(w_in) + 1, device=x.device)).int()

    rows = x.index_select(0, pair_of_row // top_k)
    gate, up = _product_by_expert(rows, w_in, edges).chunk(2, dim=-1)
    hidden = activation(gate, up, expert_of_row)
    output = widen(_product_by_expert(hidden, w_out, edges)).index_select(0, row_of_pair)
    output = output.unflatten(0, (num_tokens, top_k)) * weights.unsqueeze(-1)
    return output.sum(1).to(x.dtype)


def _product_by_expert(rows: Tensor, matrices: Tensor, edges: Tensor) -> Tensor:
    """``rows [M, in]`` times each expert's ``matrices [E, out, in]``: ``[M, out]``; expert ``e`` has rows
    ``edges[e]`` to ``edges[e + 1]``.
    """
    dtype = product_type(rows)
    with without_autocast(rows):
        return _ProductByExpert.apply(rows.to(dtype).contiguous(), matrices.to(dtype), edges)


class _ProductByExpert(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, matrices: Tensor, edges: Tensor) -> Tensor:
        ctx.save_for_backward(rows, matrices, edges)
        return _multiply(rows, matrices, edges)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_result: Tensor) -> tuple[Tensor, Tensor, None]:
        rows, matrices, edges = ctx.saved_tensors
        grad_result = grad_result.contiguous()
        grad_matrices = torch.empty(matrices.shape, dtype=matrices.dtype, device=rows.device)
        num_experts, outputs, inputs = matrices.shape
        out_tile, in_tile = min(OUTPUTS, block_of(outputs, 16)), min(OUTPUTS, block_of(inputs, 16))
        _outer_products[(num_experts, triton.cdiv(outputs, out_tile), triton.cdiv(inputs, in_tile))](
            *(grad_result, rows, edges, grad_matrices, outputs, inputs),
            *(wide_type(rows), operand_type(rows.dtype), ROWS, out_tile, in_tile),
        )
        return _multiply(grad_result, matrices.mT, edges), grad_matrices, None


def _multiply(rows: Tensor, matrices: Tensor, edges: Tensor) -> Tensor:
    """See :func:`_product_by_expert`; ``matrices`` may be a transposed view."""
    num_experts, outputs, inputs = matrices.shape
    result = torch.empty(len(rows), outputs, dtype=rows.dtype, device=rows.device)
    tile_edges = torch.zeros_like(edges)  # how many tiles all experts before need
    torch.cumsum((edges.diff() + ROWS - 1) // ROWS, 0, out=tile_edges[1:])
    tiles = torch.arange(triton.cdiv(len(rows), ROWS) + num_experts, device=rows.device, dtype=edges.dtype)
    expert_of_tile = torch.searchsorted(tile_edges[1:], tiles, right=True, out_int32=True)
    out_tile = min(OUTPUTS, block_of(outputs, 16))
    _products[(len(tiles), triton.cdiv(outputs, out_tile))](
        *(rows, matrices, *matrices.stride(), edges, tile_edges, expert_of_tile, result),
        *(num_experts, outputs, inputs, wide_type(rows), operand_type(rows.dtype)),
        *(ROWS, out_tile, min(INPUTS, block_of(inputs, 16))),
    )
    return result


@triton.jit
def _products(
    rows_ptr, matrices_ptr, expert_stride, out_stride, in_stride, edges_ptr, tile_edges_ptr, expert_of_tile_ptr,
    result_ptr, num_experts, outputs, inputs,
    WIDE: tl.constexpr, OPERAND: tl.constexpr, ROWS: tl.constexpr, OUTPUTS: tl.constexpr, INPUTS: tl.constexpr,
):  # fmt: skip
    """A tile of rows of one expert times a tile of its outputs."""
    tile = tl.program_id(0)
    expert = tl.load(expert_of_tile_ptr + tile)
    if expert < num_experts:
        first = tl.load(edges_ptr + expert) + (tile - tl.load(tile_edges_ptr + expert)) * ROWS
        row = first + tl.arange(0, ROWS)
        there = row < tl.load(edges_ptr + expert + 1)
        out = tl.program_id(1) * OUTPUTS + tl.arange(0, OUTPUTS)
        rows = rows_ptr + row.to(tl.int64)[:, None] * inputs
        matrix = matrices_ptr + expert.to(tl.int64) * expert_stride + out[None, :] * out_stride
        total = tl.zeros([ROWS, OUTPUTS], WIDE)
        for start in range(0, inputs, INPUTS):
            channel = start + tl.arange(0, INPUTS)
            left = tl.load(
                rows + channel[None, :], mask=there[:, None] & (channel < inputs)[None, :], other=0.0
            )
            right = tl.load(
                matrix + channel[:, None] * in_stride,
                mask=(channel < inputs)[:, None] & (out < outputs)[None, :], other=0.0,
            )  # fmt: skip
            total = tl.dot(left.to(OPERAND), right.to(OPERAND), total, input_precision="ieee", out_dtype=WIDE)
        place = result_ptr + row.to(tl.int64)[:, None] * outputs + out[None, :]
        tl.store(place, total, mask=there[:, None] & (out < outputs)[None, :])


@triton.jit
def _outer_products(
    grad_ptr, rows_ptr, edges_ptr, result_ptr, outputs, inputs,
    WIDE: tl.constexpr, OPERAND: tl.constexpr, ROWS: tl.constexpr, OUTPUTS: tl.constexpr, INPUTS: tl.constexpr,
):  # fmt: skip
    """A tile of the gradient of one expert's matrix, summed over its rows: zero where it has none."""
    expert = tl.program_id(0)
    out = tl.program_id(1) * OUTPUTS + tl.arange(0, OUTPUTS)
    channel = tl.program_id(2) * INPUTS + tl.arange(0, INPUTS)
    last = tl.load(edges_ptr + expert + 1)
    total = tl.zeros([OUTPUTS, INPUTS], WIDE)
    for start in range(tl.load(edges_ptr + expert), last, ROWS):
        row = start + tl.arange(0, ROWS)
        there = row < last
        left = tl.load(
            grad_ptr + row.to(tl.int64)[None, :] * outputs + out[:, None],
            mask=(out < outputs)[:, None] & there[None, :], other=0.0,
        )  # fmt: skip
        right = tl.load(
            rows_ptr + row.to(tl.int64)[:, None] * inputs + channel[None, :],
            mask=there[:, None] & (channel < inputs)[None, :], other=0.0,
        )  # fmt: skip
        total = tl.dot(left.to(OPERAND), right.to(OPERAND), total, input_precision="ieee", out_dtype=WIDE)
    place = (expert.to(tl.int64) * outputs + out[:, None]) * inputs + channel[None, :]
    tl.store(result_ptr + place, total, mask=(out < outputs)[:, None] & (channel < inputs)[None, :])
