"""Chunks as in ``chunked``, whose logits turn into their own gradient in C++, a row at a time."""

import torch
from torch import Tensor

from lab.kernels.cpp import KNOWN, can_build, cpp_functions
from lab.kernels.cross_entropy.chunked import cross_entropy_in_chunks
from lab.kernels.precision import product_type

_turn = cpp_functions(__file__, "turn", "pppplll")


def takes(hidden: Tensor) -> bool:
    """Whether the logits are on a CPU, in a type the C++ knows, and a compiler is at hand."""
    return hidden.is_cpu and product_type(hidden) in KNOWN and can_build()


def linear_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor, reduction: str) -> Tensor:
    """Shapes as in the package."""
    return cross_entropy_in_chunks(hidden, weight, targets, reduction, turn)


def turn(logits: Tensor, targets: Tensor, wants_direction: bool) -> tuple[Tensor, Tensor, Tensor]:
    """A ``Turn`` that meets memory once: a row stays in its core's cache."""
    losses, totals = torch.empty(len(logits)), torch.empty(len(logits))
    _turn[logits.dtype](logits, targets.contiguous(), losses, totals, *logits.shape, int(wants_direction))
    return losses, totals, logits
