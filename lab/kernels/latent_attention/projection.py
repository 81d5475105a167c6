"""From a latent to keys and values, and the same moved to queries and results."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, eq=False)
class UpProjection:
    """``W_UKV [K (nope + v), R]``: for each of ``num_heads`` K heads its ``nope_dim`` key rows, then its value rows."""

    weight: Tensor
    num_heads: int
    nope_dim: int

    def expand(self, latent: Tensor, k_rope: Tensor) -> tuple[Tensor, Tensor]:
        """Keys ``[B, S, K, nope + rope]`` and values ``[B, S, K, v]`` of ``latent [B, S, R]``."""
        expanded = functional.linear(latent, self.weight).unflatten(-1, (self.num_heads, -1))
        k_nope, v = expanded.split((self.nope_dim, expanded.shape[-1] - self.nope_dim), dim=-1)
        return torch.cat([k_nope, k_rope.expand(-1, -1, self.num_heads, -1)], dim=-1), v

    def absorb(self, q: Tensor) -> Tensor:
        """``[B, T, H, nope + rope] -> [B, T, H, R + rope]``: queries that meet latents in place of keys."""
        q_nope, q_rope = q.split((self.nope_dim, q.shape[-1] - self.nope_dim), dim=-1)
        grouped = q_nope.unflatten(2, (self.num_heads, -1))
        q_latent = torch.einsum("btkhn,knr->btkhr", grouped, self.by_head()[:, : self.nope_dim]).flatten(2, 3)
        return torch.cat([q_latent, q_rope], dim=-1)

    def values(self, y: Tensor) -> Tensor:
        """``[B, T, H, R] -> [B, T, H, v]``: what attention read of the latents, as values."""
        grouped = y.unflatten(2, (self.num_heads, -1))
        return torch.einsum("btkhr,kvr->btkhv", grouped, self.by_head()[:, self.nope_dim :]).flatten(2, 3)

    def by_head(self) -> Tensor:
        """The weight as ``[K, nope + v, R]``."""
        return self.weight.unflatten(0, (self.num_heads, -1))


def latent_keys(latent: Tensor, k_rope: Tensor) -> Tensor:
    """What absorbed queries meet, ``[B, S, 1, R + rope]``: one head for all."""
    return torch.cat([latent.unsqueeze(2), k_rope], dim=-1)
