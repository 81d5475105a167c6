"""LG AI Research: K-EXAONE and K-EXAONE 2.0, one format; 2.0 lists windows and clamps layer by layer."""

from collections.abc import Iterator
from typing import Any

from lab.model.checkpoint.families.base import Family
from lab.model.checkpoint.families.shared import (
    read_heads,
    read_router,
    read_trunk,
    write_heads,
    write_router,
    write_trunk,
)
from lab.model.checkpoint.hub_config import (
    HubConfig,
    layers_from,
    leading_dense,
    rope_group,
    rope_parameters,
)
from lab.model.checkpoint.layout import mixers, parts
from lab.model.checkpoint.layout.entry import Entry, Prefix
from lab.model.config import ModelConfig
from lab.model.leaves.attention import GroupedQueryNormed
from lab.model.leaves.feed_forward import ClampedSwiGLU, FeedForwardConfig, SwiGLU
from lab.model.leaves.layers import LayersConfig
from lab.model.leaves.linear_attention import NoLinear
from lab.model.leaves.multi_token import MultiTokenConfig, NoMultiToken, SharedBlock
from lab.model.leaves.norm import Rms
from lab.model.leaves.position import RopeOnLocal
from lab.model.leaves.residual import PreNorm
from lab.model.leaves.router import SigmoidRouter

LETTERS = {"sliding_attention": "L", "full_attention": "G"}
EXPERTS, SHARED = "num_experts", "num_shared_experts"


def read(hub: HubConfig) -> ModelConfig:
    hub = hub.with_defaults(routed_scaling_factor=2.5, first_k_dense_replace=1)
    second = hub.has("sliding_windows") or hub.has("swiglu_limits")
    rope = rope_group(hub, default_base=1e6)
    rope.require(rope_type="default")
    return ModelConfig(
        name="k_exaone_2" if second else "k_exaone",
        **read_trunk(hub),
        layers=_layers(hub),
        attention=GroupedQueryNormed("grouped_query_normed", **read_heads(hub)),
        linear_attention=NoLinear("none"),
        position=RopeOnLocal("rope_on_local", rope.number("rope_theta")),
        feed_forward=_feed_forward(hub),
        router=read_router(hub, EXPERTS, SHARED, bias_update_rate=1e-4, balance_loss_weight=1e-4),
        residual=PreNorm("pre_norm"),
        norm=Rms("rms", hub.number("rms_norm_eps", 1e-5)),
        multi_token=_multi_token(hub),
    )


def _layers(hub: HubConfig) -> LayersConfig:
    unknown = [kind for kind in hub.items("layer_types") if kind not in LETTERS]
    if unknown:
        raise hub.error("layer_types", f"layers can be {', '.join(LETTERS)}")
    letters = "".join(LETTERS[kind] for kind in hub.items("layer_types"))
    window = hub.integer("sliding_window")
    windows = hub.items("sliding_windows") if hub.has("sliding_windows") else [window] * len(letters)
    return layers_from(letters, [size or window for size in windows], window, leading_dense(hub))


def _feed_forward(hub: HubConfig) -> FeedForwardConfig:
    width = hub.integer("intermediate_size")
    if not hub.has("swiglu_limits"):
        return SwiGLU("swiglu", width)
    limits = hub.items("swiglu_limits")
    clamped = sum(limit > 0 for limit in limits)
    if clamped == 0:
        return SwiGLU("swiglu", width)
    if limits != [0.0] * (len(limits) - clamped) + [limits[-1]] * clamped:
        raise hub.error("swiglu_limits", "the last layers must share one limit and the others have none")
    return ClampedSwiGLU("clamped_swiglu", width, limits[-1], clamped)


def _multi_token(hub: HubConfig) -> MultiTokenConfig:
    if hub.integer("num_nextn_predict_layers", 0) == 0:
        return NoMultiToken("none")
    hub.require(num_nextn_predict_layers=1, mtp_layer_types=["sliding_attention"], mtp_share_layers=True)
    windows = hub.values.get("mtp_sliding_windows") or [hub.integer("sliding_window")]
    return SharedBlock("shared_block", hub.integer("mtp_num_speculative_steps", 1), windows[0])


