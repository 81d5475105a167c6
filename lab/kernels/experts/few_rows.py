"""Few tokens, in C++ that reads each chosen expert once and sorts, copies and adds up nothing: decoding."""

import torch
from torch import Tensor

from lab.kernels.cpp import KNOWN, can_build, cpp_function
from lab.kernels.experts.activation import Activation
from lab.kernels.precision import widen

FEW = 128
"""Pairs of a token and a choice up to which this path is for; more are work for matrix products."""

_in = {
    dtype: cpp_function(__file__, f"experts_in_{word}", "pppppllll", "few_rows.cpp")
    for dtype, word in KNOWN.items()
}
_out = {
    dtype: cpp_function(__file__, f"experts_out_{word}", "pppppllll", "few_rows.cpp")
    for dtype, word in KNOWN.items()
}


def takes(x: Tensor, indices: Tensor, w_in: Tensor, w_out: Tensor) -> bool:
    """Whether this path is for these: few pairs without gradient, in types it knows."""
    return (
        indices.numel() <= FEW
        and not torch.is_grad_enabled()
        and x.is_cpu
        and x.dtype in KNOWN
        and w_in.dtype in KNOWN
        and w_in.dtype == w_out.dtype
        and can_build()
    )


def expert_feed_forward(
    x: Tensor, indices: Tensor, weights: Tensor, w_in: Tensor, w_out: Tensor, activation: Activation
) -> Tensor:
    """Shapes as in the package; arithmetic is float32 whatever holds the numbers, autocast or not."""
    (tokens, top_k), (_, width, hidden) = indices.shape, w_out.shape
    indices, w_in, w_out = indices.contiguous(), w_in.contiguous(), w_out.contiguous()
    gate, up = torch.empty(2, tokens * top_k, hidden).unbind()
    _in[w_in.dtype](widen(x).contiguous(), indices, w_in, gate, up, tokens, top_k, width, hidden)
    h = widen(activation(gate, up, indices.flatten())).contiguous()
    y = torch.empty(tokens, width)
    _out[w_in.dtype](h, indices, widen(weights).contiguous(), w_out, y, tokens, top_k, width, hidden)
    return y.to(x.dtype)
