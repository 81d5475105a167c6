"""Motif 3 against its report's equations over the tensors of a released folder."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lab.config import compose
from lab.model.decoder import Decoder
from lab.model.leaves.position import Rotation

from .parity import EQUATIONS, require_parity
from .written_out import (
    LENGTH,
    SEEDS,
    Tensors,
    made,
    one_step_further,
    poly_norm,
    require_same_gradients,
    rms,
    rope,
    softmax_attention,
    some_sizes,
    some_tokens,
)


def latent_differential(
    at: Tensors, x: Tensor, model: Decoder, rotation: Rotation, window: int | None
) -> Tensor:
    leaf, eps = model.config.attention, model.config.norm.eps
    nope, key_dim = leaf.nope_dim, leaf.nope_dim + leaf.rope_dim
    frequencies = rotation.inverse_frequencies(leaf.rope_dim)
    c_q = rms(at.linear("wq_a", x), at["q_norm.weight"], eps)
    q = at.linear("wq_b", c_q).view(LENGTH, leaf.num_groups, -1, key_dim)
    down = at.linear("wkv_a", x)
    latent = rms(down[:, : leaf.latent_rank], at["kv_norm.weight"], eps)
    k_rope = rope(down[:, leaf.latent_rank :], frequencies)
    kv = at.linear("wkv_b", latent).view(LENGTH, leaf.num_groups, nope + leaf.value_dim)
    noise_weight = torch.sigmoid(at.linear("lambda_proj", x)).view(LENGTH, leaf.num_groups, -1, 1)
    gate = torch.sigmoid(at.linear("wq_b_gate", c_q)).view(LENGTH, leaf.num_groups, -1, leaf.value_dim)
    scale = key_dim**-0.5 * (1.0 if window else (0.1 * math.log(64) + 1) ** 2)
    heads = []
    for g in range(leaf.num_groups):
        k = torch.cat([kv[:, g, :nope], k_rope], dim=-1)
        read = [
            softmax_attention(
                torch.cat([q[:, g, j, :nope], rope(q[:, g, j, nope:], frequencies)], dim=-1),
                k,
                kv[:, g, nope:],
                scale,
                window,
            )
            for j in range(q.shape[2])
        ]
        heads += [gate[:, g, j] * (read[j] - noise_weight[:, g, j] * read[-1]) for j in range(q.shape[2] - 1)]
    return at.linear("wo", torch.cat(heads, dim=-1))


def sigmoid_unit(at: Tensors, x: Tensor) -> Tensor:
    gate = poly_norm(at.linear("gate_proj", x), torch.sigmoid(at["act_fn.weight"]), at["act_fn.bias"])
    return at.linear("down_proj", 0.5 * gate * at.linear("up_proj", x))


def motif_experts(at: Tensors, x: Tensor, top_k: int) -> Tensor:
    scores = torch.sigmoid(at.linear("router.gate", x))
    rows = []
    for t in range(LENGTH):
        chosen = (scores[t] + at["expert_bias"]).topk(top_k).indices
        y = torch.zeros_like(x[t])
        for e in chosen.tolist():
            gate, up = (at["experts.gate_up_proj"][e] @ x[t]).chunk(2)
            bias = at["experts.act_fn.bias"][e].clamp(-0.5, 0.5)
            gate = poly_norm(gate, torch.sigmoid(at["experts.act_fn.weight"][e]), bias)
            weight = 2.0 * scores[t, e] / (scores[t, chosen].sum() + 1e-20)
            y = y + weight * (at["experts.down_proj"][e] @ (0.5 * gate * up))
        rows.append(y)
    return torch.stack(rows) + sigmoid_unit(at.at("shared_experts"), x)


def streams_step(at: Tensors, streams: Tensor, branch: Callable[[Tensor], Tensor]) -> Tensor:
    """``X <- H_res X + h_post F(sum_i h_pre_i X_i)`` token by token."""
    count = streams.shape[1]
    n = rms(streams.flatten(1), at["rms_norm.weight"], 1e-6)
    p = {name: at.linear(f"proj_{name}", n) for name in ("pre", "post", "res")}
    z = {name: at[f"alpha_{name}"] * p[name] + at[f"bias_{name}"].flatten() for name in p}
    pre = torch.sigmoid(z["pre"].clamp(-10, 10))
    post = torch.sigmoid(z["post"].clamp(-10, 10))
    mixing = z["res"].clamp(-20, 20).exp().view(-1, count, count)
    for _ in range(20):
        mixing = mixing / mixing.sum(2, keepdim=True).clamp(min=1e-8)
        mixing = mixing / mixing.sum(1, keepdim=True).clamp(min=1e-8)
    y = branch((pre.unsqueeze(-1) * streams).sum(1))
    return mixing @ streams + post.unsqueeze(-1) * y.unsqueeze(1)


def motif_3_hidden(model: Decoder, tensors: Tensors, tokens: Tensor) -> Tensor:
    config, eps = model.config, model.config.norm.eps
    streams = tensors["model.embed_tokens.weight"][tokens].unsqueeze(1).repeat(1, 4, 1)
    for layer in config.plan():
        at = tensors.at(f"model.layers.{layer.index}")
        window = None if layer.index % 4 == 0 else config.layers.window
        rotation = config.position.rotation(is_local=window is not None)

        def attend(u: Tensor, at: Tensors = at, r: Rotation = rotation, w: int | None = window) -> Tensor:
            h = rms(u, at["input_layernorm.weight"], eps)
            return latent_differential(at.at("self_attn"), h, model, r, w)

        def feed(u: Tensor, at: Tensors = at, sparse: bool = layer.index >= 2) -> Tensor:
            h = rms(u, at["post_attention_layernorm.weight"], eps)
            return (
                motif_experts(at.at("moe"), h, config.router.top_k)
                if sparse
                else sigmoid_unit(at.at("mlp"), h)
            )

        streams = streams_step(at.at("mhc_attn"), streams, attend)
        streams = streams_step(at.at("mhc_ffn"), streams, feed)
    return rms(streams.mean(1), tensors["model.norm.weight"], eps)


@pytest.mark.parametrize(("seed", "signal_heads"), [*zip(SEEDS, (3, 1, 2), strict=True)])
def test_motif_3(seed: int, signal_heads: int, tmp_path: Path) -> None:
    model, tensors = made("motif_3", tmp_path, f"scale.signal_per_noise={signal_heads}", *some_sizes(seed))
    tokens, eps = some_tokens(), model.config.norm.eps
    hidden = motif_3_hidden(model, tensors, tokens)
    expected = tensors.linear("lm_head", hidden)
    require_parity("motif_3", EQUATIONS, model.logits(tokens[None])[0].double(), expected)
    require_same_gradients(model, tensors, tokens, expected, tmp_path / "gradients")

    at, window = tensors.at("model.mtp_layers.0"), model.config.layers.window
    embedded = tensors["model.embed_tokens.weight"][tokens.roll(-1)]
    x = at.linear("input_proj", torch.cat([hidden, rms(embedded, at["embed_norm.weight"], eps)], dim=-1))
    rotation = model.config.position.rotation(is_local=True)
    h = rms(x, at["input_layernorm.weight"], eps)
    x = x + latent_differential(at.at("self_attn"), h, model, rotation, window)
    x = x + sigmoid_unit(at.at("mlp"), rms(x, at["post_attention_layernorm.weight"], eps))
    expected = rms(x, at["final_layernorm.weight"], eps)
    torch.testing.assert_close(one_step_further(model, tokens), expected, rtol=0, atol=1e-4)


def test_motif_3s_scales_at_published_size() -> None:
    config = compose(["model=motif_3", "scale=published"]).model
    model_scale = config.attention.key_dim**-0.5
    local, full = (config.position.rotation(is_local=is_local) for is_local in (True, False))
    assert round(model_scale * local.softmax_scale, 7) == 0.0721688
    assert round(model_scale * full.softmax_scale, 7) == 0.1446796
    assert full.magnitude == 1.0
    plain, stretched = local.inverse_frequencies(64), full.inverse_frequencies(64)
    same = [i for i in range(32) if math.isclose(plain[i], stretched[i])]
    whole = [i for i in range(32) if math.isclose(plain[i] / 64, stretched[i])]
    assert same == list(range(11))  # the ramp runs from channel 10 to channel 23
    assert whole == list(range(23, 32))
