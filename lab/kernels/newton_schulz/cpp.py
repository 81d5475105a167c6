"""A step of Muon in C++, matrix by matrix: momentum, iteration and movement while the cache holds it.

Of the iteration's products, all but those with the wide side are symmetric, and computed by half (README).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.kernels import cpp
from lab.kernels.newton_schulz.naive import CUBIC, LINEAR, QUINTIC, SMALLEST_NORM

ARGUMENTS = "pp" + "lll" + "ddddd"

_update = cpp.cpp_function(__file__, "update", ARGUMENTS)


@dataclass(frozen=True)
class Move:
    """``weight <- keep weight - size NewtonSchulz(update)`` for matrices ``[n, rows, columns]``, float32, without gaps.

    The update is the gradient or, where there is a ``momentum``, what :func:`update` makes of both. With ``keep=0``
    the weight is written and never read.
    """

    weight: Tensor
    gradient: Tensor
    momentum: Tensor | None
    keep: float
    size: float


def takes(stacks: Sequence[Tensor]) -> bool:
    """Whether this path is for these: float32 on a CPU, and enough of them.

    A thread works on one matrix at a time, at about half the cost of the products written out: it pays from half as
    many matrices as there are threads.
    """
    matrices = sum(stack.shape[0] for stack in stacks)
    return stacks[0].dtype == torch.float32 and 2 * matrices >= torch.get_num_threads() and cpp.takes(*stacks)


def newton_schulz(stack: Tensor, steps: int, precision: str = "float32") -> Tensor:
    """Shapes as in the package; always float32, whatever ``precision`` says."""
    inputs = stack.float().contiguous()
    result = torch.empty_like(inputs)
    update([Move(result, inputs, None, keep=0.0, size=-1.0)], steps)
    return result.to(stack.dtype)


def update(moves: Sequence[Move], steps: int, momentum: float = 0.0, nesterov: bool = False) -> None:
    """Every matrix one step of Muon on.

    A momentum keeps the share ``momentum`` of itself and takes the rest from the gradient; the update is that mean or,
    with ``nesterov``, the same mixture of the gradient and it.
    """
    table = torch.tensor([_described(move) for move in moves], dtype=torch.int64)
    factors = torch.tensor([(move.keep, move.size) for move in moves], dtype=torch.float32)
    _update(table, factors, len(moves), steps, nesterov, momentum, LINEAR, CUBIC, QUINTIC, SMALLEST_NORM)


def _described(move: Move) -> tuple[int, ...]:
    tensors = (
        (move.weight, move.gradient) if move.momentum is None else (move.weight, move.gradient, move.momentum)
    )
    for tensor in tensors:
        assert tensor.shape == move.weight.shape
        assert tensor.dtype == torch.float32
        assert tensor.is_cpu
        assert tensor.is_contiguous()
    momentum = 0 if move.momentum is None else move.momentum.data_ptr()
    return (move.weight.data_ptr(), move.gradient.data_ptr(), momentum, *move.weight.shape)
