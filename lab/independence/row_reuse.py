r"""Are rows of one model rows of the other? An exact test in the residual stream's own coordinates.

**Equation.** For row :math:`b_j` of B and a candidate :math:`a` of A, both of width D, let :math:`r` be Pearson's
correlation over coordinates. Two ways to choose the candidate: the row at the *same place*, judged on all coordinates;
or the *best match* among all rows of A, found on half of the coordinates and judged on the other half. Statistics: the
mean of r, of its upper twentieth and its maximum.

**Null and assumption.** A's coordinates, permuted all together, would have been as likely: true of weights drawn alike
and independently and trained by a rule that treats coordinates alike (SGD, Adam, Muon), whatever data, whatever B. The
statistics are recomputed under permutations of the coordinates that are judged, so the p-value p of either way is
exact, and that of both together, which are permuted apart, to :math:`p^2/4`. It holds against permuted layers, heads,
units and experts, scaling and partial copies; it is blind where the residual stream itself was permuted or rotated:
see ``unit_agreement``.

**Control.** The permutation *is* the shuffle control. Two models from one initial draw are not independent under this
null: the test then finds the draw that they share, rightly, and cannot tell it from reuse of trained weights.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from scipy.stats import beta
from torch import Tensor

from lab.independence.statistics import joint_p

CHUNK = 8192  # rows of A at a time, at most
NUMBERS = 2**22  # numbers of A at a time, at most
JUDGED = 512  # coordinates that judge, at most
TOP = 20  # the upper twentieth
STATISTICS = 3
BLOCK = 1_000_000  # numbers held at once while permuting
FLOOR_DRAWS = 100  # null draws into which reuse is injected to find what would have been seen

Stream = Iterator[tuple[str, Tensor]]


@dataclass(frozen=True)
class RowReuse:
    """``share`` of b's rows that match beyond chance; ``floor`` is the share that would have been seen."""

    correlation: float
    p_value: float
    share: float
    floor: float
    rows: int


