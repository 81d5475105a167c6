"""Bytes on one device, part by part, for a model in a layout.

Sources: ZeRO (arXiv 1910.02054) for what is sharded, Korthikanti et al. (arXiv 2205.05198) for activations and pipeline
stashes, Megatron-Bridge's estimator for the three buckets (divided by tensor parallelism, replicated, routed
experts). Attention is fused: no matrix of scores is kept. With ``recompute="none"`` activations are those of this
laboratory's own kernels (``saved.py``, which a test counts); ``selective`` and ``full`` suppose production kernels.
"""

import math
from dataclasses import dataclass, fields

from lab.model.config import ModelConfig
from lab.model.leaves.attention import (
    GroupedQuery,
    GroupedQueryGated,
    GroupedQueryNormed,
    LatentMixer,
    MixerConfig,
)
from lab.model.leaves.latent_differential import LatentDifferential
from lab.model.leaves.layers import LayerPlan
from lab.model.leaves.linear_attention import KimiDelta
from lab.model.leaves.router import SigmoidRouter
from lab.model.size import size
from lab.planner.config import LayoutConfig
from lab.planner.facts import Device
from lab.planner.once import once_per_model
from lab.planner.quantity import BYTE, GIB, Quantity
from lab.planner.saved import cast_outside_layers, float32_in_layer, saved_in_layer, saved_outside_layers
from lab.planner.training import expert_params

RESERVED = 2 * GIB
"""Driver context and communication library, per device (an assumption: 1 to 3 GiB are usual)."""
FRAGMENTATION = 0.06
"""Share of activations and buffers lost in the allocator (budget 5 to 10 %)."""
OPTIMIZER_MOMENTS = {"adamw": 2, "muon": 1}
ELEMENT_BYTES = {"fp32": 4.0, "autocast": 2.0, "bf16": 2.0, "fp8": 1.5, "fp4": 1.5}
"""Bytes of a kept activation: in fp8 and below the inputs of matrices are kept as one byte, the rest in bf16."""
OWN_MASTER = ("fp32", "autocast")
LOGIT_BYTES = 12
"""Of a logit while the loss is made: in bf16, in float32, and the gradients of both."""


@dataclass(frozen=True)
class Memory:
    """Bytes on the fullest device."""

    weights: Quantity
    gradients: Quantity
    optimizer: Quantity
    activations: Quantity
    head: Quantity
    communication: Quantity
    fragmentation: Quantity
    reserved: Quantity

    def parts(self) -> dict[str, Quantity]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def total(self) -> Quantity:
        return sum(self.parts().values())  # type: ignore[return-value]

    @property
    def largest(self) -> str:
        """The part that takes most."""
        return max(self.parts().items(), key=lambda item: item[1])[0]

    def fits(self, device: Device) -> bool:
        return bool(self.total <= device.memory)


def bytes_per_parameter(precision: str, optimizer: str) -> tuple[int, int, int]:
    """Bytes of weight, gradient and optimizer state for a parameter: 2 + 4 + 12 with AdamW in mixed precision.

    Mixed precision keeps a bf16 weight, a float32 gradient and a float32 master beside the moments (18 bytes with
    AdamW, arXiv 2205.05198; Muon keeps one moment fewer). In fp32 and under autocast the weight is its own master:
    4 + 4 + 8.
    """
    moments = 4 * OPTIMIZER_MOMENTS[optimizer]
    return (4, 4, moments) if precision in OWN_MASTER else (2, 4, 4 + moments)


@dataclass(frozen=True)
class Held:
    """Parameters (plain counts) that the fullest device is responsible for, before data-parallel sharding."""

    dense: float
    experts: float

    @property
    def total(self) -> float:
        return self.dense + self.experts


def held_parameters(model: ModelConfig, layout: LayoutConfig) -> Held:
    """Parameters of the first pipeline stage after tensor and expert parallelism.

    The stage has an even share of the layers and the embedding; with one stage the head too.
    """
    parts = _parts(model)
    routed = expert_params(model)
    ends = parts["embedding"] + (parts["head"] if layout.pipeline == 1 else 0)
    body = sum(parts.values()) - parts["embedding"] - parts["head"] - routed
    share = _stage_layers(model, layout) / model.layers.count
    return Held(
        dense=(body * share + ends) / layout.tensor,
        experts=routed * share / layout.expert,
    )


