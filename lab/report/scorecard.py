"""The official evaluations as tables and figures: a round's scores, and who wins by which weights.

Figures draw on axes they are given, on light paper, in the colours of :mod:`lab.report.contenders`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from lab.evaluation.scorecard.published import Published
from lab.evaluation.scorecard.reconstruction import Reconstruction, Row
from lab.evaluation.scorecard.rules import ROUND_2, RULES
from lab.evaluation.scorecard.sensitivity import BLOCKS, PARTS, Ranking, crossings, rank, simplex
from lab.report.contenders import KNOWN
from lab.report.formats import MISSING
from lab.report.tables import Cell, Column, Table
from lab.report.tables import Row as Line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TEAMS = {"skt": "SK Telecom", "upstage": "Upstage", "lg": "LG AI Research", "motif": "Motif Technologies"}
TEAMS |= {"naver": "Naver Cloud", "nc_ai": "NC AI"}

_CONTENDERS = {"skt": "ax_k2", "upstage": "solar_open_2", "lg": "k_exaone_2", "motif": "motif_3"}
_PANEL_INK, _MUTED = "#23201d", "#6b6660"

RECONSTRUCTION_NOTE = (
    "A reconstruction: no such table was published officially. It agrees with every published winner, mean and "
    "spread, and holds as far as the press totals and Motif's breakdown do."
)


def round_1_table(published: Published) -> Table:
    """Each item's best teams, its best score and its mean: all that round 1 made public."""
    titles = {block.key: block.title for block in RULES[1].blocks} | {"total": "total"}
    titles |= {item.key: item.title for block in RULES[1].blocks for item in block.items}
    lines = []
    for item, title in titles.items():
        scores = [score for score in published.of(1, item, "score") if score.winner]
        if not scores:
            continue
        (best,) = scores
        assert best.value is not None
        mean = published.statistic(1, item, "mean")
        lines.append(
            Line(
                item,
                {
                    "item": Cell(f"{title} /{RULES[1].points[item]}", title),
                    "winner": Cell(", ".join(TEAMS[team] for team in best.teams), ",".join(best.teams)),
                    "best": Cell(f"{best.value:.1f}", best.value),
                    "mean": Cell(MISSING if mean is None else f"{mean:g}", mean),
                    "status": Cell(best.status, best.status),
                },
            )
        )
    columns = [
        Column("item", "item"),
        Column("winner", "best"),
        Column("best", "points"),
        Column("mean", "mean of 5 teams"),
        Column("status", "standing"),
    ]
    notes = [
        "The other teams' scores were not published, so that no ranking can be recomputed for round 1. "
        f"{MISSING} stands for a figure that was not found."
    ]
    return Table(columns, lines, notes=notes)


def round_2_table(reconstruction: Reconstruction, published: Published) -> Table:
    """The reconstructed scores by team, with the published means beneath."""
    keys = ("aaii", "nia", "benchmark", "expert", "user_expert", "user_public", "user", "total")
    titles = dict(zip(keys, ("AAII", "NIA", "benchmark", "expert", "user, experts", "user, public", "user", "total"),
                      strict=True))  # fmt: skip
    columns = [Column("team", "team")]
    columns += [
        Column(
            key,
            f"{titles[key]} /{ROUND_2.points[key]}",
            best="higher",
            rank=0 if key in ("total", *BLOCKS) else 1,
        )
        for key in keys
    ]
    lines = []
    for row in reconstruction.rows:
        cells = {key: _points(value) for key, value in asdict(row).items() if key != "team"}
        lines.append(Line(row.team, {"team": Cell(team_title(row.team, published), row.team)} | cells))
    means = {key: published.statistic(2, key, "mean") for key in keys}
    official = Line(
        "mean",
        {"team": Cell("official mean", "mean")}
        | {key: Cell(f"{mean:g}", mean) for key, mean in means.items() if mean is not None},
    )
    return Table(columns, lines, [official], [RECONSTRUCTION_NOTE])


def ranking_table(rows: Sequence[Row], weights: Mapping[str, float], published: Published) -> Table:
    """Totals by the official weights and by ``weights``, scaled to 100, best by ``weights`` first."""
    official = rank(rows, {block: ROUND_2.points[block] for block in BLOCKS})
    moved = rank(rows, weights)
    whole = sum(weights.values())
    lines = []
    for place, (team, total) in enumerate(moved.totals.items(), 1):
        before = official.order.index(team) + 1
        lines.append(
            Line(
                team,
                {
                    "place": Cell(str(place), place, "" if place == before else f"was {before}"),
                    "team": Cell(team_title(team, published), team),
                    "total": Cell(f"{total:.1f}", total),
                    "official": Cell(f"{official.totals[team]:.1f}", official.totals[team]),
                },
            )
        )
    given = ", ".join(f"{part} {100 * weight / whole:.3g}" for part, weight in weights.items())
    columns = [
        Column("place", "place"),
        Column("team", "team"),
        Column("total", "total"),
        Column("official", "at 40, 35, 25"),
    ]
    return Table(columns, lines, notes=[f"Weights of 100: {given}."])


