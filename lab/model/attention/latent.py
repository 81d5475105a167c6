"""Multi-head latent attention, and what all latent attentions share."""

import torch
from torch import Tensor, nn

from lab.kernels.latent_attention import UpProjection, latent_attention
from lab.kernels.rotary import rotate
from lab.model.cache import LayerCache
from lab.model.context import Context
from lab.model.initial import BranchOutput
from lab.model.leaves.attention import Latent
from lab.model.leaves.latent_differential import LatentDifferential
from lab.model.leaves.layers import LayerPlan
from lab.model.leaves.norm import NormConfig


class LatentProjections(nn.Module):
    """Queries from one latent, keys and values from another (DeepSeek-V2, arXiv 2405.04434, section 2.1).

    Symbols of the source: ``c_q = norm(W_DQ x)``, ``[q_nope | q_rope] = W_UQ c_q``; ``[c | k_rope] =
    W_DKV x``, ``[k_nope | v] = W_UKV norm(c)``; ``k_rope`` is one head shared by all. H query heads read
    ``num_expanded`` key and value heads in order. The cache holds ``norm(c)`` (r numbers) and the rotated
    ``k_rope``.

    In latent space W_UK moves to the query side and W_UV behind the attention, so that no key or value is
    ever expanded: right for decoding, where one query meets many keys.
    """

    def __init__(
        self,
        config: Latent | LatentDifferential,
        width: int,
        layer: LayerPlan,
        norm: NormConfig,
        num_expanded: int,
    ) -> None:
        super().__init__()
        self.layer = layer
        self.num_heads, self.num_expanded = config.num_heads, num_expanded
        self.nope_dim, self.rope_dim, self.value_dim = config.nope_dim, config.rope_dim, config.value_dim
        self.latent_rank = config.latent_rank
        self.scale = config.key_dim**-0.5 * (layer.rotation.softmax_scale if layer.rotation else 1.0)
        expanded = num_expanded * (config.nope_dim + config.value_dim)
        latent_norm = config.latent_norm(norm)
        self.query_down = nn.Linear(width, config.query_rank, bias=False)
        self.query_norm = latent_norm.build(config.query_rank, "inner")
        self.query_up = nn.Linear(config.query_rank, config.num_heads * config.key_dim, bias=False)
        self.latent_down = nn.Linear(width, config.latent_rank + config.rope_dim, bias=False)
        self.latent_norm = latent_norm.build(config.latent_rank, "inner")
        self.latent_up = nn.Linear(config.latent_rank, expanded, bias=False)

    def queries(self, query_latent: Tensor, context: Context) -> Tensor:
        """``[B, T, H, nope + rope]`` from the normed query latent ``[B, T, query_rank]``."""
        q = self.query_up(query_latent).unflatten(-1, (self.num_heads, -1))
        q_nope, q_rope = q.split((self.nope_dim, self.rope_dim), dim=-1)
        return torch.cat([q_nope, self._rotated(q_rope, context)], dim=-1)

    def latents(self, x: Tensor, context: Context, cache: LayerCache | None) -> tuple[Tensor, Tensor]:
        """Normed latents ``[B, S, r]`` and rotated keys ``[B, S, 1, rope]`` of all S tokens in reach."""
        latent, k_rope = self.latent_down(x).split((self.latent_rank, self.rope_dim), dim=-1)
        latent, k_rope = self.latent_norm(latent), self._rotated(k_rope.unsqueeze(2), context)
        if cache is not None:
            latent, k_rope = cache.extend(latent=latent, key=k_rope)
        return latent, k_rope

    def _rotated(self, heads: Tensor, context: Context) -> Tensor:
        if self.layer.rotation is None:
            return heads
        return rotate(heads, *context.rotation_table(self.layer.rotation, self.rope_dim))

    def expand(self, latent: Tensor, k_rope: Tensor) -> tuple[Tensor, Tensor]:
        """Keys ``[B, S, K, nope + rope]`` and values ``[B, S, K, v]`` of the expanded heads."""
        return self.up.expand(latent, k_rope)

    @property
    def up(self) -> UpProjection:
        """What expands a latent to keys and values, or is absorbed by queries and results."""
        return UpProjection(self.latent_up.weight, self.num_expanded, self.nope_dim)


class LatentAttention(LatentProjections):
    """Latent attention with a query latent, one key and value head a query head (DeepSeek-V2; A.X K1)."""

    def __init__(self, config: Latent, width: int, layer: LayerPlan, norm: NormConfig) -> None:
        super().__init__(config, width, layer, norm, num_expanded=config.num_heads)
        self.output = BranchOutput(config.num_heads * config.value_dim, width)

    def forward(self, x: Tensor, context: Context, cache: LayerCache | None) -> Tensor:
        """``x [B, T, D] -> [B, T, D]``; with a cache the T tokens follow what it holds."""
        q = self.queries(self.query_norm(self.query_down(x)), context)
        latent, k_rope = self.latents(x, context, cache)
        mask = context.mask(self.layer.window)
        y = latent_attention(q, latent, k_rope, self.up, mask, self.scale)
        return self.output(y.flatten(2))
