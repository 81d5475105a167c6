"""Reference models of transformers, and what is compared with them: logits and gradients of packed documents."""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

from lab.model.checkpoint.reader import load_released, open_released
from lab.model.decoder import Decoder

from .parity import require_parity

VOCAB = 97
ROUNDING = 1e-7
"""Of gradients that vanish but for rounding."""


@dataclass
class Pair:
    """A reference model and ours, of the same weights."""

    reference: PreTrainedModel
    ours: Decoder
    folder: Path


def make_pair(config: PreTrainedConfig, folder: Path) -> Pair:
    """The reference draws weights and writes ``folder``; ours is read from it."""
    reference = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    if hasattr(reference, "set_experts_implementation"):
        reference.set_experts_implementation(
            "eager"
        )  # the fast one asks for widths that are multiples of four
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
                parameter.copy_(1.3 * normal(parameter) * max(1, parameter.shape[-1]) ** -0.5)
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


def require_same_logits(pair: Pair) -> None:
    """Logits of packed documents agree, see :func:`require_parity`."""
    tokens, documents, positions = packed_batch()
    with torch.no_grad():
        expected = pair.reference(tokens, position_ids=positions, use_cache=False).logits
        logits = pair.ours.head(pair.ours(tokens, documents, positions).hidden)
    require_parity(pair.ours.config.name, f"transformers {version('transformers')}", logits, expected)


def require_same_gradients(pair: Pair, folder: Path) -> None:
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
    gradients.save_pretrained(folder)

    ours = dict(pair.ours.named_parameters())
    compared = 0
    for name, expected in open_released(folder).tensors():
        if name not in ours:
            continue
        gradient = ours[name].grad
        if gradient is None:
            assert "indexer" in name, name
            assert not expected.any()
            continue
        scale = expected.abs().max()
        assert (gradient - expected).abs().max() <= 1e-3 * scale + ROUNDING, name
        compared += int(scale > 0)
    assert compared > len(ours) // 2
