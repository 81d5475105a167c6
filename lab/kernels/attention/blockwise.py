"""A block of queries against the run of places that it sees, in C++; its scores never leave a core's cache.

Where every query sees an unbroken run of places up to its own (causal, windows, documents one behind the other), the
cost falls with the run. Kept for the gradient: inputs, result and one number a query.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lab.kernels.attention.mask import AttentionMask
from lab.kernels.cpp import can_build, cpp_function, sgemm
from lab.kernels.precision import product_type

LONGEST_RUN = 4096
"""Places that a query may see; scores of a block against more are too many for a cache."""

_forward = cpp_function(__file__, "attention_forward", "pppppp" + "llllllld", "blockwise.cpp")
_backward = cpp_function(__file__, "attention_backward", "pppppppppp" + "llllllld", "blockwise.cpp")


def takes(q: Tensor, k: Tensor, v: Tensor, mask: AttentionMask) -> bool:
    """Whether this path is for these: float32 on a CPU, queries that are the keys, in order, none chosen one by one."""
    return (
        q.is_cpu
        and q.dtype == k.dtype == v.dtype == product_type(q) == torch.float32
        and mask.kept is None
        and min(q.shape[1], mask.window or q.shape[1]) <= LONGEST_RUN
        and q.shape[0] * k.shape[2] >= torch.get_num_threads()
        and can_build()
        and sgemm() is not None
        and mask.in_order
    )


def attention(q: Tensor, k: Tensor, v: Tensor, mask: AttentionMask, scale: float) -> Tensor:
    """Shapes as in the package. Raises ValueError for what :func:`takes` refuses."""
    if not takes(q, k, v, mask):
        raise ValueError(
            "attention: path=blockwise is for float32 on a CPU with a C++ compiler, and a mask that is in order."
        )
    return _Attention.apply(q.contiguous(), k.contiguous(), v.contiguous(), mask.first_visible, scale)


def _sizes(q: Tensor, v: Tensor) -> tuple[int, ...]:
    batch, length, heads, d = q.shape
    return batch, length, heads, v.shape[2], d, v.shape[3]


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, first_visible: Tensor, scale: float) -> Tensor:
        batch, length, heads, _ = q.shape
        y, log_sum = q.new_empty(batch, length, heads, v.shape[3]), q.new_empty(batch, heads, length)
        _forward(q, k, v, first_visible, y, log_sum, sgemm(), *_sizes(q, v), scale)
        ctx.save_for_backward(q, k, v, y, log_sum, first_visible)
        ctx.scale = scale
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        q, k, v, y, log_sum, first_visible = ctx.saved_tensors
        grad_q, grad_k, grad_v = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        inputs = (grad_y.contiguous(), q, k, v, y, log_sum, first_visible)
        _backward(*inputs, grad_q, grad_k, grad_v, sgemm(), *_sizes(q, v), ctx.scale)
        return grad_q, grad_k, grad_v, None, None
