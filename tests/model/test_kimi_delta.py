"""Kimi delta attention against its equations; decoding, packing and padding against plain rows."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lab.config import compose
from lab.errors import ConfigError
from lab.face import build
from lab.kernels.kimi_delta import kimi_delta
from lab.model.attention.kimi_delta import KimiDeltaAttention
from lab.model.cache import Caches, RecurrentCache
from lab.model.context import Context
from lab.model.decoder import Decoder
from lab.model.generate import generate
from lab.model.initial import InitialSpread
from lab.model.leaves.linear_attention import KimiDelta

WIDTH = 7
CONFIG = KimiDelta("kimi_delta", num_heads=3, head_dim=4, conv_width=4, max_beta=2.0)
PUBLISHED_LAYER = 137_732_288  # one of Solar Open 2's 36 layers


def make(config: KimiDelta = CONFIG) -> KimiDeltaAttention:
    """A mixer in float64 with every parameter random and states that last some tokens."""
    module = KimiDeltaAttention(config, WIDTH).double()
    generator = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.6, generator=generator)
    with torch.no_grad():
        module.dt_bias.sub_(2)
    return module


def inputs(length: int, batch: int = 2, seed: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, length, WIDTH, dtype=torch.double, generator=generator)


def context(length: int, start: int = 0, batch: int = 2) -> Context:
    return Context(torch.arange(start, start + length).expand(batch, length), None)


def sigmoid(z: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-z))


def written_out(module: KimiDeltaAttention, x: Tensor) -> Tensor:
    """The report's equations for one sequence ``x [T, D]``: token by token, head by head."""
    heads, d, taps = module.config.num_heads, module.config.head_dim, module.config.conv_width
    projected = [torch.cat([m.weight @ z for m in (module.query, module.key, module.value)]) for z in x]
    states = [torch.zeros(d, d, dtype=x.dtype) for _ in range(heads)]
    outputs = []
    for t, token in enumerate(x):
        u = torch.zeros_like(projected[t])
        for j in range(taps):
            if t - (taps - 1) + j >= 0:
                u = u + module.convolution[:, j] * projected[t - (taps - 1) + j]
        q_all, k_all, v_all = (u * sigmoid(u)).view(3, heads, d)
        decay = module.decay_up.weight @ (module.decay_down.weight @ token) + module.dt_bias
        gate = torch.ones(heads * d, dtype=x.dtype)
        if module.config.output_gate:
            gate = sigmoid(module.gate_up.weight @ (module.gate_down.weight @ token))
        y = []
        for h in range(heads):
            q = q_all[h] / (q_all[h].square().sum() + 1e-6).sqrt() / d**0.5
            k = k_all[h] / (k_all[h].square().sum() + 1e-6).sqrt()
            alpha = torch.exp(-module.A_log[h].exp() * torch.log1p(decay.view(heads, d)[h].exp()))
            beta = module.config.max_beta * sigmoid(module.beta.weight[h] @ token)
            transition = (torch.eye(d, dtype=x.dtype) - beta * torch.outer(k, k)) @ torch.diag(alpha)
            states[h] = transition @ states[h] + beta * torch.outer(k, v_all[h])
            o = states[h].T @ q
            normed = module.norm.weight * o / (o.square().mean() + module.config.output_norm_eps).sqrt()
            y.append(normed * gate.view(heads, d)[h])
        outputs.append(module.output.weight @ torch.cat(y))
    return torch.stack(outputs)


@pytest.mark.parametrize(
    ("conv_width", "max_beta", "output_gate"),
    [(4, 2.0, True), (2, 1.0, True), (1, 2.0, True), (4, 2.0, False)],
)
def test_a_mixer_is_its_equations(conv_width: int, max_beta: float, output_gate: bool) -> None:
    """Values and gradients."""
    module = make(replace(CONFIG, conv_width=conv_width, max_beta=max_beta, output_gate=output_gate))
    x = inputs(9).requires_grad_()
    fast = module(x, context(9), None)
    slow = torch.stack([written_out(module, row) for row in x])
    torch.testing.assert_close(fast, slow)
    weight = torch.randn_like(fast)
    names = ["x", *(name for name, _ in module.named_parameters())]
    of = [x, *module.parameters()]
    ours = torch.autograd.grad((fast * weight).sum(), of)
    theirs = torch.autograd.grad((slow * weight).sum(), of)
    for name, one, other in zip(names, ours, theirs, strict=True):
        torch.testing.assert_close(one, other, msg=lambda text, name=name: f"{name}: {text}")


