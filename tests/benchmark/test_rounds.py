"""Rounds: who takes turns with whom, what is dropped, and what a table makes of it."""

from collections.abc import Iterator
from typing import Any

import pytest

from lab.benchmark import rounds
from lab.benchmark.case import CaseSpec
from lab.benchmark.machine import Effort
from lab.benchmark.rounds import CaseFailed, Timing, time_cases
from lab.benchmark.run import Result
from lab.benchmark.suites import MACHINE, OURS
from lab.benchmark.tables import comparison_table
from lab.report.tables import to_markdown


def spec(label: str) -> CaseSpec:
    return CaseSpec(label, "operator", {"size": "Sinkhorn", "path": None}, repeats=1)


class Scripted:
    """A worker whose rounds take ``1, 2, 3, ...`` seconds and are disturbed as ``load`` says."""

    turns: list[str]
    load: Iterator[float | None]

    def __init__(self, one: CaseSpec, threads: int) -> None:
        if one.label == "broken":
            raise CaseFailed("broken: no such thing")
        self.spec, self.facts, self._rounds = one, {"flops": 1e9, "tokens": None}, 0

    def round(self) -> dict[str, Any]:
        self._rounds += 1
        Scripted.turns.append(self.spec.label)
        return {"seconds": float(self._rounds), "others": next(Scripted.load)}

    def __enter__(self) -> "Scripted":
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> type[Scripted]:
    Scripted.turns, Scripted.load = [], iter([0.0] * 100)
    monkeypatch.setattr(rounds, "Worker", Scripted)
    return Scripted


def test_the_order_rotates_and_a_broken_case_is_named(scripted: type[Scripted]) -> None:
    timing = time_cases([spec("a"), spec("broken"), spec("b")], 2, 1, lambda _: None)
    assert scripted.turns == ["a", "b", "b", "a"]
    assert timing.seconds == {"a": [1.0, 2.0], "b": [1.0, 2.0]}
    assert timing.failed == {"broken": "broken: no such thing"}


def test_a_disturbed_round_counts_for_no_case(scripted: type[Scripted]) -> None:
    scripted.load = iter([0.0, 0.9, *[0.0] * 100])
    timing = time_cases([spec("a"), spec("b")], 2, 1, lambda _: None)
    assert timing.seconds == {"a": [2.0, 3.0], "b": [2.0, 3.0]}
    assert (timing.num_rounds, timing.rounds_run) == (2, 3)


def test_a_busy_machine_ends_the_rounds_without_a_figure(scripted: type[Scripted]) -> None:
    scripted.load = iter([1.0] * 100)
    timing = time_cases([spec(OURS), spec("b")], 3, 1, lambda _: None)
    assert (timing.num_rounds, timing.rounds_run) == (0, 6)
    text = to_markdown(comparison_table([Result("x", "float32", ["b"], timing)], "operators"))
    assert "0 of 6" in text


def test_where_the_system_does_not_tell_the_load_it_is_said(scripted: type[Scripted]) -> None:
    scripted.load = iter([None] * 100)
    timing = time_cases([spec("a")], 2, 1, lambda _: None)
    assert timing.num_rounds == 2
    assert not timing.load_known


def test_processes_of_their_own_time_and_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "DISTURBED", float("inf"))
    bad = CaseSpec("bad", "operator", {"size": "Sinkhorn", "path": "quick"}, repeats=1)
    timing = time_cases([spec("a"), bad], 1, 1, lambda _: None)
    assert timing.median_seconds("a") > 0
    assert timing.facts["a"]["paths"] == {"sinkhorn": ["naive"]}
    assert "path='quick' is unknown" in timing.failed["bad"]


def test_the_table_quotes_ratios_of_the_same_round() -> None:
    facts = {"flops": 2e9, "tokens": None, "peak_bytes": 100}
    timing = Timing(
        {OURS: facts, "slow": {**facts, "peak_bytes": 400}, MACHINE: {**facts, "flops": 4e9}},
        {OURS: [1.0, 2.0, 4.0], "slow": [3.0, 4.0, 20.0], MACHINE: [1.0, 1.0, 1.0]},
        {},
        3,
        True,
    )
    row = comparison_table([Result("x", "float32", ["slow"], timing)], "peers").rows[0]
    assert row["ratio"].value == 3.0  # of 3, 2 and 5
    assert row["memory"].value == 0.25
    assert row["rate"].value == 0.25  # 2e9 FLOPs in 2 s, against 4e9 a second


def test_what_others_took_is_what_this_process_did_not() -> None:
    before, after = Effort(0.0, 10.0, 100.0), Effort(2.0, 13.0, 104.0)
    assert after.taken_by_others(before) == 0.5
    assert after.taken_by_others(Effort(0.0, 10.0, None)) is None
