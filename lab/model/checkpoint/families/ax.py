"""SK Telecom: A.X K1 and A.X K2, two formats over one latent attention."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from lab.model.checkpoint.families.base import Family
from lab.model.checkpoint.families.shared import read_router, read_trunk, write_router, write_trunk
from lab.model.checkpoint.hub_config import HubConfig, latent_position, leading_dense, rope_parameters
from lab.model.checkpoint.layout import mixers, parts
from lab.model.checkpoint.layout.entry import Entry, Prefix
from lab.model.config import ModelConfig
from lab.model.leaves.attention import Latent
from lab.model.leaves.feed_forward import SwiGLU
from lab.model.leaves.layers import LayerPlan, LayersConfig
from lab.model.leaves.linear_attention import NoLinear
from lab.model.leaves.multi_token import NoMultiToken
from lab.model.leaves.norm import GatedRms, Rms
from lab.model.leaves.residual import DualNorm, PreNorm
from lab.model.leaves.router import SigmoidRouter
from lab.model.leaves.sparse_latent import SparseLatent

KINDS = {
    "linear_attention": ("none",),
    "position": ("rope", "rope_linear", "rope_blended", "yarn", "yarn_on_global"),
    "feed_forward": ("swiglu",),
    "router": ("sigmoid",),
    "multi_token": ("none",),
}


def _read_both(hub: HubConfig) -> dict[str, Any]:
    """The fields that both generations have alike."""
    return {
        **read_trunk(hub),
        "layers": LayersConfig(hub.integer("num_hidden_layers"), num_dense=leading_dense(hub)),
        "linear_attention": NoLinear("none"),
        "position": latent_position(hub, default_base=10_000.0),
        "feed_forward": SwiGLU("swiglu", hub.integer("intermediate_size")),
        "multi_token": NoMultiToken("none"),
    }


def _read_latent(hub: HubConfig) -> dict[str, int]:
    heads = hub.integer("num_attention_heads")
    hub.require(num_key_value_heads=heads, rope_interleave=True)
    return {
        "num_heads": heads,
        "query_rank": hub.integer("q_lora_rank"),
        "latent_rank": hub.integer("kv_lora_rank"),
        "nope_dim": hub.integer("qk_nope_head_dim"),
        "rope_dim": hub.integer("qk_rope_head_dim"),
        "value_dim": hub.integer("v_head_dim"),
    }


def read_k1(hub: HubConfig) -> ModelConfig:
    hub = hub.with_defaults(routed_scaling_factor=2.5, n_group=8, topk_group=4, first_k_dense_replace=1)
    return ModelConfig(
        name="ax_k1",
        **_read_both(hub),
        attention=Latent("latent", **_read_latent(hub)),
        router=read_router(hub, bias_update_rate=0.0, balance_loss_weight=1e-4),
        residual=DualNorm("dual_norm"),
        norm=Rms("rms", hub.number("rms_norm_eps", 1e-6)),
    )


def read_k2(hub: HubConfig) -> ModelConfig:
    hub = hub.with_defaults(routed_scaling_factor=2.5, gated_norm_rank=16, first_k_dense_replace=1)
    if hub.has("layer_types") and set(hub.items("layer_types")) != {"indexed_attention"}:
        raise hub.error("layer_types", "every layer must be indexed_attention")
    return ModelConfig(
        name="ax_k2",
        **_read_both(hub),
        attention=SparseLatent(
            "sparse_latent",
            **_read_latent(hub),
            index_heads=hub.integer("index_n_heads"),
            index_dim=hub.integer("index_head_dim"),
            index_top_k=hub.integer("index_topk"),
        ),
        router=read_router(hub, score_outside_groups=0.0),
        residual=PreNorm("pre_norm"),
        norm=GatedRms("gated_rms", hub.number("rms_norm_eps", 1e-6), hub.integer("gated_norm_rank")),
    )


def _write_both(config: ModelConfig, model_type: str, architecture: str) -> dict[str, Any]:
    leaf = config.attention
    assert isinstance(leaf, Latent)
    assert isinstance(config.router, SigmoidRouter)
    return {
        "architectures": [architecture],
        "model_type": model_type,
        **write_trunk(config),
        **write_router(config.router),
        "intermediate_size": config.feed_forward.width,
        "num_attention_heads": leaf.num_heads,
        "num_key_value_heads": leaf.num_heads,
        "q_lora_rank": leaf.query_rank,
        "kv_lora_rank": leaf.latent_rank,
        "qk_nope_head_dim": leaf.nope_dim,
        "qk_rope_head_dim": leaf.rope_dim,
        "v_head_dim": leaf.value_dim,
        "mlp_layer_types": ["sparse" if layer.sparse else "dense" for layer in config.plan()],
        "first_k_dense_replace": config.layers.num_dense,
        "moe_layer_freq": 1,
        "rope_parameters": rope_parameters(config.position),
    }


def write_k1(config: ModelConfig) -> dict[str, Any]:
    return {**_write_both(config, "axk1", "AXK1ForCausalLM"), "rope_interleave": True}


def write_k2(config: ModelConfig) -> dict[str, Any]:
    leaf, norm = config.attention, config.norm
    assert isinstance(leaf, SparseLatent)
    assert isinstance(norm, GatedRms)
    return {
        **_write_both(config, "axk2", "AXK2ForCausalLM"),
        "index_n_heads": leaf.index_heads,
        "index_head_dim": leaf.index_dim,
        "index_topk": leaf.index_top_k,
        "layer_types": ["indexed_attention"] * config.layers.count,
        "gated_norm_rank": norm.rank,
    }


def entries_k1(config: ModelConfig) -> Iterator[Entry]:
    width = config.width
    yield from parts.trunk(config)
    for layer in config.plan():
        at = parts.layer(layer.index)
        yield from parts.input_norms(at, width)
        # stored in every layer, read in those with experts only
        if layer.sparse:
            yield at.same("feed_forward_join.post_norm.weight", "post_mlp_layernorm.weight", width)
        else:
            yield parts.unused(at, "post_mlp_layernorm.weight", width)
        for entry in _attention_and_feed_forward(at, config, layer):
            # the release has no selection bias, transformers writes one
            is_bias = any(name.endswith("selection_bias") for name in entry.ours)
            yield replace(entry, default=0.0) if is_bias else entry


def entries_k2(config: ModelConfig) -> Iterator[Entry]:
    width = config.width
    yield from parts.trunk(config)
    for layer in config.plan():
        at = parts.layer(layer.index)
        yield from _gated_norm(at.below("mixer_join.norm", "input_layernorm"), config)
        if layer.sparse:
            yield from _gated_norm(at.below("feed_forward_join.norm", "post_attention_layernorm"), config)
        else:
            yield at.same("feed_forward_join.norm.weight", "post_attention_layernorm.weight", width)
        yield from _attention_and_feed_forward(at, config, layer)


def _gated_norm(at: Prefix, config: ModelConfig) -> Iterator[Entry]:
    assert isinstance(config.norm, GatedRms)
    yield at.same("weight", "norm.weight", config.width)
    yield at.same("down.weight", "W_down.weight", config.norm.rank, config.width)
    yield at.same("up.weight", "W_up.weight", config.width, config.norm.rank)


def _attention_and_feed_forward(at: Prefix, config: ModelConfig, layer: LayerPlan) -> Iterator[Entry]:
    assert isinstance(config.attention, Latent)
    assert isinstance(config.router, SigmoidRouter)
    yield from mixers.latent(at.below("mixer", "self_attn"), config.attention, config.width)
    mlp = at.below("feed_forward", "mlp")
    if layer.sparse:
        yield from parts.mixture(mlp, config.router, config.width, bias="gate.e_score_correction_bias")
    else:
        yield from parts.gated_unit(mlp, config.width, config.feed_forward.width)


AX_K1 = Family(
    name="axk1",
    kinds={**KINDS, "attention": ("latent",), "residual": ("dual_norm",), "norm": ("rms",)},
    matches=lambda hub: hub.text("model_type", "").lower() == "axk1",
    read=read_k1,
    write=write_k1,
    entries=entries_k1,
)

AX_K2 = Family(
    name="axk2",
    kinds={**KINDS, "attention": ("sparse_latent",), "residual": ("pre_norm",), "norm": ("gated_rms",)},
    matches=lambda hub: hub.text("model_type", "").lower() == "axk2",
    read=read_k2,
    write=write_k2,
    entries=entries_k2,
)
