"""The C++ paths of decoding against their twins: few rows, no gradient, caches read where they lie."""

import pytest
import torch
from torch import Tensor

from lab.kernels import cpp
from lab.kernels.attention import PATHS as ATTENTION
from lab.kernels.attention import AttentionMask, attention
from lab.kernels.experts import PATHS as EXPERTS
from lab.kernels.experts import expert_feed_forward
from lab.kernels.latent_attention import PATHS as LATENT
from lab.kernels.latent_attention import UpProjection, latent_attention
from lab.kernels.registry import forget_paths_taken, paths_taken, use_path
from lab.kernels.sigmoid_router import PATHS as ROUTER
from lab.kernels.sigmoid_router import RoutingRule, route
from tests.kernels.test_attention import MASKS
from tests.kernels.twins import hold_to_twin, normal

pytestmark = pytest.mark.skipif(not cpp.can_build(), reason="no C++ compiler that works is installed")
FLOAT32, BFLOAT16 = 2e-6, 2e-2


@pytest.fixture(autouse=True, params=[1, 3], ids=["one thread", "three threads"])
def threads(request: pytest.FixtureRequest):  # type: ignore[no-untyped-def]
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    with torch.no_grad():
        yield
    torch.set_num_threads(before)


def hold(ours: Tensor, theirs: Tensor, tolerance: float = FLOAT32) -> None:
    """Equal to ``tolerance`` of the largest entry."""
    assert ours.dtype == theirs.dtype
    scale = theirs.abs().max().item() or 1.0
    torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance * scale)


UNCHOSEN = [name for name, mask in MASKS.items() if mask.kept is None and mask.query_documents is None]


@pytest.mark.parametrize(("heads", "key_heads", "d", "e"), [(8, 2, 32, 32), (3, 3, 7, 19), (10, 2, 33, 5)])
@pytest.mark.parametrize("name", UNCHOSEN)
def test_attention(name: str, heads: int, key_heads: int, d: int, e: int) -> None:
    mask = MASKS[name]
    (batch, queries), keys = mask.query_positions.shape, mask.key_positions.shape[1]
    q, k, v = (
        normal(batch, n, h, w)
        for n, h, w in ((queries, heads, d), (keys, key_heads, d), (keys, key_heads, e))
    )
    hold(ATTENTION["few_rows"](q, k, v, mask, 0.3), ATTENTION["naive"](q, k, v, mask, 0.3))


