"""Round 2's table, team by team, rebuilt from the pieces that were published.

No such table was ever published officially. Every score is taken to have one decimal, as every published one has,
and every table that agrees with the published winners, means, spreads, totals and index values is listed: an
exhaustive search over whole tenths of a point, in which bounds cut off what cannot be completed. A published mean
or spread stands for every value that rounds to it by either convention for halves.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor

from lab.evaluation.scorecard.published import Published, Score, read_published
from lab.evaluation.scorecard.rules import ROUND_2

ITEMS = ("aaii", "nia", "expert", "user_expert", "user_public")
"""The items of a row that add up to its total; the experts' three are published only together."""

PARTS = {
    "benchmark": ("aaii", "nia"),
    "user": ("user_expert", "user_public"),
    "total": ITEMS,
} | {item: (item,) for item in ITEMS}
"""Every published item as a sum of ``ITEMS``."""

Cell = tuple[str, str]
"""Team and item."""

Table = dict[Cell, int]
"""Tenths of a point."""


@dataclass(frozen=True)
class Total:
    """The sum of ``plus`` minus the sum of ``minus`` lies in ``[low, high]``, in tenths."""

    plus: tuple[Cell, ...]
    low: int
    high: int
    minus: tuple[Cell, ...] = ()

    def allows(self, values: Mapping[Cell, int]) -> bool:
        """Whether a complete table keeps it."""
        difference = sum(values[cell] for cell in self.plus) - sum(values[cell] for cell in self.minus)
        return self.low <= difference <= self.high

    def narrow(self, bounds: dict[Cell, tuple[int, int]]) -> bool | None:
        """Tighten ``bounds`` in place: whether any moved, None where nothing fits."""
        signed = [(cell, 1) for cell in self.plus] + [(cell, -1) for cell in self.minus]
        ranges = [bounds[cell] if sign > 0 else _negated(bounds[cell]) for cell, sign in signed]
        least, most = sum(low for low, _ in ranges), sum(high for _, high in ranges)
        moved = False
        for (cell, sign), (low, high) in zip(signed, ranges, strict=True):
            new = max(low, self.low - (most - high)), min(high, self.high - (least - low))
            if new[0] > new[1]:
                return None
            if new != (low, high):
                bounds[cell] = new if sign > 0 else _negated(new)
                moved = True
        return moved


@dataclass(frozen=True)
class Spread:
    """The best team's sum over ``items`` minus the worst's is ``value`` tenths."""

    items: tuple[str, ...]
    value: int


@dataclass(frozen=True)
class Row:
    """A team's line, in points; the items that the published pieces leave open are ranges ``(low, high)``."""

    team: str
    aaii: float
    nia: float
    benchmark: float
    expert: float
    user_expert: tuple[float, float]
    user_public: tuple[float, float]
    user: float
    total: float


@dataclass(frozen=True)
class Reconstruction:
    """What the search found. ``tables`` agree with every piece; ``distinct`` counts them by blocks.

    Tables that differ only in how a team's user points split into experts' and public's are one by blocks; ``rows``
    is that one, best total first, and empty unless ``distinct`` is 1.
    """

    tables: tuple[Table, ...]
    distinct: int
    rows: tuple[Row, ...]


def reconstruct(published: Published | None = None, without: Sequence[Score] = ()) -> Reconstruction:
    """Every table that agrees with the published pieces but those in ``without``."""
    published = published or read_published()
    kept = [score for score in published.scores if score.round == ROUND_2.round and score not in without]
    teams = list(published.teams[ROUND_2.round])
    tables = tuple(_search(_bounds(teams, published), *_constraints(kept, teams)))
    by_blocks = {
        tuple(_sum(table, team, item) for team in teams for item in ("aaii", "nia", "expert", "user"))
        for table in tables
    }
    rows = tuple(_row(team, tables) for team in teams) if len(by_blocks) == 1 else ()
    return Reconstruction(tables, len(by_blocks), tuple(sorted(rows, key=lambda row: -row.total)))


