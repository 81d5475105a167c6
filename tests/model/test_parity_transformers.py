"""Our decoder against the houses' own classes in transformers: same folder, same logits, same gradients.

The reference draws random weights, writes a folder and computes; we load that folder. Every mechanism is on:
groups and selection biases in the router, windows and selections shorter than the documents, YaRN, packed
documents.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    AutoModelForCausalLM,
    AXK1Config,
    AXK2Config,
    ExaoneMoeConfig,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedModel,
    SolarOpenConfig,
)

from lab.model.checkpoint.reader import load_released, open_released
from lab.model.checkpoint.writer import export_released
from lab.model.decoder import Decoder
from lab.model.generate import generate

from .parity import require_parity

VOCAB = 97
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


@dataclass
class Pair:
    """A reference model and ours, of the same weights."""

    reference: PreTrainedModel
    ours: Decoder
    folder: Path


@pytest.fixture(scope="module", params=CASES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("released")
    reference = AutoModelForCausalLM.from_config(CASES[request.param](), attn_implementation="eager").eval()
    draw_weights(reference)
    reference.save_pretrained(folder)
    return Pair(reference, load_released(folder), folder)


def draw_weights(model: nn.Module) -> None:
    """Weights far from their initial values, so that every product matters."""
    generator = torch.Generator().manual_seed(0)

    def normal(tensor: Tensor) -> Tensor:
        return torch.randn(tensor.shape, generator=generator)

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:
                parameter.copy_(
                    1 + 0.3 * normal(parameter) if name.endswith("weight") else 0.3 * normal(parameter)
                )
            else:
                parameter.copy_(1.3 * normal(parameter) * parameter.shape[-1] ** -0.5)
        for name, buffer in model.named_buffers():
            if name.endswith("e_score_correction_bias"):
                buffer.copy_(0.5 * normal(buffer) - 0.5)  # some choices fall below zero
        for module in model.modules():
            clear_unused_blocks(module)


def clear_unused_blocks(module: nn.Module) -> None:
    """A.X K2's fused matrix: what the released weights hold as zeros."""
    if hasattr(module, "q_gate_proj"):
        rank, key_dim = module.q_a_proj.out_features, module.qk_head_dim
        blocks = module.q_gate_proj.weight.data.view(module.num_heads, key_dim + module.v_head_dim, 2 * rank)
        blocks[:, :key_dim, rank:] = 0
        blocks[:, key_dim:, :rank] = 0


def packed_batch() -> tuple[Tensor, Tensor, Tensor]:
    """Tokens, document numbers and positions ``[2, 37]``: documents of odd lengths, cut differently in each
    row."""
    tokens = torch.randint(1, VOCAB, (2, 37), generator=torch.Generator().manual_seed(1))
    lengths = ((11, 19, 7), (23, 1, 13))
    documents = torch.stack([torch.arange(3).repeat_interleave(torch.tensor(row)) for row in lengths])
    positions = torch.stack([torch.cat([torch.arange(n) for n in row]) for row in lengths])
    return tokens, documents, positions


def test_logits_of_packed_documents_agree(pair: Pair) -> None:
    tokens, documents, positions = packed_batch()
    with torch.no_grad():
        expected = pair.reference(tokens, position_ids=positions, use_cache=False).logits
        logits = pair.ours.head(pair.ours(tokens, documents, positions).hidden)
    contender = pair.ours.config.name
    require_parity(contender, f"transformers {version('transformers')}", logits, expected)


def test_gradients_agree(pair: Pair, tmp_path: Path) -> None:
    """The reference's gradients go through the same folder format as its weights do."""
    tokens, documents, positions = packed_batch()
    targets = tokens.roll(-1, dims=1).flatten()
    pair.reference.zero_grad()
    functional.cross_entropy(
        pair.reference(tokens, position_ids=positions, use_cache=False).logits.flatten(0, 1), targets
    ).backward()
    pair.ours.zero_grad()
    hidden = pair.ours(tokens, documents, positions).hidden
    functional.cross_entropy(pair.ours.head(hidden).flatten(0, 1), targets).backward()

    gradients = AutoModelForCausalLM.from_config(pair.reference.config)
    with torch.no_grad():
        for holder, parameter in zip(gradients.parameters(), pair.reference.parameters(), strict=True):
            holder.copy_(torch.zeros_like(parameter) if parameter.grad is None else parameter.grad)
        for module in gradients.modules():
            clear_unused_blocks(module)
    gradients.save_pretrained(tmp_path)

    ours = dict(pair.ours.named_parameters())
    compared = 0
    for name, expected in open_released(tmp_path).tensors():
        if name not in ours:
            continue
        gradient = ours[name].grad
        if gradient is None:
            assert "indexer" in name, name
            assert not expected.any()
            continue
        scale = expected.abs().max()
        assert scale > 0, name
        assert (gradient - expected).abs().max() < 1e-3 * scale, name
        compared += 1
    assert compared > len(ours) // 2


def test_greedy_decoding_agrees(pair: Pair) -> None:
    prompt = packed_batch()[0][:, :13]
    expected = pair.reference.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=9, min_new_tokens=9, do_sample=False
    )
    assert generate(pair.ours, prompt, 9).tolist() == expected.tolist()


def test_the_reference_loads_what_we_export(pair: Pair, tmp_path: Path) -> None:
    folder = export_released(pair.ours, tmp_path / "exported", dtype=torch.float32, shard_bytes=50_000)
    again, report = AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation="eager", output_loading_info=True
    )
    assert not report["missing_keys"] - {name for name in report["missing_keys"] if "correction_bias" in name}
    assert not report["unexpected_keys"]
    tokens, _, positions = packed_batch()
    with torch.no_grad():
        expected = pair.reference(tokens, position_ids=positions, use_cache=False).logits
        assert torch.equal(again.eval()(tokens, position_ids=positions, use_cache=False).logits, expected)
