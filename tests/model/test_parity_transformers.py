"""Our decoder against the houses' own classes in transformers: same folder, same logits, same gradients.

The reference draws random weights, writes a folder and computes; we load that folder. Every mechanism is on:
groups and selection biases in the router, windows and selections shorter than the documents, YaRN, packed
documents.
"""

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
from lab.model.generate import generate

from .reference import VOCAB, Pair, make_pair, packed_batch, require_same_gradients, require_same_logits

YARN = {
    "rope_type": "yarn",
    "rope_theta": 1000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 16,
    "beta_fast": 4.0,
    "beta_slow": 1.0,
}
SIZES: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": None,
}
EXPERTS: dict[str, Any] = {"moe_intermediate_size": 20, "num_experts_per_tok": 3}
LATENT: dict[str, Any] = {
    "num_key_value_heads": 4,
    "intermediate_size": 72,
    "q_lora_rank": 24,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 12,
    "qk_rope_head_dim": 8,
    "v_head_dim": 10,
}


def k_exaone() -> PreTrainedConfig:
    local, full = "sliding_attention", "full_attention"
    return ExaoneMoeConfig(
        **SIZES,
        **EXPERTS,
        num_key_value_heads=2,
        head_dim=16,
        intermediate_size=72,
        num_experts=8,
        num_shared_experts=1,
        sliding_window=5,
        layer_types=[local, local, local, full],
        rope_parameters={"rope_type": "default", "rope_theta": 1000.0},
    )


def k_exaone_with_groups() -> PreTrainedConfig:
    config = k_exaone()
    config.n_group, config.topk_group = 4, 2
    return config


def ax_k1() -> PreTrainedConfig:
    rope = {**YARN, "mscale": 1.0, "mscale_all_dim": 0.0}
    return AXK1Config(
        **SIZES, **EXPERTS, **LATENT, n_routed_experts=12, n_group=4, topk_group=2, rope_parameters=rope
    )


def ax_k1_with_softmax_temperature() -> PreTrainedConfig:
    rope = {**YARN, "mscale": 1.0, "mscale_all_dim": 1.0}
    return AXK1Config(
        **SIZES, **EXPERTS, **LATENT, n_routed_experts=12, n_group=1, topk_group=1, rope_parameters=rope
    )


def ax_k2(**groups: int) -> PreTrainedConfig:
    return AXK2Config(
        **SIZES,
        **EXPERTS,
        **LATENT,
        **groups,
        n_routed_experts=12,
        index_n_heads=8,
        index_head_dim=16,
        index_topk=6,
        gated_norm_rank=4,
        rope_parameters=YARN,
    )


def ax_k2_with_groups() -> PreTrainedConfig:
    return ax_k2(n_group=4, topk_group=2)


def solar_open() -> PreTrainedConfig:
    return SolarOpenConfig(
        **SIZES, **EXPERTS, num_key_value_heads=2, head_dim=16, n_routed_experts=8, rope_parameters=YARN
    )


def llama() -> PreTrainedConfig:
    rope = {"rope_type": "default", "rope_theta": 1000.0}
    return LlamaConfig(
        **SIZES,
        num_key_value_heads=2,
        head_dim=16,
        intermediate_size=72,
        rope_parameters=rope,
        tie_word_embeddings=True,
    )


CASES: dict[str, Callable[[], PreTrainedConfig]] = {
    "llama": llama,
    "solar_open": solar_open,
    "k_exaone": k_exaone,
    "k_exaone with groups": k_exaone_with_groups,
    "ax_k1": ax_k1,
    "ax_k1 with softmax temperature": ax_k1_with_softmax_temperature,
    "ax_k2": ax_k2,
    "ax_k2 with groups": ax_k2_with_groups,
}


@pytest.fixture(scope="module", params=CASES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_pair(CASES[request.param](), tmp_path_factory.mktemp("released"))


def test_logits_of_packed_documents_agree(pair: Pair) -> None:
    require_same_logits(pair)


def test_gradients_agree(pair: Pair, tmp_path: Path) -> None:
    require_same_gradients(pair, tmp_path)


def test_greedy_decoding_agrees(pair: Pair) -> None:
    prompt = packed_batch()[0][:, :13]
    expected = pair.reference.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=9, min_new_tokens=9, do_sample=False
    )
    assert generate(pair.ours, prompt, 9).tolist() == expected.tolist()


def test_the_reference_loads_what_we_export(pair: Pair, tmp_path: Path) -> None:
    folder = export_released(pair.ours, tmp_path / "exported", dtype=torch.float32, shard_bytes=50_000)
    again, report = AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation="eager", experts_implementation="eager", output_loading_info=True
    )
    assert not report["missing_keys"] - {name for name in report["missing_keys"] if "correction_bias" in name}
    assert not report["unexpected_keys"]
    tokens, _, positions = packed_batch()
    with torch.no_grad():
        expected = pair.reference(tokens, position_ids=positions, use_cache=False).logits
        assert torch.equal(again.eval()(tokens, position_ids=positions, use_cache=False).logits, expected)