@once_per_model
def _parts(model: ModelConfig) -> dict[str, int]:
    return size(model, 1).parts


def memory(model: ModelConfig, layout: LayoutConfig) -> Memory:
    """Bytes on the fullest device while ``model`` trains in ``layout``."""
    held = held_parameters(model, layout)
    weight, gradient, state = bytes_per_parameter(layout.precision, layout.optimizer)
    group, expert_group = _sharding_groups(layout)
    stage = ("none", "optimizer", "gradients", "weights").index(layout.sharding)

    def sharded(size_each: int, from_stage: int) -> Quantity:
        divided = stage >= from_stage
        dense = held.dense / (group if divided else 1)
        experts = held.experts / (expert_group if divided else 1)
        return (dense + experts) * size_each * BYTE

    tokens = layout.micro_batch * layout.sequence / layout.context
    element = ELEMENT_BYTES[layout.precision]
    activations = _stash(model, layout, tokens, element)
    logits = tokens * model.vocab_size / layout.tensor * LOGIT_BYTES * BYTE / layout.logit_chunks
    layers = max(1, _stage_layers(model, layout))
    gathered = 0 * BYTE
    if layout.sharding == "weights" and group > 1:
        # two layers' weights at a time; a pipeline keeps its stage whole between micro-batches, gradients too (FSDP2)
        gathered = (held.total * (2 + 4) if layout.pipeline > 1 else 2 * held.total / layers * 2) * BYTE
    dispatched = _dispatched(model, layout, tokens, element)
    # the copies in bf16 that products under autocast keep for their backward pass
    cast = 2 * (held.total - _parts(model)["embedding"] / layout.tensor) * BYTE
    cast = cast if layout.precision == "autocast" else 0 * BYTE
    buffers = activations + logits + gathered + dispatched
    alone = layout.devices == 1
    return Memory(
        weights=sharded(weight, 3) + cast,
        gradients=sharded(gradient, 2),
        optimizer=sharded(state, 1),
        activations=activations,
        head=logits,
        communication=gathered + dispatched,
        fragmentation=0 * BYTE if alone else FRAGMENTATION * buffers,
        reserved=0 * BYTE if alone else RESERVED,
    )


def activation_elements(model: ModelConfig, layer: LayerPlan, recompute: str = "none") -> float:
    """Numbers kept for the backward pass of one layer and token where recurrences, streams and indexers are fused.

    Inputs of norms and matrices, queries, keys, values, attention's output, four times the hidden width of a
    feed-forward (gate, its activation, up, product), three rows of every expert.
    ``selective`` makes the cheap ones again: outputs of norms, the product of gate and up, the heads that a latent
    is expanded to (DeepSeek-V3, arXiv 2412.19437, section 3.2.3), and weights rows before an expert's last matrix.
    """
    width, unit, router = model.width, model.feed_forward, model.router
    again = recompute != "none"
    norms, kept_hidden, rows = (0, 2, 1) if again else (2, 4, 3)
    total = (
        2 * width * model.residual.num_streams
        + norms * width
        + mixer_elements(model.mixer(layer), width, again)
    )
    if layer.sparse:
        assert isinstance(router, SigmoidRouter)
        routed = router.top_k * (rows * width + kept_hidden * router.expert_width)
        return total + routed + kept_hidden * router.num_shared * router.expert_width + 2 * router.num_experts
    return total + kept_hidden * unit.width


@once_per_model
def all_activation_elements(model: ModelConfig, recompute: str = "none") -> tuple[float, float]:
    """:func:`activation_elements` of all layers together, and of the largest."""
    each = [activation_elements(model, layer, recompute) for layer in model.plan()]
    return sum(each), max(each)


