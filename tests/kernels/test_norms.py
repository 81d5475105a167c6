"""RMSNorm and PolyNorm: written-out gradients against autograd, published numbers, and types."""

from typing import Any

import pytest
import torch

from lab.kernels import poly_norm as poly
from lab.kernels import rms_norm as rms
from lab.kernels.poly_norm import poly_norm
from lab.kernels.rms_norm import rms_norm
from tests.kernels.twins import hold_to_twin, normal

SHAPES = [(1, 5), (3, 7), (2, 5, 3, 8), (33, 130)]
TYPES = [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 2e-2)]
EXAMPLE = torch.tensor([1.0, -2.0, 3.0, 0.5])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), TYPES)
def test_rms_norm_equals_its_twin(shape: tuple[int, ...], dtype: torch.dtype, tolerance: float) -> None:
    values = (normal(*shape, dtype=dtype), normal(shape[-1], dtype=dtype, seed=1), 1e-5)
    hold_to_twin(rms.fused.rms_norm, rms.naive.rms_norm, values, tolerance)


def test_rms_norm_is_cast_before_it_meets_its_weight() -> None:
    x, weight = normal(64, 32, dtype=torch.bfloat16), normal(32, seed=1)
    exact = x.float() / (x.float().square().mean(-1, keepdim=True) + 1e-6).sqrt()
    torch.testing.assert_close(rms_norm(x, weight, 1e-6), exact.bfloat16() * weight, rtol=0, atol=0)
    assert (rms_norm(x, weight, 1e-6) != exact * weight).any()


def test_rms_norm_of_zeros_is_zero() -> None:
    x = torch.zeros(2, 4, requires_grad=True)
    y = rms_norm(x, torch.ones(4), 1e-6)
    y.sum().backward()
    assert (y == 0).all()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def coefficients(shape: tuple[int, ...], per_row: bool, dtype: torch.dtype) -> tuple[Any, Any]:
    rows = shape[:-1] if per_row else ()
    return normal(*rows, 3, dtype=dtype, seed=2), normal(*rows, 1, dtype=dtype, seed=3)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("per_row", [False, True], ids=["shared", "a row each"])
@pytest.mark.parametrize(("dtype", "tolerance"), TYPES)
def test_poly_norm_equals_its_twin(
    shape: tuple[int, ...], per_row: bool, dtype: torch.dtype, tolerance: float
) -> None:
    gate, up = normal(*shape, dtype=dtype), normal(*shape, dtype=dtype, seed=1)
    values = (gate, up, *coefficients(shape, per_row, dtype), 1e-6)
    hold_to_twin(poly.fused.poly_norm, poly.naive.poly_norm, values, tolerance)


def test_written_out_gradients_equal_differences() -> None:
    gate, up = normal(3, 5, dtype=torch.float64), normal(3, 5, dtype=torch.float64, seed=1)
    leaves = [x.requires_grad_() for x in (gate, up, *coefficients((3, 5), True, torch.float64))]
    assert torch.autograd.gradcheck(lambda *x: poly_norm(*x, 1e-2), leaves)
    weight = normal(5, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, w: rms_norm(x, w, 1e-2), [gate, weight])


@pytest.mark.parametrize("path", ["naive", "fused"])
@pytest.mark.parametrize(
    ("weight", "expected"),
    [
        (1 / 3, [0.267585, -0.273191, 1.774501, 0.108090]),
        (0.58257, [0.467662, -0.477460, 3.101314, 0.188910]),
    ],
)
def test_poly_norm_gives_the_known_numbers(path: str, weight: float, expected: list[float]) -> None:
    y = poly.PATHS[path](EXAMPLE, torch.ones(4), torch.full((3,), weight), torch.zeros(1), 1e-6)
    torch.testing.assert_close(y, torch.tensor(expected), rtol=0, atol=1e-5)


def test_weights_are_cubic_square_linear() -> None:
    for place, power in enumerate((3, 2, 1)):
        weight = torch.zeros(3)
        weight[place] = 2.0
        z = EXAMPLE**power
        y = poly_norm(EXAMPLE, torch.ones(4), weight, torch.zeros(1), 0.0)
        torch.testing.assert_close(y, 2 * z / z.square().mean().sqrt())


def test_poly_norm_does_not_depend_on_the_scale_of_its_gate() -> None:
    gate, up = normal(4, 64), normal(4, 64, seed=1)
    weight, bias = torch.full((3,), 1 / 3), torch.tensor([0.2])
    y = poly_norm(gate, up, weight, bias, 1e-12)
    torch.testing.assert_close(poly_norm(50 * gate, up, weight, bias, 1e-12), y, rtol=1e-4, atol=1e-5)


def test_poly_norm_of_zeros_is_the_bias() -> None:
    gate = torch.zeros(2, 4, requires_grad=True)
    y = poly_norm(gate, torch.full((2, 4), 3.0), torch.ones(3), torch.tensor([0.25]), 1e-6)
    y.sum().backward()
    assert (y == 0.75).all()
    assert gate.grad is not None
    assert gate.grad.isfinite().all()


def test_poly_norm_of_normal_numbers_has_the_known_moments() -> None:
    y = poly_norm(normal(200, 4096), torch.ones(4096), torch.full((3,), 1 / 3), torch.zeros(1), 1e-6)
    assert y.mean().item() == pytest.approx(0.192, abs=2e-3)
    assert y.square().mean().sqrt().item() == pytest.approx(0.711, abs=5e-3)


def test_poly_norm_does_not_overflow_where_half_types_would() -> None:
    gate = (normal(4, 64) * 1e3).bfloat16()
    y = poly_norm(gate, torch.ones_like(gate), torch.full((3,), 1 / 3), torch.zeros(1), 1e-6)
    assert y.isfinite().all()
    assert y.dtype == torch.bfloat16
