"""Rules, published scores, the reconstruction of round 2's table and what the weights do to the ranking."""

import itertools
import json
import subprocess
import sys
from dataclasses import replace

import pytest

from experiments.scorecard import ScorecardSettings, Weights, tables
from lab.errors import ConfigError
from lab.evaluation.scorecard import rules
from lab.evaluation.scorecard.published import read_published
from lab.evaluation.scorecard.reconstruction import reconstruct
from lab.evaluation.scorecard.sensitivity import BLOCKS, PARTS, crossings, rank, simplex
from lab.report.tables import to_markdown

PUBLISHED = read_published()
ROWS = reconstruct().rows
OFFICIAL = {"benchmark": 40, "expert": 35, "user": 25}


@pytest.mark.parametrize("sheet", rules.RULES.values(), ids=lambda sheet: str(sheet.round))
def test_a_sheet_adds_up(sheet: rules.Rules) -> None:
    assert {block.key: block.points for block in sheet.blocks} == OFFICIAL
    assert sheet.points["total"] == 100
    for block in sheet.blocks:
        assert sum(item.points for item in block.items) == block.points


def test_round_1s_published_scores_add_up() -> None:
    best = {one.item: one.value for one in PUBLISHED.scores if one.round == 1 and "lg" in one.teams}
    assert best["nia"] + best["global_common"] + best["global_individual"] == pytest.approx(best["benchmark"])
    assert best["benchmark"] + best["expert"] + best["user"] == pytest.approx(best["total"])
    means = [PUBLISHED.statistic(1, block, "mean") for block in BLOCKS]
    assert sum(means) == pytest.approx(PUBLISHED.statistic(1, "total", "mean"), abs=0.05)
    assert PUBLISHED.statistic(1, "nia", "mean") is None


def test_every_published_score_fits_its_item_and_teams() -> None:
    for score in PUBLISHED.scores:
        assert score.value is None or 0 <= score.value <= rules.RULES[score.round].points[score.item]
        assert set(score.teams) <= set(PUBLISHED.teams[score.round])


def test_the_index_formula_comes_near_motifs_measured_value() -> None:
    assert sum(rules.INDEX_WEIGHTS.values()) == 100
    folded = rules.omniscience(**PUBLISHED.motif_3_omniscience)
    value = rules.index_value(PUBLISHED.motif_3_components | {"AA-Omniscience": folded})
    assert value == pytest.approx(48.2, abs=0.05)
    assert abs(value - PUBLISHED.index_values["motif"]) < 1
    with pytest.raises(ConfigError, match="AA-Omniscience"):
        rules.index_value(PUBLISHED.motif_3_components)


def test_the_scoring_rules() -> None:
    assert rules.scaled(47.4, 25) == pytest.approx(11.85)
    assert rules.ratio_to_target([72], [80], 10) == pytest.approx(9.0)  # the ministry's own example: 90 %
    assert rules.trimmed_mean([1, 9, 5, 4]) == 4.5
    assert rules.rating_points([1, 5, 3], 15) == 9
    assert rules.relative_to_best({"a": 100, "b": 80}, 25) == {"a": 25, "b": 20}
    for wrong in (
        lambda: rules.scaled(101, 25),
        lambda: rules.ratio_to_target([1], [0], 10),
        lambda: rules.ratio_to_target([1], [], 10),
        lambda: rules.trimmed_mean([1, 2]),
        lambda: rules.rating_points([6], 15),
        lambda: rules.rating_points([], 15),
        lambda: rules.relative_to_best({}, 25),
    ):
        with pytest.raises(ConfigError):
            wrong()


def test_the_published_pieces_leave_one_table() -> None:
    found = reconstruct()
    assert found.distinct == 1
    rows = {row.team: row for row in found.rows}
    assert [(row.team, row.benchmark, row.expert, row.user, row.total) for row in found.rows] == [
        ("skt", 22.2, 29.3, 19.1, 70.6),
        ("upstage", 22.7, 29.1, 18.1, 69.9),
        ("lg", 20.6, 29.5, 18.9, 69.0),
        ("motif", 24.6, 27.1, 14.1, 65.8),
    ]
    assert (rows["upstage"].user_expert, rows["upstage"].user_public) == ((10.5, 11.6), (6.5, 7.6))
    assert (rows["motif"].user_expert, rows["motif"].user_public) == ((7.6, 8.7), (5.4, 6.5))
    assert len(found.tables) == 12  # tenths from 10.5 to 11.6: the one split that stays open


