"""Rows sorted by expert, in C++: a thread takes an expert, gathers its rows and multiplies them while they are near.

Only what autograd needs is kept: the input, what stands between the two products, and the order of rows.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lab.kernels.cpp import can_build, cpp_function, sgemm
from lab.kernels.experts.activation import Activation
from lab.kernels.precision import product_type

NONE = torch.empty(0)
"""Where the C++ may do without a tensor; its address is null."""

_sort = cpp_function(__file__, "sort_by_expert", "ppppplll", "grouped.cpp")
_product = cpp_function(__file__, "product_by_expert", "ppppplllll", "grouped.cpp")
_matrix_gradients = cpp_function(__file__, "matrix_gradients", "pppppppllll", "grouped.cpp")
_sum_of_rows = cpp_function(__file__, "sum_of_rows", "pppplll", "grouped.cpp")
_weigh_rows = cpp_function(__file__, "weigh_rows", "ppppll", "grouped.cpp")


def takes(x: Tensor, w_in: Tensor) -> bool:
    """Whether this path is for these: float32 products on a CPU, with a compiler and a matrix product at hand."""
    return (
        x.is_cpu
        and x.dtype == w_in.dtype == product_type(x) == torch.float32
        and can_build()
        and sgemm() is not None
    )


def expert_feed_forward(
    x: Tensor, indices: Tensor, weights: Tensor, w_in: Tensor, w_out: Tensor, activation: Activation
) -> Tensor:
    """Shapes as in the package; a row of the sorted order is one (token, choice) pair, ``M = N k`` in all.

    Raises ValueError for what :func:`takes` refuses.
    """
    if not takes(x, w_in):
        raise ValueError("experts: path=grouped is for float32 products on a CPU with a C++ compiler.")
    order = _order(indices.contiguous(), w_in.shape[0])
    gate, up = _Project.apply(x.contiguous(), w_in, order).chunk(2, dim=-1)
    hidden = activation(gate, up, order.expert_of_row)
    return _Combine.apply(hidden.contiguous(), weights.contiguous(), w_out, order)


@dataclass(frozen=True)
class _Order:
    """Which rows an expert has, ``offsets [E + 1]``; what a row is, ``[M]``; where a pair went, ``[N, k]``."""

    offsets: Tensor
    token_of_row: Tensor
    expert_of_row: Tensor
    row_of_pair: Tensor


def _order(indices: Tensor, num_experts: int) -> _Order:
    def integers(*shape: int) -> Tensor:
        return torch.empty(shape, dtype=torch.long)

    pairs = indices.numel()
    order = _Order(integers(num_experts + 1), integers(pairs), integers(pairs), integers(*indices.shape))
    _sort(
        indices,
        order.offsets,
        order.token_of_row,
        order.expert_of_row,
        order.row_of_pair,
        pairs,
        num_experts,
        indices.shape[1],
    )
    return order


def _by_expert(x: Tensor, index: Tensor, matrices: Tensor, order: _Order, transposed: bool) -> Tensor:
    """Rows of ``x``, taken by ``index`` if it is one, times ``[E, out, in]`` transposed or ``[E, in, out]``."""
    num_experts, first, second = matrices.shape
    into, out = (second, first) if transposed else (first, second)
    result = x.new_empty(order.token_of_row.numel(), out)
    _product(
        x,
        index,
        matrices.contiguous(),
        order.offsets,
        result,
        sgemm(),
        num_experts,
        into,
        out,
        int(transposed),
    )
    return result


class _Project(torch.autograd.Function):
    """``x [N, D]`` and ``w_in [E, 2F, D]`` to ``[M, 2F]``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w_in: Tensor, order: _Order) -> Tensor:
        ctx.save_for_backward(x, w_in)
        ctx.order = order
        return _by_expert(x, order.token_of_row, w_in, order, transposed=True)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, w_in = ctx.saved_tensors
        order, grad = ctx.order, grad.contiguous()
        num_tokens, top_k = order.row_of_pair.shape
        grad_x = grad_w_in = None
        if ctx.needs_input_grad[0]:
            grad_rows = _by_expert(grad, NONE, w_in, order, transposed=False)
            grad_x = torch.empty_like(x)
            _sum_of_rows(grad_rows, order.row_of_pair, NONE, grad_x, num_tokens, top_k, x.shape[1])
        if ctx.needs_input_grad[1]:
            grad_w_in = torch.empty_like(w_in)
            _matrix_gradients(
                *(grad, NONE, NONE, x, order.token_of_row, order.offsets, grad_w_in, sgemm()), *w_in.shape
            )
        return grad_x, grad_w_in, None


class _Combine(torch.autograd.Function):
    """``hidden [M, F]``, ``weights [N, k]`` and ``w_out [E, D, F]`` to ``[N, D]``."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weights: Tensor, w_out: Tensor, order: _Order) -> Tensor:
        ctx.save_for_backward(hidden, weights, w_out)
        ctx.order = order
        rows = _by_expert(hidden, NONE, w_out, order, transposed=True)
        y = rows.new_empty(weights.shape[0], w_out.shape[1])
        _sum_of_rows(rows, order.row_of_pair, weights, y, *weights.shape, w_out.shape[1])
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor, Tensor, Tensor | None, None]:
        hidden, weights, w_out = ctx.saved_tensors
        order, grad_y = ctx.order, grad_y.contiguous()
        weight_of_row = weights.new_empty(weights.numel())
        weight_of_row[order.row_of_pair.flatten()] = weights.flatten()
        grad_w_out = None
        if ctx.needs_input_grad[2]:
            grad_w_out = torch.empty_like(w_out)
            left = (grad_y, order.token_of_row, weight_of_row)
            _matrix_gradients(*left, hidden, NONE, order.offsets, grad_w_out, sgemm(), *w_out.shape)
        grad_hidden = _by_expert(grad_y, order.token_of_row, w_out, order, transposed=False)
        grad_of_row = torch.empty_like(weight_of_row)
        _weigh_rows(grad_hidden, hidden, weight_of_row, grad_of_row, *hidden.shape)
        return grad_hidden, grad_of_row[order.row_of_pair], grad_w_out, None
