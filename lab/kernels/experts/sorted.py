"""Tokens sorted by expert, so that each expert is one matrix product over its rows."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lab.kernels.experts.activation import Activation
from lab.kernels.precision import product_type, widen, without_autocast


def expert_feed_forward(
    x: Tensor, indices: Tensor, weights: Tensor, w_in: Tensor, w_out: Tensor, activation: Activation
) -> Tensor:
    """Shapes as in the package; a row of the sorted order is one (token, choice) pair, ``M = N k`` in all."""
    num_tokens, top_k = indices.shape
    expert_of_pair = indices.flatten()
    pair_of_row = expert_of_pair.argsort(stable=True)
    token_of_row = pair_of_row // top_k
    rows_of_expert = torch.bincount(expert_of_pair, minlength=w_in.shape[0]).tolist()

    rows = x.index_select(0, token_of_row)
    gate, up = _product_by_expert(rows, w_in, rows_of_expert).chunk(2, dim=-1)
    hidden = activation(gate, up, expert_of_pair.index_select(0, pair_of_row))
    output = widen(_product_by_expert(hidden, w_out, rows_of_expert))
    output = output * weights.flatten().index_select(0, pair_of_row).unsqueeze(-1)
    y = torch.zeros(num_tokens, w_out.shape[1], dtype=output.dtype, device=x.device)
    return y.index_add_(0, token_of_row, output).to(x.dtype)


def _product_by_expert(rows: Tensor, matrices: Tensor, rows_of_expert: list[int]) -> Tensor:
    """``rows [M, in]``, sorted by expert, times each expert's ``matrices [E, out, in]``: ``[M, out]``."""
    dtype = product_type(rows)
    with without_autocast(rows):
        return _ProductByExpert.apply(rows.to(dtype), matrices.to(dtype), rows_of_expert)


class _ProductByExpert(torch.autograd.Function):
    """Products write to their place in the result, so nothing is concatenated, and no gradient is stacked."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, matrices: Tensor, rows_of_expert: list[int]) -> Tensor:
        ctx.save_for_backward(rows, matrices)
        ctx.rows_of_expert = rows_of_expert
        result = rows.new_empty(rows.shape[0], matrices.shape[1])
        for expert, part in _parts(rows_of_expert):
            torch.mm(rows[part], matrices[expert].T, out=result[part])
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_result: Tensor) -> tuple[Tensor, Tensor, None]:
        rows, matrices = ctx.saved_tensors
        grad_rows = torch.empty_like(rows)
        grad_matrices = torch.zeros_like(matrices)
        for expert, part in _parts(ctx.rows_of_expert):
            torch.mm(grad_result[part], matrices[expert], out=grad_rows[part])
            torch.mm(grad_result[part].T, rows[part], out=grad_matrices[expert])
        return grad_rows, grad_matrices, None


def _parts(rows_of_expert: list[int]) -> Iterator[tuple[int, slice]]:
    """Each expert that has rows, and which."""
    start = 0
    for expert, num_rows in enumerate(rows_of_expert):
        if num_rows > 0:
            yield expert, slice(start, start + num_rows)
            start += num_rows
