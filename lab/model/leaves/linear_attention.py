"""Recurrent mixers: a state of fixed size instead of a cache that grows."""

from dataclasses import dataclass
from typing import Any

from lab.checks import require, require_at_least, require_fraction
from lab.model.leaves.attention import MixerConfig
from lab.model.leaves.base import BYTES_PER_CACHE_ELEMENT, CacheSize, load
from lab.model.leaves.layers import LayerPlan
from lab.model.leaves.norm import NormConfig

BYTES_PER_STATE_ELEMENT = 4  # the recurrent state stays in float32


@dataclass
class NoLinear(MixerConfig):
    """No recurrent mixer: the pattern of layers may not contain D."""

    def num_params(self, width: int) -> int:
        return 0

    def flops_per_token(self, width: int, keys: float) -> float:
        return 0.0

    def cache_elements_per_token(self) -> int:
        return 0

    def build(self, width: int, layer: LayerPlan, norm: NormConfig) -> Any:
        raise AssertionError("a model without a recurrent mixer has no layer D")


@dataclass
class KimiDelta(MixerConfig):
    """Kimi delta attention (arXiv 2510.26692; Solar Open 2, arXiv 2607.20062).

    A delta rule whose state decays by channel. ``max_beta`` is the largest write strength: 2 allows negative
    eigenvalues of the transition (Solar Open 2), 1 does not (Kimi Linear). Decay and output gate are factored
    through ``head_dim`` channels; queries, keys and values pass a causal convolution of ``conv_width`` tokens.
    Without ``output_gate`` the normed read-out goes straight into the output projection (table 1 of 2510.26692).
    """

    num_heads: int
    head_dim: int
    conv_width: int = 4
    max_beta: float = 2.0
    output_norm_eps: float = 1e-5
    output_gate: bool = True

    def __post_init__(self) -> None:
        sizes = {"num_heads": self.num_heads, "head_dim": self.head_dim, "conv_width": self.conv_width}
        require_at_least("model.linear_attention", 1, **sizes)
        allowed = "it must be above 0 and at most 2, where the state can no longer grow"
        require(0 < self.max_beta <= 2, "model.linear_attention.max_beta", self.max_beta, allowed)
        require_fraction("model.linear_attention", output_norm_eps=self.output_norm_eps)

    def _channels(self) -> int:
        return self.num_heads * self.head_dim

    def _matrices(self, width: int) -> int:
        projections = 4 * width * self._channels() + width * self.num_heads
        factored = self.head_dim * (width + self._channels())
        return projections + factored * (2 if self.output_gate else 1)  # decay, output gate

    def num_params(self, width: int) -> int:
        convolutions = 3 * self.conv_width * self._channels()
        decay = self._channels() + self.num_heads
        return self._matrices(width) + convolutions + decay + self.head_dim

    def flops_per_token(self, width: int, keys: float) -> float:
        convolutions = 2 * 3 * self.conv_width * self._channels()
        recurrence = (
            7 * self._channels() * self.head_dim
        )  # decay, read, write (2 each) and read-out, one a channel pair
        return 2 * self._matrices(width) + convolutions + recurrence

    def cache_elements_per_token(self) -> int:
        return 0

    def cache(self, window: int | None) -> CacheSize:
        state = self._channels() * self.head_dim * BYTES_PER_STATE_ELEMENT
        tail = 3 * (self.conv_width - 1) * self._channels() * BYTES_PER_CACHE_ELEMENT
        return CacheSize(0, state + tail)

    def new_cache(self, window: int | None, caches: Any) -> Any:
        return load("lab.model.cache:RecurrentCache")(revocable=caches.revocable > 0)

    def build(self, width: int, layer: LayerPlan, norm: NormConfig) -> Any:
        return load("lab.model.attention.kimi_delta:KimiDeltaAttention")(self, width)
