"""Grouped differential attention over a latent (Motif 3)."""

from dataclasses import dataclass
from typing import Any

from lab.model.leaves.attention import LatentMixer
from lab.model.leaves.base import load
from lab.model.leaves.layers import LayerPlan
from lab.model.leaves.norm import NormConfig


@dataclass
class LatentDifferential(LatentMixer):
    """Grouped differential latent attention (GDLA; Motif 3, arXiv 2608.09119).

    A group's ``signal_per_noise`` signal heads and its noise head share one key and one value expanded from the
    latent. Lambda is a sigmoid of the token, one a signal head; an elementwise gate reads the normed query latent.
    """

    num_groups: int
    signal_per_noise: int

    @property
    def num_signal(self) -> int:
        """Signal heads of all groups."""
        return self.num_groups * self.signal_per_noise

    @property
    def num_heads(self) -> int:
        """Query heads, signal and noise."""
        return self.num_signal + self.num_groups

    def _matrices(self, width: int) -> int:
        query = self.query_rank * (width + self.num_heads * self.key_dim)
        gate = self.query_rank * self.num_signal * self.value_dim
        latent = width * (self.latent_rank + self.rope_dim)
        expand = self.latent_rank * self.num_groups * (self.nope_dim + self.value_dim)
        return query + gate + latent + expand + width * self.num_signal * (1 + self.value_dim)

    def num_params(self, width: int) -> int:
        return self._matrices(width) + self.query_rank + self.latent_rank

    def flops_per_token(self, width: int, keys: float) -> float:
        return 2 * self._matrices(width) + 2 * keys * self.num_heads * (self.key_dim + self.value_dim)

    def build(self, width: int, layer: LayerPlan, norm: NormConfig) -> Any:
        return load("lab.model.attention.latent_differential:LatentDifferentialAttention")(
            self, width, layer, norm
        )
