"""Motif Technologies: Motif 3."""

from collections.abc import Iterator
from typing import Any

from lab.model.checkpoint.families.base import Family
from lab.model.checkpoint.families.motif import is_motif, read_trunk, write_trunk
from lab.model.checkpoint.hub_config import HubConfig, layers_from
from lab.model.checkpoint.layout import mixers, parts
from lab.model.checkpoint.layout.entry import Entry, Prefix, Stored
from lab.model.config import ModelConfig
from lab.model.leaves.feed_forward import SigmoidPolyNorm
from lab.model.leaves.latent_differential import LatentDifferential
from lab.model.leaves.layers import LayersConfig
from lab.model.leaves.multi_token import HiddenFirstBlock, MultiTokenConfig, NoMultiToken
from lab.model.leaves.norm import Rms
from lab.model.leaves.position import YarnOnGlobal
from lab.model.leaves.residual import HyperConnections
from lab.model.leaves.router import SigmoidRouter

NO_CLAMP = 1e6
"""``hidden_clamp`` of the release: far above anything a hidden channel reaches."""


def read(hub: HubConfig) -> ModelConfig:
    hub.require(attention_cls="gdla", diff_v2=True, elementwise_attn_output_gate=True)
    hub.require(hidden_clamp=NO_CLAMP, polynorm_sigmoid_weight=True, mhc_enabled=True)
    return ModelConfig(
        name="motif_3",
        **read_trunk(hub),
        layers=_layers(hub),
        attention=_attention(hub),
        position=_position(hub),
        feed_forward=SigmoidPolyNorm(
            "sigmoid_polynorm",
            hub.integer("intermediate_size"),
            output_scale=hub.number("polynorm_output_scale"),
            bias_clamp=hub.number("polynorm_bias_clamp"),
        ),
        router=_router(hub),
        residual=HyperConnections(
            "hyper_connections",
            streams=hub.integer("mhc_expansion_rate"),
            sinkhorn_iterations=hub.integer("mhc_sinkhorn_iters"),
            post_scale=1.0 + hub.number("mhc_h_post_alpha_end", 0.0),
        ),
        norm=Rms("rms", hub.number("rms_norm_eps")),
        multi_token=_multi_token(hub),
    )


def _layers(hub: HubConfig) -> LayersConfig:
    hub.require(use_sliding_window=True, sliding_window_pattern="interleave", interleave_moe_layer_step=1)
    count, period = hub.integer("num_hidden_layers"), hub.integer("sliding_window_period")
    letters = "".join("G" if index % period == 0 else "L" for index in range(count))
    window = _window(hub)
    return layers_from(letters, [window] * count, window, hub.integer("n_dense_first_layers"))


def _window(hub: HubConfig) -> int:
    """The file counts the keys before a token, we count the token too."""
    return hub.integer("sliding_window") + 1


def _attention(hub: HubConfig) -> LatentDifferential:
    heads, groups = hub.integer("num_attention_heads"), hub.integer("num_noise_heads")
    rope_dim, head_dim = hub.integer("qk_rope_head_dim"), hub.integer("head_dim")
    hub.require(num_key_value_heads=groups)
    if heads % groups:
        raise hub.error("num_attention_heads", f"it must be a multiple of num_noise_heads={groups}")
    return LatentDifferential(
        "latent_differential",
        num_groups=groups,
        signal_per_noise=heads // groups - 1,
        query_rank=hub.integer("q_lora_rank"),
        latent_rank=hub.integer("kv_lora_rank"),
        nope_dim=head_dim - rope_dim,
        rope_dim=rope_dim,
        value_dim=hub.integer("v_head_dim"),
    )


