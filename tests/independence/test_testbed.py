"""The bench goes on where it was, and the document shows what the results say."""

from collections import Counter
from pathlib import Path

import pytest

from lab.independence.config import AuditConfig
from lab.independence.testbed import bench
from lab.report.testbed import area_under_curve, exact_interval, with_tables

ROOM = Path(bench.__file__).parent.parent
QUICK = AuditConfig(rows=64, units=64, tokens=64, draws=1999, describe=False)


def test_a_pair_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.independence.testbed.models.PARENT_STEPS", 2)
    bench.run_bench(tmp_path / "results.csv", QUICK, 2, 1, lambda done, total: None)
    first = bench.read_outcomes(tmp_path / "results.csv")
    assert [outcome.relation for outcome in first] == ["independent"] * 2
    monkeypatch.setattr(bench, "audit", None)
    bench.run_bench(tmp_path / "results.csv", QUICK, 2, 1, lambda done, total: None)
    assert bench.read_outcomes(tmp_path / "results.csv") == first


def test_trials_are_told_apart_by_their_keys() -> None:
    keys = [trial.key for trial in bench.trials()]
    assert len(keys) == len(set(keys))
    kinds = Counter(key[1] for key in keys if key[0] == "derived")
    assert min(kinds.values()) >= 10


def test_the_document_shows_the_results() -> None:
    document = (ROOM / "README.md").read_text(encoding="utf-8")
    assert with_tables(document, bench.read_outcomes(ROOM / "testbed" / "results.csv")) == document


def test_results_hold_what_is_claimed() -> None:
    """At 1 %, false positives are no more than chance explains, and the audit orders pairs better than the cosine."""
    outcomes = bench.read_outcomes(ROOM / "testbed" / "results.csv")
    independent = [o for o in outcomes if o.relation == "independent"]
    assert len(independent) >= 200
    low, _ = exact_interval(sum(o.p <= 0.01 for o in independent), len(independent))
    assert low <= 0.01
    assert area_under_curve(outcomes, "p") > area_under_curve(outcomes, "norm_cosine")


def test_intervals() -> None:
    assert exact_interval(0, 210) == (0.0, pytest.approx(0.0174, abs=1e-4))
    assert exact_interval(6, 6) == (pytest.approx(0.5407, abs=1e-4), 1.0)
