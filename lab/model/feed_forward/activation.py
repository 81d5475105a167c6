"""Gated activations: ``(gate, up) -> act(gate) * up``."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from lab.kernels.poly_norm import poly_norm


class SwiGLU(nn.Module):
    """``silu(gate) * up`` (arXiv 2002.05202)."""

    def forward(self, gate: Tensor, up: Tensor, expert_of_row: Tensor | None = None) -> Tensor:
        """``[.., F], [.., F] -> [.., F]``."""
        return functional.silu(gate) * up


class PolyNorm(nn.Module):
    """``PolyNorm(gate) * up``: a cubic in normalised powers (arXiv 2411.03884), float32 inside.

    ``PolyNorm(x) = w_0 n(x^3) + w_1 n(x^2) + w_2 n(x) + b``, ``n(z) = z / sqrt(mean(z^2) + eps)``. With
    ``num_experts`` every expert has weights and bias of its own.
    """

    def __init__(self, eps: float, num_experts: int | None) -> None:
        super().__init__()
        experts = () if num_experts is None else (num_experts,)
        self.weight = nn.Parameter(torch.full((*experts, 3), 1 / 3))
        self.bias = nn.Parameter(torch.zeros(*experts, 1))
        self.eps = eps

    def forward(self, gate: Tensor, up: Tensor, expert_of_row: Tensor | None = None) -> Tensor:
        """``[.., F], [.., F] -> [.., F]``; ``expert_of_row [..]`` names each row's expert."""
        weight, bias = self.weight, self.bias
        if expert_of_row is not None:
            weight, bias = weight[expert_of_row], bias[expert_of_row]
        return poly_norm(gate, up, weight, bias, self.eps)