def _position(hub: HubConfig) -> YarnOnGlobal:
    """Frequencies come from ``rope_scaling``; the softmax scale from the keys beside it, which must agree."""
    rope = hub.group("rope_scaling")
    factor, original = rope.number("factor"), rope.integer("original_max_position_embeddings")
    rope.require(apply_yarn_scaling=False)
    hub.require(rope_factor=factor, original_seq_len=original, mscale=1.0)
    return YarnOnGlobal(
        "yarn_on_global",
        rope.number("rope_theta", hub.number("rope_theta")),
        factor,
        original,
        rope.number("beta_fast", 32.0),
        rope.number("beta_slow", 1.0),
        local_base=hub.number("swa_rope_theta"),
    )


def _router(hub: HubConfig) -> SigmoidRouter:
    hub.require(score_func="sigmoid")
    return SigmoidRouter(
        "sigmoid",
        num_experts=hub.integer("num_experts"),
        top_k=hub.integer("experts_top_k"),
        expert_width=hub.integer("moe_intermediate_size"),
        num_shared=hub.integer("num_shared_experts"),
        routed_scaling=hub.number("route_scale"),
        normalise_weights=hub.flag("route_norm", True),
        bias_update_rate=1e-3,
        balance_loss_weight=1e-4,
    )


def _multi_token(hub: HubConfig) -> MultiTokenConfig:
    if hub.integer("num_nextn_predict_layers", 0) == 0:
        return NoMultiToken("none")
    hub.require(num_nextn_predict_layers=1)
    return HiddenFirstBlock("hidden_first_block", 1, _window(hub), loss_weight=0.2)


def write(config: ModelConfig) -> dict[str, Any]:
    leaf, router, residual = config.attention, config.router, config.residual
    position, unit, letters = config.position, config.feed_forward, config.layers.letters()
    assert isinstance(leaf, LatentDifferential)
    assert isinstance(router, SigmoidRouter)
    assert isinstance(residual, HyperConnections)
    assert isinstance(position, YarnOnGlobal)
    assert isinstance(unit, SigmoidPolyNorm)
    yarn = {
        "factor": position.factor,
        "original_max_position_embeddings": position.original_positions,
        "beta_fast": position.beta_fast,
        "beta_slow": position.beta_slow,
    }
    return {
        **write_trunk(config),
        "attention_cls": "gdla",
        "diff_v2": True,
        "elementwise_attn_output_gate": True,
        "num_attention_heads": leaf.num_heads,
        "num_noise_heads": leaf.num_groups,
        "num_key_value_heads": leaf.num_groups,
        "head_dim": leaf.key_dim,
        "qk_rope_head_dim": leaf.rope_dim,
        "v_head_dim": leaf.value_dim,
        "q_lora_rank": leaf.query_rank,
        "kv_lora_rank": leaf.latent_rank,
        "use_sliding_window": True,
        "sliding_window": config.layers.window - 1,
        "sliding_window_pattern": "interleave",
        "sliding_window_period": letters.find("G", 1) if "G" in letters[1:] else len(letters),
        "rope_theta": position.base,
        "swa_rope_theta": position.local_base,
        "rope_scaling": {
            "rope_type": "yarn",
            "rope_theta": position.base,
            "mscale": 1.0,
            "apply_yarn_scaling": False,
            **yarn,
        },
        "original_seq_len": position.original_positions,
        "rope_factor": position.factor,
        "mscale": 1.0,
        "polynorm_sigmoid_weight": True,
        "polynorm_output_scale": unit.output_scale,
        "polynorm_bias_clamp": unit.bias_clamp,
        "hidden_clamp": NO_CLAMP,
        "n_dense_first_layers": config.layers.num_dense,
        "interleave_moe_layer_step": 1,
        "num_experts": router.num_experts,
        "experts_top_k": router.top_k,
        "num_shared_experts": router.num_shared,
        "moe_intermediate_size": router.expert_width,
        "score_func": "sigmoid",
        "route_norm": router.normalise_weights,
        "route_scale": router.routed_scaling,
        "mhc_enabled": True,
        "mhc_expansion_rate": residual.streams,
        "mhc_sinkhorn_iters": residual.sinkhorn_iterations,
        "mhc_h_post_alpha_end": residual.post_scale - 1.0,
        "num_nextn_predict_layers": config.multi_token.steps,
    }