def test_a_mixer_with_write_strengths_below_one_is_transformers_kimi_linear() -> None:
    from transformers import KimiLinearConfig
    from transformers.models.kimi_linear.modeling_kimi_linear import KimiLinearDeltaAttention

    module = make(replace(CONFIG, max_beta=1.0, output_norm_eps=1e-5)).float()
    hub = KimiLinearConfig(
        hidden_size=WIDTH,
        linear_num_heads=3,
        linear_head_dim=4,
        linear_conv_kernel_dim=4,
        rms_norm_eps=1e-5,
        num_hidden_layers=1,
        layer_types=["linear_attention"],
    )
    theirs = KimiLinearDeltaAttention(hub, 0)
    names = {
        "q_proj.weight": "query.weight",
        "k_proj.weight": "key.weight",
        "v_proj.weight": "value.weight",
        "o_proj.weight": "output.weight",
        "conv1d.weight": "convolution",
        "b_proj.weight": "beta.weight",
        "g_a_proj.weight": "gate_down.weight",
        "g_b_proj.weight": "gate_up.weight",
        "o_norm.weight": "norm.weight",
        "forget_gate.f_a_proj.weight": "decay_down.weight",
        "forget_gate.f_b_proj.weight": "decay_up.weight",
        "forget_gate.A_log": "A_log",
        "forget_gate.dt_bias": "dt_bias",
    }
    ours = module.state_dict()
    shapes = {name: weight.shape for name, weight in theirs.state_dict().items()}
    theirs.load_state_dict({name: ours[names[name]].view(shape) for name, shape in shapes.items()})
    x = inputs(70).float()
    torch.testing.assert_close(module(x, context(70), None), theirs(x), atol=1e-4, rtol=1e-4)


def test_documents_start_afresh() -> None:
    """A packed row is its documents one by one, in the state and in the convolution."""
    module, x = make(), inputs(12)
    documents = torch.tensor([[0] * 5 + [1] * 1 + [2] * 6, [0] * 12])
    positions = torch.tensor([[*range(5), 0, *range(6)], [*range(12)]])
    packed = module(x, Context(positions, documents), None)
    alone = torch.cat(
        [module(part, context(part.shape[1], batch=1), None) for part in x[:1].split([5, 1, 6], 1)], 1
    )
    torch.testing.assert_close(packed[:1], alone)
    torch.testing.assert_close(packed[1:], module(x[1:], context(12, batch=1), None))


@pytest.mark.parametrize("pieces", [[1] * 11, [4, 1, 1, 5], [2, 7, 2]])
def test_decoding_is_prefill(pieces: list[int]) -> None:
    module, x, cache, start, parts = make(), inputs(11), RecurrentCache(), 0, []
    for piece in x.split(pieces, dim=1):
        parts.append(module(piece, context(piece.shape[1], start), cache))
        start += piece.shape[1]
    torch.testing.assert_close(torch.cat(parts, dim=1), module(x, context(11), None), atol=1e-8, rtol=1e-8)


def test_padding_touches_nothing() -> None:
    """Rows padded on either side, in three calls: their tokens come out as they do alone."""
    module, junk = make(), 50.0
    lengths = [(3, 2, 4), (5, 0, 1)]  # tokens of each row in each call; the rest of the call is padding
    rows = [inputs(sum(row), batch=1, seed=row[0]) for row in lengths]
    expected = [module(row, context(row.shape[1], batch=1), None)[0] for row in rows]
    cache, seen, got = RecurrentCache(), [0, 0], [[], []]
    for call, side in enumerate(["left", "right", "right"]):
        longest = max(row[call] for row in lengths) + 1  # at least one padding in each row
        x = torch.full((2, longest, WIDTH), junk, dtype=torch.double)
        positions = torch.full((2, longest), -1)
        for row, counts in enumerate(lengths):
            count = counts[call]
            where = slice(longest - count, longest) if side == "left" else slice(0, count)
            x[row, where] = rows[row][0, seen[row] : seen[row] + count]
            positions[row, where] = torch.arange(seen[row], seen[row] + count)
            seen[row] += count
        y = module(x, Context(positions, None), cache)
        for row in range(2):
            got[row].append(y[row][positions[row] >= 0])
    for row in range(2):
        torch.testing.assert_close(torch.cat(got[row]), expected[row])


def test_padding_alone_keeps_the_cache() -> None:
    module, cache = make(), RecurrentCache()
    module(inputs(6), context(6), cache)
    state, tail = cache.get("state").clone(), cache.get("tail").clone()
    module(torch.full((2, 3, WIDTH), 9.0, dtype=torch.double), Context(torch.full((2, 3), -1), None), cache)
    assert torch.equal(cache.get("state"), state)
    assert torch.equal(cache.get("tail"), tail)


def test_the_cache_has_the_size_that_the_leaf_predicts() -> None:
    module, cache = make().float(), RecurrentCache()
    sizes = []
    for length in (1, 9):
        module(inputs(length).float(), context(length), cache)
        state, tail = cache.get("state"), cache.get("tail")
        assert state.dtype == torch.float32
        sizes.append(state[0].numel() * 4 + tail[0].numel() * 2)  # the tail is sized in bfloat16
    predicted = CONFIG.cache(window=None)
    assert sizes == [predicted.fixed, predicted.fixed]
    assert predicted.per_token == 0


