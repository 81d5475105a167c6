"""Normalisation leaves."""

from dataclasses import dataclass
from typing import Any

from lab.model.leaves.base import Leaf, load, require


@dataclass
class NormConfig(Leaf):
    """Root-mean-square normalisation (arXiv 1910.07467), statistics in float32.

    A norm is built for a *site*: ``attention``, ``dense`` or ``experts`` (the input of that branch), ``final`` (before
    the head) or ``inner`` (inside a mixer). Kinds that treat sites differently say so.
    """

    eps: float = 1e-6

    def __post_init__(self) -> None:
        require(0 < self.eps < 1, "model.norm.eps", self.eps, "it must lie between 0 and 1")

    def num_params(self, width: int, site: str) -> int:
        """Parameters of one norm over ``width`` channels."""
        return width

    def build(self, width: int, site: str) -> Any:
        """The module, a map ``[..., width] -> [..., width]``."""
        return load("lab.model.norm:RMSNorm")(width, self.eps)


@dataclass
class Rms(NormConfig):
    """Plain RMSNorm at every site."""
