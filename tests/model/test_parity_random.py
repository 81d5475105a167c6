"""Configurations drawn at random from fixed seeds: odd sizes, rotations, groups, ties, no or two shared experts."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AXK1Config,
    AXK2Config,
    ExaoneMoeConfig,
    LlamaConfig,
    PreTrainedConfig,
    SolarOpenConfig,
)

from lab.model.checkpoint.writer import export_released

from .reference import VOCAB, make_pair, packed_batch, require_same_gradients, require_same_logits

SEEDS = range(4)


def trunk(draw: random.Random) -> dict[str, Any]:
    return {
        "vocab_size": VOCAB,
        "hidden_size": draw.choice([20, 36, 49]),
        "num_hidden_layers": draw.choice([1, 2, 3]),
        "max_position_embeddings": 64,
        "rms_norm_eps": draw.choice([1e-6, 1e-5, 1e-3]),
        "tie_word_embeddings": draw.random() < 0.3,
        "pad_token_id": 0,
        "bos_token_id": None,
        "eos_token_id": None,
    }


def rotation(draw: random.Random) -> dict[str, Any]:
    """Plain, interpolated, blended as in Llama 3.1, and YaRN with its temperature in several places."""
    base = {"rope_theta": draw.choice([100.0, 1e4, 1e6]), "factor": draw.choice([1.0, 2.0, 3.5])}
    original = {"original_max_position_embeddings": draw.choice([8, 16, 32])}
    turns = {"beta_fast": draw.choice([2.0, 16.0]), "beta_slow": draw.choice([0.5, 1.0])}
    return draw.choice(
        [
            {"rope_type": "default", "rope_theta": 1000.0},
            {"rope_type": "linear", **base},
            {"rope_type": "llama3", **base, **original, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
            {"rope_type": "yarn", **base, **original},
            {"rope_type": "yarn", **base, **original, **turns, "attention_factor": 1.2},
            {"rope_type": "yarn", **base, **original, **turns, "mscale": 1.0, "mscale_all_dim": 1.0},
            {"rope_type": "yarn", **base, **original, **turns, "mscale": 0.7, "mscale_all_dim": 0.5},
        ]
    )


def heads(draw: random.Random) -> dict[str, int]:
    shared = draw.choice([1, 2, 3])
    kv_heads = draw.choice([1, 2, 3])
    return {
        "num_key_value_heads": kv_heads,
        "num_attention_heads": kv_heads * shared,
        "head_dim": draw.choice([4, 6, 10]),
    }


def latent(draw: random.Random) -> dict[str, int]:
    count = draw.choice([1, 3, 4])
    return {
        "num_attention_heads": count,
        "num_key_value_heads": count,
        "q_lora_rank": draw.choice([7, 24]),
        "kv_lora_rank": draw.choice([5, 16]),
        "qk_nope_head_dim": draw.choice([3, 12]),
        "qk_rope_head_dim": draw.choice([2, 6, 8]),
        "v_head_dim": draw.choice([3, 10]),
    }


def experts(
    draw: random.Random, count: str = "n_routed_experts", shared: str = "n_shared_experts"
) -> dict[str, Any]:
    groups, size = draw.choice([1, 2, 3]), draw.choice([2, 3, 4])
    kept = draw.randint(1, groups)
    return {
        count: groups * size,
        shared: draw.choice([0, 1, 2]),
        "n_group": groups,
        "topk_group": kept,
        "num_experts_per_tok": draw.randint(1, kept * size),
        "moe_intermediate_size": draw.choice([5, 12]),
        "routed_scaling_factor": draw.choice([0.3, 1.0, 2.5]),
        "norm_topk_prob": draw.random() < 0.7,
    }


def dense(draw: random.Random, layers: int) -> dict[str, Any]:
    count = draw.randint(0, min(2, layers))
    kinds = ["dense"] * count + ["sparse"] * (layers - count)
    return {"intermediate_size": draw.choice([33, 40]), "mlp_layer_types": kinds}


def llama(draw: random.Random) -> PreTrainedConfig:
    sizes = {**trunk(draw), **heads(draw)}
    sizes["hidden_size"] = 4 * sizes["num_attention_heads"]  # transformers asks for a multiple
    return LlamaConfig(**sizes, intermediate_size=33, rope_parameters=rotation(draw))


def solar_open(draw: random.Random) -> PreTrainedConfig:
    return SolarOpenConfig(**trunk(draw), **heads(draw), **experts(draw), rope_parameters=rotation(draw))


def k_exaone(draw: random.Random) -> PreTrainedConfig:
    sizes = trunk(draw)
    layers = sizes["num_hidden_layers"]
    return ExaoneMoeConfig(
        **sizes,
        **heads(draw),
        **experts(draw, "num_experts", "num_shared_experts"),
        **dense(draw, layers),
        sliding_window=draw.choice([1, 2, 9, 40]),
        layer_types=[draw.choice(["sliding_attention", "full_attention"]) for _ in range(layers)],
        rope_parameters={"rope_type": "default", "rope_theta": draw.choice([100.0, 1e6])},
    )


def ax_k1(draw: random.Random) -> PreTrainedConfig:
    sizes = trunk(draw)
    rest = {**latent(draw), **experts(draw), **dense(draw, sizes["num_hidden_layers"])}
    return AXK1Config(**sizes, **rest, rope_parameters=rotation(draw))


def ax_k2(draw: random.Random) -> PreTrainedConfig:
    sizes = trunk(draw)
    rest = {**latent(draw), **experts(draw), **dense(draw, sizes["num_hidden_layers"])}
    if draw.random() < 0.5:
        rest |= {"n_group": None, "topk_group": None, "num_experts_per_tok": 2}
    return AXK2Config(
        **sizes,
        **rest,
        index_n_heads=draw.choice([1, 3, 8]),
        index_head_dim=rest["qk_rope_head_dim"] + draw.choice([0, 4]),
        index_topk=draw.choice([1, 6, 50]),
        gated_norm_rank=draw.choice([1, 4]),
        rope_parameters=rotation(draw),
    )


FAMILIES: dict[str, Callable[[random.Random], PreTrainedConfig]] = {
    "llama": llama,
    "solar_open": solar_open,
    "k_exaone": k_exaone,
    "ax_k1": ax_k1,
    "ax_k2": ax_k2,
}


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")  # no shared expert
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_random_configuration_agrees(family: str, seed: int, tmp_path: Path) -> None:
    config = FAMILIES[family](random.Random(f"{family} {seed}"))
    pair = make_pair(config, tmp_path / "released")
    require_same_logits(pair)
    require_same_gradients(pair, tmp_path / "gradients")
    exported = export_released(pair.ours, tmp_path / "exported", dtype=torch.float32)
    again = AutoModelForCausalLM.from_pretrained(
        exported, attn_implementation="eager", experts_implementation="eager"
    )
    tokens, _, positions = packed_batch()
    with torch.no_grad():
        expected = pair.reference(tokens, position_ids=positions, use_cache=False).logits
        found = again.eval()(tokens, position_ids=positions, use_cache=False).logits
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