def test_brute_force_over_totals_finds_the_same_blocks() -> None:
    """The same pieces without bounds: every expert and user score of the two open teams, one by one."""
    benchmark = {
        (nia, upstage)
        for nia, upstage in itertools.product(range(135), repeat=2)
        if 127 + 134 + nia + upstage == 522 and _spread(88 + 134, 94 + upstage, 78 + nia, 119 + 127) == 40
    }
    assert benchmark == {(128, 133)}
    user = {"lg": 690 - 206 - 295, "motif": 141}
    found = {
        (skt, upstage)
        for skt, upstage in itertools.product(range(251), repeat=2)
        if _spread(skt, upstage, *user.values()) == 50
        and _spread(706 - 222 - skt, 699 - 227 - upstage, 295, 271) == 24
        and max(706 - 222 - skt, 699 - 227 - upstage) <= 295
        and (706 - 222 - skt) + (699 - 227 - upstage) + 295 + 271 == 1150
        and 0 <= skt - 116 <= 76
    }
    assert found == {(191, 181)}


def test_fewer_pieces_leave_more_tables_and_a_wrong_one_leaves_none() -> None:
    spread = next(score for score in PUBLISHED.of(2, "user", "spread"))
    total = next(score for score in PUBLISHED.of(2, "total", "score") if score.teams == ("skt",))
    looser = reconstruct(without=[spread, *PUBLISHED.of(2, "expert", "spread")])
    assert looser.distinct > 1
    assert looser.rows == ()
    wrong = replace(total, value=80.6)
    scores = tuple(wrong if score is total else score for score in PUBLISHED.scores)
    assert reconstruct(replace(PUBLISHED, scores=scores)).distinct == 0


def test_official_weights_give_the_press_totals() -> None:
    for weights in (OFFICIAL, {part: rules.ROUND_2.points[part] for part in PARTS}):
        totals = rank(ROWS, weights).totals
        assert totals == pytest.approx({"skt": 70.6, "upstage": 69.9, "lg": 69.0, "motif": 65.8})
        assert list(totals) == ["skt", "upstage", "lg", "motif"]


@pytest.mark.parametrize("part", dict.fromkeys((*BLOCKS, *PARTS)))
def test_two_teams_change_places_at_each_crossing(part: str) -> None:
    family = BLOCKS if part in BLOCKS else PARTS
    points = {other: rules.ROUND_2.points[other] for other in family}
    rest = sum(points.values()) - points[part]
    for crossing in crossings(ROWS, part):
        leads = []
        for weight in (crossing.weight - 1e-6, crossing.weight, crossing.weight + 1e-6):
            mixed = {o: (1 - weight) * value / rest for o, value in points.items()} | {part: weight}
            totals = rank(ROWS, mixed).totals
            leads.append(totals[crossing.above] - totals[crossing.below])
        assert leads[0] < 0 < leads[2]
        assert leads[1] == pytest.approx(0, abs=1e-9)


def test_motif_passes_lg_where_the_index_weighs_37_per_cent() -> None:
    (crossing,) = [one for one in crossings(ROWS, "aaii") if {one.above, one.below} == {"motif", "lg"}]
    assert crossing.above == "motif"
    assert crossing.weight == pytest.approx(0.372, abs=0.001)


def test_the_corners_of_the_simplex_are_the_blocks_alone() -> None:
    grid = simplex(ROWS, 10)
    assert len(grid) == 66
    first = {tuple(weights.values()): ranking.order[0] for weights, ranking in grid}
    assert [first[100, 0, 0], first[0, 100, 0], first[0, 0, 100]] == ["motif", "lg", "skt"]


def test_weights_that_cannot_be_used_are_told() -> None:
    with pytest.raises(ConfigError, match=r"weights\.user=-1 cannot be used"):
        Weights(40, 35, -1)
    with pytest.raises(ConfigError, match="all 0"):
        rank(ROWS, {"benchmark": 0, "expert": 0, "user": 0})
    with pytest.raises(ConfigError, match=r"weights\.user=nan"):
        rank(ROWS, OFFICIAL | {"user": float("nan")})
    with pytest.raises(ConfigError, match="round=3 is unknown"):
        ScorecardSettings(3, Weights(**OFFICIAL), "table")
    with pytest.raises(ConfigError, match="only one team's scores"):
        ScorecardSettings(1, Weights(50, 35, 25), "table")


def test_the_tables_say_what_they_are() -> None:
    second = "".join(map(to_markdown, tables(ScorecardSettings(2, Weights(60, 35, 25), "markdown")).values()))
    assert "A reconstruction: no such table was published officially" in second
    (first,) = tables(ScorecardSettings(1, Weights(**OFFICIAL), "markdown")).values()
    assert first.rows[0]["mean"].text == "30.4"
    assert "NC AI" not in to_markdown(first)


def test_the_command_prints_json_and_takes_weights() -> None:
    words = [sys.executable, "-m", "experiments.scorecard", "format=json", "weights.benchmark=200"]
    printed = json.loads(subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout)
    assert printed["solutions"] == {"by_block": 1, "with_user_split": 12}
    assert next(iter(printed["totals"])) == "motif"
    assert {score["status"] for score in printed["published"]} == {"official", "press"}


def _spread(*values: int) -> int:
    return max(values) - min(values)
