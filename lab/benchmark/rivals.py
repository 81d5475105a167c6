"""Other people's ways to a result of ours, where no path of our own stands for them."""

from typing import Any

import torch
from torch.nn import functional

from lab.benchmark.case import Case
from lab.benchmark.operators import normal
from lab.trainer.device import DTYPES

MASKS = ("boolean", "additive", "none")
"""How the window is told to PyTorch's attention; ``none`` leaves it out, which is cheaper and another result."""


def dense_attention_case(
    mask: str, B: int, T: int, H: int, K: int, d: int, window: int, precision: str = "float32"
) -> Case:
    """Forward and backward of ``F.scaled_dot_product_attention`` over all pairs of tokens, with a mask for the window.

    Queries ``[B, H, T, d]``, keys and values ``[B, K, T, d]``; the mask ``[T, T]`` is made once, outside the time.
    """
    dtype = DTYPES[precision]
    q, k, v = (normal(B, heads, T, d).to(dtype).requires_grad_() for heads in (H, K, K))
    ages = torch.arange(T)[:, None] - torch.arange(T)[None, :]
    seen = (ages >= 0) & (ages < window)
    ways: dict[str, dict[str, Any]] = {
        "boolean": {"attn_mask": seen},
        "additive": {"attn_mask": torch.zeros(T, T, dtype=dtype).masked_fill_(~seen, float("-inf"))},
        "none": {"is_causal": True},
    }
    incoming = torch.ones(B, H, T, d, dtype=dtype)

    def run() -> None:
        y = functional.scaled_dot_product_attention(q, k, v, enable_gqa=H != K, **ways[mask])
        torch.autograd.grad(y, (q, k, v), incoming)

    return Case(run)