def mixer_elements(mixer: MixerConfig, width: int, again: bool = False) -> float:
    """Numbers that one mixer keeps for a token: queries, keys, values, latents, gates, output.

    ``again``: what a latent is expanded to is made again.
    """
    if isinstance(mixer, GroupedQuery):
        heads, kv_heads = mixer.num_heads, mixer.num_kv_heads
        gate = heads if isinstance(mixer, GroupedQueryGated) else 0
        normed = heads + kv_heads if isinstance(mixer, GroupedQueryNormed) and not again else 0
        return mixer.head_dim * (2 * heads + 2 * kv_heads + gate + normed)
    if isinstance(mixer, LatentMixer):
        if isinstance(mixer, LatentDifferential):
            keys, queries, outputs = mixer.num_groups, mixer.num_heads, mixer.num_heads + mixer.num_signal
        else:
            keys = queries = outputs = getattr(mixer, "num_heads")  # noqa: B009
        latents = 2 * (mixer.query_rank + mixer.latent_rank + mixer.rope_dim)
        if again:
            return latents + outputs * mixer.value_dim
        # values and outputs are padded to the width of keys for the fused kernel
        return latents + (queries + 2 * keys + outputs) * mixer.key_dim + outputs * mixer.value_dim
    if isinstance(mixer, KimiDelta):
        return 12 * mixer.num_heads * mixer.head_dim
    # Differential attention and whatever comes: every projected channel once, and once more the output.
    return mixer.num_params(width) / width * 1.25


def activation_2022(
    sequence: int, batch: int, width: int, heads: int, tensor: int, selective: bool
) -> Quantity:
    """Bytes of one GPT layer with unfused attention (arXiv 2205.05198, equations 2 and 5), in mixed precision.

    ``selective`` has sequence parallelism and recomputes the attention core: 34/t; otherwise 10 + 24/t + 5as/(ht).
    """
    unit = sequence * batch * width
    if selective:
        return unit * 34 / tensor * BYTE
    return unit * (10 + 24 / tensor + 5 * heads * sequence / (width * tensor)) * BYTE


def stages_in_flight(layout: LayoutConfig) -> float:
    """Micro-batches whose activations the first stage keeps (1F1B; interleaved: times 1 + (p-1)/(pv))."""
    p, v = layout.pipeline, layout.virtual_stages
    interleaved = 1 + (p - 1) / (p * v) if v > 1 else 1
    return min(layout.micro_batches, p) * interleaved


def _stash(model: ModelConfig, layout: LayoutConfig, tokens: float, element: float) -> Quantity:
    layers = model.layers.count
    share = _stage_layers(model, layout) / layers / layout.tensor
    if layout.recompute == "none":
        here = (layout.sequence, layout.precision == "fp32")
        in_layers = element * sum(saved_in_layer(model, layer, *here) for layer in model.plan()) * share
        outside = 4 * saved_outside_layers(model, *here)
        outside -= (4 - element) * cast_outside_layers(model, layout.sequence)
        if layout.precision == "autocast":
            wide = sum(float32_in_layer(model, layer, layout.sequence) for layer in model.plan())
            in_layers += (4 - element) * wide * share
        ends = outside if layout.pipeline == 1 else 0
        return tokens * (stages_in_flight(layout) * in_layers + ends) * BYTE
    if layout.recompute == "full":
        inputs = layers * share * model.width * model.residual.num_streams
        largest = all_activation_elements(model)[1] / layout.tensor
        return tokens * element * (stages_in_flight(layout) * inputs + largest) * BYTE
    in_layers = all_activation_elements(model, layout.recompute)[0] * share
    return tokens * element * stages_in_flight(layout) * in_layers * BYTE


def _dispatched(model: ModelConfig, layout: LayoutConfig, tokens: float, element: float) -> Quantity:
    """Send and receive buffers of one layer of experts."""
    if layout.expert == 1 or not isinstance(model.router, SigmoidRouter):
        return 0 * BYTE
    return 2 * tokens * model.router.top_k * model.width * element * BYTE


def _stage_layers(model: ModelConfig, layout: LayoutConfig) -> int:
    """Layers of the fullest stage: of each of its virtual stages as many as the fullest of all has.

    Where there are more virtual stages than layers (Llama 3's 405B: 126 over 128) some are empty.
    """
    layers, chunks = model.layers.count, layout.pipeline * layout.virtual_stages
    if chunks > layers:
        return math.ceil(layers / layout.pipeline)
    return math.ceil(layers / chunks) * layout.virtual_stages


def _sharding_groups(layout: LayoutConfig) -> tuple[int, int]:
    """Devices that share a dense parameter's state, and those that share an expert's."""
    group = min(layout.shard or layout.data * layout.context, layout.data * layout.context)
    pool = layout.data * layout.context * layout.tensor // layout.expert
    return group, max(1, min(pool, group * layout.tensor))
