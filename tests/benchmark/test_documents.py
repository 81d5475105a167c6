"""The README shows what is stored beside it; targets are judged by it; a figure can be drawn of it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from lab.benchmark import document, run
from lab.benchmark.case import MACHINE, OURS
from lab.benchmark.config import BenchmarkConfig
from lab.benchmark.contenders import FAMILIES, LARGE
from lab.benchmark.document import README, results_in, with_tables
from lab.benchmark.growth import DELTA, MODELS
from lab.benchmark.peers import training_name
from lab.benchmark.plots import draw_growth
from lab.benchmark.results import COMMITTED, Result, Results, read_results, write_results
from lab.benchmark.rounds import Timing
from lab.benchmark.suites import COMPARISONS
from lab.benchmark.targets import targets_table
from lab.report.tables import Row


def made_up(name: str, ours: float, theirs: float | None, other: str = "transformers") -> Result:
    """A result of one round."""
    facts = {"flops": 1e9, "tokens": None, "peak_bytes": 50}
    seconds = {OURS: [ours], MACHINE: [1.0]} | ({other: [theirs]} if theirs else {})
    known = {OURS: facts, MACHINE: {**facts, "bandwidth": 1e9}, other: {**facts, "peak_bytes": 100}}
    timing = Timing(known, seconds, {}, 1, True)
    return Result(name, "float32", [other], "asked", 2.0, "a machine", timing)


def row(results: Mapping[str, Results], what: str) -> Row:
    return next(one for one in targets_table(results).rows if one["what"].text == what)


def test_the_tables_are_those_that_the_stored_results_make() -> None:
    text = README.read_text(encoding="utf-8")
    assert text == with_tables(text, results_in(COMMITTED))


def test_results_come_back_as_they_were(tmp_path: Path) -> None:
    result = made_up("a", 1.23456789, 2.0)
    write_results(tmp_path, "peers", {"a": result})
    read = read_results(tmp_path, "peers")["a"]
    assert read.timing.seconds[OURS] == [1.23457]
    assert replace(read, timing=result.timing) == result
    assert read_results(tmp_path, "growth") == {}


@pytest.mark.parametrize(
    ("theirs", "verdict"),
    [
        ([2.1, 2.2, 2.3, 2.0], "aim reached"),
        ([2.1, 2.2, 2.3, 1.5], "held"),
        ([2.1, 2.2, 2.3, 1.4], "held by 3 of 4"),
        ([1.1, 1.2, 1.3, 1.4], "missed"),
        ([1.6, None, 1.7, 1.8], "held, 1 not measured"),
        ([None, None, None, None], "not measured"),
    ],
)
def test_a_target_is_judged_by_every_contender(theirs: list[float | None], verdict: str) -> None:
    results = {}
    for family, seconds in zip(FAMILIES, theirs, strict=True):
        name = training_name(family, LARGE, "float32")
        results[name] = made_up(name, 1.0, seconds)
    judged = row({"peers": results}, "training step, 8M active, float32")
    assert judged["verdict"].text == verdict
    if verdict == "held by 3 of 4":
        assert judged["measured"].value == 1.4
        assert judged[FAMILIES[0]].text == "2.10 x"
        assert (
            row({"peers": results}, "peak memory of that step, 8M active, float32")["verdict"].text == "held"
        )


@pytest.mark.parametrize(("power", "verdict"), [(1.0, "held"), (1.3, "missed")])
def test_growth_is_linear_or_it_is_not(power: float, verdict: str) -> None:
    results = {DELTA.name(value): made_up(DELTA.name(value), value**power, None) for value in DELTA.values}
    judged = row({"growth": results}, "delta attention, 1k to 32k tokens")
    assert judged["measured"].value == pytest.approx(power)
    assert judged["verdict"].text == verdict


def test_growth_is_drawn_where_something_is_missing(tmp_path: Path) -> None:
    names = [series.name(value) for series in MODELS[:2] for value in series.values]
    draw_growth(tmp_path / "growth.svg", {name: made_up(name, 1.0, 2.0) for name in names})
    assert "<svg" in (tmp_path / "growth.svg").read_text(encoding="utf-8")


class Heard:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def now(self, said: str) -> None:
        pass

    def done(self, said: str) -> None:
        self.lines.append(said)


def test_a_suite_goes_on_where_it_was_unless_the_code_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[str] = []

    def time_cases(specs: list[object], *_: object) -> Timing:
        timed.append("once")
        return made_up("", 1.0, 2.0, "naive").timing

    monkeypatch.setattr(run, "time_cases", time_cases)
    config = BenchmarkConfig("operators", 1, 1, ["Sinkhorn"], str(tmp_path))
    heard = Heard()
    for _ in range(2):
        results = run.run_suite(config, heard)
    assert len(timed) == 2  # float32 and bfloat16, once each
    assert [result.name for result in results] == ["Sinkhorn, float32", "Sinkhorn, bfloat16"]
    assert "2.00 (2.00–2.00) times as fast as naive" in heard.lines[0]
    assert "to go" in heard.lines[0]
    assert heard.lines[-1].endswith("as stored")
    monkeypatch.setattr(run, "code_digest", lambda: "other code")
    run.run_suite(config, heard)
    assert len(timed) == 4


def test_the_document_takes_results_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "README.md"
    copy.write_text(README.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(document, "README", copy)
    monkeypatch.setattr(document, "FIGURE", tmp_path / "growth.svg")
    monkeypatch.setattr(document, "COMMITTED", tmp_path / "committed")
    name = COMPARISONS["growth"](tmp_path)[0].name
    write_results(tmp_path, "growth", {"gone": made_up("gone", 1.0, 2.0), name: made_up(name, 1.0, 2.0)})
    document.write_document(tmp_path, ["growth"])
    assert list(read_results(tmp_path / "committed", "growth")) == [name]
    text = copy.read_text(encoding="utf-8")
    assert "Measured on a machine." in text
    assert f"| {name} | 1e+03 ms |" in text
