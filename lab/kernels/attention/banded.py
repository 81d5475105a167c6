"""Attention within a window: blocks of queries against the keys that their window reaches, all at once."""

import torch
from torch import Tensor
from torch.nn import functional

from lab.kernels.attention.mask import AttentionMask, places_before
from lab.kernels.attention.sdpa import fused_attention
from lab.kernels.precision import product_type

SMALLEST_BLOCK = 64


def block_size(window: int) -> int:
    """Queries a block: half a window, so that two blocks before a query's own cover it (see the README)."""
    return max(SMALLEST_BLOCK, window // 2)


def attention(q: Tensor, k: Tensor, v: Tensor, mask: AttentionMask, scale: float) -> Tensor:
    """Shapes as in the package. Raises ValueError for a mask without a window or not in order."""
    if mask.window is None or mask.kept is not None or not mask.in_order:
        raise ValueError(
            "path='banded' cannot be used: the mask must have a window and keys that are in order."
        )
    batch, length = q.shape[:2]
    size = block_size(mask.window)
    before = places_before(mask.window, size)

    def blocks_with_reach(x: Tensor) -> Tensor:
        """``[B, T, K, d] -> [B * blocks, before + size, K, d]``."""
        blocks = functional.pad(x, (0, 0, 0, 0, before, -length % size)).unflatten(1, (-1, size))
        num_blocks, reach = blocks.shape[1] - before // size, before // size + 1
        return torch.cat([blocks[:, start : start + num_blocks] for start in range(reach)], dim=2).flatten(
            0, 1
        )

    queries = functional.pad(q, (0, 0, 0, 0, 0, -length % size)).reshape(-1, size, *q.shape[2:])
    additive = mask.in_blocks(size).additive(product_type(q))
    y = fused_attention(queries, blocks_with_reach(k), blocks_with_reach(v), additive, scale)
    return y.reshape(batch, -1, *y.shape[2:])[:, :length]
