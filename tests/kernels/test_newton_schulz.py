"""Newton-Schulz: the batched iterations against one matrix at a time, and against the singular values."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lab.kernels.newton_schulz import batched, gram, naive, newton_schulz
from tests.kernels.twins import normal

SHAPES = {
    "one number": (1, 1, 1),
    "square": (3, 17, 17),
    "a little wide": (2, 20, 31),
    "wide": (5, 12, 63),
    "row": (2, 1, 9),
}


@pytest.mark.parametrize("fast", [batched.newton_schulz, gram.newton_schulz], ids=["batched", "gram"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_paths_agree_with_the_iteration_as_written(
    fast: Callable[[Tensor, int], Tensor], shape: tuple[int, int, int]
) -> None:
    stack = normal(*shape, dtype=torch.float64)
    expected = naive.newton_schulz(stack, 5)
    torch.testing.assert_close(fast(stack, 5), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_chosen_path_in_float32(shape: tuple[int, int, int]) -> None:
    stack = normal(*shape)
    torch.testing.assert_close(newton_schulz(stack, 5), naive.newton_schulz(stack, 5), rtol=0, atol=2e-3)


def test_bfloat16_products_keep_the_directions() -> None:
    stack = normal(4, 24, 40)
    exact, rounded = newton_schulz(stack, 5), newton_schulz(stack, 5, "bfloat16")
    assert rounded.dtype == torch.float32
    assert torch.cosine_similarity(exact.flatten(1), rounded.flatten(1)).min() > 0.999


def test_singular_values_end_near_one_and_zero_stays_zero() -> None:
    stack = normal(6, 16, 48)
    stack[2] = 0.0
    result = newton_schulz(stack, 5)
    assert (result[2] == 0).all()
    values = torch.linalg.svdvals(result[[0, 1, 3, 4, 5]])
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_an_empty_stack_stays_empty() -> None:
    assert newton_schulz(torch.zeros(0, 4, 8), 5).shape == (0, 4, 8)
