"""Motif-2.6B and Motif 2 against their reports' equations over the tensors of a released folder."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lab.model.attention.grouped_differential import lambda_init
from lab.model.decoder import Decoder

from .parity import EQUATIONS, require_parity
from .written_out import (
    LENGTH,
    SEEDS,
    Tensors,
    made,
    plain_frequencies,
    poly_norm,
    require_same_gradients,
    rms,
    rope,
    softmax_attention,
    some_sizes,
    some_tokens,
)


def motif_lambda(at: Tensors, layer: int) -> tuple[Tensor, float]:
    start = 0.8 - 0.6 * math.exp(-0.3 * (layer - 1))
    first = torch.exp(at["lambda_q1"] @ at["lambda_k1"])
    return first - torch.exp(at["lambda_q2"] @ at["lambda_k2"]) + start, start


def differential(at: Tensors, x: Tensor, layer: int, d: int, base: float) -> Tensor:
    """Motif-2.6B: adjacent head pairs, the second subtracted from the first."""
    frequencies = plain_frequencies(base, d)
    q = rope(at.linear("q_proj", x).view(LENGTH, -1, d), frequencies)
    k = rope(at.linear("k_proj", x).view(LENGTH, -1, d), frequencies)
    v = at.linear("v_proj", x).view(LENGTH, -1, 2 * d)
    weight, start = motif_lambda(at, layer)
    heads = []
    for g in range(v.shape[1]):
        first = softmax_attention(q[:, 2 * g], k[:, 2 * g], v[:, g], d**-0.5)
        second = softmax_attention(q[:, 2 * g + 1], k[:, 2 * g + 1], v[:, g], d**-0.5)
        heads.append(rms(first - weight * second, at["subln.weight"], 1e-5) * (1 - start))
    return at.linear("o_proj", torch.cat(heads, dim=-1))


def grouped_differential(at: Tensors, x: Tensor, layer: int, d: int, base: float) -> Tensor:
    """Motif 2: groups of signal heads and one noise head, whose output all of them share."""
    frequencies = plain_frequencies(base, d)
    v = at.linear("v_proj", x).view(LENGTH, -1, 2 * d)
    groups = v.shape[1]
    q = rope(at.linear("q_proj", x).view(LENGTH, groups, -1, d), frequencies)
    k = rope(at.linear("k_proj", x).view(LENGTH, groups, 2, d), frequencies)
    weight, start = motif_lambda(at, layer)
    heads = []
    for g in range(groups):
        noise = softmax_attention(q[:, g, -1], k[:, g, 1], v[:, g], d**-0.5)
        for j in range(q.shape[2] - 1):
            signal = softmax_attention(q[:, g, j], k[:, g, 0], v[:, g], d**-0.5)
            heads.append(rms(signal - weight * noise, at["subln.weight"], 1e-5) * (1 - start))
    return at.linear("o_proj", torch.cat(heads, dim=-1))


Mixer = Callable[[Tensors, Tensor, int, int, float], Tensor]


def motif_logits(model: Decoder, tensors: Tensors, tokens: Tensor, mixer: Mixer) -> Tensor:
    config = model.config
    x = tensors["model.embed_tokens.weight"][tokens]
    for layer in range(config.layers.count):
        at = tensors.at(f"model.layers.{layer}")
        h = rms(x, at["input_layernorm.weight"], 1e-6)
        x = x + mixer(at.at("self_attn"), h, layer, config.attention.head_dim, config.position.base)
        h, mlp = rms(x, at["post_attention_layernorm.weight"], 1e-6), at.at("mlp")
        gate = poly_norm(mlp.linear("gate_proj", h), mlp["act_fn.weight"], mlp["act_fn.bias"])
        x = x + mlp.linear("down_proj", gate * mlp.linear("up_proj", h))
    head = "model.embed_tokens" if config.tied_embeddings else "lm_head"
    return tensors.linear(head, rms(x, tensors["model.norm.weight"], 1e-6))


@pytest.mark.parametrize(
    ("name", "mixer", "overrides"),
    [
        ("motif_2_6b", differential, []),
        ("motif_2_6b", grouped_differential, []),  # one signal head a group is the same thing
        ("motif_2", grouped_differential, ["scale.signal_per_noise=3"]),
    ],
)
@pytest.mark.parametrize("seed", SEEDS)
def test_motif_2(name: str, mixer: Mixer, overrides: list[str], seed: int, tmp_path: Path) -> None:
    model, tensors = made(name, tmp_path, *overrides, *some_sizes(seed))
    tokens = some_tokens()
    expected = motif_logits(model, tensors, tokens, mixer)
    require_parity(name, EQUATIONS, model.logits(tokens[None])[0].double(), expected)
    require_same_gradients(model, tensors, tokens, expected, tmp_path / "gradients")


def test_lambda_starts_at_the_released_codes_values() -> None:
    """Layers count from 0 inside the exponential, so the first one starts below zero, not at 0.2."""
    golden = {0: -0.0099, 1: 0.2, 2: 0.3555, 3: 0.4707, 5: 0.6193, 10: 0.7597, 20: 0.7980, 31: 0.7999}
    assert {layer: round(lambda_init(layer), 4) for layer in golden} == golden
