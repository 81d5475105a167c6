"""K-EXAONE's multi-token block, which transformers drops; the trunk is held to transformers elsewhere."""

from pathlib import Path

import pytest
import torch

from .written_out import (
    LENGTH,
    made,
    one_step_further,
    plain_frequencies,
    rms,
    rope,
    softmax_attention,
    some_tokens,
    swiglu,
)


@pytest.mark.parametrize("name", ["k_exaone", "k_exaone_2"])
def test_k_exaones_multi_token_block(name: str, tmp_path: Path) -> None:
    model, tensors = made(name, tmp_path)
    tokens, leaf, eps = some_tokens(), model.config.attention, model.config.norm.eps
    at, frequencies = tensors.at("mtp"), plain_frequencies(model.config.position.base, leaf.head_dim)
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
    h, mixer = rms(x, block["input_layernorm.weight"], eps), block.at("self_attn")
    q, k, v = (mixer.linear(f"{n}_proj", h).view(LENGTH, -1, leaf.head_dim) for n in "qkv")
    q = rope(rms(q, mixer["q_norm.weight"], eps), frequencies)
    k = rope(rms(k, mixer["k_norm.weight"], eps), frequencies)
    shared = leaf.num_heads // leaf.num_kv_heads
    y = [
        softmax_attention(q[:, j], k[:, j // shared], v[:, j // shared], leaf.head_dim**-0.5, window=6)
        for j in range(leaf.num_heads)
    ]
    x = x + mixer.linear("o_proj", torch.cat(y, dim=-1))
    x = x + swiglu(block.at("mlp"), rms(x, block["post_attention_layernorm.weight"], eps))
    expected = rms(x, at["norm.weight"], eps)
    torch.testing.assert_close(one_step_further(model, tokens), expected, rtol=0, atol=1e-4)
