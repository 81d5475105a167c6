"""Rounds: who takes turns with whom, what is dropped, and what a table makes of it."""

from collections.abc import Iterator
from typing import Any

import pytest

from lab.benchmark import rounds
from lab.benchmark.case import MACHINE, OURS, CaseSpec
from lab.benchmark.machine import Effort
from lab.benchmark.process import CaseFailed
from lab.benchmark.results import Result
from lab.benchmark.rounds import Timing, time_cases
from lab.benchmark.tables import comparison_table, in_words
from lab.report.tables import to_markdown


def spec(label: str) -> CaseSpec:
    return CaseSpec(label, "operator", {"size": "Sinkhorn", "path": None}, repeats=1, warm_ups=0)


def result(others: list[str], timing: Timing) -> Result:
    return Result("x", "float32", others, "asked", 1.0, "a machine", timing)


class Scripted:
    """A worker whose rounds take ``1, 2, 3, ...`` times its pace and are disturbed as ``load`` says."""

    turns: list[str]
    load: Iterator[float | None]
    pace: dict[str, float]
    breaks: str

    def __init__(self, one: CaseSpec, threads: int) -> None:
        self.spec, self._rounds = one, 0
        self.facts: dict[str, Any] = {}

    def wait_until_ready(self) -> None:
        if self.spec.label == "broken":
            raise CaseFailed("broken: no such thing")
        self.facts = {"flops": 1e9, "tokens": None, "peak_bytes": 0}

    def round(self) -> dict[str, Any]:
        self._rounds += 1
        if self.spec.label == Scripted.breaks and self._rounds == 2:
            raise CaseFailed(f"{self.spec.label}: no more")
        Scripted.turns.append(self.spec.label)
        pace = Scripted.pace.get(self.spec.label, 1.0)
        return {"seconds": pace * self._rounds, "others": next(Scripted.load)}

    def __enter__(self) -> "Scripted":
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> type[Scripted]:
    Scripted.turns, Scripted.load, Scripted.pace, Scripted.breaks = [], iter([0.0] * 100), {}, ""
    monkeypatch.setattr(rounds, "Worker", Scripted)
    return Scripted


def test_the_order_rotates_and_a_broken_case_is_named(scripted: type[Scripted]) -> None:
    timing = time_cases([spec("a"), spec("broken"), spec("b")], 2, 1, lambda _: None)
    assert scripted.turns == ["a", "b", "b", "a"]
    assert timing.seconds == {"a": [1.0, 2.0], "b": [1.0, 2.0]}
    assert timing.failed == {"broken": "broken: no such thing"}


def test_a_case_that_breaks_later_is_named_and_the_others_go_on(scripted: type[Scripted]) -> None:
    scripted.breaks = "b"
    timing = time_cases([spec(OURS), spec("a"), spec("b")], 3, 1, lambda _: None)
    assert timing.failed == {"b": "b: no more"}
    assert timing.seconds.keys() == {OURS, "a"}
    assert timing.num_rounds == 3


def test_a_disturbed_round_counts_for_no_case(scripted: type[Scripted]) -> None:
    scripted.load = iter([0.0, 0.9, *[0.0] * 100])
    timing = time_cases([spec("a"), spec("b")], 2, 1, lambda _: None)
    assert timing.seconds == {"a": [2.0, 3.0], "b": [2.0, 3.0]}
    assert (timing.num_rounds, timing.rounds_run) == (2, 3)


def test_a_far_slower_alternative_takes_part_in_one_round(scripted: type[Scripted]) -> None:
    scripted.pace = {"slow": 1.6, "near": 1.4, MACHINE: 9.0}
    specs = [spec(OURS), spec("fast"), spec("near"), spec("slow"), spec(MACHINE)]
    timing = time_cases(specs, 2, 1, lambda _: None)
    assert timing.left_behind == {"slow": 1.6}
    assert scripted.turns.count("slow") == 1
    assert timing.seconds.keys() == {OURS, "fast", "near", MACHINE}


