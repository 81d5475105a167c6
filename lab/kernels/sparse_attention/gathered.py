"""The selected keys of each query copied together and nothing else read: right for few queries against many keys."""

import torch
from torch import Tensor

from lab.kernels.attention import AttentionMask, attention
from lab.kernels.sparse_attention.selection import Selection


def sparse_attention(
    q: Tensor, k: Tensor, v: Tensor, mask: AttentionMask, selection: Selection, scale: float
) -> Tensor:
    """Shapes as in the package; each query becomes a row of its own with the n keys selected for it."""
    rows = q.flatten(0, 1).unsqueeze(1)
    keys, values = (gather(x, selection.indices) for x in (k, v))
    y = attention(rows, keys, values, gathered_mask(mask, selection.indices), scale)
    return y.squeeze(1).unflatten(0, q.shape[:2])


def gather(x: Tensor, indices: Tensor) -> Tensor:
    """The entries of ``x [B, S, ...]`` at ``indices [B, T, n]``: ``[B T, n, ...]``."""
    batch = torch.arange(len(x), device=x.device).view(-1, 1, 1)
    return x[batch, indices].flatten(0, 1)


def gathered_mask(mask: AttentionMask, indices: Tensor) -> AttentionMask:
    """``mask`` for each query as a row of its own, against its own keys at ``indices [B, T, n]``."""

    def queries(x: Tensor | None) -> Tensor | None:
        return None if x is None else x.reshape(-1, 1)

    def keys(x: Tensor | None) -> Tensor | None:
        return None if x is None else gather(x, indices)

    assert mask.kept is None, "a selection is made of keys that were not selected before"
    return AttentionMask(
        mask.query_positions.reshape(-1, 1),
        gather(mask.key_positions, indices),
        queries(mask.query_documents),
        keys(mask.key_documents),
        mask.window,
    )