def row_reuse(a: Stream, b: Stream, rows: int, draws: int, level: float, seed: int) -> RowReuse | None:
    """Test whether rows of ``b`` come from ``a``; None where either has none that vary.

    Both stream tensors as rows ``N D`` of equal D. ``level`` is what the floor is computed for.
    """
    chance = torch.Generator().manual_seed(seed)
    sample = _sample(b, rows, chance)
    if sample is None:
        return None
    names, places, vectors = sample
    width = vectors.shape[1]
    order = torch.randperm(width, generator=chance)
    search, judge = order[: width // 2], order[width // 2 :][:JUDGED]
    wanted = _standard(vectors[:, search])
    best = torch.full((len(vectors),), -1.0)
    matched, same = torch.zeros(len(vectors), width), torch.zeros(len(vectors), width)
    seen = False
    for name, matrix in a:
        step = min(CHUNK, max(1, NUMBERS // width))
        for start in range(0, len(matrix), step):
            part = matrix[start : start + step].float()
            scores = wanted @ _standard(part[:, search]).T
            value, index = scores.abs().max(dim=1)
            better = value > best
            best = torch.where(better, value, best)
            sign = scores.gather(1, index[:, None]).sign()
            matched[better] = (part[index] * sign)[better]
            seen = True
        here = torch.tensor(
            [j for j, (n, i) in enumerate(zip(names, places, strict=True)) if n == name and i < len(matrix)],
            dtype=torch.long,
        )
        same[here] = matrix[torch.tensor(places)[here]].float()
        del matrix  # before the next is read
    if not seen:
        return None
    judged = [(_standard(matched[:, judge]), _standard(vectors[:, judge]))]
    if same.any():
        columns = order[: 2 * JUDGED]
        judged.append((_standard(same[:, columns]), _standard(vectors[:, columns])))
    return _test(judged, draws, level, chance)


def _sample(stream: Stream, rows: int, chance: torch.Generator) -> tuple[list[str], list[int], Tensor] | None:
    """At most ``rows`` rows with their tensor and place, drawn evenly from all rows (largest random keys stay)."""
    names: list[str] = []
    places: list[int] = []
    vectors: Tensor | None = None
    keys = torch.empty(0)
    for name, matrix in stream:
        new = torch.rand(len(matrix), generator=chance)
        new[matrix.amax(dim=1) == matrix.amin(dim=1)] = -1.0  # constant rows say nothing
        index = new.topk(min(rows, len(new))).indices
        index = index[new[index] >= 0]
        keys = torch.cat([keys, new[index]])
        drawn = matrix[index].float()
        vectors = drawn if vectors is None else torch.cat([vectors, drawn])
        names += [name] * len(index)
        places += index.tolist()
        keep = keys.topk(min(rows, len(keys))).indices
        keys, vectors = keys[keep], vectors[keep]
        names, places = [names[i] for i in keep], [places[i] for i in keep]
        del matrix  # before the next is read
    return (names, places, vectors) if vectors is not None and len(vectors) else None


def _test(judged: list[tuple[Tensor, Tensor]], draws: int, level: float, chance: torch.Generator) -> RowReuse:
    """The observed correlations against ``draws`` permutations of A's judged coordinates."""
    observed = [(a * b).sum(dim=1) for a, b in judged]
    null = [_permuted(a, b, draws, chance) for a, b in judged]
    table = [
        torch.cat([_statistics(r)[None], _statistics(part)]) for r, part in zip(observed, null, strict=True)
    ]
    values = torch.cat(table, dim=1)
    limits = [part.amax(dim=1).quantile(0.99) for part in null]
    shares = [(r > limit).float().mean().item() for r, limit in zip(observed, limits, strict=True)]
    correlation = max(r.mean().item() for r in observed)
    floor = _floor(null[0][:FLOOR_DRAWS], values, level)
    return RowReuse(correlation, joint_p(values), max(shares), floor, len(observed[0]))


def _permuted(a: Tensor, b: Tensor, draws: int, chance: torch.Generator) -> Tensor:
    """Correlations ``draws N`` of the rows of ``b`` with those of ``a`` after each permutation of coordinates.

    A permutation is drawn once for all rows. Draws come in blocks through one buffer: a fresh one for each would
    leave holes between the results, of gigabytes in the end.
    """
    count, width = a.shape
    block = min(draws, max(1, BLOCK // a.numel()))
    columns, judges = a.T.contiguous(), b.T.contiguous()  # whole rows are moved, which is quicker
    buffer, result = torch.empty(block * width, count), torch.empty(draws, count)
    for start in range(0, draws, block):
        size = min(block, draws - start)
        orders = torch.rand(size, width, generator=chance).argsort(dim=1)
        moved = torch.index_select(columns, 0, orders.flatten(), out=buffer[: size * width])
        torch.sum(moved.view(size, width, count).mul_(judges), dim=1, out=result[start : start + size])
    return result


def _floor(null_rows: Tensor, values: Tensor, level: float) -> float:
    """The smallest share of verbatim rows that at least 95 % of the null draws would have turned into a finding.

    ``null_rows`` are best-match correlations ``draws N``; a statistic must pass the null's quantile at ``level``
    shared among the columns (Bonferroni, so the floor errs on the large side). The share allows for the sampling of
    rows: a reuse this large yields enough sampled rows with 95 % probability.
    """
    critical = values[1:].quantile(1 - level / values.shape[1], dim=0, interpolation="higher")[:STATISTICS]
    count = null_rows.shape[1]
    copies = 1
    while copies < count:
        injected = null_rows.clone()
        injected[:, :copies] = 1.0
        if (_statistics(injected) > critical).any(dim=1).float().mean() >= 0.95:
            return float(beta.ppf(0.95, copies, count - copies + 1))
        copies = max(copies + 1, int(copies * 1.2))
    return 1.0


def _statistics(r: Tensor) -> Tensor:
    """Mean, mean of the upper twentieth and maximum over the last axis."""
    top = r.topk(max(1, r.shape[-1] // TOP), dim=-1).values
    return torch.stack([r.mean(dim=-1), top.mean(dim=-1), top[..., 0]], dim=-1)


def _standard(matrix: Tensor) -> Tensor:
    """Rows with mean 0 and length 1; constant rows become zeros."""
    centred = matrix - matrix.mean(dim=1, keepdim=True)
    return torch.nn.functional.normalize(centred, dim=1, eps=1e-20)
