"""Grouped-query attention: plain, with normalised query and key heads, and with a gated output."""

import torch
from torch import Tensor, nn

from lab.kernels.attention import attention
from lab.kernels.precision import widen
from lab.kernels.rotary import rotate
from lab.model.cache import LayerCache
from lab.model.context import Context
from lab.model.initial import BranchOutput
from lab.model.leaves.attention import GroupedQuery
from lab.model.leaves.layers import LayerPlan
from lab.model.leaves.norm import NormConfig


class GroupedQueryAttention(nn.Module):
    """``softmax(q k^T / sqrt(d)) v`` with H query heads over K key and value heads (arXiv 2305.13245).

    Where the layer has a rotation, queries and keys are rotated by position before the product.
    """

    def __init__(self, config: GroupedQuery, width: int, layer: LayerPlan) -> None:
        super().__init__()
        self.layer = layer
        self.head_dim = config.head_dim
        self.scale = config.head_dim**-0.5 * (layer.rotation.softmax_scale if layer.rotation else 1.0)
        self.query = nn.Linear(width, config.num_heads * config.head_dim, bias=False)
        self.key = nn.Linear(width, config.num_kv_heads * config.head_dim, bias=False)
        self.value = nn.Linear(width, config.num_kv_heads * config.head_dim, bias=False)
        self.output = BranchOutput(config.num_heads * config.head_dim, width)

    def normalise(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """Queries ``[B, T, H, d]`` and keys ``[B, T, K, d]`` before rotation; here unchanged."""
        return q, k

    def modulate(self, y: Tensor, x: Tensor) -> Tensor:
        """What attention gathered, ``y [B, T, H d]``, before the output projection; here unchanged."""
        return y

    def forward(self, x: Tensor, context: Context, cache: LayerCache | None) -> Tensor:
        """``x [B, T, D] -> [B, T, D]``; with a cache the T tokens follow what it holds."""
        q, k, v = (
            linear(x).unflatten(-1, (-1, self.head_dim)) for linear in (self.query, self.key, self.value)
        )
        q, k = self.normalise(q, k)
        if self.layer.rotation is not None:
            cos, sin = context.rotation_table(self.layer.rotation, self.head_dim)
            q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if cache is not None:
            k, v = cache.extend(key=k, value=v)
        y = attention(q, k, v, context.mask(self.layer.window), self.scale)
        return self.output(self.modulate(y.flatten(-2), x))


class NormedGroupedQueryAttention(GroupedQueryAttention):
    """Grouped-query attention with RMSNorm on each query and key head (K-EXAONE, arXiv 2601.01739).

    The norms share one weight vector over all heads and stand before the rotation.
    """

    def __init__(self, config: GroupedQuery, width: int, layer: LayerPlan, norm: NormConfig) -> None:
        super().__init__(config, width, layer)
        self.query_norm = norm.build(config.head_dim, "inner")
        self.key_norm = norm.build(config.head_dim, "inner")

    def normalise(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        return self.query_norm(q), self.key_norm(k)


class GatedGroupedQueryAttention(GroupedQueryAttention):
    """Grouped-query attention with a sigmoid gate on every output channel (Solar Open 2, arXiv 2607.20062).

    ``W_o (y * sigmoid(W_g x))`` with x the layer's normed input; the sigmoid and its product in float32.
    """

    def __init__(self, config: GroupedQuery, width: int, layer: LayerPlan) -> None:
        super().__init__(config, width, layer)
        self.gate = nn.Linear(width, config.num_heads * config.head_dim, bias=False)

    def modulate(self, y: Tensor, x: Tensor) -> Tensor:
        return (widen(y) * torch.sigmoid(widen(self.gate(x)))).to(y.dtype)
