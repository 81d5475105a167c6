"""Motif Technologies: Motif-2.6B and Motif 2 in one format, Motif 3 in another.

All of them name the same class, so they are told apart by their keys.
"""

from collections.abc import Iterator
from typing import Any

from lab.model.checkpoint.families.base import Family
from lab.model.checkpoint.hub_config import HubConfig, rope_group
from lab.model.checkpoint.layout import mixers, parts
from lab.model.checkpoint.layout.entry import Entry
from lab.model.config import ModelConfig
from lab.model.leaves.attention import GroupedDifferential
from lab.model.leaves.feed_forward import PolyNorm
from lab.model.leaves.layers import LayersConfig
from lab.model.leaves.linear_attention import NoLinear
from lab.model.leaves.multi_token import NoMultiToken
from lab.model.leaves.norm import Rms
from lab.model.leaves.position import Rope
from lab.model.leaves.residual import PreNorm
from lab.model.leaves.router import NoRouter


def is_motif(hub: HubConfig) -> bool:
    """Any of the three."""
    return hub.text("model_type", "").lower() == "motif"


def read_trunk(hub: HubConfig) -> dict[str, Any]:
    """The fields of :class:`ModelConfig` that all three have alike."""
    hub.require(hidden_act="poly_norm", use_bias=False)
    return {
        "width": hub.integer("hidden_size"),
        "vocab_size": hub.integer("vocab_size"),
        "max_positions": hub.integer("max_position_embeddings"),
        "tied_embeddings": hub.flag("tie_word_embeddings", False),
        "init_std": hub.number("initializer_range", 0.02),
        "linear_attention": NoLinear("none"),
    }


def write_trunk(config: ModelConfig) -> dict[str, Any]:
    """The inverse of :func:`read_trunk`."""
    return {
        "architectures": ["MotifForCausalLM"],
        "model_type": "Motif",
        "hidden_size": config.width,
        "num_hidden_layers": config.layers.count,
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_positions,
        "tie_word_embeddings": config.tied_embeddings,
        "initializer_range": config.init_std,
        "hidden_act": "poly_norm",
        "use_bias": False,
        "rms_norm_eps": config.norm.eps,
        "intermediate_size": config.feed_forward.width,
    }


def read(hub: HubConfig) -> ModelConfig:
    hub.require(use_sliding_window=False, k_ratio=1)
    attention, rope = _attention(hub), rope_group(hub, default_base=10_000.0)
    rope.require(rope_type="default")
    return ModelConfig(
        name="motif_2" if hub.has("num_noise_heads") else "motif_2_6b",
        **read_trunk(hub),
        layers=LayersConfig(hub.integer("num_hidden_layers")),
        attention=attention,
        position=Rope("rope", rope.number("rope_theta")),
        feed_forward=PolyNorm("polynorm", hub.integer("intermediate_size")),
        router=NoRouter("none"),
        residual=PreNorm("pre_norm"),
        norm=Rms("rms", hub.number("rms_norm_eps", 1e-6)),
        multi_token=NoMultiToken("none"),
    )


def _attention(hub: HubConfig) -> GroupedDifferential:
    """Without ``num_noise_heads`` every other head is one: differential attention."""
    heads = hub.integer("num_attention_heads")
    groups = hub.integer("num_noise_heads", heads // 2)
    hub.require(num_key_value_heads=2 * groups)
    if heads % groups:
        raise hub.error("num_attention_heads", f"it must be a multiple of num_noise_heads={groups}")
    return GroupedDifferential(
        "grouped_differential",
        num_groups=groups,
        signal_per_noise=heads // groups - 1,
        head_dim=hub.integer("head_dim", hub.integer("hidden_size") // heads),
        sub_norm_eps=hub.number("attn_rms_norm_eps", 1e-5),
    )


def write(config: ModelConfig) -> dict[str, Any]:
    leaf, position = config.attention, config.position
    assert isinstance(leaf, GroupedDifferential)
    assert isinstance(position, Rope)
    values = {
        **write_trunk(config),
        "num_attention_heads": leaf.num_groups * (leaf.signal_per_noise + 1),
        "num_key_value_heads": 2 * leaf.num_groups,
        "head_dim": leaf.head_dim,
        "attn_rms_norm_eps": leaf.sub_norm_eps,
        "rope_theta": position.base,
        "use_sliding_window": False,
    }
    if leaf.signal_per_noise > 1:
        values |= {"num_noise_heads": leaf.num_groups, "k_ratio": 1}
    return values


def entries(config: ModelConfig) -> Iterator[Entry]:
    assert isinstance(config.attention, GroupedDifferential)
    yield from parts.trunk(config)
    for layer in config.plan():
        at = parts.layer(layer.index)
        mlp = at.below("feed_forward", "mlp")
        yield from parts.input_norms(at, config.width)
        yield from mixers.grouped_differential(at.below("mixer", "self_attn"), config.attention, config.width)
        yield from parts.gated_unit(mlp, config.width, config.feed_forward.width)
        yield from parts.poly_norm(mlp)


MOTIF_2 = Family(
    name="motif",
    kinds={
        "attention": ("grouped_differential",),
        "linear_attention": ("none",),
        "position": ("rope",),
        "feed_forward": ("polynorm",),
        "router": ("none",),
        "residual": ("pre_norm",),
        "norm": ("rms",),
        "multi_token": ("none",),
    },
    matches=lambda hub: is_motif(hub) and not hub.has("attention_cls"),
    read=read,
    write=write,
    entries=entries,
)
