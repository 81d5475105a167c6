"""What stands between the two matrices of an expert."""

from collections.abc import Callable

from torch import Tensor

Activation = Callable[[Tensor, Tensor, Tensor], Tensor]
"""``(gate [M, F], up [M, F], expert_of_row [M]) -> [M, F]``, row by row."""
