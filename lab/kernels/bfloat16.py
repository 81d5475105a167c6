"""bfloat16 arithmetic on processors whose float32 unit is the faster one.

Operands of matrix products are rounded to bfloat16 and multiplied in float32, which holds a product of two such
numbers exactly and is also what hardware for bfloat16 adds up in. What autocast would round besides, the result of a
product, stays as it is; gradients that come back to a product are rounded.
"""

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from lab.kernels.round_to_bfloat16 import round_to_bfloat16

FASTER_BY = 1.2
"""How much faster float32 products must be before bfloat16 is rounded to rather than computed in."""

SIDE, ROUNDS = 768, 16

PRODUCTS = frozenset(
    {
        functional.linear,
        functional.scaled_dot_product_attention,
        torch.matmul,
        torch.bmm,
        torch.einsum,
        Tensor.matmul,
        Tensor.__matmul__,
    }
)


def bfloat16_arithmetic(device: torch.device) -> AbstractContextManager[Any]:
    """Matrix products in bfloat16 within: torch's autocast, or where float32 is the faster unit the products above."""
    if device.type == "cpu" and float32_is_faster():
        return RoundedProducts()
    return torch.autocast(device.type, dtype=torch.bfloat16)


@cache
def float32_is_faster() -> bool:
    """Whether this processor multiplies float32 matrices faster than bfloat16 ones; measured once, in about 0.1 s.

    The types take turns and the best of each counts, so that work beside it does not decide.
    """
    matrices = {dtype: torch.ones(SIDE, SIDE, dtype=dtype) for dtype in (torch.float32, torch.bfloat16)}
    best = dict.fromkeys(matrices, float("inf"))
    for _ in range(ROUNDS):
        for dtype, matrix in matrices.items():
            started = time.perf_counter()
            torch.mm(matrix, matrix)
            best[dtype] = min(best[dtype], time.perf_counter() - started)
    return best[torch.bfloat16] > FASTER_BY * best[torch.float32]


class RoundedProducts(TorchFunctionMode):
    """Rounds the float32 operands of every product within, and the gradients of their results."""

    depth = 0

    def __enter__(self) -> "RoundedProducts":
        RoundedProducts.depth += 1
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        RoundedProducts.depth -= 1
        super().__exit__(*error)

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        if func not in PRODUCTS:
            return func(*args, **(kwargs or {}))
        return result(func(*(operand(arg) for arg in args), **(kwargs or {})))


def rounds_products() -> bool:
    """Whether an operator that makes its products out of torch's sight is to round their operands itself."""
    return RoundedProducts.depth > 0


def same_arithmetic() -> AbstractContextManager[Any]:
    """What has products made again as they are made here; autocast, which torch keeps by itself, is not part of it."""
    return RoundedProducts() if rounds_products() else nullcontext()


def operand(x: Any) -> Any:
    """A float32 tensor rounded, its gradient passed on; anything else as it is."""
    if not isinstance(x, Tensor) or x.dtype != torch.float32:
        return x
    return _Rounded.apply(x) if x.requires_grad and torch.is_grad_enabled() else round_to_bfloat16(x)


def result(y: Tensor) -> Tensor:
    """``y`` itself, its gradient rounded."""
    return _GradientRounded.apply(y) if y.requires_grad and torch.is_grad_enabled() else y


class _Rounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return round_to_bfloat16(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad


class _GradientRounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor) -> Tensor:
        return y.view_as(y)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return round_to_bfloat16(grad)
