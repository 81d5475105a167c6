"""PolyNorm for GPUs: a row is read once forward and once back. Equation numbers are those of the README."""
# mypy: disable-error-code="import-not-found,no-untyped-def"

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from lab.kernels.precision import widen
from lab.kernels.triton_support import TILE, block_of, rows_of, wide_type

POWERS = 3


def poly_norm(gate: Tensor, up: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Shapes as in the package. Coefficients that rows share are read in place, not repeated."""
    rows = gate.shape[:-1]
    weight, bias = widen(weight).expand(*rows, POWERS), widen(bias).expand(*rows, 1)
    return _PolyNorm.apply(gate, up, weight, bias, eps)


class _PolyNorm(torch.autograd.Function):
    """Keeps its inputs and three numbers a row."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        rows, others = rows_of(gate), [rows_of(x) for x in (up, weight, bias)]
        number, width = rows.shape
        y = torch.empty(gate.shape, dtype=gate.dtype, device=gate.device)
        inverse = torch.empty(number, POWERS, dtype=widen(gate[:0]).dtype, device=gate.device)
        grid, tile = _tiles(rows)
        _forward[grid](
            *(part for x in (rows, *others) for part in (x, x.stride(0))),
            *(y, inverse, number, width, eps, wide_type(gate), *tile),
        )
        ctx.save_for_backward(gate, up, weight, bias, inverse)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor | None, ...]:
        *inputs, inverse = ctx.saved_tensors
        gate = inputs[0]
        rows = rows_of(gate)
        gradients = [torch.empty(x.shape, dtype=x.dtype, device=x.device) for x in inputs]
        grid, tile = _tiles(rows)
        _backward[grid](
            *(part for x in (grad_y, *inputs) for part in (rows_of(x), rows_of(x).stride(0))),
            *(inverse, *gradients, *rows.shape, wide_type(gate), *tile),
        )
        return *gradients, None


def _tiles(rows: Tensor) -> tuple[tuple[int], tuple[int, int]]:
    """The grid of programs and the tile of each, rows by columns; a row is never cut."""
    columns = block_of(rows.shape[1])
    size = max(1, TILE // columns)
    return (triton.cdiv(rows.shape[0], size),), (size, columns)


@triton.jit
def _forward(
    gate_ptr, gate_stride, up_ptr, up_stride, weight_ptr, weight_stride, bias_ptr, bias_stride,
    y_ptr, inverse_ptr, number, width,
    EPS: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, COLUMNS)[None, :]
    there = row < number
    inside = there[:, None] & (column < width)
    x = tl.load(gate_ptr + row[:, None] * gate_stride + column, mask=inside, other=0.0).to(WIDE)
    up = tl.load(up_ptr + row[:, None] * up_stride + column, mask=inside, other=0.0).to(WIDE)
    square = x * x
    inverse_3 = 1.0 / tl.sqrt(tl.sum(square * square * square, 1) / width + EPS)  # (1)
    inverse_2 = 1.0 / tl.sqrt(tl.sum(square * square, 1) / width + EPS)
    inverse_1 = 1.0 / tl.sqrt(tl.sum(square, 1) / width + EPS)
    weights = weight_ptr + row * weight_stride
    cubic = (tl.load(weights, mask=there, other=0.0).to(WIDE) * inverse_3)[:, None]
    quadratic = (tl.load(weights + 1, mask=there, other=0.0).to(WIDE) * inverse_2)[:, None]
    linear = (tl.load(weights + 2, mask=there, other=0.0).to(WIDE) * inverse_1)[:, None]
    bias = tl.load(bias_ptr + row * bias_stride, mask=there, other=0.0).to(WIDE)[:, None]
    value = ((cubic * x + quadratic) * x + linear) * x + bias  # (2)
    tl.store(y_ptr + row[:, None] * width + column, value * up, mask=inside)
    tl.store(inverse_ptr + row * 3, inverse_3, mask=there)
    tl.store(inverse_ptr + row * 3 + 1, inverse_2, mask=there)
    tl.store(inverse_ptr + row * 3 + 2, inverse_1, mask=there)


@triton.jit
def _backward(
    grad_ptr, grad_stride, gate_ptr, gate_stride, up_ptr, up_stride,
    weight_ptr, weight_stride, bias_ptr, bias_stride,
    inverse_ptr, grad_gate_ptr, grad_up_ptr, grad_weight_ptr, grad_bias_ptr, number, width,
    WIDE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, COLUMNS)[None, :]
    there = row < number
    inside = there[:, None] & (column < width)
    place = row[:, None] * width + column
    grad = tl.load(grad_ptr + row[:, None] * grad_stride + column, mask=inside, other=0.0).to(WIDE)
    x = tl.load(gate_ptr + row[:, None] * gate_stride + column, mask=inside, other=0.0).to(WIDE)
    up = tl.load(up_ptr + row[:, None] * up_stride + column, mask=inside, other=0.0).to(WIDE)
    inverse_3 = tl.load(inverse_ptr + row * 3, mask=there, other=0.0)
    inverse_2 = tl.load(inverse_ptr + row * 3 + 1, mask=there, other=0.0)
    inverse_1 = tl.load(inverse_ptr + row * 3 + 2, mask=there, other=0.0)
    weights = weight_ptr + row * weight_stride
    cubic = tl.load(weights, mask=there, other=0.0).to(WIDE) * inverse_3
    quadratic = tl.load(weights + 1, mask=there, other=0.0).to(WIDE) * inverse_2
    linear = tl.load(weights + 2, mask=there, other=0.0).to(WIDE) * inverse_1
    bias = tl.load(bias_ptr + row * bias_stride, mask=there, other=0.0).to(WIDE)

    value = ((cubic[:, None] * x + quadratic[:, None]) * x + linear[:, None]) * x + bias[:, None]
    tl.store(grad_up_ptr + place, grad * value, mask=inside)

    grad *= up
    square = x * x
    grad_3 = inverse_3 * tl.sum(grad * square * x, 1)  # (3)
    grad_2 = inverse_2 * tl.sum(grad * square, 1)
    grad_1 = inverse_1 * tl.sum(grad * x, 1)
    tl.store(grad_weight_ptr + row * 3, grad_3, mask=there)
    tl.store(grad_weight_ptr + row * 3 + 1, grad_2, mask=there)
    tl.store(grad_weight_ptr + row * 3 + 2, grad_1, mask=there)
    tl.store(grad_bias_ptr + row, tl.sum(grad, 1), mask=there)

    pull_3 = (cubic * inverse_3 * grad_3 / width)[:, None]
    pull_2 = (quadratic * inverse_2 * grad_2 / width)[:, None]
    pull_1 = (linear * inverse_1 * grad_1 / width)[:, None]
    slope = (3.0 * cubic[:, None] * x + 2.0 * quadratic[:, None]) * x + linear[:, None]
    pulled = (3.0 * pull_3 * square + 2.0 * pull_2) * square + pull_1
    tl.store(grad_gate_ptr + place, grad * slope - x * pulled, mask=inside)  # (4)