def test_three_rounds_that_agree_are_enough(scripted: type[Scripted]) -> None:
    assert time_cases([spec(OURS), spec("a")], 9, 1, lambda _: None).num_rounds == 3
    times = {OURS: [1.0, 1.0, 1.0], "a": [2.0, 2.0, 2.2], "b": [1.0, 1.0, 1.0]}
    assert not rounds._steady(times)


def test_a_busy_machine_ends_the_rounds_without_a_figure(scripted: type[Scripted]) -> None:
    scripted.load = iter([1.0] * 100)
    timing = time_cases([spec(OURS), spec("b")], 3, 1, lambda _: None)
    assert (timing.num_rounds, timing.rounds_run) == (0, 6)
    text = to_markdown(comparison_table([result(["b"], timing)]))
    assert "machine was busy: no undisturbed round" in text
    assert in_words(result(["b"], timing)) == "machine was busy: no undisturbed round of 6"


def test_where_the_system_does_not_tell_the_load_it_is_said(scripted: type[Scripted]) -> None:
    scripted.load = iter([None] * 100)
    timing = time_cases([spec(OURS), spec("a")], 2, 1, lambda _: None)
    assert timing.num_rounds == 2
    assert not timing.load_known
    assert "no round could be dropped" in to_markdown(comparison_table([result(["a"], timing)]))


def test_processes_of_their_own_time_and_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "DISTURBED", float("inf"))
    bad = CaseSpec("bad", "operator", {"size": "Sinkhorn", "path": "quick"}, repeats=1)
    twin = CaseSpec("naive", "operator", {"size": "Sinkhorn", "path": "naive"}, repeats=1)
    timing = time_cases([spec(OURS), bad, twin], 1, 1, lambda _: None)
    assert timing.median_seconds(OURS) > 0
    assert timing.facts[OURS]["operator"] == "sinkhorn"
    assert timing.facts[OURS]["peak_bytes"] >= 0
    assert "path='quick' is unknown" in timing.failed["bad"]
    same = timing.facts[OURS]["paths"] == {"sinkhorn": ["naive"]}
    assert ("naive" in timing.seconds) is not same  # the same path is not timed against itself


def test_the_table_quotes_ratios_of_the_same_round() -> None:
    facts = {"flops": 2e9, "tokens": None, "peak_bytes": 100}
    timing = Timing(
        {OURS: facts, "slow": {**facts, "peak_bytes": 400}, MACHINE: {**facts, "flops": 4e9}},
        {OURS: [1.0, 2.0, 4.0], "slow": [3.0, 4.0, 20.0], MACHINE: [1.0, 1.0, 1.0]},
        {},
        3,
        True,
    )
    row = comparison_table([result(["slow"], timing)]).rows[0]
    assert row["ratio"].value == 3.0  # of 3, 2 and 5
    assert row["memory"].value == 0.25
    assert row["rate"].value == 0.25  # 2e9 FLOPs in 2 s, against 4e9 a second
    assert in_words(result(["slow"], timing)).startswith(
        "3.00 (2.00–5.00) times as fast as slow; 3 of 3 rounds"
    )


def test_an_operator_stands_beside_its_twin_and_the_bandwidth() -> None:
    ours = {"flops": None, "tokens": None, "peak_bytes": 0, "bytes": 6e9, "operator": "swiglu"}
    timing = Timing(
        {
            OURS: {**ours, "paths": {"swiglu": ["library"]}},
            "compiled": ours,
            "naive": ours,
            MACHINE: {"flops": 1e9, "bandwidth": 1e10},
        },
        {OURS: [1.0, 2.0], "compiled": [2.0, 4.0], MACHINE: [1.0, 1.0]},
        {},
        2,
        True,
        {"naive": 7.0},
    )
    row = comparison_table([result(["naive", "compiled"], timing)]).rows[0]
    assert row["path"].text == "library"
    assert row["twin"].value == 7.0  # of the first round, the only one it took part in
    assert row["bandwidth"].value == 0.4
    assert row["ratio"].value == 2.0


def test_what_others_took_is_what_this_process_did_not() -> None:
    before, after = Effort(0.0, 10.0, 100.0), Effort(2.0, 13.0, 104.0)
    assert after.taken_by_others(before) == 0.5
    assert after.taken_by_others(Effort(0.0, 10.0, None)) is None
