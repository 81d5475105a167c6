"""In which type an operator computes."""

import torch
from torch import Tensor


def widen(x: Tensor) -> Tensor:
    """``x`` in float32 at least: half types become float32, float64 stays."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def product_type(x: Tensor) -> torch.dtype:
    """The type of matrix products with ``x``: that of autocast where it is on, else that of ``x``."""
    if torch.is_autocast_enabled(x.device.type):
        return torch.get_autocast_dtype(x.device.type)
    return x.dtype
