"""The published scores of both rounds, read from ``published.yaml`` beside this file."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

RECORD = Path(__file__).with_name("published.yaml")

STATUSES = ("official", "site", "press", "not found")


@dataclass(frozen=True)
class Score:
    """One figure in points. ``what`` is score, mean or spread; ``value`` is None exactly where it was not found.

    ``source`` is the title of a document; ``winner`` says that no team of the round has more.
    """

    round: int
    item: str
    what: str
    status: str
    teams: tuple[str, ...] = ()
    value: float | None = None
    winner: bool = False
    source: str = ""


@dataclass(frozen=True)
class Published:
    """Everything in the record. ``teams[round]`` names each team's model; ``index_values`` run from 0 to 100."""

    teams: dict[int, dict[str, str]]
    scores: tuple[Score, ...]
    index_values: dict[str, float]
    index_source: str
    motif_3_components: dict[str, float]
    motif_3_omniscience: dict[str, float]

    def of(self, round: int, item: str, what: str) -> list[Score]:
        """The figures of one item, those not found included."""
        return [s for s in self.scores if (s.round, s.item, s.what) == (round, item, what)]

    def statistic(self, round: int, item: str, what: str) -> float | None:
        """The ``mean`` or ``spread`` of an item, None where it is not published."""
        return next((score.value for score in self.of(round, item, what)), None)


@cache
def read_published() -> Published:
    """The record."""
    raw: dict[str, Any] = yaml.safe_load(RECORD.read_text(encoding="utf-8"))
    sources = raw["sources"]
    scores = []
    for entry in raw["scores"]:
        source = sources[entry["source"]] if "source" in entry else ""
        score = Score(**entry | {"source": source, "teams": tuple(entry.get("teams", ()))})
        assert score.status in STATUSES
        assert (score.value is None) == (score.status == "not found") == (not score.source)
        scores.append(score)
    return Published(
        raw["teams"],
        tuple(scores),
        raw["index"]["values"],
        sources[raw["index"]["source"]],
        raw["motif_3_components"]["scores"],
        raw["motif_3_components"]["omniscience"],
    )
