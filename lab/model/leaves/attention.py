"""Softmax attention leaves: grouped-query, latent and differential."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import Any

from lab.checks import require, require_at_least, require_fraction
from lab.model.leaves.base import BYTES_PER_CACHE_ELEMENT, CacheSize, Leaf, load
from lab.model.leaves.layers import LayerPlan
from lab.model.leaves.norm import NormConfig


@dataclass
class MixerConfig(Leaf, ABC):
    """A map ``[B, T, D] -> [B, T, D]`` in which tokens see each other."""

    @abstractmethod
    def num_params(self, width: int) -> int:
        """Parameters of one layer's mixer at model width ``width``."""

    @abstractmethod
    def flops_per_token(self, width: int, keys: float) -> float:
        """Forward FLOPs for one token that attends to ``keys`` keys; a multiply-add counts as two."""

    def cache(self, window: int | None) -> CacheSize:
        """What decoding keeps for one layer."""
        elements = self.cache_elements_per_token() * BYTES_PER_CACHE_ELEMENT
        return CacheSize(elements, 0) if window is None else CacheSize(0, elements * window)

    @abstractmethod
    def cache_elements_per_token(self) -> int:
        """Numbers kept for each token in the cache of one layer."""

    def new_cache(self, window: int | None, caches: Any) -> Any:
        """An empty cache of one layer among ``caches``, whose layers with one window share their slots."""
        return load("lab.model.cache:LayerCache")(caches.slots(window))

    @abstractmethod
    def build(self, width: int, layer: LayerPlan, norm: NormConfig) -> Any:
        """The module of one layer, ``(x [B, T, D], context, cache) -> y [B, T, D]``.

        One that has something to report returns ``(y, Record)``.
        """


def require_even(key: str, value: int) -> None:
    """Rotary embeddings turn pairs of channels."""
    require(value % 2 == 0, key, value, "a rotary width is even")


@dataclass
class GroupedQuery(MixerConfig):
    """Grouped-query attention (arXiv 2305.13245) without biases: Llama, Solar Open."""

    num_heads: int
    num_kv_heads: int
    head_dim: int

    def __post_init__(self) -> None:
        sizes = {"num_heads": self.num_heads, "num_kv_heads": self.num_kv_heads, "head_dim": self.head_dim}
        require_at_least("model.attention", 1, **sizes)
        require(
            self.num_heads % self.num_kv_heads == 0,
            "model.attention.num_heads",
            self.num_heads,
            f"it must be a multiple of model.attention.num_kv_heads={self.num_kv_heads}",
        )
        require_even("model.attention.head_dim", self.head_dim)

    def num_params(self, width: int) -> int:
        return 2 * width * self.head_dim * (self.num_heads + self.num_kv_heads)

    def flops_per_token(self, width: int, keys: float) -> float:
        projections = 2 * GroupedQuery.num_params(self, width)
        return projections + 4 * keys * self.num_heads * self.head_dim

    def cache_elements_per_token(self) -> int:
        return 2 * self.num_kv_heads * self.head_dim

    def build(self, width: int, layer: LayerPlan, norm: NormConfig) -> Any:
        return load("lab.model.attention.grouped_query:GroupedQueryAttention")(self, width, layer)


@dataclass
class GroupedQueryNormed(GroupedQuery):
    """Grouped-query attention with RMSNorm on each query and key head before rotation (K-EXAONE, arXiv 2601.01739).

    One weight vector over ``head_dim`` is shared by all heads.
    """

    def num_params(self, width: int) -> int:
        return super().num_params(width) + 2 * self.head_dim

    def build(self, width: int, layer: LayerPlan, norm: NormConfig) -> Any:
        return load("lab.model.attention.grouped_query:NormedGroupedQueryAttention")(self, width, layer, norm)


@dataclass
class LatentMixer(MixerConfig):
    """What latent attentions share: queries from one latent, keys and values from another (arXiv 2405.04434, 2.1).

    Keys and values are expanded from a latent of ``latent_rank`` numbers, plus ``rope_dim`` rotated numbers shared by
    all heads; only those are cached.
    """

    query_rank: int
    latent_rank: int
    nope_dim: int
    rope_dim: int
    value_dim: int

    def __post_init__(self) -> None:
        sizes = {field.name: getattr(self, field.name) for field in fields(self) if field.type is int}
        require_at_least("model.attention", 1, **sizes)
        require_even("model.attention.rope_dim", self.rope_dim)

    @property
    def key_dim(self) -> int:
        """Width of a query or key head."""
        return self.nope_dim + self.rope_dim

    def cache_elements_per_token(self) -> int:
        return self.latent_rank + self.rope_dim

    def latent_norm(self, norm: NormConfig) -> NormConfig:
        """The norm of both latents in a model whose norms are ``norm``."""
        return norm


