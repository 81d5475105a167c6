"""Rotation for GPUs: one pass, its gradient the rotation by the opposite angle."""
# mypy: disable-error-code="import-not-found,no-untyped-def"

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from lab.kernels.triton_support import TILE, block_of, rows_of, wide_type


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Shapes as in the package. ``x`` may be heads cut out of a wider tensor."""
    return _Rotate.apply(x, cos, sin)


class _Rotate(torch.autograd.Function):
    """Keeps the table alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _rotated(x, cos, sin, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _rotated(grad_y, cos, sin, -1), None, None


def _rotated(x: Tensor, cos: Tensor, sin: Tensor, direction: int) -> Tensor:
    heads, width = x.shape[2:]
    tokens = x.flatten(0, 1) if x.stride(-1) == 1 else x.contiguous().flatten(0, 1)
    cos, sin = (rows_of(table.expand(*x.shape[:2], width // 2)) for table in (cos, sin))
    y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    block = block_of(width // 2)
    size = max(1, TILE // block)
    number = tokens.shape[0] * heads
    _kernel[(triton.cdiv(number, size),)](
        *(tokens, *tokens.stride()[:2], cos, cos.stride(0), sin, sin.stride(0), y),
        *(number, heads, width // 2, direction, wide_type(x), size, block),
    )
    return y


@triton.jit
def _kernel(
    x_ptr, token_stride, head_stride, cos_ptr, cos_stride, sin_ptr, sin_stride, y_ptr, number, heads, half,
    DIRECTION: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr, HALF: tl.constexpr,
):  # fmt: skip
    """A row is a head of a token; equation 1 of the README."""
    row = (tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS))[:, None]
    channel = tl.arange(0, HALF)[None, :]
    inside = (row < number) & (channel < half)
    token = row // heads
    place = x_ptr + token * token_stride + row % heads * head_stride + channel
    first = tl.load(place, mask=inside, other=0.0).to(WIDE)
    second = tl.load(place + half, mask=inside, other=0.0).to(WIDE)
    cos = tl.load(cos_ptr + token * cos_stride + channel, mask=inside, other=0.0).to(WIDE)
    sin = tl.load(sin_ptr + token * sin_stride + channel, mask=inside, other=0.0).to(WIDE) * DIRECTION
    result = y_ptr + row * (2 * half) + channel
    tl.store(result, first * cos - second * sin, mask=inside)
    tl.store(result + half, second * cos + first * sin, mask=inside)
