"""A mixture of experts as written: every expert looks at every token."""

import torch
from torch import Tensor

from lab.kernels.experts.activation import Activation
from lab.kernels.precision import widen


def expert_feed_forward(
    x: Tensor, indices: Tensor, weights: Tensor, w_in: Tensor, w_out: Tensor, activation: Activation
) -> Tensor:
    """``sum_k weight_k W_out[e_k] act(W_in[e_k] x)``, float32; shapes as in the package."""
    wide = widen(x)
    y = torch.zeros_like(wide)
    for expert in range(w_in.shape[0]):
        gate, up = (wide @ widen(w_in[expert]).T).chunk(2, dim=-1)
        expert_of_row = torch.full((x.shape[0],), expert, device=x.device)
        output = activation(gate, up, expert_of_row) @ widen(w_out[expert]).T
        share = (widen(weights) * (indices == expert)).sum(-1, keepdim=True)
        y = y + share * output
    return y.to(x.dtype)
