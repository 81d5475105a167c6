"""Solar Open 2 against its report's equations over the tensors of a released folder."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from .parity import EQUATIONS, require_parity
from .written_out import (
    LENGTH,
    SEEDS,
    Tensors,
    made,
    require_same_gradients,
    rms,
    softmax_attention,
    some_sizes,
    some_tokens,
    swiglu,
)


def kimi_delta(at: Tensors, x: Tensor, heads: int, d: int) -> Tensor:
    """The recurrence, token by token and head by head."""

    def convolved(name: str) -> Tensor:
        u, weight = at.linear(f"{name}_proj", x), at[f"{name}_conv1d.weight"][:, 0]
        padded = torch.cat([torch.zeros(3, u.shape[1], dtype=u.dtype), u])
        y = sum(weight[:, j] * padded[j : j + LENGTH] for j in range(4))
        return (y * torch.sigmoid(y)).view(LENGTH, heads, d)

    q, k, v = (convolved(name) for name in "qkv")
    q = q / (q.square().sum(-1, keepdim=True) + 1e-6).sqrt() * d**-0.5
    k = k / (k.square().sum(-1, keepdim=True) + 1e-6).sqrt()
    f = (at.linear("f_b_proj", at.linear("f_a_proj", x)) + at["dt_bias"]).view(LENGTH, heads, d)
    alpha = torch.exp(-at["A_log"].view(heads, 1).exp() * torch.log1p(f.exp()))
    beta = 2 * torch.sigmoid(at.linear("b_proj", x))
    gate = torch.sigmoid(at.linear("g_b_proj", at.linear("g_a_proj", x))).view(LENGTH, heads, d)
    y = torch.zeros(LENGTH, heads, d, dtype=x.dtype)
    for h in range(heads):
        state = torch.zeros(d, d, dtype=x.dtype)
        for t in range(LENGTH):
            state = alpha[t, h, :, None] * state
            u = beta[t, h] * (v[t, h] - state.T @ k[t, h])
            state = state + torch.outer(k[t, h], u)
            y[t, h] = state.T @ q[t, h]
    return at.linear("o_proj", (rms(y, at["o_norm.weight"], 1e-5) * gate).flatten(1))


def gated_softmax(at: Tensors, x: Tensor, heads: int, kv_heads: int, d: int) -> Tensor:
    q, k, v = (at.linear(f"{name}_proj", x).view(LENGTH, -1, d) for name in "qkv")
    reads = [h // (heads // kv_heads) for h in range(heads)]
    y = torch.cat(
        [softmax_attention(q[:, h], k[:, r], v[:, r], d**-0.5) for h, r in enumerate(reads)], dim=-1
    )
    return at.linear("o_proj", y * torch.sigmoid(at.linear("g_proj", x)))


def solar_experts(at: Tensors, x: Tensor, top_k: int) -> Tensor:
    scores = torch.sigmoid(at.linear("gate", x))
    rows = []
    for t in range(LENGTH):
        chosen = (scores[t] + at["gate.e_score_correction_bias"]).topk(top_k).indices
        weights = scores[t, chosen] / (scores[t, chosen].sum() + 1e-20)
        chosen_and_weights = zip(chosen.tolist(), weights, strict=True)
        rows.append(sum(w * swiglu(at.at(f"experts.{e}"), x[t]) for e, w in chosen_and_weights))
    return torch.stack(rows) + swiglu(at.at("shared_experts"), x)


@pytest.mark.parametrize("seed", SEEDS)
def test_solar_open_2(seed: int, tmp_path: Path) -> None:
    model, tensors = made("solar_open_2", tmp_path, *some_sizes(seed))
    config, tokens = model.config, some_tokens()
    softmax, linear = config.attention, config.linear_attention
    x = tensors["model.embed_tokens.weight"][tokens]
    for layer in range(config.layers.count):
        at = tensors.at(f"model.layers.{layer}")
        h, mixer = rms(x, at["input_layernorm.weight"], 1e-5), at.at("self_attn")
        if layer % 4 == 0:
            x = x + gated_softmax(mixer, h, softmax.num_heads, softmax.num_kv_heads, softmax.head_dim)
        else:
            x = x + kimi_delta(mixer, h, linear.num_heads, linear.head_dim)
        h = rms(x, at["post_attention_layernorm.weight"], 1e-5)
        x = x + solar_experts(at.at("mlp"), h, config.router.top_k)
    expected = tensors.linear("lm_head", rms(x, tensors["model.norm.weight"], 1e-5))
    require_parity("solar_open_2", EQUATIONS, model.logits(tokens[None])[0].double(), expected)
    require_same_gradients(model, tensors, tokens, expected, tmp_path / "gradients")
