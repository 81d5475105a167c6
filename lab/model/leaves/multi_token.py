"""Multi-token prediction leaves: a small block that predicts the token after the next."""

from dataclasses import dataclass
from typing import Any

from lab.checks import require_at_least
from lab.model.leaves.attention import MixerConfig
from lab.model.leaves.base import Leaf, load
from lab.model.leaves.feed_forward import FeedForwardConfig
from lab.model.leaves.layers import keys_seen
from lab.model.leaves.norm import NormConfig


@dataclass
class MultiTokenConfig(Leaf):
    """Predicts more than one token ahead; the base kind is a model without it."""

    @property
    def steps(self) -> int:
        """Tokens predicted beyond the next one."""
        return 0

    def num_params(self, width: int, mixer: MixerConfig, unit: FeedForwardConfig, norm: NormConfig) -> int:
        """Parameters of the block; embedding and head are the trunk's."""
        return 0

    def flops_per_token(
        self, width: int, vocab_size: int, mixer: MixerConfig, unit: FeedForwardConfig, sequence: int
    ) -> float:
        """Forward FLOPs of all steps in training, heads included."""
        return 0.0

    def build(self, config: Any) -> Any:
        """The module for a :class:`lab.model.config.ModelConfig`; None where there is none."""
        return None


@dataclass
class NoMultiToken(MultiTokenConfig):
    """Next-token prediction only."""


@dataclass
class SharedBlock(MultiTokenConfig):
    """One dense block with a local window, reused for every step (K-EXAONE, K-EXAONE 2.0).

    ``u = W [norm(embed(next token)); norm(h)]``, then a pre-norm block of the trunk's attention and a dense
    feed-forward, then a norm of its own; embedding and head are the trunk's. The loss is the mean over
    ``num_steps`` cross-entropies times ``loss_weight``.
    """

    num_steps: int
    window: int
    loss_weight: float = 0.05

    def __post_init__(self) -> None:
        require_at_least("model.multi_token", 1, num_steps=self.num_steps, window=self.window)
        require_at_least("model.multi_token", 0, loss_weight=self.loss_weight)

    @property
    def steps(self) -> int:
        return self.num_steps

    def _inputs(self, width: int) -> int:
        return 2 * width * width

    def num_norms(self) -> int:
        """Norms over the model's width: two inputs, two joins, one at the end."""
        return 5

    def num_params(self, width: int, mixer: MixerConfig, unit: FeedForwardConfig, norm: NormConfig) -> int:
        block = mixer.num_params(width) + unit.num_params(width, unit.width)
        return self._inputs(width) + block + self.num_norms() * norm.num_params(width, "final")

    def flops_per_token(
        self, width: int, vocab_size: int, mixer: MixerConfig, unit: FeedForwardConfig, sequence: int
    ) -> float:
        block = mixer.flops_per_token(width, keys_seen(self.window, sequence)) + 2 * unit.num_params(
            width, unit.width
        )
        return self.num_steps * (2 * self._inputs(width) + block + 2 * width * vocab_size)

    def build(self, config: Any) -> Any:
        return load("lab.model.multi_token:SharedBlockHead")(config)


@dataclass
class HiddenFirstBlock(SharedBlock):
    """Motif 3's form: ``u = W [h; norm(embed(next token))]``, the trunk's hidden state without a norm of its own."""

    def num_norms(self) -> int:
        return 4

    def build(self, config: Any) -> Any:
        return load("lab.model.multi_token:HiddenFirstHead")(config)
