"""How round 2's ranking moves with the weights of its parts, on the reconstructed table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from lab.errors import ConfigError
from lab.evaluation.scorecard.reconstruction import Row
from lab.evaluation.scorecard.rules import ROUND_2

BLOCKS = ("benchmark", "expert", "user")
PARTS = ("aaii", "nia", "expert", "user")
"""The finest parts that the reconstruction knows for every team; users' points are known only together."""


@dataclass(frozen=True)
class Crossing:
    """At ``weight``, a share of the whole, ``above`` and ``below`` tie; with more, ``above`` leads."""

    part: str
    weight: float
    above: str
    below: str


@dataclass(frozen=True)
class Ranking:
    """Teams by total of 100, best first; equal totals keep the order of the official weights."""

    totals: dict[str, float]

    @property
    def order(self) -> tuple[str, ...]:
        return tuple(self.totals)


def rank(rows: Sequence[Row], weights: Mapping[str, float]) -> Ranking:
    """The totals if the parts in ``weights`` had those weights; they are scaled to add up to 100.

    ``weights`` has either the three ``BLOCKS`` or the four ``PARTS``. Raises :class:`ConfigError` for a negative
    weight or weights that are all zero.
    """
    assert set(weights) in (set(BLOCKS), set(PARTS))
    for part, weight in weights.items():
        if not 0 <= weight < float("inf"):
            raise ConfigError(f"weights.{part}={weight:g} cannot be used: it must be 0 or more.")
    whole = sum(weights.values())
    if whole == 0:
        raise ConfigError("weights are all 0: at least one must be above 0.")
    totals = {
        row.team: 100 / whole * sum(weight * share(row, part) for part, weight in weights.items())
        for row in rows
    }
    return Ranking(dict(sorted(totals.items(), key=lambda item: -round(item[1], 9))))


def share(row: Row, part: str) -> float:
    """A team's points in a part as a share of the most that it gives, 0 to 1."""
    return getattr(row, part) / ROUND_2.points[part]


def crossings(rows: Sequence[Row], part: str) -> list[Crossing]:
    """Where two teams tie as the weight of ``part`` goes from 0 to 1, the other parts kept in proportion.

    A total is linear in that weight ``w``: ``w s + (1 - w) r``, with ``s`` the share of ``part`` and ``r`` the mean
    share of the other parts by their official points. Ascending by weight.
    """
    family = BLOCKS if part in BLOCKS else PARTS
    others = {other: ROUND_2.points[other] for other in family if other != part}
    rest = {
        row.team: sum(points * share(row, other) for other, points in others.items()) / sum(others.values())
        for row in rows
    }
    found = []
    for one, other in combinations(rows, 2):
        gain, lead = share(one, part) - share(other, part), rest[other.team] - rest[one.team]
        if gain + lead == 0 or not 0 < (weight := lead / (gain + lead)) < 1:
            continue
        above, below = (one, other) if gain > 0 else (other, one)
        found.append(Crossing(part, weight, above.team, below.team))
    return sorted(found, key=lambda crossing: crossing.weight)


def spread_of_parts(rows: Sequence[Row]) -> dict[str, float]:
    """Best minus worst in points, by part and block: what each could decide at the official weights."""
    return {
        part: max(getattr(row, part) for row in rows) - min(getattr(row, part) for row in rows)
        for part in dict.fromkeys((*PARTS, *BLOCKS))
    }


def simplex(rows: Sequence[Row], steps: int) -> list[tuple[dict[str, float], Ranking]]:
    """The ranking at every weighting of the three blocks in whole multiples of ``100 / steps`` per cent."""
    return [
        (weights := dict(zip(BLOCKS, (100 * a / steps, 100 * b / steps, 100 * (steps - a - b) / steps), strict=True)),
         rank(rows, weights))
        for a in range(steps + 1)
        for b in range(steps + 1 - a)
    ]  # fmt: skip
