"""In which type an operator computes."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.amp.autocast_mode import is_autocast_available


def widen(x: Tensor) -> Tensor:
    """``x`` in float32 at least: half types become float32, float64 stays."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def product_type(x: Tensor) -> torch.dtype:
    """The type of matrix products with ``x``: that of autocast where it is on, else that of ``x``."""
    device = x.device.type
    if is_autocast_available(device) and torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return x.dtype


def without_autocast(x: Tensor) -> AbstractContextManager[None]:
    """On the device of ``x`` types stay as they are, and no operand is rounded, while the block runs."""
    device = x.device.type
    if device == "cpu" and not torch.is_autocast_enabled("cpu"):
        return torch._C.DisableTorchFunction()  # what rounds the operands of products (lab.kernels.bfloat16)
    return torch.autocast(device, enabled=False) if is_autocast_available(device) else nullcontext()
