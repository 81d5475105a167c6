"""How a fast path is held to its slow twin."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def values_and_gradients(function: Callable[..., Tensor], inputs: Sequence[object]) -> list[Tensor | None]:
    """The result of ``function`` and the gradients of all floating inputs, for one fixed gradient of the result."""
    leaves = [
        x.detach().clone().requires_grad_() if isinstance(x, Tensor) and x.is_floating_point() else x
        for x in inputs
    ]
    y = function(*leaves)
    incoming = torch.randn(y.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    y.backward(incoming.to(y.dtype))
    return [y.detach(), *(x.grad for x in leaves if isinstance(x, Tensor) and x.requires_grad)]


def hold_to_twin(
    fast: Callable[..., Tensor], naive: Callable[..., Tensor], inputs: Sequence[object], tolerance: float
) -> None:
    """Values and gradients agree to ``tolerance`` of the largest entry of each."""
    pairs = zip(values_and_gradients(fast, inputs), values_and_gradients(naive, inputs), strict=True)
    for number, (ours, theirs) in enumerate(pairs):
        name = "value" if number == 0 else f"gradient {number}"
        assert (ours is None) == (theirs is None), name
        if ours is None or theirs is None or theirs.numel() == 0:
            continue
        assert ours.dtype == theirs.dtype, name
        scale = theirs.abs().max().item() or 1.0
        torch.testing.assert_close(
            ours, theirs, rtol=0, atol=tolerance * scale, msg=lambda m, n=name: f"{n}: {m}"
        )


def normal(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    """Standard normal numbers, the same in every run."""
    return torch.randn(
        shape, generator=torch.Generator().manual_seed(seed + sum(shape)), dtype=torch.float64
    ).to(dtype)
