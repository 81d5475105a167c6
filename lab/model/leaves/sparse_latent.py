"""Sparse latent attention: latent attention over the keys a lightning indexer picks (A.X K2)."""

from dataclasses import dataclass
from typing import Any

from lab.checks import require, require_at_least
from lab.model.leaves.attention import Latent
from lab.model.leaves.base import load
from lab.model.leaves.layers import LayerPlan
from lab.model.leaves.norm import NormConfig


@dataclass(kw_only=True)
class SparseLatent(Latent):
    """Latent attention with an output gate and a lightning indexer (A.X K2, arXiv 2608.30181; DeepSeek-V3.2).

    The gate reads the query latent *before* its norm. The indexer scores every earlier token with ``index_heads``
    heads of ``index_dim`` channels and keeps the ``index_top_k`` best; it learns by ``index_loss_weight`` times the
    Kullback-Leibler divergence from the attention's own distribution over the kept keys, and gets no gradient from
    the language-model loss.
    """

    index_heads: int
    index_dim: int
    index_top_k: int
    index_loss_weight: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.rope_dim <= self.index_dim,
            "model.attention.index_dim",
            self.index_dim,
            f"it must hold model.attention.rope_dim={self.rope_dim} rotated channels",
        )
        require_at_least("model.attention", 0, index_loss_weight=self.index_loss_weight)

    def _gate(self) -> int:
        return self.query_rank * self.num_heads * self.value_dim

    def _indexer(self, width: int) -> int:
        return self.query_rank * self.index_heads * self.index_dim + width * (
            self.index_dim + self.index_heads
        )

    def num_params(self, width: int) -> int:
        key_norm = 2 * self.index_dim
        return super().num_params(width) + self._gate() + self._indexer(width) + key_norm

    def flops_per_token(self, width: int, keys: float) -> float:
        attended = super().flops_per_token(width, min(keys, self.index_top_k))
        scores = 2 * keys * self.index_heads * (self.index_dim + 1)
        return attended + 2 * (self._gate() + self._indexer(width)) + scores

    def cache_elements_per_token(self) -> int:
        return super().cache_elements_per_token() + self.index_dim

    def build(self, width: int, layer: LayerPlan, norm: NormConfig) -> Any:
        return load("lab.model.attention.sparse_latent:SparseLatentAttention")(self, width, layer, norm)
