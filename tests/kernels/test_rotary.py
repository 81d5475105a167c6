"""Rotary position embedding: against its twin, and what a rotation must keep."""

import pytest
import torch
from torch import Tensor

from lab.kernels.rotary import fused, naive, rotary_table, rotate
from tests.kernels.twins import hold_to_twin, normal


def frequencies(dim: int) -> Tensor:
    return 10_000.0 ** (-torch.arange(0, dim, 2) / dim)


def table(batch: int, length: int, dim: int) -> tuple[Tensor, Tensor]:
    positions = torch.arange(length).expand(batch, length) + torch.arange(batch).unsqueeze(-1) * 7
    return rotary_table(frequencies(dim), positions)


@pytest.mark.parametrize(("batch", "length", "heads", "dim"), [(1, 1, 1, 2), (2, 17, 3, 8), (3, 5, 1, 64)])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-6), (torch.bfloat16, 1e-2)]
)
def test_both_paths_agree(
    batch: int, length: int, heads: int, dim: int, dtype: torch.dtype, tolerance: float
) -> None:
    cos, sin = table(batch, length, dim)
    x = normal(batch, length, heads, dim, dtype=dtype)
    fast = lambda x: fused.rotate(x, cos, sin)  # noqa: E731
    slow = lambda x: naive.rotate(x, cos, sin)  # noqa: E731
    hold_to_twin(fast, slow, (x,), tolerance)
    assert rotate(x, cos, sin).dtype == dtype


def test_halves_pair_up() -> None:
    x = torch.tensor([1.0, 0.0, 0.0, 2.0]).view(1, 1, 1, 4)
    cos, sin = torch.tensor([[[0.0, 1.0]]]), torch.tensor([[[1.0, 0.0]]])
    torch.testing.assert_close(rotate(x, cos, sin).flatten(), torch.tensor([0.0, 0.0, 1.0, 2.0]))


def test_products_depend_on_the_distance_only() -> None:
    q, k = normal(1, 1, 1, 16), normal(1, 1, 1, 16, seed=1)

    def product(query_position: int, key_position: int) -> Tensor:
        turned = (
            rotate(x, *rotary_table(frequencies(16), torch.tensor([[position]])))
            for x, position in ((q, query_position), (k, key_position))
        )
        return torch.linalg.vecdot(*turned)

    torch.testing.assert_close(product(12, 5), product(112, 105), rtol=1e-4, atol=1e-4)
    assert (product(12, 5) - product(12, 6)).abs() > 1e-3


def test_a_rotation_keeps_the_length() -> None:
    x = normal(2, 9, 3, 8)
    torch.testing.assert_close(rotate(x, *table(2, 9, 8)).norm(dim=-1), x.norm(dim=-1))


def test_a_table_is_float32_even_far_out() -> None:
    positions = torch.tensor([[100_000]])
    cos, sin = rotary_table(frequencies(64).bfloat16(), positions)
    assert cos.dtype == sin.dtype == torch.float32
    cos, _ = rotary_table(frequencies(64), positions)
    exact = torch.cos(100_000 * frequencies(64).double())
    assert (cos.flatten() - exact).abs().max() < 1e-2
