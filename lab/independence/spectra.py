r"""Fingerprints that no rotation of either side changes: singular values, and the spread of attention matrices.

**Equations.** For same-named matrices with singular values :math:`s^A, s^B`: the mean of
:math:`2|s^A_k-s^B_k|/(s^A_k+s^B_k)`; 0 for a permuted or rotated copy. The spread profile is the standard deviation of
the query, key, value and output matrices by layer; profiles are compared by Pearson's correlation of their
*differences* from matrix to matrix.

**Assumptions and control.** Unrelated models trained alike have like spectra, and profiles that merely drift alike with
depth correlate without differencing (arXiv 2507.03014 gives no null). So these describe and never decide: the
verdicts do not use them.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lab.independence.weights import Weights

LARGEST = 1024  # singular values of matrices with a longer short side are left out: they cost its cube


@dataclass(frozen=True)
class Fingerprints:
    """``spectral_distance`` over ``matrices`` of one name; the correlations are None below four layers."""

    spectral_distance: float | None
    matrices: int
    spread_correlation: float | None
    spread_correlation_raw: float | None


def fingerprints(a: Weights, b: Weights) -> Fingerprints:
    """Compare what rotations leave alone; parts that cannot be compared are None."""
    distances = []
    profiles: list[tuple[float, float]] = []
    for name, shape in a.shapes.items():
        if len(shape) != 2 or b.shapes.get(name) != shape or min(shape) < 2:
            continue
        one, other = a.read(name), b.read(name)
        if one is None or other is None:
            continue
        if min(shape) <= LARGEST:
            s, t = torch.linalg.svdvals(one), torch.linalg.svdvals(other)
            distances.append((2 * (s - t).abs() / (s + t).clamp_min(1e-20)).mean().item())
        if a.roles[name].module == "attention":
            profiles.append((one.std().item(), other.std().item()))
    table = torch.tensor(profiles, dtype=torch.float64)
    enough = len(profiles) >= 4
    return Fingerprints(
        sum(distances) / len(distances) if distances else None,
        len(distances),
        _pearson(table.diff(dim=0)) if enough else None,
        _pearson(table) if enough else None,
    )


def _pearson(pairs: Tensor) -> float | None:
    correlation = torch.corrcoef(pairs.T)[0, 1]
    return correlation.item() if correlation.isfinite() else None