def crossing_table(rows: Sequence[Row], published: Published) -> Table:
    """Every place where two teams change places as one part's weight moves and the others keep their proportions."""
    lines = []
    for part in dict.fromkeys((*BLOCKS, *PARTS)):
        now = ROUND_2.points[part]
        for crossing in crossings(rows, part):
            lines.append(
                Line(
                    f"{part}-{crossing.above}-{crossing.below}",
                    {
                        "part": Cell(f"{part}, now {now}", part),
                        "weight": Cell(f"{100 * crossing.weight:.1f}", 100 * crossing.weight),
                        "above": Cell(team_title(crossing.above, published), crossing.above),
                        "below": Cell(team_title(crossing.below, published), crossing.below),
                    },
                )
            )
    columns = [
        Column("part", "weight of"),
        Column("weight", "of 100, above"),
        Column("above", "leads"),
        Column("below", "before"),
    ]
    return Table(columns, lines, notes=["The other parts keep their proportions."])


def team_title(team: str, published: Published) -> str:
    """``SK Telecom, A.X K2``."""
    return f"{TEAMS[team]}, {published.teams[2][team]}"


def team_colour(team: str) -> str:
    """The colour of the team's round-2 model on light paper."""
    return KNOWN[_CONTENDERS[team]].light


def draw_points(axis: Axes, rows: Sequence[Row]) -> None:
    """A group of bars for each part, in per cent of the most it gives; a bar a team."""
    width = 0.8 / len(rows)
    for index, row in enumerate(rows):
        places = [group + (index - (len(rows) - 1) / 2) * width for group in range(len(PARTS))]
        heights = [100 * getattr(row, part) / ROUND_2.points[part] for part in PARTS]
        axis.bar(places, heights, 0.9 * width, color=team_colour(row.team), label=TEAMS[row.team])
        for x, height, part in zip(places, heights, PARTS, strict=True):
            axis.annotate(f"{getattr(row, part):.1f}", (x, height), ha="center", va="bottom", fontsize=7)
    axis.set_xticks(range(len(PARTS)), [f"{part}\n{ROUND_2.points[part]} points" for part in PARTS])
    axis.set_ylabel("% of the points")
    axis.legend(frameon=False, ncols=len(rows), loc="lower center", bbox_to_anchor=(0.5, 1.0))
    axis.spines[["top", "right"]].set_visible(False)


def draw_sweep(axis: Axes, rows: Sequence[Row], part: str) -> None:
    """Totals as the weight of ``part`` goes from 0 to 100, the others in proportion; the official weight is marked."""
    family = BLOCKS if part in BLOCKS else PARTS
    for row in rows:
        ends = [
            rank(rows, {one: (0 if one == part else ROUND_2.points[one]) for one in family}).totals[row.team],
            rank(rows, {one: float(one == part) for one in family}).totals[row.team],
        ]
        axis.plot([0, 100], ends, color=team_colour(row.team), label=TEAMS[row.team], linewidth=2)
    axis.axvline(ROUND_2.points[part], color=_MUTED, linewidth=1, linestyle=(0, (2, 2)))
    axis.set(xlabel=f"weight of {part}, % of the whole", ylabel="total of 100", xlim=(0, 100))
    axis.spines[["top", "right"]].set_visible(False)


def draw_simplex(axis: Axes, rows: Sequence[Row], place: int, steps: int = 60) -> None:
    """Who takes ``place`` (1 the first) at every weighting of the three blocks: a corner is one block alone.

    The ring is the official weighting.
    """
    corners = {"benchmark": (0.0, 0.0), "expert": (1.0, 0.0), "user": (0.5, 3**0.5 / 2)}

    def at(weights: Mapping[str, float]) -> tuple[float, float]:
        whole = sum(weights.values())
        x = sum(weight * corners[block][0] for block, weight in weights.items()) / whole
        return x, sum(weight * corners[block][1] for block, weight in weights.items()) / whole

    holders: dict[str, list[tuple[float, float]]] = {}
    for weights, ranking in simplex(rows, steps):
        holders.setdefault(_holder(ranking, place), []).append(at(weights))
    for team, points in holders.items():
        across, up = zip(*points, strict=True)
        axis.scatter(across, up, s=16, color=team_colour(team), label=TEAMS[team], linewidths=0)
    official = at({block: ROUND_2.points[block] for block in BLOCKS})
    axis.plot(
        *official, "o", markersize=9, markerfacecolor="none", markeredgecolor="white", markeredgewidth=2
    )
    for block, (x, y) in corners.items():
        below = y == 0
        axis.annotate(
            f"{block} alone", (x, y), xytext=(0, -12 if below else 8), textcoords="offset points",
            ha="center", va="top" if below else "bottom", color=_PANEL_INK,
        )  # fmt: skip
    axis.set(aspect="equal", title=f"place {place}")
    axis.set_axis_off()


def _holder(ranking: Ranking, place: int) -> str:
    return ranking.order[place - 1]


def _points(value: float | tuple[float, float]) -> Cell:
    if isinstance(value, float | int):
        return Cell(f"{value:.1f}", value)
    low, high = value
    if low == high:
        return Cell(f"{low:.1f}", low)
    return Cell(f"{low:.1f} to {high:.1f}", None, more={"low": low, "high": high})
