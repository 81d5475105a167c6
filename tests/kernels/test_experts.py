"""Experts: rows sorted by expert against every expert on every token."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lab.kernels.cpp import can_build, sgemm
from lab.kernels.experts import expert_feed_forward, grouped, naive
from lab.kernels.experts import sorted as sorted_by_expert
from tests.kernels.twins import hold_to_twin, normal

Route = Callable[[int, int, int], Tensor]


def random_route(tokens: int, experts: int, top_k: int) -> Tensor:
    scores = torch.rand(tokens, experts, generator=torch.Generator().manual_seed(tokens))
    return scores.topk(top_k, dim=-1).indices


def same_for_all(tokens: int, experts: int, top_k: int) -> Tensor:
    return torch.arange(experts - 1, experts - 1 - top_k, -1).expand(tokens, top_k)


def silu_times_up(gate: Tensor, up: Tensor, expert_of_row: Tensor) -> Tensor:
    return functional.silu(gate) * up


def mixture(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """``function`` with an activation that has a learnt coefficient an expert, as an argument to differentiate."""

    def apply(
        x: Tensor, indices: Tensor, weights: Tensor, w_in: Tensor, w_out: Tensor, slope: Tensor
    ) -> Tensor:
        def activation(gate: Tensor, up: Tensor, expert_of_row: Tensor) -> Tensor:
            return torch.tanh(gate * slope[expert_of_row].unsqueeze(-1)) * up

        return function(x, indices, weights, w_in, w_out, activation)

    return apply


def inputs(
    tokens: int, experts: int, top_k: int, route: Route = random_route, dtype: torch.dtype = torch.float64
) -> list[Any]:
    width, hidden = 6, 5
    return [
        normal(tokens, width, dtype=dtype),
        route(tokens, experts, top_k),
        normal(tokens, top_k, dtype=dtype, seed=1),
        normal(experts, 2 * hidden, width, dtype=dtype, seed=2),
        normal(experts, width, hidden, dtype=dtype, seed=3),
        normal(experts, dtype=dtype, seed=4),
    ]


SIZES = {
    "one token": (1, 8, 2, random_route),
    "many tokens": (129, 8, 2, random_route),
    "one choice": (31, 4, 1, random_route),
    "every expert": (17, 3, 3, random_route),
    "one expert": (9, 1, 1, random_route),
    "idle experts": (20, 9, 2, same_for_all),
}


LARGER = {
    **SIZES,
    "one expert has most": (1500, 2, 1, same_for_all),
    "several tasks an expert": (700, 3, 2, random_route),
}


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_sorted_rows_equal_every_expert_on_every_token(size: tuple[int, int, int, Route]) -> None:
    fast, slow = mixture(sorted_by_expert.expert_feed_forward), mixture(naive.expert_feed_forward)
    hold_to_twin(fast, slow, inputs(*size), 1e-12)


@pytest.mark.skipif(
    not can_build() or sgemm() is None, reason="no C++ compiler, or no matrix product to call"
)
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("size", LARGER.values(), ids=LARGER)
def test_an_expert_a_thread_equals_every_expert_on_every_token(
    size: tuple[int, int, int, Route], threads: int
) -> None:
    fast, slow = mixture(grouped.expert_feed_forward), mixture(naive.expert_feed_forward)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        hold_to_twin(fast, slow, inputs(*size, dtype=torch.float32), 1e-5)
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(
    not can_build() or sgemm() is None, reason="no C++ compiler, or no matrix product to call"
)
def test_only_float32_products_go_to_an_expert_a_thread() -> None:
    x, w_in = torch.ones(2, 4), torch.ones(3, 6, 4)
    assert grouped.takes(x, w_in)
    assert not grouped.takes(x.double(), w_in.double())
    with torch.autocast("cpu", torch.bfloat16):
        assert not grouped.takes(x, w_in)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 4e-2)])
def test_other_types_stay_close(dtype: torch.dtype, tolerance: float) -> None:
    fast, slow = mixture(sorted_by_expert.expert_feed_forward), mixture(naive.expert_feed_forward)
    hold_to_twin(fast, slow, inputs(64, 8, 2, dtype=dtype), tolerance)


def test_autocast_narrows_products_and_keeps_the_type_of_the_tokens() -> None:
    def under_autocast(*values: Any) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return mixture(sorted_by_expert.expert_feed_forward)(*values)

    values = inputs(64, 8, 2, dtype=torch.float32)
    hold_to_twin(under_autocast, mixture(naive.expert_feed_forward), values, 4e-2)


def test_the_activation_learns_which_expert_a_row_belongs_to() -> None:
    x, indices, weights, w_in, w_out, _ = inputs(40, 5, 2)
    seen = []

    def activation(gate: Tensor, up: Tensor, expert_of_row: Tensor) -> Tensor:
        seen.append(expert_of_row)
        return gate * 0 + up * 0 + (expert_of_row == 3).unsqueeze(-1)

    y = expert_feed_forward(x, indices, weights, w_in, w_out, activation)
    torch.testing.assert_close(seen[0].bincount(minlength=5), indices.flatten().bincount(minlength=5))
    share = (weights * (indices == 3)).sum(-1, keepdim=True)
    torch.testing.assert_close(y, share * w_out[3].sum(-1))


def test_the_order_of_choices_does_not_matter() -> None:
    x, indices, weights, w_in, w_out, _ = inputs(40, 5, 3)
    y = expert_feed_forward(x, indices, weights, w_in, w_out, silu_times_up)
    other = expert_feed_forward(x, indices.flip(-1), weights.flip(-1), w_in, w_out, silu_times_up)
    torch.testing.assert_close(y, other)
