"""Newton-Schulz: matrices made nearly orthogonal by products alone."""

from collections.abc import Sequence

from torch import Tensor

from lab.kernels.newton_schulz import batched, cpp, gram, naive
from lab.kernels.registry import choose

__all__ = ["choose_path", "flops", "newton_schulz"]

PATHS = {
    "naive": naive.newton_schulz,
    "batched": batched.newton_schulz,
    "gram": gram.newton_schulz,
    "cpp": cpp.newton_schulz,
}

GRAM_FROM = 2
"""Times as wide as high a matrix must be before the iteration on its Gram matrix pays (README, measurements)."""


def newton_schulz(stack: Tensor, steps: int, precision: str = "float32") -> Tensor:
    """Nearly orthogonal versions of a stack of matrices ``[n, rows, columns]`` with ``rows <= columns``, float32.

    Each is divided by its Frobenius norm and iterated; singular values end within about 0.7 to 1.2 of 1, except those
    that were below about 1e-3 of the norm. Zero stays zero. ``precision`` is the arithmetic of the products,
    ``float32`` or ``bfloat16``. Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks".
    """
    return PATHS[choose_path([stack], precision)](stack, steps, precision)


def choose_path(stacks: Sequence[Tensor], precision: str) -> str:
    """The path for stacks that are iterated together, chosen and recorded; ``cpp`` only if it takes all of them."""
    _, rows, columns = stacks[0].shape
    if precision == "float32" and cpp.takes(stacks):
        by_rule = "cpp"
    elif precision == "float32" and columns >= GRAM_FROM * rows:
        by_rule = "gram"
    else:
        by_rule = "batched"
    return choose("newton_schulz", by_rule)


def flops(rows: int, columns: int, steps: int) -> int:
    """What one matrix needs if symmetric products cost half, by the cheaper way of the two that path ``cpp`` goes.

    A product of two matrices of ``rows`` is counted as ``rows^3``; equations (2) written out need
    ``steps (4 rows^2 columns + 2 rows^3)``.
    """
    by_step = steps * (3 * rows**2 * columns + rows**3)
    on_gram = 3 * rows**2 * columns + (4 * steps - 3) * rows**3
    return min(by_step, on_gram)
