"""Multi-head latent attention."""

import torch
from torch import Tensor, nn

from lab.kernels.attention import AttentionMask, attention
from lab.kernels.rotary import rotate
from lab.model.cache import LayerCache
from lab.model.context import Context
from lab.model.leaves.attention import Latent
from lab.model.leaves.layers import LayerPlan
from lab.model.leaves.norm import NormConfig


class LatentAttention(nn.Module):
    """Latent attention with a query latent (DeepSeek-V2, arXiv 2405.04434, section 2.1; A.X K1).

    Symbols of the source: ``c_q = norm(W_DQ x)``, ``[q_nope | q_rope] = W_UQ c_q``; ``[c | k_rope] = W_DKV x``,
    ``[k_nope | v] = W_UKV norm(c)``; ``k_rope`` is one head shared by all. The cache holds ``norm(c)`` and the rotated
    ``k_rope``. Single-token decoding works in latent space: W_UK moves to the query side and W_UV behind the
    attention, so no key or value is ever expanded.
    """

    def __init__(self, config: Latent, width: int, layer: LayerPlan, norm: NormConfig) -> None:
        super().__init__()
        self.config = config
        self.layer = layer
        self.scale = config.key_dim**-0.5 * (layer.rotation.softmax_scale if layer.rotation else 1.0)
        heads = config.num_heads
        self.query_down = nn.Linear(width, config.query_rank, bias=False)
        self.query_norm = norm.build(config.query_rank, "inner")
        self.query_up = nn.Linear(config.query_rank, heads * config.key_dim, bias=False)
        self.latent_down = nn.Linear(width, config.latent_rank + config.rope_dim, bias=False)
        self.latent_norm = norm.build(config.latent_rank, "inner")
        self.latent_up = nn.Linear(config.latent_rank, heads * (config.nope_dim + config.value_dim), bias=False)
        self.output = nn.Linear(heads * config.value_dim, width, bias=False)

    def forward(self, x: Tensor, context: Context, cache: LayerCache | None) -> Tensor:
        """``x [B, T, D] -> [B, T, D]``; with a cache the T tokens follow what it holds."""
        config = self.config
        q = self.query_up(self.query_norm(self.query_down(x))).unflatten(-1, (config.num_heads, config.key_dim))
        q_nope, q_rope = q.split((config.nope_dim, config.rope_dim), dim=-1)
        latent, k_rope = self.latent_down(x).split((config.latent_rank, config.rope_dim), dim=-1)
        latent, k_rope = self.latent_norm(latent), k_rope.unsqueeze(2)
        if self.layer.rotation is not None:
            cos, sin = context.rotation_table(self.layer.rotation, config.rope_dim)
            q_rope, k_rope = rotate(q_rope, cos, sin), rotate(k_rope, cos, sin)
        if cache is not None:
            latent, k_rope = cache.extend(latent=latent, key=k_rope)
        mask = context.mask(self.layer.window)
        attend = self._attend_in_latent_space if cache is not None and x.shape[1] == 1 else self._attend_expanded
        return self.output(attend(q_nope, q_rope, latent, k_rope, mask).flatten(-2))

    def _attend_expanded(
        self, q_nope: Tensor, q_rope: Tensor, latent: Tensor, k_rope: Tensor, mask: AttentionMask
    ) -> Tensor:
        """Keys and values of every head from ``latent [B, S, r]``; returns ``[B, T, H, value_dim]``."""
        config = self.config
        expanded = self.latent_up(latent).unflatten(-1, (config.num_heads, -1))
        k_nope, v = expanded.split((config.nope_dim, config.value_dim), dim=-1)
        k = torch.cat([k_nope, k_rope.expand(-1, -1, config.num_heads, -1)], dim=-1)
        return attention(torch.cat([q_nope, q_rope], dim=-1), k, v, mask, self.scale)

    def _attend_in_latent_space(
        self, q_nope: Tensor, q_rope: Tensor, latent: Tensor, k_rope: Tensor, mask: AttentionMask
    ) -> Tensor:
        """The same with ``latent`` as the one key and value head; returns ``[B, T, H, value_dim]``."""
        config = self.config
        up = self.latent_up.weight.unflatten(0, (config.num_heads, -1))
        key_up, value_up = up.split((config.nope_dim, config.value_dim), dim=1)
        q_latent = torch.einsum("bthn,hnr->bthr", q_nope, key_up)
        keys = torch.cat([latent.unsqueeze(2), k_rope], dim=-1)
        y = attention(torch.cat([q_latent, q_rope], dim=-1), keys, latent.unsqueeze(2), mask, self.scale)
        return torch.einsum("bthr,hvr->bthv", y, value_up)
