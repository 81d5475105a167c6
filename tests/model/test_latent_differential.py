"""Grouped differential attention over a latent: against its equations, and decoding against prefill."""

import pytest
import torch
from torch import Tensor

from lab.model.attention.latent_differential import LatentDifferentialAttention
from lab.model.cache import Caches
from lab.model.context import Context
from lab.model.leaves.latent_differential import LatentDifferential
from lab.model.leaves.layers import LayerPlan
from lab.model.leaves.norm import Rms
from lab.model.leaves.position import YarnOnGlobal

WIDTH = 24
CONFIG = LatentDifferential(
    kind="latent_differential",
    num_groups=2,
    signal_per_noise=3,
    query_rank=10,
    latent_rank=8,
    nope_dim=6,
    rope_dim=4,
    value_dim=5,
)


def make(window: int | None) -> LatentDifferentialAttention:
    position = YarnOnGlobal("yarn_on_global", base=100.0, factor=4.0, original_positions=16)
    rotation = position.rotation(is_local=window is not None)
    plan = LayerPlan(0, 1, "global" if window is None else "local", window, sparse=False, rotation=rotation)
    module = LatentDifferentialAttention(CONFIG, WIDTH, plan, Rms("rms")).double()
    generator = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.5, generator=generator)
    return module


def tokens(length: int, batch: int = 2) -> Tensor:
    return torch.randn(batch, length, WIDTH, dtype=torch.double, generator=torch.Generator().manual_seed(2))


def positions_of(x: Tensor, start: int = 0) -> Tensor:
    return torch.arange(start, start + x.shape[1]).expand(x.shape[:2])


def written_out(module: LatentDifferentialAttention, x: Tensor, window: int | None) -> Tensor:
    """The report's equations for one row ``[T, D]``, head by head and query by query."""
    c = CONFIG

    def norm(z: Tensor, weight: Tensor) -> Tensor:
        return weight * z / (z.square().mean(-1, keepdim=True) + 1e-6).sqrt()

    def turned(z: Tensor) -> Tensor:
        assert module.layer.rotation is not None
        frequencies = torch.tensor(module.layer.rotation.inverse_frequencies(c.rope_dim))
        angle = torch.arange(len(x)).float()[:, None] * frequencies
        first, second = z[:, : c.rope_dim // 2], z[:, c.rope_dim // 2 :]
        cos, sin = angle.cos(), angle.sin()
        return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)

    c_q = norm(x @ module.query_down.weight.T, module.query_norm.weight)
    down = x @ module.latent_down.weight.T
    latent, k_rope = (
        norm(down[:, : c.latent_rank], module.latent_norm.weight),
        turned(down[:, c.latent_rank :]),
    )
    q = (c_q @ module.query_up.weight.T).view(len(x), c.num_groups, c.signal_per_noise + 1, c.key_dim)
    kv = (latent @ module.latent_up.weight.T).view(len(x), c.num_groups, c.nope_dim + c.value_dim)
    weight = torch.sigmoid(x @ module.noise_weight.weight.T).view(len(x), c.num_groups, c.signal_per_noise)
    gate = torch.sigmoid(c_q @ module.gate.weight.T).view(
        len(x), c.num_groups, c.signal_per_noise, c.value_dim
    )
    scale = c.key_dim**-0.5 * (1.0 if window else (0.1 * torch.tensor(4.0).double().log() + 1) ** 2)

    y = torch.zeros(len(x), c.num_groups, c.signal_per_noise, c.value_dim, dtype=x.dtype)
    for group in range(c.num_groups):
        k = torch.cat([kv[:, group, : c.nope_dim], k_rope], dim=-1)
        v = kv[:, group, c.nope_dim :]
        heads = []
        for head in range(c.signal_per_noise + 1):
            rotated = torch.cat(
                [q[:, group, head, : c.nope_dim], turned(q[:, group, head, c.nope_dim :])], dim=-1
            )
            rows = []
            for t in range(len(x)):
                first = 0 if window is None else max(0, t - window + 1)
                probability = torch.softmax(scale * k[first : t + 1] @ rotated[t], dim=0)
                rows.append(probability @ v[first : t + 1])
            heads.append(torch.stack(rows))
        for head in range(c.signal_per_noise):
            difference = heads[head] - weight[:, group, head, None] * heads[-1]
            y[:, group, head] = gate[:, group, head] * difference
    return y.flatten(1) @ module.output.weight.T


@pytest.mark.parametrize("window", [None, 5])
def test_values_and_gradients_follow_the_equations(window: int | None) -> None:
    module = make(window)
    x = tokens(11).requires_grad_()
    y = module(x, Context(positions_of(x), None), None)
    expected = torch.stack([written_out(module, row, window) for row in x])
    torch.testing.assert_close(y, expected, rtol=1e-9, atol=1e-10)

    sources = [x, *module.parameters()]
    direction = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(3))
    gradients = torch.autograd.grad((y * direction).sum(), sources)
    expected_gradients = torch.autograd.grad((expected * direction).sum(), sources)
    for gradient, other in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("window", [None, 5])
@pytest.mark.parametrize("prefill", [1, 7])
def test_decoding_in_latent_space_equals_prefill(window: int | None, prefill: int) -> None:
    module = make(window)
    x = tokens(13)
    expected = module(x, Context(positions_of(x), None), None)
    caches = Caches([(CONFIG, window)], batch=2, capacity=13, device=x.device)
    outputs = []
    for chunk in (x[:, :prefill], *x[:, prefill:].split(1, dim=1)):
        positions = positions_of(chunk, start=caches.length)
        caches.extend(positions)
        outputs.append(module(chunk, Context(positions, None, caches), caches.layers[0]))
    torch.testing.assert_close(torch.cat(outputs, dim=1), expected, rtol=1e-10, atol=1e-11)


def test_the_cache_holds_the_latent_and_one_rotated_key() -> None:
    module = make(None)
    x = tokens(3)
    caches = Caches([(CONFIG, None)], batch=2, capacity=4, device=x.device)
    caches.extend(positions_of(x))
    module(x, Context(positions_of(x), None, caches), caches.layers[0])
    held = sum(tensor[0, 0].numel() for tensor in caches.layers[0]._buffers.values())
    assert held == CONFIG.cache_elements_per_token() == CONFIG.latent_rank + CONFIG.rope_dim