def _bounds(teams: Sequence[str], published: Published) -> dict[Cell, tuple[int, int]]:
    """The range of every cell: 0 to the item's points, and for AAII what the site's value can round to.

    The site's value has one decimal, so that the index lies within 0.05 of it; its 25 hundredths are rounded again.
    """
    points = ROUND_2.points
    bounds = {(team, item): (0, 10 * points[item]) for team in teams for item in ITEMS}
    for team, value in published.index_values.items():
        middle, slack = 10 * value * points["aaii"] / 100, 0.5 + 0.5 * points["aaii"] / 100
        bounds[team, "aaii"] = ceil(middle - slack - 1e-9), floor(middle + slack + 1e-9)
    return bounds


def _constraints(scores: Sequence[Score], teams: Sequence[str]) -> tuple[list[Total], list[Spread]]:
    totals, spreads = [], []
    for score in scores:
        if score.value is None:
            continue
        parts = PARTS[score.item]
        if score.what == "mean":
            cells = tuple((team, item) for team in teams for item in parts)
            half = 0.05 if score.value == round(score.value, 1) else 0.005
            low, high = (10 * len(teams) * (score.value + side) for side in (-half, half))
            totals.append(Total(cells, ceil(low - 1e-9), floor(high + 1e-9)))
        elif score.what == "spread":
            spreads.append(Spread(parts, round(10 * score.value)))
        else:
            for team in score.teams:
                own, value = tuple((team, item) for item in parts), round(10 * score.value)
                totals.append(Total(own, value, value))
                if score.winner:
                    others = [tuple((other, item) for item in parts) for other in teams if other != team]
                    totals += [Total(own, 0, 1000, minus=cells) for cells in others]
    for spread in spreads:  # no two teams may be farther apart, which bounds can use
        sums = [tuple((team, item) for item in spread.items) for team in teams]
        totals += [
            Total(one, -1000, spread.value, minus=other) for one in sums for other in sums if one != other
        ]
    return totals, spreads


def _search(
    bounds: dict[Cell, tuple[int, int]], totals: Sequence[Total], spreads: Sequence[Spread]
) -> Iterator[Table]:
    """Depth first: narrow until nothing moves, then try every value of the open cell that has fewest."""
    bounds = dict(bounds)
    moved = True
    while moved:
        moved = False
        for total in totals:
            changed = total.narrow(bounds)
            if changed is None:
                return
            moved |= changed
    open_cells = [cell for cell, (low, high) in bounds.items() if low < high]
    if not open_cells:
        table = {cell: low for cell, (low, _) in bounds.items()}
        if all(total.allows(table) for total in totals) and all(_spread_is(table, one) for one in spreads):
            yield table
        return
    cell = min(open_cells, key=lambda one: bounds[one][1] - bounds[one][0])
    low, high = bounds[cell]
    for value in range(low, high + 1):
        yield from _search(bounds | {cell: (value, value)}, totals, spreads)


def _spread_is(table: Table, spread: Spread) -> bool:
    teams = {team for team, _ in table}
    sums = [sum(table[team, item] for item in spread.items) for team in teams]
    return max(sums) - min(sums) == spread.value


def _row(team: str, tables: Sequence[Table]) -> Row:
    def points(item: str) -> tuple[float, float]:
        values = [_sum(table, team, item) for table in tables]
        return min(values) / 10, max(values) / 10

    single = {item: points(item)[0] for item in ("aaii", "nia", "benchmark", "expert", "user", "total")}
    return Row(team, **single, user_expert=points("user_expert"), user_public=points("user_public"))


def _sum(table: Table, team: str, item: str) -> int:
    return sum(table[team, part] for part in PARTS[item])


def _negated(bound: tuple[int, int]) -> tuple[int, int]:
    return -bound[1], -bound[0]