def write(config: ModelConfig) -> dict[str, Any]:
    assert isinstance(config.attention, GroupedQueryNormed)
    assert isinstance(config.router, SigmoidRouter)
    plan = config.plan()
    kinds = {"local": "sliding_attention", "global": "full_attention"}
    values = {
        "architectures": ["ExaoneMoeForCausalLM"],
        "model_type": "exaone_moe",
        **write_trunk(config),
        **write_heads(config.attention),
        **write_router(config.router, EXPERTS, SHARED),
        "intermediate_size": config.feed_forward.width,
        "rope_parameters": rope_parameters(config.position),
        "layer_types": [kinds[layer.mixer] for layer in plan],
        "sliding_window": config.layers.window,
        "mlp_layer_types": ["sparse" if layer.sparse else "dense" for layer in plan],
        "first_k_dense_replace": config.layers.num_dense,
        "num_nextn_predict_layers": int(config.multi_token.steps > 0),
    }
    if isinstance(config.multi_token, SharedBlock):
        values["mtp_layer_types"] = ["sliding_attention"]
        values["mtp_sliding_windows"] = [config.multi_token.window]
        values["mtp_num_speculative_steps"] = config.multi_token.num_steps
        values["mtp_share_layers"] = True
    if config.layers.windows:
        values["sliding_windows"] = [layer.window or 0 for layer in plan]
    if isinstance(config.feed_forward, ClampedSwiGLU):
        unclamped = len(plan) - config.feed_forward.clamped_layers
        limit = config.feed_forward.limit
        values["swiglu_limits"] = [0.0 if layer.index < unclamped else limit for layer in plan]
    return values


def entries(config: ModelConfig) -> Iterator[Entry]:
    assert isinstance(config.router, SigmoidRouter)
    yield from parts.trunk(config)
    for layer in config.plan():
        at = parts.layer(layer.index)
        yield from _attention_and_norms(at, config)
        mlp = at.below("feed_forward", "mlp")
        if layer.sparse:
            yield from parts.mixture(mlp, config.router, config.width, bias="e_score_correction_bias")
        else:
            yield from parts.gated_unit(mlp, config.width, config.feed_forward.width)
    if config.multi_token.steps:
        yield from _multi_token_entries(config)


def _attention_and_norms(at: Prefix, config: ModelConfig) -> Iterator[Entry]:
    assert isinstance(config.attention, GroupedQueryNormed)
    yield from parts.input_norms(at, config.width)
    yield from mixers.grouped_query(at.below("mixer", "self_attn"), config.attention, config.width)


def _multi_token_entries(config: ModelConfig) -> Iterator[Entry]:
    width, at = config.width, Prefix("multi_token.", "mtp.")
    yield at.same("input.weight", "fc.weight", width, 2 * width)
    yield at.same("embedding_norm.weight", "pre_fc_norm_embedding.weight", width)
    yield at.same("hidden_norm.weight", "pre_fc_norm_hidden.weight", width)
    yield at.same("norm.weight", "norm.weight", width)
    block = at.below("block", "layers.0")
    yield from _attention_and_norms(block, config)
    yield from parts.gated_unit(block.below("feed_forward", "mlp"), width, config.feed_forward.width)


EXAONE = Family(
    name="exaone_moe",
    kinds={
        "attention": ("grouped_query_normed",),
        "linear_attention": ("none",),
        "position": ("rope_on_local",),
        "feed_forward": ("swiglu", "clamped_swiglu"),
        "router": ("sigmoid",),
        "residual": ("pre_norm",),
        "norm": ("rms",),
        "multi_token": ("none", "shared_block"),
    },
    matches=lambda hub: hub.text("model_type", "") == "exaone_moe",
    read=read,
    write=write,
    entries=entries,
)
