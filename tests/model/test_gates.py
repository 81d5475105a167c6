"""Gated and clamped parts, each against its equation written out, and published examples."""

import pytest
import torch
from torch import Tensor

from lab.config import compose
from lab.errors import ConfigError
from lab.model.attention.grouped_query import GatedGroupedQueryAttention, GroupedQueryAttention
from lab.model.context import Context
from lab.model.decoder import Decoder
from lab.model.feed_forward.activation import ClampedSwiGLU, PolyNorm, SigmoidPolyNorm, SwiGLU
from lab.model.leaves.attention import GroupedQueryGated
from lab.model.leaves.layers import LayerPlan
from lab.model.leaves.position import Rotation
from lab.model.norm import GatedRMSNorm, RMSNorm

GOLDEN_INPUT = [1.0, -2.0, 3.0, 0.5]
GOLDEN_POLY_NORM = [0.267585, -0.273191, 1.774501, 0.108090]
GOLDEN_SIGMOID_POLY_NORM = [0.467662, -0.477460, 3.101314, 0.188910]  # before the output scale


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.double, generator=torch.Generator().manual_seed(seed))


def assert_same(fast: Tensor, slow: Tensor, inputs: list[Tensor]) -> None:
    """Values, and gradients of a random projection with respect to ``inputs``."""
    torch.testing.assert_close(fast, slow)
    weight = random(*fast.shape, seed=99)
    for ours, theirs in zip(
        torch.autograd.grad((fast * weight).sum(), inputs),
        torch.autograd.grad((slow * weight).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


# Attention with a gated output.


def gated_attention_written_out(module: GatedGroupedQueryAttention, x: Tensor, window: int) -> Tensor:
    """``W_o (softmax(q k^T / sqrt(d)) v * sigmoid(W_g x))`` of one row ``[T, D]``, query by query."""
    d, heads = module.head_dim, module.query.out_features // module.head_dim
    rows = []
    for t in range(len(x)):
        heads_of_token = []
        for h in range(heads):
            shared = h // (heads // (module.key.out_features // d))
            q = module.query.weight[h * d : (h + 1) * d] @ x[t]
            first = max(0, t - window + 1)
            k = x[first : t + 1] @ module.key.weight[shared * d : (shared + 1) * d].T
            v = x[first : t + 1] @ module.value.weight[shared * d : (shared + 1) * d].T
            gate = 1 / (1 + torch.exp(-module.gate.weight[h * d : (h + 1) * d] @ x[t]))
            heads_of_token.append(torch.softmax(k @ q / d**0.5, dim=0) @ v * gate)
        rows.append(module.output.weight @ torch.cat(heads_of_token))
    return torch.stack(rows)


def test_gated_attention_is_its_equation() -> None:
    config = GroupedQueryGated("grouped_query_gated", num_heads=4, num_kv_heads=2, head_dim=6)
    layer = LayerPlan(0, 1, "local", 3, sparse=False, rotation=None)
    module = GatedGroupedQueryAttention(config, 10, layer).double()
    x = random(2, 7, 10).requires_grad_()
    y = module(x, Context(torch.arange(7).expand(2, 7), None), None)
    slow = torch.stack([gated_attention_written_out(module, row, window=3) for row in x])
    assert_same(y, slow, [x, *module.parameters()])
    with torch.device("meta"):
        built = config.build(10, layer, None)
    assert sum(p.numel() for p in built.parameters()) == config.num_params(10)


def test_a_closed_gate_silences_and_an_open_one_is_plain_attention() -> None:
    config = GroupedQueryGated("grouped_query_gated", num_heads=2, num_kv_heads=2, head_dim=4)
    layer = LayerPlan(0, 1, "global", None, sparse=False, rotation=Rotation(100.0))
    gated, plain = GatedGroupedQueryAttention(config, 8, layer), GroupedQueryAttention(config, 8, layer)
    plain.load_state_dict({n: p for n, p in gated.state_dict().items() if not n.startswith("gate.")})
    x = torch.rand(1, 5, 8) + 0.1
    context = Context(torch.arange(5).expand(1, 5), None)
    torch.nn.init.constant_(gated.gate.weight, 1e3)
    torch.testing.assert_close(gated(x, context, None), plain(x, context, None))
    torch.nn.init.constant_(gated.gate.weight, -1e3)
    assert gated(x, context, None).abs().max() < 1e-6


# Norm.


def test_gated_norm_is_its_equation() -> None:
    module = GatedRMSNorm(6, 1e-6, rank=2).double()
    torch.nn.init.normal_(module.weight)
    x = random(3, 5, 6).requires_grad_()
    rows = []
    for row in x.reshape(-1, 6):
        y = module.weight * row / (sum(c * c for c in row) / 6 + 1e-6).sqrt()
        low = module.down.weight @ y
        low = low / (1 + torch.exp(-low))
        rows.append(y / (1 + torch.exp(-module.up.weight @ low)))
    assert_same(module(x), torch.stack(rows).view(3, 5, 6), [x, *module.parameters()])


def test_gated_norm_multiplies_in_float32_and_keeps_the_type() -> None:
    module = GatedRMSNorm(64, 1e-6, rank=4).bfloat16()
    x = torch.randn(8, 64).bfloat16()
    y = RMSNorm.forward(module, x)
    gate = torch.sigmoid(module.up(torch.nn.functional.silu(module.down(y))).float())
    assert module(x).dtype == torch.bfloat16
    assert torch.equal(module(x), (y.float() * gate).bfloat16())
    assert not torch.equal(module(x), y * gate.bfloat16())


def test_norms_are_gated_at_attention_and_experts_only() -> None:
    """A.X K2: the input norm of every layer, the second norm of mixture layers, nothing else."""
    with torch.device("meta"):
        model = Decoder(compose(["model=ax_k2"]).model)
    gated = {name for name, module in model.named_modules() if isinstance(module, GatedRMSNorm)}
    layers = range(len(model.blocks))
    expected = {f"blocks.{layer}.mixer_join.norm" for layer in layers}
    expected |= {f"blocks.{layer}.feed_forward_join.norm" for layer in layers if layer >= 1}
    assert gated == expected


# Clamped SwiGLU.


def test_clamped_swiglu_is_its_equation() -> None:
    gate, up = (3 * random(4, 50)).requires_grad_(), (3 * random(4, 50, seed=1)).requires_grad_()
    slow = []
    for g, u in zip(gate.flatten(), up.flatten(), strict=True):
        g = g if g < 2 else torch.full_like(g, 2) + 0 * g
        u = u if -2 < u < 2 else torch.full_like(u, 2) * u.detach().sign() + 0 * u
        slow.append(g / (1 + torch.exp(-g)) * u)
    assert_same(ClampedSwiGLU(2.0)(gate, up), torch.stack(slow).view(4, 50), [gate, up])


def test_the_gate_has_no_lower_limit() -> None:
    gate, up = torch.tensor([-30.0, 30.0]), torch.tensor([1.0, -30.0])
    expected = torch.tensor([-30 / (1 + torch.tensor(30.0).exp()), -49 / (1 + torch.tensor(-7.0).exp())])
    torch.testing.assert_close(ClampedSwiGLU(7.0)(gate, up), expected)


def test_only_the_last_layers_are_clamped_and_never_the_multi_token_block() -> None:
    with torch.device("meta"):
        model = Decoder(compose(["model=k_exaone_2", "model.feed_forward.clamped_layers=3"]).model)
    for index, block in enumerate(model.blocks):
        kinds = {type(m) for m in block.modules() if isinstance(m, SwiGLU)}
        assert kinds == {ClampedSwiGLU if index >= len(model.blocks) - 3 else SwiGLU}
    assert {type(m) for m in model.multi_token.modules() if isinstance(m, SwiGLU)} == {SwiGLU}


def test_a_limit_must_be_positive() -> None:
    with pytest.raises(ConfigError, match=r"model.feed_forward.limit=-1"):
        compose(["model=k_exaone_2", "model.feed_forward.limit=-1"])


# PolyNorm.


def poly_norm_written_out(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``w_0 n(x^3) + w_1 n(x^2) + w_2 n(x) + b`` of one row."""
    y = bias.expand(len(x))
    for w, power in zip(weight, (3, 2, 1), strict=True):
        z = x**power
        y = y + w * z / (sum(c * c for c in z) / len(z) + 1e-6).sqrt()
    return y


def test_poly_norm_examples() -> None:
    x, one = torch.tensor(GOLDEN_INPUT), torch.ones(4)
    plain, bounded = PolyNorm(1e-6, None), SigmoidPolyNorm(1e-6, None, 0.5, None)
    torch.testing.assert_close(plain(x, one), torch.tensor(GOLDEN_POLY_NORM), atol=1e-6, rtol=0)
    expected = torch.tensor(GOLDEN_SIGMOID_POLY_NORM) / 2
    torch.testing.assert_close(bounded(x, one), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("clamp", [None, 0.5])
def test_sigmoid_poly_norm_of_experts_is_its_equation(clamp: float | None) -> None:
    module = SigmoidPolyNorm(1e-6, num_experts=3, output_scale=0.25, bias_clamp=clamp).double()
    torch.nn.init.normal_(module.weight)
    module.bias.data = torch.tensor([[-2.0], [0.3], [0.9]], dtype=torch.double)
    gate, up = random(5, 8).requires_grad_(), random(5, 8, seed=1).requires_grad_()
    experts = torch.tensor([2, 0, 1, 2, 0])
    rows = []
    for row, expert in enumerate(experts):
        bias = module.bias[expert]
        if clamp is not None and bias.abs() > clamp:
            bias = 0 * bias + clamp * bias.detach().sign()
        weight = 1 / (1 + torch.exp(-module.weight[expert]))
        rows.append(0.25 * poly_norm_written_out(gate[row], weight, bias) * up[row])
    inputs = [gate, up, *module.parameters()]
    assert_same(module(gate, up, experts), torch.stack(rows), inputs)


def test_only_routed_experts_clamp_their_bias() -> None:
    with torch.device("meta"):
        model = Decoder(compose(["model=motif_3"]).model)
    clamps = {
        name: module.bias_clamp
        for name, module in model.named_modules()
        if isinstance(module, SigmoidPolyNorm)
    }
    for name, clamp in clamps.items():
        routed = name.endswith("feed_forward.activation") and hasattr(
            model.get_submodule(name.removesuffix(".activation")), "w_in"
        )
        assert clamp == (0.5 if routed else None), name
    assert set(clamps.values()) == {0.5, None}
