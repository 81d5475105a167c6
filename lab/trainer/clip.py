"""The norm of a gradient and its bound."""

import torch
from torch import Tensor


@torch.no_grad()
def gradient_norm(gradients: list[Tensor]) -> Tensor:
    """The Euclidean norm of all gradients as one vector, a scalar tensor."""
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))


@torch.no_grad()
def clip_gradients(gradients: list[Tensor], norm: float, bound: float) -> None:
    """Scale gradients of known ``norm`` down to ``bound`` in place; within it nothing is touched."""
    if norm > bound:
        torch._foreach_mul_(gradients, bound / norm)
