"""Upstage: Solar Open, and Solar Open 2 with its linear layers."""

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
from lab.model.checkpoint.hub_config import HubConfig, layers_from, plain_position, rope_parameters
from lab.model.checkpoint.layout import mixers, parts
from lab.model.checkpoint.layout.entry import Entry
from lab.model.config import ModelConfig
from lab.model.leaves.attention import GroupedQuery, GroupedQueryGated
from lab.model.leaves.feed_forward import SwiGLU
from lab.model.leaves.layers import LayersConfig
from lab.model.leaves.linear_attention import KimiDelta, NoLinear
from lab.model.leaves.multi_token import NoMultiToken
from lab.model.leaves.norm import Rms
from lab.model.leaves.position import NoPosition
from lab.model.leaves.residual import PreNorm
from lab.model.leaves.router import SigmoidRouter

KINDS = {
    "feed_forward": ("swiglu",),
    "router": ("sigmoid",),
    "residual": ("pre_norm",),
    "norm": ("rms",),
    "multi_token": ("none",),
}


def _read_both(hub: HubConfig) -> dict[str, Any]:
    """The fields that both generations have alike. No layer is dense, so ``intermediate_size`` is never
    used."""
    hub.require(first_k_dense_replace=0, use_qk_norm=False)
    return {
        **read_trunk(hub),
        "feed_forward": SwiGLU(
            "swiglu", hub.integer("intermediate_size", hub.integer("moe_intermediate_size"))
        ),
        "router": read_router(hub, bias_update_rate=1e-3, balance_loss_weight=1e-4),
        "residual": PreNorm("pre_norm"),
        "norm": Rms("rms", hub.number("rms_norm_eps", 1e-5)),
        "multi_token": NoMultiToken("none"),
    }


def read(hub: HubConfig) -> ModelConfig:
    hub = hub.with_defaults(head_dim=128)
    return ModelConfig(
        name="solar_open",
        **_read_both(hub),
        layers=LayersConfig(hub.integer("num_hidden_layers")),
        attention=GroupedQuery("grouped_query", **read_heads(hub)),
        linear_attention=NoLinear("none"),
        position=plain_position(hub, default_base=1e6),
    )


def read_second(hub: HubConfig) -> ModelConfig:
    hub = hub.with_defaults(head_dim=128)
    hub.require(use_rope=False, use_gqa_gate=True, use_gqa_gate_bias=False)
    hub.require(kda_use_full_proj=False, hc_rate=0)
    linear = hub.group("linear_attn_config")
    linear.require(num_kv_heads=linear.integer("num_heads"))
    letters = _letters(hub)
    return ModelConfig(
        name="solar_open_2",
        **_read_both(hub),
        layers=layers_from(letters, [0] * len(letters), LayersConfig.window, num_dense=0),  # none is local
        attention=GroupedQueryGated("grouped_query_gated", **read_heads(hub)),
        linear_attention=KimiDelta(
            "kimi_delta",
            num_heads=linear.integer("num_heads"),
            head_dim=linear.integer("head_dim"),
            conv_width=linear.integer("short_conv_kernel_size"),
            max_beta=2.0 if hub.flag("kda_allow_neg_eigval", True) else 1.0,
            output_norm_eps=hub.number("rms_norm_eps", 1e-5),
        ),
        position=NoPosition("none"),
    )


def _letters(hub: HubConfig) -> str:
    """Softmax (G) or linear (D) a layer, counted from 0, from the first of three keys that is there."""
    count = hub.integer("num_hidden_layers")
    if hub.has("layer_types"):
        kinds = {"full_attention": "G", "linear_attention": "D"}
        if not set(hub.items("layer_types")) <= set(kinds):
            raise hub.error("layer_types", f"layers can be {', '.join(kinds)}")
        return "".join(kinds[kind] for kind in hub.items("layer_types"))
    if hub.has("gqa_layers"):
        return "".join("G" if index in hub.values["gqa_layers"] else "D" for index in range(count))
    interval = hub.integer("gqa_interval") + 1
    return "".join("G" if index % interval == 0 else "D" for index in range(count))


def _write_both(config: ModelConfig) -> dict[str, Any]:
    assert isinstance(config.attention, GroupedQuery)
    assert isinstance(config.router, SigmoidRouter)
    return {
        **write_trunk(config),
        **write_heads(config.attention),
        **write_router(config.router),
        "intermediate_size": config.feed_forward.width,
        "first_k_dense_replace": 0,
    }


def write(config: ModelConfig) -> dict[str, Any]:
    return {
        "architectures": ["SolarOpenForCausalLM"],
        "model_type": "solar_open",
        **_write_both(config),
        "rope_parameters": rope_parameters(config.position),
    }


def write_second(config: ModelConfig) -> dict[str, Any]:
    leaf = config.linear_attention
    assert isinstance(leaf, KimiDelta)
    return {
        "architectures": ["SolarOpen2ForCausalLM"],
        "model_type": "solar_open2",
        **_write_both(config),
        "linear_attn_config": {
            "num_heads": leaf.num_heads,
            "num_kv_heads": None,
            "head_dim": leaf.head_dim,
            "short_conv_kernel_size": leaf.conv_width,
        },
        "gqa_layers": [index for index, letter in enumerate(config.layers.letters()) if letter == "G"],
        "kda_allow_neg_eigval": leaf.max_beta == 2.0,
        "kda_use_full_proj": False,
        "use_gqa_gate": True,
        "use_gqa_gate_bias": False,
        "use_qk_norm": False,
        "use_rope": False,
    }


def entries(config: ModelConfig) -> Iterator[Entry]:
    assert isinstance(config.router, SigmoidRouter)
    yield from parts.trunk(config)
    for layer in config.plan():
        at, leaf = parts.layer(layer.index), config.mixer(layer)
        mixer = at.below("mixer", "self_attn")
        yield from parts.input_norms(at, config.width)
        if isinstance(leaf, KimiDelta):
            yield from mixers.kimi_delta(mixer, leaf, config.width)
        else:
            assert isinstance(leaf, GroupedQuery)
            yield from mixers.grouped_query(mixer, leaf, config.width)
        mlp = at.below("feed_forward", "mlp")
        yield from parts.mixture(mlp, config.router, config.width, bias="gate.e_score_correction_bias")


SOLAR_OPEN = Family(
    name="solar_open",
    kinds={
        **KINDS,
        "attention": ("grouped_query",),
        "linear_attention": ("none",),
        "position": ("rope", "rope_linear", "rope_blended", "yarn"),
    },
    matches=lambda hub: hub.text("model_type", "") == "solar_open",
    read=read,
    write=write,
    entries=entries,
)

SOLAR_OPEN_2 = Family(
    name="solar_open2",
    kinds={
        **KINDS,
        "attention": ("grouped_query_gated",),
        "linear_attention": ("kimi_delta",),
        "position": ("none",),
    },
    matches=lambda hub: hub.text("model_type", "") == "solar_open2",
    read=read_second,
    write=write_second,
    entries=entries,
)
