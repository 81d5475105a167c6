"""The exact test in the residual stream: calibrated, and it finds what was copied."""

import pytest
import torch

from lab.independence.row_reuse import row_reuse

DRAWS = 400


def matrix(seed: int, rows: int = 200, width: int = 64) -> torch.Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


def p_value(a: torch.Tensor, b: torch.Tensor, seed: int = 0, name: str = "w") -> float:
    result = row_reuse(iter([("w", a)]), iter([(name, b)]), 128, DRAWS, 0.001, seed)
    assert result is not None
    return result.p_value


def test_p_values_of_independent_weights_are_uniform() -> None:
    values = torch.tensor([p_value(matrix(2 * i), matrix(2 * i + 1)) for i in range(60)])
    assert (values <= 0.1).float().mean() <= 0.25
    assert 0.35 < values.mean() < 0.65


def test_common_structure_of_all_rows_is_no_reuse() -> None:
    """Positive weights with one mean: the cosine is near 1, the test stays calm."""
    values = [p_value(1 + 0.1 * matrix(2 * i), 1 + 0.1 * matrix(2 * i + 1)) for i in range(10)]
    assert min(values) > 0.01


@pytest.mark.parametrize("share", [0.023, 0.1, 1.0])
def test_copied_rows_are_found_wherever_they_stand(share: float) -> None:
    a, b = matrix(1), matrix(2, rows=128)
    copied = max(1, int(share * len(b)))
    b[:copied] = 0.25 * a[torch.randperm(len(a))[:copied]]
    assert p_value(a, b, name="another layer") <= 1 / (DRAWS + 1)


def test_rows_under_noise_are_found_in_their_places() -> None:
    a = matrix(1)
    assert p_value(a, a + 4 * matrix(2)) <= 1 / (DRAWS + 1)
    assert p_value(a, a + 4 * matrix(2), name="another layer") > 1 / (DRAWS + 1)


def test_the_floor_is_what_the_test_sees() -> None:
    a, b = matrix(1), matrix(2, rows=128)
    result = row_reuse(iter([("w", a)]), iter([("v", b)]), 128, DRAWS, 0.01, 0)
    assert result is not None
    assert 0 < result.floor < 0.2
    b[: round(result.floor * 128)] = a[: round(result.floor * 128)]
    assert p_value(a, b, name="v") <= 0.01


def test_constant_rows_say_nothing() -> None:
    assert row_reuse(iter([("w", matrix(1))]), iter([("w", torch.ones(4, 64))]), 128, DRAWS, 0.01, 0) is None
    assert (
        row_reuse(iter([("w", torch.ones(4, 64))]), iter([("w", matrix(1))]), 128, DRAWS, 0.01, 0) is not None
    )
