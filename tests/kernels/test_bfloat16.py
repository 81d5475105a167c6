"""bfloat16 arithmetic in the float32 unit: what is rounded, what is not, and when it is chosen."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lab.kernels import bfloat16
from lab.kernels.attention import AttentionMask, attention
from lab.kernels.bfloat16 import RoundedProducts, bfloat16_arithmetic, rounds_products
from lab.kernels.cpp import can_build
from lab.kernels.cross_entropy import linear_cross_entropy
from lab.kernels.experts import expert_feed_forward
from lab.kernels.round_to_bfloat16 import PATHS, round_to_bfloat16
from lab.kernels.sigmoid_router import RoutingRule, route
from lab.kernels.swiglu import swiglu
from tests.kernels.twins import normal, values_and_gradients

PATH_NAMES = [
    "naive",
    pytest.param("cpp", marks=pytest.mark.skipif(not can_build(), reason="no C++ compiler")),
]
SPECIAL = [0.0, -0.0, torch.inf, -torch.inf, 1.00390625, 1.01171875, 3.39e38, 1e-40, -1e-3]
"""Among them two ties, one that overflows to infinity and one too small for a normal number."""


def nearest(x: Tensor) -> Tensor:
    return x.bfloat16().float()


@pytest.mark.parametrize("path", PATH_NAMES)
def test_numbers_are_rounded_as_torch_does(path: str) -> None:
    x = torch.cat([torch.tensor(SPECIAL), normal(20_001) * 100])
    torch.testing.assert_close(PATHS[path](x), nearest(x), rtol=0, atol=0)
    assert PATHS[path](torch.tensor([torch.nan, 1.0])).isnan().tolist() == [True, False]


def test_a_linear_map_rounds_its_operands_and_the_gradient_of_its_result() -> None:
    x, weight, incoming = normal(7, 12), normal(5, 12, seed=1), normal(7, 5, seed=2)
    leaves = [t.clone().requires_grad_() for t in (x, weight)]
    with RoundedProducts():
        assert rounds_products()
        y = functional.linear(*leaves)
    assert not rounds_products()
    y.backward(incoming)
    assert y.dtype == torch.float32
    torch.testing.assert_close(y.detach(), nearest(x) @ nearest(weight).T)
    torch.testing.assert_close(leaves[0].grad, nearest(incoming) @ nearest(weight))
    torch.testing.assert_close(leaves[1].grad, nearest(incoming).T @ nearest(x))


def test_modules_and_operators_of_torch_are_met_too() -> None:
    x, linear = normal(3, 8), nn.Linear(8, 4, bias=False)
    a, b = normal(2, 3, 8), normal(2, 8, 5)
    with torch.no_grad(), RoundedProducts():
        pairs = [
            (linear(x), nearest(x) @ nearest(linear.weight).T),
            (a @ b, torch.bmm(nearest(a), nearest(b))),
            (torch.einsum("bij,bjk->bik", a, b), torch.bmm(nearest(a), nearest(b))),
        ]
    for ours, expected in pairs:
        torch.testing.assert_close(ours, expected)


def experts(x: Tensor, w_in: Tensor, w_out: Tensor) -> Tensor:
    indices = torch.tensor([[0, 2], [1, 0], [2, 1]]).repeat(30, 1)
    weights = torch.full((90, 2), 0.5)
    return expert_feed_forward(x, indices, weights, w_in, w_out, lambda g, u, _: swiglu(g, u))


def causal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    positions = torch.arange(40).expand(2, -1).contiguous()
    return attention(q, k, v, AttentionMask(positions, positions), 0.3)


def loss(hidden: Tensor, weight: Tensor) -> Tensor:
    return linear_cross_entropy(hidden, weight, torch.arange(30))


OPERATORS: dict[str, tuple[Callable[..., Tensor], list[Any]]] = {
    "experts": (experts, [normal(90, 8), normal(3, 12, 8, seed=1), normal(3, 8, 6, seed=2)]),
    "attention": (causal, [normal(2, 40, 4, 8), normal(2, 40, 2, 8, seed=1), normal(2, 40, 2, 8, seed=2)]),
    "cross_entropy": (loss, [normal(30, 16), normal(50, 16, seed=1)]),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_round_their_operands_themselves(name: str) -> None:
    function, inputs = OPERATORS[name]

    def under_rounding(*values: Tensor) -> Tensor:
        with RoundedProducts():
            return function(*values)

    ours = values_and_gradients(under_rounding, inputs)
    exact = values_and_gradients(function, inputs)
    of_rounded = values_and_gradients(function, [nearest(x) for x in inputs])
    assert ours[0] is not None
    assert exact[0] is not None
    if name != "experts":  # these round what stands between their products as well
        torch.testing.assert_close(ours[0], of_rounded[0])
    for mine, other in zip(ours, exact, strict=True):
        assert mine is not None
        assert other is not None
        difference = (mine - other).abs().max() / other.abs().max()
        assert 0 < difference < 2e-2


def test_what_stays_in_float32_is_not_rounded() -> None:
    x, weight, bias = normal(9, 16), normal(4, 16, seed=1), torch.zeros(4)
    rule = RoutingRule(2, 1, 1, 0.0, True, 1.0)
    plain = route(x, weight, bias, rule)
    with RoundedProducts():
        within = route(x, weight, bias, rule)
    torch.testing.assert_close(within[2], plain[2], rtol=0, atol=0)


@pytest.mark.parametrize("float32_faster", [True, False])
def test_the_faster_unit_is_taken(float32_faster: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bfloat16, "float32_is_faster", lambda: float32_faster)
    x, weight = normal(6, 8), normal(5, 8, seed=1)
    with bfloat16_arithmetic(torch.device("cpu")):
        y = functional.linear(x, weight)
    assert y.dtype == (torch.float32 if float32_faster else torch.bfloat16)
    torch.testing.assert_close(y.float(), nearest(x) @ nearest(weight).T, rtol=1e-2, atol=2e-2)


def test_the_measurement_gives_an_answer() -> None:
    bfloat16.float32_is_faster.cache_clear()
    assert bfloat16.float32_is_faster() in (True, False)


def test_rounding_of_other_types_changes_nothing_else() -> None:
    x = normal(5, dtype=torch.float64)
    assert round_to_bfloat16(x).dtype == torch.float64
    assert bfloat16.operand(x) is x
