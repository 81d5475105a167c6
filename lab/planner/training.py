"""Training compute from the real configuration, split by the kind of work a device does.

Counting is :func:`lab.model.size.size`'s; this module only says which part runs on which kernel. FLOPs count a
multiply-add as two, attention scores causally, the input embedding not at all (convention of Megatron-Bridge's
published model FLOPs, reproduced within 0.4 %).
"""

import math
from dataclasses import dataclass

from lab.checks import require
from lab.model.config import ModelConfig
from lab.model.leaves.attention import GroupedQuery
from lab.model.leaves.feed_forward import SwiGLU
from lab.model.leaves.layers import LayersConfig, keys_seen
from lab.model.leaves.linear_attention import NoLinear
from lab.model.leaves.multi_token import NoMultiToken
from lab.model.leaves.norm import Rms
from lab.model.leaves.position import NoPosition
from lab.model.leaves.residual import PreNorm
from lab.model.leaves.router import NoRouter, RouterConfig, SigmoidRouter
from lab.model.size import BACKWARD_OVER_FORWARD, size
from lab.planner.once import once_per_model
from lab.planner.quantity import FLOP, TOKEN, Quantity

TRAINING_OVER_FORWARD = 1 + BACKWARD_OVER_FORWARD
SMALLEST_SKETCH = 1e6
"""Active parameters below which the customary proportions give no model of that size."""


@dataclass(frozen=True)
class TrainingWork:
    """Forward and backward FLOPs per token (flop/token) at one sequence length, by kind of kernel.

    ``dense``: projections, dense feed-forward, routers, joins, multi-token blocks; ``experts``: routed experts;
    ``attention``: what grows with the number of keys; ``head``: the vocabulary, kept in bf16.
    """

    dense: Quantity
    experts: Quantity
    attention: Quantity
    head: Quantity

    @property
    def total(self) -> Quantity:
        """Model FLOPs per token: the numerator of model FLOPs utilisation (MFU)."""
        return self.dense + self.experts + self.attention + self.head


@once_per_model
def training_work(model: ModelConfig, sequence: int) -> TrainingWork:
    """Training FLOPs per token of ``model`` at sequences of ``sequence`` tokens (flop/token)."""
    total = size(model, sequence).flops_per_token_forward
    attention, experts = 0.0, 0.0
    for layer in model.plan():
        mixer = model.mixer(layer)
        keys = keys_seen(layer.window, sequence)
        attention += mixer.flops_per_token(model.width, keys) - mixer.flops_per_token(model.width, 0)
        if layer.sparse:
            experts += 2 * routed_params(model)
    head = 2.0 * model.vocab_size * model.width * (1 + model.multi_token.steps)
    per_token = TRAINING_OVER_FORWARD * FLOP / TOKEN
    dense = total - attention - experts - head
    return TrainingWork(dense * per_token, experts * per_token, attention * per_token, head * per_token)


def routed_params(model: ModelConfig) -> int:
    """Parameters of the routed experts that one token visits in one layer; 0 for a dense model."""
    router = model.router
    if not isinstance(router, SigmoidRouter):
        return 0
    return router.top_k * model.feed_forward.num_params(model.width, router.expert_width)


@once_per_model
def expert_params(model: ModelConfig) -> int:
    """All parameters of routed experts, those that expert parallelism divides."""
    router = model.router
    if not isinstance(router, SigmoidRouter):
        return 0
    one = model.feed_forward.num_params(model.width, router.expert_width)
    return sparse_layers(model) * router.num_experts * one


@once_per_model
def sparse_layers(model: ModelConfig) -> int:
    """Layers that have routed experts."""
    return sum(layer.sparse for layer in model.plan())


def sketch(total: float, active: float, vocab_size: int = 128000, name: str = "sketch") -> ModelConfig:
    """A plain model of ``total`` and ``active`` parameters (plain numbers) where no shape is known.

    Depth and width keep the customary ratio (width 128 times depth, heads of 128, eight key heads); what
    ``total`` has beyond ``active`` becomes routed experts, eight of which see a token.
    """
    require(total >= SMALLEST_SKETCH, "total", f"{total:g}", f"it must be at least {SMALLEST_SKETCH:g}")
    require(
        SMALLEST_SKETCH <= active <= total,
        "active",
        f"{active:g}",
        f"it must lie between 1e6 and total={total:g}",
    )
    layers = max(2, round((active / (12 * 128**2)) ** (1 / 3)))
    width = 128 * layers
    vocab_size = min(vocab_size, int(0.15 * active / width) + 1)
    attention = GroupedQuery("grouped_query", layers, math.gcd(layers, 8), 128)
    body = active - 2 * vocab_size * width
    hidden = max(64, round((body / layers - attention.num_params(width)) / (3 * width)))
    router: RouterConfig = NoRouter("none")
    if total > 1.05 * active:
        expert_width = max(8, hidden // 8)
        experts = 8 + round((total - active) / (layers * 3 * width * expert_width))
        experts = max(8, 8 * round(experts / 8))
        router = SigmoidRouter("sigmoid", experts, 8, expert_width, num_shared=0)
    return ModelConfig(
        name=name,
        width=width,
        vocab_size=vocab_size,
        max_positions=131072,
        tied_embeddings=False,
        init_std=0.02,
        layers=LayersConfig(count=layers),
        attention=attention,
        linear_attention=NoLinear("none"),
        position=NoPosition("none"),
        feed_forward=SwiGLU("swiglu", hidden),
        router=router,
        residual=PreNorm("pre_norm"),
        norm=Rms("rms", 1e-6),
        multi_token=NoMultiToken("none"),
    )
