"""Llama: the plain baseline."""

from collections.abc import Iterator
from typing import Any

from lab.model.checkpoint.families.base import Family
from lab.model.checkpoint.families.shared import read_heads, read_trunk, write_heads, write_trunk
from lab.model.checkpoint.hub_config import HubConfig, plain_position, rope_parameters
from lab.model.checkpoint.layout import mixers, parts
from lab.model.checkpoint.layout.entry import Entry
from lab.model.config import ModelConfig
from lab.model.leaves.attention import GroupedQuery
from lab.model.leaves.feed_forward import SwiGLU
from lab.model.leaves.layers import LayersConfig
from lab.model.leaves.linear_attention import NoLinear
from lab.model.leaves.multi_token import NoMultiToken
from lab.model.leaves.norm import Rms
from lab.model.leaves.residual import PreNorm
from lab.model.leaves.router import NoRouter


def read(hub: HubConfig) -> ModelConfig:
    return ModelConfig(
        name="llama",
        **read_trunk(hub),
        layers=LayersConfig(hub.integer("num_hidden_layers")),
        attention=GroupedQuery("grouped_query", **read_heads(hub)),
        linear_attention=NoLinear("none"),
        position=plain_position(hub, default_base=10_000.0),
        feed_forward=SwiGLU("swiglu", hub.integer("intermediate_size")),
        router=NoRouter("none"),
        residual=PreNorm("pre_norm"),
        norm=Rms("rms", hub.number("rms_norm_eps", 1e-6)),
        multi_token=NoMultiToken("none"),
    )


def write(config: ModelConfig) -> dict[str, Any]:
    assert isinstance(config.attention, GroupedQuery)
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        **write_trunk(config),
        **write_heads(config.attention),
        "intermediate_size": config.feed_forward.width,
        "mlp_bias": False,
        "rope_parameters": rope_parameters(config.position),
    }


def entries(config: ModelConfig) -> Iterator[Entry]:
    assert isinstance(config.attention, GroupedQuery)
    yield from parts.trunk(config)
    for plan in config.plan():
        at = parts.layer(plan.index)
        yield from parts.input_norms(at, config.width)
        yield from mixers.grouped_query(at.below("mixer", "self_attn"), config.attention, config.width)
        yield from parts.gated_unit(at.below("feed_forward", "mlp"), config.width, config.feed_forward.width)


LLAMA = Family(
    name="llama",
    kinds={
        "attention": ("grouped_query",),
        "linear_attention": ("none",),
        "position": ("rope", "rope_linear", "rope_blended", "yarn"),
        "feed_forward": ("swiglu",),
        "router": ("none",),
        "residual": ("pre_norm",),
        "norm": ("rms",),
        "multi_token": ("none",),
    },
    matches=lambda hub: hub.text("model_type", "") == "llama",
    read=read,
    write=write,
    entries=entries,
)
