"""Normalisation leaves."""

from dataclasses import dataclass
from typing import Any

from lab.checks import require_at_least, require_fraction
from lab.model.leaves.base import Leaf, load


@dataclass
class NormConfig(Leaf):
    """Root-mean-square normalisation (arXiv 1910.07467), statistics in float32.

    A norm is built for a *site*: ``attention``, ``dense`` or ``experts`` (the input of that branch), ``final`` (before
    the head) or ``inner`` (inside a mixer). Kinds that treat sites differently say so.
    """

    eps: float = 1e-6

    def __post_init__(self) -> None:
        require_fraction("model.norm", eps=self.eps)

    def num_params(self, width: int, site: str) -> int:
        """Parameters of one norm over ``width`` channels."""
        return width

    def build(self, width: int, site: str) -> Any:
        """The module, a map ``[..., width] -> [..., width]``."""
        return load("lab.model.norm:RMSNorm")(width, self.eps)


@dataclass
class Rms(NormConfig):
    """Plain RMSNorm at every site."""


@dataclass
class GatedRms(NormConfig):
    """RMSNorm gated by itself through a low rank, at the inputs of attention and experts (A.X K2, arXiv 2608.30181).

    ``y = norm(x)``; ``y * sigmoid(W_up silu(W_down y))`` with ``rank`` channels between. Dense feed-forward inputs,
    the final norm and norms inside mixers stay plain.
    """

    rank: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least("model.norm", 1, rank=self.rank)

    def _gated(self, site: str) -> bool:
        return site in ("attention", "experts")

    def num_params(self, width: int, site: str) -> int:
        return width + (2 * self.rank * width if self._gated(site) else 0)

    def build(self, width: int, site: str) -> Any:
        if not self._gated(site):
            return super().build(width, site)
        return load("lab.model.norm:GatedRMSNorm")(width, self.eps, self.rank)
