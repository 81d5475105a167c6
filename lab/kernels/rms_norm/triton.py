"""RMSNorm for GPUs: a row is read once forward and once back. Equation numbers are those of the README."""
# mypy: disable-error-code="import-not-found,no-untyped-def"

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from lab.kernels.precision import widen
from lab.kernels.triton_support import TILE, block_of, num_programs, rows_of, wide_type


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Shapes as in the package."""
    return _RMSNorm.apply(x, weight.contiguous(), eps)


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        rows = rows_of(x)
        number, width = rows.shape
        y = torch.empty(x.shape, dtype=torch.result_type(x, weight), device=x.device)
        inverse = torch.empty(number, dtype=widen(x[:0]).dtype, device=x.device)
        block = block_of(width)
        size = max(1, TILE // block)
        grid = (triton.cdiv(number, size),)
        _forward[grid](
            rows, rows.stride(0), weight, y, inverse, number, width, eps, wide_type(x), size, block
        )
        ctx.save_for_backward(x, weight, inverse)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight, inverse = ctx.saved_tensors
        rows, grad_rows = rows_of(x), rows_of(grad_y)
        number, width = rows.shape
        grad_x = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        block = block_of(width)
        size = max(1, TILE // block)
        programs = num_programs(x, triton.cdiv(number, size))
        sums = torch.empty(programs, width, dtype=inverse.dtype, device=x.device)
        _backward[(programs,)](
            *(grad_rows, grad_rows.stride(0), rows, rows.stride(0), weight, inverse, grad_x, sums),
            *(number, width, wide_type(x), size, block),
        )
        return grad_x, sums.sum(0).to(weight.dtype), None


@triton.jit
def _forward(
    x_ptr, x_stride, weight_ptr, y_ptr, inverse_ptr, number, width,
    EPS: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, WIDTH)
    inside = (row < number)[:, None] & (column < width)[None, :]
    x = tl.load(x_ptr + row[:, None] * x_stride + column[None, :], mask=inside, other=0.0).to(WIDE)
    weight = tl.load(weight_ptr + column, mask=column < width, other=0.0).to(WIDE)
    inverse = 1.0 / tl.sqrt(tl.sum(x * x, 1) / width + EPS)  # (1)
    normalised = (x * inverse[:, None]).to(x_ptr.dtype.element_ty).to(WIDE)
    tl.store(y_ptr + row[:, None] * width + column[None, :], normalised * weight[None, :], mask=inside)
    tl.store(inverse_ptr + row, inverse, mask=row < number)


@triton.jit
def _backward(
    grad_y_ptr, grad_y_stride, x_ptr, x_stride, weight_ptr, inverse_ptr, grad_x_ptr, sums_ptr, number, width,
    WIDE: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """A program takes every so many blocks of rows and keeps one sum for the gradient of the weight."""
    column = tl.arange(0, WIDTH)
    weight = tl.load(weight_ptr + column, mask=column < width, other=0.0).to(WIDE)
    total = tl.zeros([WIDTH], WIDE)
    for block in range(tl.program_id(0), tl.cdiv(number, ROWS), tl.num_programs(0)):
        row = tl.cast(block, tl.int64) * ROWS + tl.arange(0, ROWS)
        inside = (row < number)[:, None] & (column < width)[None, :]
        x = tl.load(x_ptr + row[:, None] * x_stride + column[None, :], mask=inside, other=0.0).to(WIDE)
        grad_y = tl.load(
            grad_y_ptr + row[:, None] * grad_y_stride + column[None, :], mask=inside, other=0.0
        ).to(WIDE)
        inverse = tl.load(inverse_ptr + row, mask=row < number, other=0.0)
        normalised = x * inverse[:, None]
        product = grad_y * normalised
        total += tl.sum(product, 0)  # (2)
        along = tl.sum(product * weight[None, :], 1) / width
        grad_x = inverse[:, None] * (grad_y * weight[None, :] - normalised * along[:, None])  # (3)
        tl.store(grad_x_ptr + row[:, None] * width + column[None, :], grad_x, mask=inside)
    tl.store(sums_ptr + tl.program_id(0) * width + column, total, mask=column < width)
