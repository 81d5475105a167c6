"""What transformers lacks of K-EXAONE: the multi-token block, and the windows and clamps of K-EXAONE 2.0.

The trunk of the first K-EXAONE is held to transformers elsewhere.
"""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from lab.model.decoder import Decoder

from .parity import EQUATIONS, require_parity
from .written_out import (
    LENGTH,
    SEEDS,
    Tensors,
    made,
    one_step_further,
    plain_frequencies,
    require_same_gradients,
    rms,
    rope,
    softmax_attention,
    some_sizes,
    some_tokens,
    swiglu,
)


def normed_attention(at: Tensors, x: Tensor, model: Decoder, window: int | None) -> Tensor:
    """Query and key heads normed; rotated where there is a window."""
    leaf, eps = model.config.attention, model.config.norm.eps
    q, k, v = (at.linear(f"{n}_proj", x).view(LENGTH, -1, leaf.head_dim) for n in "qkv")
    q, k = rms(q, at["q_norm.weight"], eps), rms(k, at["k_norm.weight"], eps)
    if window is not None:
        frequencies = plain_frequencies(model.config.position.base, leaf.head_dim)
        q, k = rope(q, frequencies), rope(k, frequencies)
    shared = leaf.num_heads // leaf.num_kv_heads
    heads = [
        softmax_attention(q[:, j], k[:, j // shared], v[:, j // shared], leaf.head_dim**-0.5, window)
        for j in range(leaf.num_heads)
    ]
    return at.linear("o_proj", torch.cat(heads, dim=-1))


def clamped_swiglu(at: Tensors, x: Tensor, limit: float) -> Tensor:
    """The gate is clamped above, the other factor on both sides."""
    gate = at.linear("gate_proj", x).clamp(max=limit)
    return at.linear("down_proj", gate * torch.sigmoid(gate) * at.linear("up_proj", x).clamp(-limit, limit))


def clamped_experts(at: Tensors, x: Tensor, top_k: int, limit: float) -> Tensor:
    scores = torch.sigmoid(at.linear("gate", x))
    rows = []
    for t in range(LENGTH):
        chosen = (scores[t] + at["e_score_correction_bias"]).topk(top_k).indices
        weights = 2.5 * scores[t, chosen] / (scores[t, chosen].sum() + 1e-20)
        chosen_and_weights = zip(chosen.tolist(), weights, strict=True)
        rows.append(
            sum(w * clamped_swiglu(at.at(f"experts.{e}"), x[t], limit) for e, w in chosen_and_weights)
        )
    return torch.stack(rows) + clamped_swiglu(at.at("shared_experts"), x, limit)


@pytest.mark.parametrize("clamped_layers", [2, 5])
@pytest.mark.parametrize("seed", SEEDS)
def test_k_exaone_2(clamped_layers: int, seed: int, tmp_path: Path) -> None:
    limit, windows = 0.4, (None, 11, 6, 6, 6, None)  # the first window is wider, the last layer is global
    sizes = ("scale.layers=6", "scale.lead_window=11", f"scale.clamped_layers={clamped_layers}")
    model, tensors = made(
        "k_exaone_2", tmp_path, *sizes, *some_sizes(seed), f"model.feed_forward.limit={limit}"
    )
    tokens, eps = some_tokens(), model.config.norm.eps
    x = tensors["model.embed_tokens.weight"][tokens]
    for layer, window in enumerate(windows):
        at = tensors.at(f"model.layers.{layer}")
        h = rms(x, at["input_layernorm.weight"], eps)
        x = x + normed_attention(at.at("self_attn"), h, model, window)
        h = rms(x, at["post_attention_layernorm.weight"], eps)
        bound = limit if layer >= len(windows) - clamped_layers else torch.inf
        if layer < 2:
            x = x + clamped_swiglu(at.at("mlp"), h, bound)
        else:
            x = x + clamped_experts(at.at("mlp"), h, model.config.router.top_k, bound)
    expected = tensors.linear("lm_head", rms(x, tensors["model.norm.weight"], eps))
    require_parity("k_exaone_2", EQUATIONS, model.logits(tokens[None])[0].double(), expected)
    require_same_gradients(model, tensors, tokens, expected, tmp_path / "gradients")


@pytest.mark.parametrize("name", ["k_exaone", "k_exaone_2"])
def test_k_exaones_multi_token_block(name: str, tmp_path: Path) -> None:
    model, tensors = made(name, tmp_path)
    tokens, eps, at = some_tokens(), model.config.norm.eps, tensors.at("mtp")
    hidden = model(tokens[None]).hidden[0].double()
    embedded = tensors["model.embed_tokens.weight"][tokens.roll(-1)]
    x = torch.cat(
        [
            rms(embedded, at["pre_fc_norm_embedding.weight"], eps),
            rms(hidden, at["pre_fc_norm_hidden.weight"], eps),
        ],
        dim=-1,
    )
    x, block = at.linear("fc", x), at.at("layers.0")
    x = x + normed_attention(
        block.at("self_attn"), rms(x, block["input_layernorm.weight"], eps), model, window=6
    )
    x = x + swiglu(block.at("mlp"), rms(x, block["post_attention_layernorm.weight"], eps))
    expected = rms(x, at["norm.weight"], eps)
    torch.testing.assert_close(one_step_further(model, tokens), expected, rtol=0, atol=1e-4)
