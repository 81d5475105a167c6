"""Cross-entropy of a linear head without its logits."""

from typing import Literal

from torch import Tensor

from lab.kernels.bfloat16 import operand, rounds_products
from lab.kernels.cross_entropy import chunked, cpp, naive
from lab.kernels.registry import choose
from lab.kernels.triton_support import at_first_call

PATHS = {
    "naive": naive.linear_cross_entropy,
    "chunked": chunked.linear_cross_entropy,
    "cpp": cpp.linear_cross_entropy,
    "triton": at_first_call("cross_entropy", "linear_cross_entropy"),
}


def linear_cross_entropy(
    hidden: Tensor, weight: Tensor, targets: Tensor, reduction: Literal["mean", "none"] = "mean"
) -> Tensor:
    """Nats of predicting ``targets [N]`` from ``hidden [N, D]`` through a head ``weight [V, D]``, float32.

    A target of -100 is ignored. ``"mean"`` gives the mean over the others, 0 where there are none;
    ``"none"`` a loss a target ``[N]``, 0 where ignored.
    """
    if rounds_products():
        hidden, weight = operand(hidden), operand(weight)
    return PATHS[choose("cross_entropy", "cpp" if cpp.takes(hidden) else "chunked")](
        hidden, weight, targets, reduction
    )
