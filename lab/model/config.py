"""A model's configuration: a tree of leaves that knows its own size."""

from dataclasses import dataclass

from lab.checks import require, require_above_zero, require_at_least
from lab.model.leaves.attention import MixerConfig
from lab.model.leaves.base import CacheSize
from lab.model.leaves.feed_forward import FeedForwardConfig
from lab.model.leaves.layers import MIXERS, LayerPlan, LayersConfig
from lab.model.leaves.multi_token import MultiTokenConfig
from lab.model.leaves.norm import NormConfig
from lab.model.leaves.position import PositionConfig
from lab.model.leaves.residual import ResidualConfig
from lab.model.leaves.router import RouterConfig


@dataclass
class ModelConfig:
    """Everything the decoder is built from.

    ``width`` is D, ``vocab_size`` V; ``max_positions`` bounds prompts and generation; ``init_std`` is the standard
    deviation of matrices at initialisation, ``branch_init_scale`` makes the last map of every branch start smaller.
    """

    name: str
    width: int
    vocab_size: int
    max_positions: int
    tied_embeddings: bool
    init_std: float
    layers: LayersConfig
    attention: MixerConfig
    linear_attention: MixerConfig
    position: PositionConfig
    feed_forward: FeedForwardConfig
    router: RouterConfig
    residual: ResidualConfig
    norm: NormConfig
    multi_token: MultiTokenConfig
    branch_init_scale: float = 1.0

    def __post_init__(self) -> None:
        require_at_least(
            "model", 1, width=self.width, vocab_size=self.vocab_size, max_positions=self.max_positions
        )
        require_above_zero("model", init_std=self.init_std, branch_init_scale=self.branch_init_scale)
        letters = self.layers.lead + self.layers.pattern
        if self.linear_attention.kind == "none":
            allowed = "D needs a model.linear_attention other than none"
            require("D" not in letters, "model.layers.pattern", letters, allowed)
        else:
            kind = self.linear_attention.kind
            allowed = f"no layer of model.layers.pattern={letters} is D, the letter of linear layers"
            require("D" in letters, "model.linear_attention", kind, allowed)
        if self.residual.kind == "dual_norm":
            allowed = "its second norm stands behind experts, and model.router=none has none"
            require(self.router.has_experts, "model.residual", "dual_norm", allowed)

    def plan(self) -> list[LayerPlan]:
        """What each layer is made of, first to last."""
        plans = []
        for index, letter in enumerate(self.layers.letters()):
            mixer = MIXERS[letter]
            plans.append(
                LayerPlan(
                    index=index,
                    depth=self.layers.count,
                    mixer=mixer,
                    window=self.layers.window_of(index) if mixer == "local" else None,
                    sparse=self.router.has_experts and index >= self.layers.num_dense,
                    rotation=self.position.rotation(is_local=mixer == "local"),
                )
            )
        return plans

    def mixer(self, layer: LayerPlan) -> MixerConfig:
        """The leaf that mixes tokens in ``layer``."""
        return self.linear_attention if layer.mixer == "linear" else self.attention

    def cache(self) -> CacheSize:
        """Bytes that decoding keeps for one sequence, all layers, in bfloat16."""
        total = CacheSize(0, 0)
        for layer in self.plan():
            total += self.mixer(layer).cache(layer.window)
        return total
