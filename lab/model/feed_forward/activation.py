"""Gated activations: ``(gate, up) -> act(gate) * up``."""

import torch
from torch import Tensor, nn

from lab.kernels.poly_norm import poly_norm
from lab.kernels.precision import widen
from lab.kernels.swiglu import swiglu


class SwiGLU(nn.Module):
    """``silu(gate) * up`` (arXiv 2002.05202)."""

    def forward(self, gate: Tensor, up: Tensor, expert_of_row: Tensor | None = None) -> Tensor:
        """``[.., F], [.., F] -> [.., F]``."""
        return swiglu(gate, up)


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

    def coefficients(self) -> tuple[Tensor, Tensor]:
        """Weights ``[.., 3]`` (cubic, square, linear) and bias ``[.., 1]`` that act; here the parameters."""
        return self.weight, self.bias

    def forward(self, gate: Tensor, up: Tensor, expert_of_row: Tensor | None = None) -> Tensor:
        """``[.., F], [.., F] -> [.., F]``; ``expert_of_row [..]`` names each row's expert."""
        weight, bias = self.coefficients()
        if expert_of_row is not None:
            weight, bias = weight[expert_of_row], bias[expert_of_row]
        return poly_norm(gate, up, weight, bias, self.eps)


class ClampedSwiGLU(SwiGLU):
    """``silu(min(gate, limit)) * clamp(up, -limit, limit)`` (K-EXAONE 2.0, arXiv 2608.04505)."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.limit = limit

    def forward(self, gate: Tensor, up: Tensor, expert_of_row: Tensor | None = None) -> Tensor:
        """``[.., F], [.., F] -> [.., F]``."""
        return super().forward(gate.clamp(max=self.limit), up.clamp(-self.limit, self.limit))


class SigmoidPolyNorm(PolyNorm):
    """``output_scale * PolyNorm(gate) * up`` with the sigmoid of its weights (Motif 3, arXiv 2608.09119).

    ``bias_clamp`` bounds the bias to ``+-bias_clamp``; None leaves it free. Weights start at PolyNorm's 1/3,
    before the sigmoid: what Motif 3 started from is not published.
    """

    def __init__(
        self, eps: float, num_experts: int | None, output_scale: float, bias_clamp: float | None
    ) -> None:
        super().__init__(eps, num_experts)
        self.output_scale = output_scale
        self.bias_clamp = bias_clamp

    def coefficients(self) -> tuple[Tensor, Tensor]:
        weight, bias = torch.sigmoid(widen(self.weight)), widen(self.bias)
        return weight, bias if self.bias_clamp is None else bias.clamp(-self.bias_clamp, self.bias_clamp)

    def forward(self, gate: Tensor, up: Tensor, expert_of_row: Tensor | None = None) -> Tensor:
        """``[.., F], [.., F] -> [.., F]``; ``expert_of_row [..]`` names each row's expert."""
        return super().forward(gate, up, expert_of_row) * self.output_scale
