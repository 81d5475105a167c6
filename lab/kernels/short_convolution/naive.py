"""Token by token, tap by tap."""

import torch
from torch import Tensor


def short_convolution(
    x: Tensor, weight: Tensor, tail: Tensor | None = None, documents: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """See :func:`lab.kernels.short_convolution.short_convolution`."""
    width = weight.shape[1]
    before = x.new_zeros(x.shape[0], width - 1, x.shape[2]) if tail is None else tail
    inputs = torch.cat([before, x], dim=1)
    outputs = []
    for t in range(x.shape[1]):
        y = torch.zeros_like(x[:, 0])
        for j in range(width):
            tap = inputs[:, t + j]
            if documents is not None:
                source = documents[:, max(t + j - width + 1, 0)]
                tap = tap * (source == documents[:, t]).unsqueeze(-1)
            y = y + tap * weight[:, j]
        outputs.append(y)
    return torch.stack(outputs, dim=1), inputs[:, inputs.shape[1] - width + 1 :]
