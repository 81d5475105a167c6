"""The recurrence, token by token."""

import torch
from torch import Tensor

from lab.kernels.precision import widen


def kimi_delta(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    g: Tensor,
    beta: Tensor,
    initial_state: Tensor | None = None,
    documents: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """See :func:`lab.kernels.kimi_delta.kimi_delta`."""
    result_type = v.dtype
    q, k, v, g, beta = (widen(tensor) for tensor in (q, k, v, g, beta))
    batch, length, heads, d = q.shape
    state = v.new_zeros(batch, heads, d, v.shape[-1]) if initial_state is None else widen(initial_state)
    outputs = []
    for t in range(length):
        if documents is not None and t > 0:
            state = state * (documents[:, t] == documents[:, t - 1]).view(batch, 1, 1, 1)
        state = state * g[:, t].exp().unsqueeze(-1)
        held = torch.einsum("bhd,bhde->bhe", k[:, t], state)
        write = beta[:, t].unsqueeze(-1) * (v[:, t] - held)
        state = state + k[:, t].unsqueeze(-1) * write.unsqueeze(-2)
        outputs.append(torch.einsum("bhd,bhde->bhe", q[:, t], state))
    return torch.stack(outputs, dim=1).to(result_type), state