@dataclass
class Latent(LatentMixer):
    """Multi-head latent attention with a query latent (A.X K1; DeepSeek-V2, arXiv 2405.04434, section 2.1).

    Norms of the latents have an epsilon of their own, as in the released code of A.X.
    """

    num_heads: int
    latent_norm_eps: float = 1e-6

    def __post_init__(self) -> None:
        super().__post_init__()
        require_fraction("model.attention", latent_norm_eps=self.latent_norm_eps)

    def latent_norm(self, norm: NormConfig) -> NormConfig:
        return replace(norm, eps=self.latent_norm_eps)

    def _matrices(self, width: int) -> int:
        query = self.query_rank * (width + self.num_heads * self.key_dim)
        latent = width * (self.latent_rank + self.rope_dim)
        expand = self.latent_rank * self.num_heads * (self.nope_dim + self.value_dim)
        return query + latent + expand + self.num_heads * self.value_dim * width

    def num_params(self, width: int) -> int:
        return self._matrices(width) + self.query_rank + self.latent_rank

    def flops_per_token(self, width: int, keys: float) -> float:
        return 2 * self._matrices(width) + 2 * keys * self.num_heads * (self.key_dim + self.value_dim)

    def build(self, width: int, layer: LayerPlan, norm: NormConfig) -> Any:
        return load("lab.model.attention.latent:LatentAttention")(self, width, layer, norm)


@dataclass
class GroupedDifferential(MixerConfig):
    """Grouped differential attention (Motif 2; arXiv 2510.06949); with ``signal_per_noise=1`` differential attention.

    ``num_groups`` groups, each of ``signal_per_noise`` signal heads and one noise head; a group has one signal key,
    one noise key and a value of ``2 head_dim`` channels. The noise head's output, scaled by a learned lambda, is
    subtracted from every signal head of its group (Motif-2.6B is the case of one signal head, arXiv 2508.09148).
    """

    num_groups: int
    signal_per_noise: int
    head_dim: int
    sub_norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        require_at_least(
            "model.attention",
            1,
            num_groups=self.num_groups,
            signal_per_noise=self.signal_per_noise,
            head_dim=self.head_dim,
        )
        require_even("model.attention.head_dim", self.head_dim)
        require_fraction("model.attention", sub_norm_eps=self.sub_norm_eps)

    def _matrices(self, width: int) -> int:
        query = self.num_groups * (self.signal_per_noise + 1)
        key_and_value = 4 * self.num_groups
        output = 2 * self.num_groups * self.signal_per_noise
        return width * self.head_dim * (query + key_and_value + output)

    def num_params(self, width: int) -> int:
        lambdas_and_sub_norm = 6 * self.head_dim
        return self._matrices(width) + lambdas_and_sub_norm

    def flops_per_token(self, width: int, keys: float) -> float:
        heads = self.num_groups * (self.signal_per_noise + 1)
        return 2 * self._matrices(width) + 2 * keys * heads * 3 * self.head_dim

    def cache_elements_per_token(self) -> int:
        return 4 * self.num_groups * self.head_dim

    def build(self, width: int, layer: LayerPlan, norm: NormConfig) -> Any:
        return load("lab.model.attention.grouped_differential:GroupedDifferentialAttention")(
            self, width, layer
        )


@dataclass
class GroupedQueryGated(GroupedQuery):
    """Grouped-query attention with an elementwise sigmoid gate on its output (Solar Open 2, arXiv 2607.20062).

    ``y * sigmoid(W_g x)`` over all ``num_heads x head_dim`` channels, before the output projection.
    """

    def num_params(self, width: int) -> int:
        return super().num_params(width) + width * self.num_heads * self.head_dim

    def flops_per_token(self, width: int, keys: float) -> float:
        return super().flops_per_token(width, keys) + 2 * width * self.num_heads * self.head_dim

    def build(self, width: int, layer: LayerPlan, norm: NormConfig) -> Any:
        return load("lab.model.attention.grouped_query:GatedGroupedQueryAttention")(self, width, layer)
