"""The official evaluations: what was published, what follows from it, and how the ranking moves with the weights.

python -m experiments.scorecard
python -m experiments.scorecard round=1
python -m experiments.scorecard weights.benchmark=60 format=markdown
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

from omegaconf import DictConfig
from rich.console import Console

from experiments.command import run_command
from lab.config import typed
from lab.errors import ConfigError
from lab.evaluation.scorecard.published import Published, read_published
from lab.evaluation.scorecard.reconstruction import reconstruct
from lab.evaluation.scorecard.rules import RULES
from lab.evaluation.scorecard.sensitivity import BLOCKS, PARTS, crossings, rank
from lab.report.scorecard import crossing_table, ranking_table, round_1_table, round_2_table
from lab.report.tables import Table, to_console, to_markdown

FORMATS = ("table", "markdown", "json")


@dataclass
class Weights:
    """Of the three blocks, in any unit: only their proportions count."""

    benchmark: float
    expert: float
    user: float

    def __post_init__(self) -> None:
        for block, weight in asdict(self).items():
            if not 0 <= weight < float("inf"):
                raise ConfigError(f"weights.{block}={weight:g} cannot be used: it must be 0 or more.")
        if not any(asdict(self).values()):
            raise ConfigError("weights are all 0: at least one must be above 0.")


@dataclass
class ScorecardSettings:
    """``round`` is 1 or 2; ``weights`` are round 2's; ``format`` is one of ``FORMATS``."""

    round: int
    weights: Weights
    format: str

    def __post_init__(self) -> None:
        official = {block.key: block.points for block in RULES[1].blocks}
        if self.round not in RULES:
            raise ConfigError(f"round={self.round} is unknown: it can be 1 or 2.")
        if self.format not in FORMATS:
            raise ConfigError(f"format={self.format} is unknown: it can be {', '.join(FORMATS)}.")
        if self.round == 1 and asdict(self.weights) != official:
            raise ConfigError(
                "weights cannot be used with round=1: only one team's scores were published, use round=2."
            )


def tables(settings: ScorecardSettings) -> dict[str, Table]:
    """The tables of a round by title."""
    published = read_published()
    if settings.round == 1:
        return {"First evaluation, January 2026: every published score": round_1_table(published)}
    found = reconstruct(published)
    return {
        "Second evaluation, August 2026: reconstructed scores": round_2_table(found, published),
        "The ranking by these weights": ranking_table(found.rows, asdict(settings.weights), published),
        "Where the ranking moves": crossing_table(found.rows, published),
    }


def as_json(settings: ScorecardSettings) -> dict[str, Any]:
    """Scores with their sources; for round 2 the reconstruction, the ranking and the crossings too."""
    published: Published = read_published()
    record: dict[str, Any] = {
        "round": settings.round,
        "teams": published.teams[settings.round],
        "published": [asdict(score) for score in published.scores if score.round == settings.round],
    }
    if settings.round == 2:
        found, weights = reconstruct(published), asdict(settings.weights)
        parts = dict.fromkeys((*BLOCKS, *PARTS))
        record |= {
            "reconstructed": [asdict(row) for row in found.rows],
            "solutions": {"by_block": found.distinct, "with_user_split": len(found.tables)},
            "weights": weights,
            "totals": rank(found.rows, weights).totals,
            "crossings": [asdict(one) for part in parts for one in crossings(found.rows, part)],
        }
    return record


def show_scorecard(container: DictConfig, overrides: list[str]) -> None:
    """Print the round."""
    settings: ScorecardSettings = typed(container, ScorecardSettings)
    if settings.format == "json":
        print(json.dumps(as_json(settings), ensure_ascii=False))
        return
    console = Console()
    for title, table in tables(settings).items():
        if settings.format == "markdown":
            print(f"**{title}**\n\n{to_markdown(table)}")
        else:
            console.print(f"[bold]{title}[/bold]\n")
            console.print(to_console(table, console.width), "")


if __name__ == "__main__":
    run_command(show_scorecard, "scorecard")