@pytest.mark.parametrize("window", [None, 1, 5, 400])
@pytest.mark.parametrize("keys", [1, 63, 500, 1000])
def test_attention_over_a_part_of_a_cache(keys: int, window: int | None) -> None:
    """Keys and values are views of larger buffers; positions stand in any order and some slots are empty."""
    buffers = [normal(2, keys + 9, 2, 32, seed=seed) for seed in (1, 2)]
    k, v = (buffer[:, :keys] for buffer in buffers)
    positions = torch.stack([torch.randperm(keys), torch.arange(keys) - keys // 2]).clamp(min=-1)
    mask = AttentionMask(torch.tensor([[keys - 1], [keys // 2]]), positions, window=window)
    q = normal(2, 1, 8, 32)
    forget_paths_taken()
    hold(attention(q, k, v, mask, 0.2), ATTENTION["naive"](q, k, v, mask, 0.2))
    assert paths_taken() == {"attention": {"few_rows": 1}}


@pytest.mark.parametrize("types", [("bfloat16",) * 3, ("float32", "float32", "bfloat16")], ids=str)
def test_attention_in_half_precision(types: tuple[str, ...]) -> None:
    mask = MASKS["decode"]
    q, k, v = (
        normal(2, length, heads, 24, dtype=getattr(torch, name))
        for name, length, heads in zip(types, (1, 21, 21), (4, 2, 2), strict=True)
    )
    hold(ATTENTION["few_rows"](q, k, v, mask, 0.2), ATTENTION["naive"](q, k, v, mask, 0.2), BFLOAT16)


def test_what_only_documents_tell_apart_is_left_to_other_paths() -> None:
    positions = torch.arange(4).expand(1, 4)
    mask = AttentionMask(positions, positions, positions // 2, positions // 2)
    q, k, v = (normal(1, 4, 2, 8) for _ in range(3))
    forget_paths_taken()
    attention(q, k, v, mask, 0.2)
    with torch.enable_grad():
        attention(q, k, v, AttentionMask(positions, positions), 0.2)
    taken = paths_taken()["attention"]
    assert "few_rows" not in taken
    assert sum(taken.values()) == 2


def poly(gate: Tensor, up: Tensor, expert_of_row: Tensor) -> Tensor:
    """An activation that differs by expert."""
    return torch.tanh(gate * (1 + expert_of_row.unsqueeze(-1))) * up


@pytest.mark.parametrize(("width", "hidden"), [(6, 5), (64, 48), (33, 70)])
@pytest.mark.parametrize(
    ("tokens", "experts", "top_k"), [(1, 8, 2), (16, 32, 4), (5, 1, 1), (31, 3, 3), (7, 64, 1)]
)
def test_experts(tokens: int, experts: int, top_k: int, width: int, hidden: int) -> None:
    scores = torch.rand(tokens, experts, generator=torch.Generator().manual_seed(tokens))
    values = (
        normal(tokens, width),
        scores.topk(top_k, dim=-1).indices,
        normal(tokens, top_k, seed=1),
        normal(experts, 2 * hidden, width, seed=2) * width**-0.5,
        normal(experts, width, hidden, seed=3) * hidden**-0.5,
        poly,
    )
    forget_paths_taken()
    hold(expert_feed_forward(*values), EXPERTS["naive"](*values))
    assert paths_taken() == {"experts": {"few_rows": 1}}
    half = [value.bfloat16() if value.is_floating_point() else value for value in values[:5]]
    hold(EXPERTS["few_rows"](*half, poly), EXPERTS["naive"](*half, poly), BFLOAT16)


def test_experts_with_all_tokens_on_one_and_under_autocast() -> None:
    values = (
        normal(16, 24),
        torch.full((16, 1), 3),
        normal(16, 1, seed=1),
        normal(5, 40, 24, seed=2),
        normal(5, 24, 20, seed=3),
        poly,
    )
    expected = EXPERTS["naive"](*values)
    hold(EXPERTS["few_rows"](*values), expected)
    with torch.autocast("cpu", torch.bfloat16):
        hold(EXPERTS["few_rows"](values[0].bfloat16(), *values[1:]), expected.bfloat16(), BFLOAT16)


RULES = {
    "one group": RoutingRule(4),
    "all": RoutingRule(32),
    "groups out of reach": RoutingRule(4, 8, 3, -1e30),
    "groups at zero": RoutingRule(6, 4, 1, 0.0, scale=2.5),
    "as they are": RoutingRule(3, normalise=False, scale=0.5),
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("path", ["library", "few_rows"])
@pytest.mark.parametrize("tokens", [1, 5, 63])
def test_routing(tokens: int, path: str, rule: RoutingRule) -> None:
    values = (
        normal(tokens, 37),
        normal(32, 37, seed=1),
        0.1 * normal(32, seed=2).abs(),
        rule,
    )  # no ties at zero
    expected = ROUTER["naive"](*values)
    chosen, weights, scores = ROUTER[path](*values)
    assert torch.equal(chosen, expected[0])
    hold(weights, expected[1], 1e-5)
    hold(scores, expected[2], 1e-5)


def test_routing_has_gradients_and_stays_in_float32_under_autocast() -> None:
    x, weight, bias, rule = (
        normal(9, 20),
        normal(16, 20, seed=1),
        normal(16, seed=2),
        RoutingRule(4, 4, 2, -1e30),
    )
    with torch.enable_grad():
        for function in (ROUTER["library"], route):
            hold_to_twin(
                lambda x, w, f=function: f(x, w, bias, rule)[1],
                lambda x, w: ROUTER["naive"](x, w, bias, rule)[1],
                [x, weight],
                1e-5,
            )
    expected = ROUTER["naive"](x.bfloat16(), weight, bias, rule)
    with torch.autocast("cpu", torch.bfloat16):
        for path in ROUTER.values():
            chosen, weights, _ = path(x.bfloat16(), weight, bias, rule)
            assert torch.equal(chosen, expected[0])
            hold(weights, expected[1], 1e-5)


@pytest.mark.parametrize(("heads", "expanded"), [(8, 8), (6, 2), (5, 1)])
@pytest.mark.parametrize("name", UNCHOSEN)
def test_latent_attention(name: str, heads: int, expanded: int) -> None:
    mask = MASKS[name]
    (batch, queries), keys = mask.query_positions.shape, mask.key_positions.shape[1]
    up = UpProjection(normal(expanded * (7 + 9), 37, seed=5) / 6, expanded, 7)
    q, latent = normal(batch, queries, heads, 7 + 4), normal(batch, keys + 3, 37, seed=1)[:, :keys]
    k_rope = normal(batch, keys + 3, 1, 4, seed=2)[:, :keys]
    expected = LATENT["naive"](q, latent, k_rope, up, mask, 0.3)
    hold(LATENT["few_rows"](q, latent, k_rope, up, mask, 0.3), expected, 1e-5)
    half = [x.bfloat16() for x in (q, latent, k_rope)]
    half_up = UpProjection(up.weight.bfloat16(), expanded, 7)
    expected = LATENT["naive"](*half, half_up, mask, 0.3)
    hold(LATENT["few_rows"](*half, half_up, mask, 0.3), expected, BFLOAT16)


def test_latent_attention_over_chosen_keys() -> None:
    mask = AttentionMask(torch.tensor([[30], [12]]), torch.arange(40).expand(2, 40), window=25)
    up = UpProjection(normal(3 * 16, 32, seed=5) / 6, 3, 8)
    q, latent, k_rope = normal(2, 1, 6, 12), normal(2, 40, 32, seed=1), normal(2, 40, 1, 4, seed=2)
    chosen = torch.rand(2, 1, 40, generator=torch.Generator().manual_seed(1)).topk(9).indices
    kept = torch.zeros(2, 1, 40, dtype=torch.bool).scatter(-1, chosen, True)
    expected = LATENT["naive"](q, latent, k_rope, up, mask.narrowed(kept), 0.3)
    for path in LATENT:
        with use_path("latent_attention", path):
            hold(latent_attention(q, latent, k_rope, up, mask, 0.3, chosen), expected, 1e-5)
