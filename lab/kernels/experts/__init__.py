"""Feed-forward experts: every token through its chosen ones."""

from torch import Tensor

from lab.kernels.bfloat16 import operand, result, rounds_products
from lab.kernels.experts import few_rows, grouped, naive
from lab.kernels.experts import sorted as sorted_by_expert
from lab.kernels.experts.activation import Activation
from lab.kernels.registry import choose
from lab.kernels.triton_support import at_first_call

__all__ = ["Activation", "expert_feed_forward"]

PATHS = {
    "naive": naive.expert_feed_forward,
    "sorted": sorted_by_expert.expert_feed_forward,
    "grouped": grouped.expert_feed_forward,
    "few_rows": few_rows.expert_feed_forward,
    "triton": at_first_call("experts", "expert_feed_forward"),
}


def expert_feed_forward(
    x: Tensor, indices: Tensor, weights: Tensor, w_in: Tensor, w_out: Tensor, activation: Activation
) -> Tensor:
    """``y_n = sum_k weights[n, k] W_out[e] act(W_gate[e] x_n, W_up[e] x_n)`` with ``e = indices[n, k]``.

    Args:
        x: ``[N, D]``.
        indices: chosen experts ``[N, k]``, all different within a row.
        weights: their weights ``[N, k]``.
        w_in: ``[E, 2F, D]``, gate rows first.
        w_out: ``[E, D, F]``.
        activation: ``(gate [M, F], up [M, F], expert_of_row [M]) -> [M, F]``.

    Returns:
        ``[N, D]`` in the type of ``x``.
    """
    path = choose("experts", _rule(x, indices, w_in, w_out))
    if not rounds_products():
        return PATHS[path](x, indices, weights, w_in, w_out, activation)

    def rounded(gate: Tensor, up: Tensor, expert_of_row: Tensor) -> Tensor:
        return operand(activation(result(gate), result(up), expert_of_row))

    return result(PATHS[path](operand(x), indices, weights, operand(w_in), operand(w_out), rounded))


def _rule(x: Tensor, indices: Tensor, w_in: Tensor, w_out: Tensor) -> str:
    if few_rows.takes(x, indices, w_in, w_out):
        return "few_rows"
    return "grouped" if grouped.takes(x, w_in) else "sorted"
