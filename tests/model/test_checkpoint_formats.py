"""Released formats: published configurations are ours, tensors are counted, models survive the way."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lab.config import compose
from lab.errors import ConfigError
from lab.model.checkpoint.family import FAMILIES, detect, format_for
from lab.model.checkpoint.hub_config import HubConfig
from lab.model.checkpoint.reader import load_released, skeleton
from lab.model.checkpoint.writer import export_released
from lab.model.config import ModelConfig
from lab.model.decoder import Decoder, initialise
from lab.overrides import CONF

CONTENDERS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))

# config.json as released, or as the houses' own code reads it where the file itself was not seen.
YARN = {"rope_type": "yarn", "beta_fast": 32, "beta_slow": 1}
EXAONE: dict[str, Any] = {
    "model_type": "exaone_moe",
    "hidden_size": 6144,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "intermediate_size": 18432,
    "vocab_size": 153600,
    "max_position_embeddings": 262144,
    "rms_norm_eps": 1e-5,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1000000},
    "sliding_window": 128,
    "moe_intermediate_size": 2048,
    "num_experts_per_tok": 8,
    "num_shared_experts": 1,
    "n_group": 1,
    "topk_group": 1,
    "norm_topk_prob": True,
    "routed_scaling_factor": 2.5,
    "scoring_func": "sigmoid",
    "topk_method": "noaux_tc",
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "num_nextn_predict_layers": 1,
}
LOCAL, FULL = "sliding_attention", "full_attention"
AX: dict[str, Any] = {
    "vocab_size": 163840,
    "hidden_size": 7168,
    "num_hidden_layers": 61,
    "num_attention_heads": 64,
    "num_key_value_heads": 64,
    "q_lora_rank": 1536,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "intermediate_size": 18432,
    "moe_intermediate_size": 2048,
    "num_experts_per_tok": 8,
    "n_shared_experts": 1,
    "n_group": 8,
    "topk_group": 4,
    "routed_scaling_factor": 2.5,
    "norm_topk_prob": True,
    "first_k_dense_replace": 1,
    "rms_norm_eps": 1e-6,
    "bos_token_id": 163691,
}
SOLAR: dict[str, Any] = {
    "vocab_size": 196608,
    "hidden_size": 4096,
    "num_hidden_layers": 48,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "intermediate_size": 10240,
    "moe_intermediate_size": 1280,
    "num_experts_per_tok": 8,
    "n_shared_experts": 1,
    "n_group": 1,
    "topk_group": 1,
    "norm_topk_prob": True,
    "routed_scaling_factor": 1.0,
    "rms_norm_eps": 1e-5,
}
PUBLISHED: dict[str, dict[str, Any]] = {
    "k_exaone": {
        **EXAONE,
        "num_hidden_layers": 48,
        "num_experts": 128,
        "layer_types": [LOCAL, LOCAL, LOCAL, FULL] * 12,
        "is_moe_layer": [False] + [True] * 47,
    },
    "k_exaone_2": {
        **EXAONE,
        "num_hidden_layers": 78,
        "num_experts": 256,
        "layer_types": [FULL, LOCAL] + [LOCAL, LOCAL, LOCAL, FULL] * 19,
        "sliding_windows": [0, 4096] + [128, 128, 128, 0] * 19,
        "mlp_layer_types": ["dense"] * 2 + ["sparse"] * 76,
        "swiglu_limits": [0.0] * 62 + [7.0] * 16,
        "mtp_layer_types": [LOCAL],
        "mtp_sliding_windows": [128],
        "mtp_num_speculative_steps": 4,
        "mtp_share_layers": True,
    },
    "ax_k1": {
        **AX,
        "model_type": "AXK1",
        "n_routed_experts": 192,
        "max_position_embeddings": 131072,
        "rope_theta": 10000.0,
        "rope_scaling": {
            **YARN,
            "factor": 4.0,
            "original_max_position_embeddings": 32768,
            "mscale": 1.0,
            "mscale_all_dim": 0.0,
        },
    },
    "ax_k2": {
        **AX,
        "model_type": "axk2",
        "n_routed_experts": 256,
        "max_position_embeddings": 262144,
        "index_n_heads": 64,
        "index_head_dim": 128,
        "index_topk": 2048,
        "gated_norm_rank": 16,
        "rope_parameters": {
            **YARN,
            "rope_theta": 1e6,
            "factor": 2.0,
            "original_max_position_embeddings": 131072,
        },
    },
    "solar_open": {
        **SOLAR,
        "model_type": "solar_open",
        "n_routed_experts": 128,
        "max_position_embeddings": 131072,
        "rope_theta": 1000000,
        "rope_scaling": {"type": "yarn", "factor": 2.0, "original_max_position_embeddings": 65536},
    },
    "solar_open_2": {
        **SOLAR,
        "model_type": "solar_open2",
        "n_routed_experts": 320,
        "max_position_embeddings": 1048576,
        "first_k_dense_replace": 0,
        "gqa_interval": 3,
        "linear_attn_config": {
            "short_conv_kernel_size": 4,
            "head_dim": 128,
            "num_heads": 64,
            "num_kv_heads": None,
        },
        "kda_allow_neg_eigval": True,
        "kda_use_full_proj": False,
        "use_gqa_gate": True,
        "use_rope": False,
        "rope_theta": 10000,
    },
    "motif_2_6b": {
        "model_type": "Motif",
        "hidden_size": 2048,
        "num_hidden_layers": 32,
        "num_attention_heads": 16,
        "num_key_value_heads": 16,
        "intermediate_size": 8192,
        "vocab_size": 219520,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-6,
        "attn_rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "hidden_act": "poly_norm",
        "tie_word_embeddings": True,
    },
    "motif_2": {
        "model_type": "Motif",
        "hidden_size": 4096,
        "num_hidden_layers": 40,
        "num_attention_heads": 40,
        "num_noise_heads": 8,
        "num_key_value_heads": 16,
        "head_dim": 128,
        "k_ratio": 1,
        "intermediate_size": 16384,
        "vocab_size": 219520,
        "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-6,
        "attn_rms_norm_eps": 1e-5,
        "rope_theta": 1000000.0,
        "hidden_act": "poly_norm",
        "tie_word_embeddings": False,
    },
    "motif_3": {
        "model_type": "motif",
        "attention_cls": "gdla",
        "diff_v2": True,
        "elementwise_attn_output_gate": True,
        "hidden_size": 4096,
        "num_hidden_layers": 53,
        "num_attention_heads": 80,
        "num_noise_heads": 16,
        "num_key_value_heads": 16,
        "head_dim": 192,
        "qk_rope_head_dim": 64,
        "v_head_dim": 128,
        "q_lora_rank": 1024,
        "kv_lora_rank": 512,
        "intermediate_size": 12288,
        "moe_intermediate_size": 1280,
        "num_experts": 384,
        "experts_top_k": 8,
        "num_shared_experts": 1,
        "n_dense_first_layers": 2,
        "interleave_moe_layer_step": 1,
        "score_func": "sigmoid",
        "route_norm": True,
        "route_scale": 2.0,
        "load_balance_coeff": 1e-4,
        "hidden_act": "poly_norm",
        "polynorm_sigmoid_weight": True,
        "polynorm_output_scale": 0.5,
        "polynorm_bias_clamp": 0.5,
        "hidden_clamp": 1e6,
        "rms_norm_eps": 1e-5,
        "use_sliding_window": True,
        "sliding_window": 128,
        "sliding_window_period": 4,
        "sliding_window_pattern": "interleave",
        "rope_theta": 10000.0,
        "swa_rope_theta": 10000.0,
        "rope_scaling": {
            **YARN,
            "rope_theta": 10000.0,
            "factor": 64,
            "original_max_position_embeddings": 4096,
            "mscale": 1,
            "apply_yarn_scaling": False,
        },
        "original_seq_len": 4096,
        "rope_factor": 64,
        "mscale": 1,
        "mhc_enabled": True,
        "mhc_expansion_rate": 4,
        "mhc_sinkhorn_iters": 20,
        "mhc_h_post_alpha_end": 0.0,
        "max_position_embeddings": 262144,
        "vocab_size": 220160,
        "tie_word_embeddings": False,
        "num_nextn_predict_layers": 1,
    },
}


def published(name: str) -> ModelConfig:
    return compose([f"model={name}", "scale=published"]).model


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_published_config_json_is_the_contender_at_published_scale(name: str) -> None:
    hub = HubConfig(PUBLISHED[name])
    read = detect(hub).read(hub)
    expected = published(name)
    if expected.router.has_experts and expected.layers.num_dense == 0:
        read.feed_forward.width = expected.feed_forward.width  # no layer is dense
    assert read == expected


@pytest.mark.parametrize("name", CONTENDERS)
@pytest.mark.parametrize("scale", ["nano", "published"])
def test_what_we_write_says_the_whole_configuration(name: str, scale: str) -> None:
    config = compose([f"model={name}", f"scale={scale}"]).model
    family, values = format_for(config)
    assert detect(HubConfig(json.loads(json.dumps(values)))) is family


@pytest.mark.parametrize("name", CONTENDERS)
def test_the_layout_covers_every_tensor_once(name: str) -> None:
    config = published(name)
    entries = list(format_for(config)[0].entries(config))
    shapes = {key: tensor.shape for key, tensor in skeleton(config).state_dict().items()}
    if config.tied_embeddings:
        del shapes["head.weight"]
    assert sorted(key for entry in entries for key in entry.ours) == sorted(shapes)
    on_disk = [tensor.name for entry in entries for tensor in entry.stored]
    assert len(set(on_disk)) == len(on_disk)
    for entry in entries:
        if entry.arrangement is None and entry.ours:
            numbers = sum(math.prod(tensor.shape) for tensor in entry.stored)
            assert numbers == math.prod(shapes[entry.ours[0]]), entry.ours


# Tensors and values on disk: published counts, or a count of the houses' own classes.
COUNTS = {
    "k_exaone": (18_688, 237_099_669_632),
    "k_exaone_2": (59_396, 749_357_484_800),
    "ax_k2": (None, 691_690_215_680 + 15_360),  # with the zero blocks of the fused matrix
    "solar_open": (None, 102_651_793_408 + 6_144),
    "solar_open_2": (None, 250_287_794_944 + 48 * 320),
    "motif_2_6b": (514, 2_597_218_432),
    "motif_2": (643, 12_703_860_896),
    "motif_3": (2_236, 314_841_775_750),
}


@pytest.mark.parametrize("name", sorted(COUNTS))
def test_tensors_on_disk_are_counted_to_the_last(name: str) -> None:
    config = published(name)
    stored = [tensor for entry in format_for(config)[0].entries(config) for tensor in entry.stored]
    tensors, values = COUNTS[name]
    assert sum(math.prod(tensor.shape) for tensor in stored) == values
    if tensors is not None:
        assert len(stored) == tensors


def test_k_exaone_2_takes_the_published_number_of_bytes() -> None:
    config = published("k_exaone_2")
    sizes = [
        entry.dtype(torch.bfloat16).itemsize * math.prod(tensor.shape)
        for entry in format_for(config)[0].entries(config)
        for tensor in entry.stored
    ]
    assert sum(sizes) == 1_498_715_008_512


@pytest.mark.parametrize("name", CONTENDERS)
def test_a_model_survives_export_and_import(name: str, tmp_path: Path) -> None:
    config = compose([f"model={name}", "scale.width=64", "scale.layers=4", "scale.vocab_size=512"]).model
    model = initialise(Decoder(config), 0).eval()
    for router in model.routers():
        router.selection_bias.normal_()
    folder = export_released(model, tmp_path / "first", dtype=torch.float32, shard_bytes=400_000)
    again = load_released(folder)
    assert again.config.plan() == config.plan()
    expected, found = model.state_dict(), again.state_dict()
    assert expected.keys() == found.keys()
    for key in expected:
        assert torch.equal(expected[key], found[key]), key
    tokens = torch.randint(0, 512, (2, 19))
    assert torch.equal(again.logits(tokens), model.logits(tokens))
    export_released(again, tmp_path / "second", dtype=torch.float32, shard_bytes=400_000)
    for path in sorted(folder.iterdir()):
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes(), path.name


def test_a_mixture_of_houses_has_no_released_format() -> None:
    config = compose(["model=solar_open", "model/attention=grouped_differential"]).model
    with pytest.raises(ConfigError, match=r"solar_open cannot be exported.*attention=grouped_differential"):
        format_for(config)


@pytest.mark.parametrize(
    ("name", "override", "message"),
    [
        ("llama", "model.layers.pattern=LG", "model.layers cannot be exported as llama: layer 0"),
        ("ax_k2", "model.router.score_outside_groups=-1.0", "score_outside_groups=-1.0 cannot be exported"),
        ("solar_open_2", "+model.linear_attention.max_beta=1.5", "max_beta=1.5 cannot be exported"),
        ("motif_3", "model.layers.lead=L", "model.layers cannot be exported as motif_3"),
    ],
)
def test_what_a_format_cannot_say_is_refused(name: str, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        format_for(compose([f"model={name}", override]).model)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("k_exaone", {"hidden_act": "gelu"}, "hidden_act=gelu cannot be used: only silu"),
        ("k_exaone", {"hidden_size": None}, "has no hidden_size: it must be a whole number"),
        ("k_exaone", {"hidden_size": "wide"}, "hidden_size=wide cannot be used: it must be a whole number"),
        ("k_exaone", {"layer_types": [FULL]}, "it must list one item for each of 48 layers"),
        (
            "k_exaone",
            {"model_type": "qwen3"},
            "model_type=qwen3 cannot be used: formats known here are llama",
        ),
        ("k_exaone_2", {"swiglu_limits": [7.0] * 16 + [0.0] * 62}, "the last layers must share one limit"),
        ("ax_k1", {"rope_interleave": False}, "rope_interleave=False cannot be used"),
        ("ax_k1", {"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_type=linear cannot be used"),
        ("solar_open_2", {"use_rope": True}, "use_rope=True cannot be used"),
        ("motif_2", {"num_key_value_heads": 8}, "num_key_value_heads=8 cannot be used: only 16"),
        ("motif_3", {"polynorm_sigmoid_weight": False}, "polynorm_sigmoid_weight=False cannot be used"),
        ("motif_3", {"rope_factor": 32}, "rope_factor=32 cannot be used: only 64"),
    ],
)
def test_a_config_json_we_would_compute_wrongly_is_refused(
    name: str, change: dict[str, Any], message: str
) -> None:
    hub = HubConfig({**PUBLISHED[name], **change})
    with pytest.raises(ConfigError, match=message):
        detect(hub).read(hub)


def test_motifs_are_told_apart_by_their_keys() -> None:
    names = {name: detect(HubConfig(PUBLISHED[name])).name for name in PUBLISHED if name.startswith("motif")}
    assert names == {"motif_2_6b": "motif", "motif_2": "motif", "motif_3": "motif_3"}


def test_deepseeks_softmax_temperature_is_read_for_latent_attention_only() -> None:
    rope = {**YARN, "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 32768}
    rope |= {"mscale": 1.0, "mscale_all_dim": 1.0}
    hub = HubConfig({**PUBLISHED["ax_k1"], "rope_parameters": rope})
    rotation = detect(hub).read(hub).position.rotation(is_local=False)
    assert rotation is not None
    assert rotation.magnitude == 1.0
    assert rotation.softmax_scale == pytest.approx((0.1 * math.log(4.0) + 1) ** 2)
    solar = HubConfig({**PUBLISHED["solar_open"], "rope_parameters": rope})
    with pytest.raises(ConfigError, match=r"mscale_all_dim=1\.0 cannot be used"):
        detect(solar).read(solar)


def test_every_family_names_the_same_groups() -> None:
    groups = {frozenset(family.kinds) for family in FAMILIES}
    assert len(groups) == 1
    assert groups.pop() < set(replace(published("llama")).__dict__)
