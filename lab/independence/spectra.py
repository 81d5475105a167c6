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
NUMBERS = 2**22  # held in 64 bits at once


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
        one, other = _fingerprint(a, name), _fingerprint(b, name)
        if one is None or other is None:
            continue
        if one[1] is not None and other[1] is not None:
            s, t = one[1], other[1]
            distances.append((2 * (s - t).abs() / (s + t).clamp_min(1e-20)).mean().item())
        if a.roles[name].module == "attention":
            profiles.append((one[0], other[0]))
    table = torch.tensor(profiles, dtype=torch.float64)
    enough = len(profiles) >= 4
    return Fingerprints(
        sum(distances) / len(distances) if distances else None,
        len(distances),
        _pearson(table.diff(dim=0)) if enough else None,
        _pearson(table) if enough else None,
    )


def _fingerprint(weights: Weights, name: str) -> tuple[float, Tensor | None] | None:
    """Standard deviation and, of a matrix that is not too large, singular values; None where it cannot be compared."""
    matrix = weights.read(name)
    if matrix is None:
        return None
    matrix = matrix.T if matrix.shape[0] < matrix.shape[1] else matrix
    width = matrix.shape[1]
    first = second = 0.0
    gram = torch.zeros(width, width, dtype=torch.float64) if width <= LARGEST else None
    for block in matrix.split(max(1, NUMBERS // width)):
        numbers = block.double()
        first, second = first + numbers.sum().item(), second + numbers.square().sum().item()
        if gram is not None:
            gram.addmm_(numbers.T, numbers)
    count = matrix.numel()
    spread = (max(0.0, second - first**2 / count) / (count - 1)) ** 0.5
    return spread, torch.linalg.eigvalsh(gram).clamp_min(0).sqrt() if gram is not None else None


def _pearson(pairs: Tensor) -> float | None:
    correlation = torch.corrcoef(pairs.T)[0, 1]
    return correlation.item() if correlation.isfinite() else None