def test_the_recurrence_is_float32_under_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    module, x, seen = make().float(), inputs(5).float(), []

    def spied(*arguments: Tensor | None) -> tuple[Tensor, Tensor]:
        seen.append((torch.is_autocast_enabled("cpu"), [arguments[i].dtype for i in (0, 1, 3, 4)]))
        return kimi_delta(*arguments)

    monkeypatch.setattr("lab.model.attention.kimi_delta.kimi_delta", spied)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = module(x, context(5), None)
    assert seen == [(False, [torch.float32] * 4)]  # queries, keys, log-decay, write strength
    torch.testing.assert_close(y.float(), module(x, context(5), None), atol=0.05, rtol=0.05)


# How it starts.


def test_a_new_mixer_remembers_between_one_and_a_hundred_tokens() -> None:
    """Half-lives of channels at 5, 50 and 95 %: 0.90, 9.9 and 110 tokens (flash-linear-attention)."""
    module = KimiDeltaAttention(KimiDelta("kimi_delta", num_heads=64, head_dim=128), 2)
    module.initialise(torch.Generator().manual_seed(0), InitialSpread(0.02, 1.0))
    for name in ("decay_down", "decay_up"):
        torch.nn.init.zeros_(getattr(module, name).weight)
    decay = -module._log_decay(torch.zeros(1, 1, 2)).detach().flatten()
    half_lives = (0.693147 / decay).quantile(torch.tensor([0.05, 0.5, 0.95]))
    torch.testing.assert_close(half_lives, torch.tensor([0.90, 9.9, 110]), rtol=0.25, atol=0)
    assert module.A_log.exp().min() >= 1
    assert module.A_log.exp().max() <= 16
    assert module.convolution.abs().max() <= 0.5
    assert module.convolution.std().item() == pytest.approx(0.5 / 3**0.5, rel=0.05)


def test_decay_parameters_are_not_decayed() -> None:
    marked = {name for name, p in make().named_parameters() if getattr(p, "no_weight_decay", False)}
    assert marked == {"A_log", "dt_bias"}


def test_a_layer_of_solar_open_2_has_the_published_parameters() -> None:
    config = compose(["model=solar_open_2", "scale=published"]).model.linear_attention
    with torch.device("meta"):
        module = config.build(4096, None, None)
    assert sum(p.numel() for p in module.parameters()) == config.num_params(4096) == PUBLISHED_LAYER
    without = replace(config, output_gate=False)
    with torch.device("meta"):
        module = without.build(4096, None, None)
    gate = 4096 * 128 + 128 * 64 * 128
    assert sum(p.numel() for p in module.parameters()) == without.num_params(4096) == PUBLISHED_LAYER - gate
    assert config.flops_per_token(4096, 1) - without.flops_per_token(4096, 1) == 2 * gate


# In a model.


def test_three_of_four_layers_recur_and_keep_no_slots() -> None:
    with torch.device("meta"):
        model = Decoder(compose(["model=solar_open_2", "scale.layers=8"]).model)
    kinds = [type(block.mixer).__name__ for block in model.blocks]
    assert kinds == ["GatedGroupedQueryAttention", *["KimiDeltaAttention"] * 3] * 2
    caches = model.new_caches(2, 16)
    assert [isinstance(cache, RecurrentCache) for cache in caches.layers] == [False, True, True, True] * 2
    assert list(caches._slots) == [None]


@pytest.mark.parametrize(
    "overrides",
    [[], ["model/attention=kimi_delta", "model/linear_attention=none", "model.layers.pattern=GL"]],
)
def test_greedy_decoding_is_the_argmax_of_prefill(overrides: list[str]) -> None:
    """Solar Open 2's hybrid, and a model in which every layer recurs."""
    config = compose(
        ["model=solar_open_2", "scale.layers=4", "scale.width=32", "scale.vocab_size=300", *overrides]
    )
    model = build(config).eval()
    prompt = torch.randint(300, (2, 5), generator=torch.Generator().manual_seed(3))
    tokens = generate(model, prompt, 6).clone()
    caches = model.new_caches(2, 11)
    with torch.no_grad():
        full = model(tokens).hidden
        parts = [model(piece, caches=caches).hidden for piece in tokens.split([4, 1, 1, 5], dim=1)]
        best = model.head(full).argmax(-1)
    torch.testing.assert_close(torch.cat(parts, dim=1), full, atol=1e-4, rtol=1e-4)
    assert torch.equal(best[:, 4:-1], tokens[:, 5:])


def test_a_model_without_windows_or_slots_can_be_cached() -> None:
    caches = Caches([(CONFIG, None)] * 2, batch=1, capacity=4, device=torch.device("cpu"))
    caches.extend(torch.arange(3).view(1, 3))
    assert caches.length == 3


# What is refused.


def test_linear_layers_need_a_linear_mixer() -> None:
    with pytest.raises(ConfigError, match=r"model.layers.pattern=.*D.* needs a model.linear_attention"):
        compose(["model=llama", "model.layers.pattern=GD"])
    with pytest.raises(ConfigError, match=r"model.layers.lead=X"):
        compose(["model=llama", "model.layers.lead=X"])


@pytest.mark.parametrize(
    ("name", "value"), [("max_beta", 2.5), ("max_beta", 0), ("conv_width", 0), ("num_heads", 0)]
)
def test_bad_settings_are_named(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"model.linear_attention.{name}={value}"):
        replace(CONFIG, **{name: value})
