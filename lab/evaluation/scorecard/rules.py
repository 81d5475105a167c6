"""How the Ministry of Science and ICT scored both rounds: 100 points, 40 for benchmarks, 35 experts, 25 users.

Sources: the ministry's releases of 15 January 2026 (first evaluation, annexes 1 and 2), 18 August 2026 (second
evaluation, annexes 1 and 2) and 20 August 2026 (formulas and item winners).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.errors import ConfigError

LOWEST_RATING, HIGHEST_RATING = 1, 5


@dataclass(frozen=True)
class Item:
    """A line of the score sheet: the most points it gives, and what they are given for."""

    key: str
    title: str
    points: int
    rule: str


@dataclass(frozen=True)
class Block:
    """A third of the sheet. ``items`` add up to its points; the scores of an expert's items are never published."""

    key: str
    title: str
    points: int
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Rules:
    """One round's sheet, 100 points."""

    round: int
    blocks: tuple[Block, ...]

    @property
    def points(self) -> dict[str, int]:
        """The most points of every block and item, by key, and of the ``total``."""
        found = {block.key: block.points for block in self.blocks}
        found |= {item.key: item.points for block in self.blocks for item in block.items}
        return found | {"total": sum(block.points for block in self.blocks)}


ROUND_1 = Rules(
    1,
    (
        Block(
            "benchmark",
            "benchmark",
            40,
            (
                Item("nia", "NIA", 10, "closed set: mathematics, knowledge, long text, safety, reliability"),
                Item("global_common", "global common", 20, "13 benchmarks that three teams or more proposed"),
                Item("global_individual", "global individual", 10, "own score against a target model's"),
            ),
        ),
        Block(
            "expert",
            "expert",
            35,
            (
                Item(
                    "strategy_technology", "strategy, technology", 10, "development strategy and technology"
                ),
                Item("results_plan", "results, plan", 15, "results and plan"),
                Item("ripple_effect", "ripple effect", 10, "ripple effect and contribution"),
            ),
        ),
        Block("user", "user", 25, (Item("user_expert", "expert users", 25, "49 raters; the best gets 25"),)),
    ),
)

ROUND_2 = Rules(
    2,
    (
        Block(
            "benchmark",
            "benchmark",
            40,
            (
                Item("aaii", "AAII", 25, "Artificial Analysis Intelligence Index, value x 25 / 100"),
                Item("nia", "NIA", 15, "closed set of seven fields, score x 15 / 100"),
            ),
        ),
        Block(
            "expert",
            "expert",
            35,
            (
                Item(
                    "strategy_technology", "strategy, technology", 10, "development strategy and technology"
                ),
                Item("results_plan", "results, plan", 10, "results and plan"),
                Item("ripple_effect", "ripple effect", 15, "ripple effect and contribution"),
            ),
        ),
        Block(
            "user",
            "user",
            25,
            (
                Item("user_expert", "expert users", 15, "49 raters, mean of 1 to 5 x 15 / 5"),
                Item("user_public", "public", 10, "185 raters, mean of 1 to 5 x 10 / 5"),
            ),
        ),
    ),
)

RULES = {1: ROUND_1, 2: ROUND_2}

INDEX_WEIGHTS = {
    "GDPval-AA v2": 20,
    "τ³-Banking": 14,
    "Terminal-Bench v2.1": 16,
    "SciCode": 8,
    "AA-LCR": 6,
    "AA-Omniscience": 12,
    "HLE": 12,
    "GPQA Diamond": 6,
    "CritPt": 6,
}
"""Per cent of the Artificial Analysis Intelligence Index as round 2 used it (ministry, 20 August 2026)."""


def index_value(scores: Mapping[str, float]) -> float:
    """The round-2 index from scores of 0 to 100, one for each name in ``INDEX_WEIGHTS``.

    How AA-Omniscience becomes one number is not published; :func:`omniscience` is a guess that comes near.
    Raises :class:`ConfigError` where a score is missing or there is one too many.
    """
    if wrong := sorted(set(scores) ^ set(INDEX_WEIGHTS)):
        raise ConfigError(f"scores cannot be used for {wrong[0]}: there must be one of each index component.")
    return sum(weight * scores[name] for name, weight in INDEX_WEIGHTS.items()) / 100


def omniscience(accuracy: float, non_hallucination: float) -> float:
    """Our reading of AA-Omniscience as one number of 0 to 100: the mean of its two published rates."""
    return (accuracy + non_hallucination) / 2


def scaled(score: float, points: float) -> float:
    """``score`` of 0 to 100 as part of ``points``: the rule of AAII and of NIA's set."""
    _require(0 <= score <= 100, f"score={score} cannot be used: it must be 0 to 100.")
    return score * points / 100


def ratio_to_target(own: Sequence[float], target: Sequence[float], points: float) -> float:
    """Round 1's individual benchmarks: the mean over them of own score / target model's, as part of ``points``.

    A ratio above 1 counts as 1, which is our reading: two teams reached the full 10 points.
    """
    _require(
        len(own) == len(target) > 0, f"own has {len(own)} scores: target must have as many, at least one."
    )
    _require(min(target) > 0, f"target={min(target)} cannot be used: scores must be above 0.")
    return points * sum(min(1.0, one / other) for one, other in zip(own, target, strict=True)) / len(own)


def trimmed_mean(scores: Sequence[float]) -> float:
    """The experts' rule of both rounds: the mean without one highest and one lowest score."""
    _require(len(scores) >= 3, f"scores has {len(scores)} entries: there must be at least 3 to drop two.")
    return sum(sorted(scores)[1:-1]) / (len(scores) - 2)


def rating_points(ratings: Sequence[float], points: float) -> float:
    """Round 2's users: the mean of ratings of 1 to 5, as part of ``points``."""
    _require(len(ratings) > 0, "ratings is empty: there must be at least one.")
    for rating in ratings:
        _require(
            LOWEST_RATING <= rating <= HIGHEST_RATING, f"rating={rating} cannot be used: it must be 1 to 5."
        )
    return points * sum(ratings) / len(ratings) / HIGHEST_RATING


def relative_to_best(sums: Mapping[str, float], points: float) -> dict[str, float]:
    """Round 1's users: each team's sum of ratings, scaled so that the best team gets all ``points``."""
    _require(bool(sums) and max(sums.values()) > 0, "sums is empty or zero: a team must have been rated.")
    best = max(sums.values())
    return {team: points * value / best for team, value in sums.items()}


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise ConfigError(sentence)
