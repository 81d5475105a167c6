"""SwiGLU for GPUs: one pass forward and one back, float32 inside. Equation numbers are those of the README."""
# mypy: disable-error-code="import-not-found,no-untyped-def"

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from lab.kernels.triton_support import TILE, block_of, rows_of, wide_type

COLUMNS = 1024
"""Channels of a tile, at most."""


def swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """Shapes as in the package. ``gate`` and ``up`` may be halves of one tensor: nothing is copied."""
    return _SwiGLU.apply(gate, up)


class _SwiGLU(torch.autograd.Function):
    """Keeps its inputs alone."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        gate_rows, up_rows = rows_of(gate), rows_of(up)
        y = torch.empty(gate.shape, dtype=gate.dtype, device=gate.device)
        grid, tile = _tiles(gate_rows)
        _forward[grid](
            *(gate_rows, gate_rows.stride(0), up_rows, up_rows.stride(0), y),
            *(*gate_rows.shape, wide_type(gate), *tile),
        )
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor, Tensor]:
        gate, up = ctx.saved_tensors
        gate_rows, up_rows, grad_rows = rows_of(gate), rows_of(up), rows_of(grad_y)
        grad_gate, grad_up = (torch.empty(gate.shape, dtype=x.dtype, device=x.device) for x in (gate, up))
        grid, tile = _tiles(gate_rows)
        _backward[grid](
            *(grad_rows, grad_rows.stride(0), gate_rows, gate_rows.stride(0), up_rows, up_rows.stride(0)),
            *(grad_gate, grad_up, *gate_rows.shape, wide_type(gate), *tile),
        )
        return grad_gate, grad_up


def _tiles(rows: Tensor) -> tuple[tuple[int, int], tuple[int, int]]:
    """The grid of programs and the tile of each, rows by columns."""
    columns = min(COLUMNS, block_of(rows.shape[1]))
    tile = TILE // columns, columns
    return (triton.cdiv(rows.shape[0], tile[0]), triton.cdiv(rows.shape[1], tile[1])), tile


@triton.jit
def _forward(
    gate_ptr, gate_stride, up_ptr, up_stride, y_ptr, number, width,
    WIDE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    row = (tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS))[:, None]
    column = (tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS))[None, :]
    inside = (row < number) & (column < width)
    gate = tl.load(gate_ptr + row * gate_stride + column, mask=inside, other=0.0).to(WIDE)
    up = tl.load(up_ptr + row * up_stride + column, mask=inside, other=0.0).to(WIDE)
    tl.store(y_ptr + row * width + column, gate / (1.0 + tl.exp(-gate)) * up, mask=inside)  # (1)


@triton.jit
def _backward(
    grad_ptr, grad_stride, gate_ptr, gate_stride, up_ptr, up_stride, grad_gate_ptr, grad_up_ptr, number, width,
    WIDE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    row = (tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS))[:, None]
    column = (tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS))[None, :]
    inside = (row < number) & (column < width)
    grad = tl.load(grad_ptr + row * grad_stride + column, mask=inside, other=0.0).to(WIDE)
    gate = tl.load(gate_ptr + row * gate_stride + column, mask=inside, other=0.0).to(WIDE)
    up = tl.load(up_ptr + row * up_stride + column, mask=inside, other=0.0).to(WIDE)
    sigmoid = 1.0 / (1.0 + tl.exp(-gate))
    place = row * width + column
    tl.store(grad_up_ptr + place, grad * gate * sigmoid, mask=inside)  # (2)
    grad_gate = grad * up * sigmoid * (1.0 + gate * (1.0 - sigmoid))  # (3)
    tl.store(grad_gate_ptr + place, grad_gate, mask=inside)