def entries(config: ModelConfig) -> Iterator[Entry]:
    assert isinstance(config.attention, LatentDifferential)
    width = config.width
    yield from parts.trunk(config)
    for layer in config.plan():
        at = parts.layer(layer.index)
        yield from parts.input_norms(at, width)
        yield from mixers.latent_differential(at.below("mixer", "self_attn"), config.attention, width)
        yield from _streams(at.below("mixer_join", "mhc_attn"), config)
        yield from _streams(at.below("feed_forward_join", "mhc_ffn"), config)
        if layer.sparse:
            yield from _mixture(at.below("feed_forward", "moe"), config)
        else:
            yield from _unit(at.below("feed_forward", "mlp"), width, config.feed_forward.width)
    if config.multi_token.steps:
        yield from _multi_token_entries(config)


def _unit(at: Prefix, width: int, hidden: int) -> Iterator[Entry]:
    yield from parts.gated_unit(at, width, hidden)
    yield from parts.poly_norm(at)


def _mixture(at: Prefix, config: ModelConfig) -> Iterator[Entry]:
    """Experts are stacked on disk as they are here."""
    router = config.router
    assert isinstance(router, SigmoidRouter)
    count, hidden, width = router.num_experts, router.expert_width, config.width
    yield at.same("router.weight", "router.gate.weight", count, width)
    yield parts.selection_bias(at, "expert_bias", router)
    yield at.same("w_in", "experts.gate_up_proj", count, 2 * hidden, width)
    yield at.same("w_out", "experts.down_proj", count, width, hidden)
    yield at.same("activation.weight", "experts.act_fn.weight", count, 3)
    yield at.same("activation.bias", "experts.act_fn.bias", count, 1)
    if router.num_shared:
        yield from _unit(at.below("shared", "shared_experts"), width, router.num_shared * hidden)


def _streams(at: Prefix, config: ModelConfig) -> Iterator[Entry]:
    """Hyper-connections; of biases and alphas only the number of elements is known."""
    residual = config.residual
    assert isinstance(residual, HyperConnections)
    streams, channels = residual.streams, residual.streams * config.width
    rows = {"pre": streams, "post": streams, "res": streams * streams}
    yield at.same("stream_norm.weight", "rms_norm.weight", channels)
    yield at.joined("projection.weight", *((f"proj_{n}.weight", (r, channels)) for n, r in rows.items()))
    for ours, stored, sizes in (("bias", "bias", rows), ("alpha", "alpha", dict.fromkeys(rows, 1))):
        parts_on_disk = (
            Stored(f"{at.stored}{stored}_{n}", (size,), any_shape=True) for n, size in sizes.items()
        )
        yield Entry((at.ours + ours,), tuple(parts_on_disk))


def _multi_token_entries(config: ModelConfig) -> Iterator[Entry]:
    assert isinstance(config.attention, LatentDifferential)
    width, at = config.width, Prefix("multi_token.", "model.mtp_layers.0.")
    yield at.same("embedding_norm.weight", "embed_norm.weight", width)
    yield at.same("input.weight", "input_proj.weight", width, 2 * width)
    yield at.same("norm.weight", "final_layernorm.weight", width)
    block = Prefix("multi_token.block.", at.stored)
    yield from parts.input_norms(block, width)
    yield from mixers.latent_differential(block.below("mixer", "self_attn"), config.attention, width)
    yield from _unit(block.below("feed_forward", "mlp"), width, config.feed_forward.width)


MOTIF_3 = Family(
    name="motif_3",
    kinds={
        "attention": ("latent_differential",),
        "linear_attention": ("none",),
        "position": ("yarn_on_global",),
        "feed_forward": ("sigmoid_polynorm",),
        "router": ("sigmoid",),
        "residual": ("hyper_connections",),
        "norm": ("rms",),
        "multi_token": ("none", "hidden_first_block"),
    },
    matches=lambda hub: is_motif(hub) and hub.has("attention_cls"),
    read=read,
    write=write,
    entries=entries,
)
