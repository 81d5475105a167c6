"""The table of a sweep and its verdicts: numbers against the run folders, words against the numbers."""

import csv
import json
from statistics import fmean, stdev

import pytest
from scipy import stats

from experiments.table import show_table
from lab.overrides import compose_container
from lab.report.sweep_table import entry_table, sweep_markdown, sweep_table, table_frame
from lab.report.sweep_verdicts import comparisons, judge, verdicts
from lab.report.sweeps import read_sweep
from lab.report.tables import to_csv

from .fabricated_sweep import fabricate_sweep
from .test_sweep_reading import change_json


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return fabricate_sweep(tmp_path_factory.mktemp("runs") / "position")


@pytest.fixture
def folder(tmp_path):
    return fabricate_sweep(tmp_path / "position")


def set_bits(folder, variant, bits):
    """Give each compared run of ``variant`` the Korean bits per byte of its seed."""
    for seed, value in bits.items():
        change_json(
            folder / f"{variant}-middle-s{seed}" / "results.json",
            lambda results, value=value: results["bits_per_byte"].update(ko=value),
        )


def read_bits(folder, variant):
    return [
        json.loads((folder / f"{variant}-middle-s{seed}" / "results.json").read_text())["bits_per_byte"]["ko"]
        for seed in range(5)
    ]


def test_the_numbers_are_those_of_the_run_folders(whole):
    """Recomputed from the files with scipy alone."""
    bits = {variant: read_bits(whole, variant) for variant in ("rope", "hybrid", "nope")}
    tests = {variant: stats.ttest_rel(bits[variant], bits["rope"]) for variant in ("hybrid", "nope")}
    smaller, larger = sorted(test.pvalue for test in tests.values())
    table = table_frame(read_sweep(whole))
    for variant, test in tests.items():
        row, key = table.loc[variant], "bits_per_byte.ko"
        assert row[key] == pytest.approx(fmean(bits[variant]), rel=1e-12)
        assert row[f"{key}_sd"] == pytest.approx(stdev(bits[variant]))
        assert row[f"{key}_difference_p"] == pytest.approx(test.pvalue)
        assert row[f"{key}_difference_low"] == pytest.approx(test.confidence_interval().low)
        assert row[f"{key}_p"] == pytest.approx(
            min(1, 2 * smaller) if test.pvalue == smaller else max(2 * smaller, larger)
        )
    assert list(table["seeds"]) == [5, 5, 5]
    assert list(table["training_tokens"]) == [41 * 2048] * 3
    assert table.loc["rope", "outcome"] == "baseline"


def test_the_csv_has_full_precision_and_the_exact_test(whole):
    rows = list(csv.DictReader(to_csv(sweep_table(read_sweep(whole))).splitlines()))
    assert [row["variant"] for row in rows] == ["rope", "hybrid", "nope"]
    assert float(rows[1]["bits_per_byte.ko"]) == fmean(read_bits(whole, "hybrid"))
    assert float(rows[1]["bits_per_byte.ko_difference_p_sign_flip"]) >= 0.0625


def test_a_mapping_has_a_table_of_its_own_corrected_over_all_of_it(whole):
    sweep = read_sweep(whole)
    assert sweep.mappings == ["measures.long_context.ko"]
    table = entry_table(sweep, "measures.long_context.ko")
    assert [column.key for column in table.columns] == ["variant", "256", "512", "1024"]
    assert "Holm for 6 comparisons" in table.notes[0]
    assert table.rows[2]["1024"].note.endswith("*"), "nope reads long texts better"
    assert not table.rows[2]["256"].note.endswith("*")
    assert "measures.long_context.ko" not in [column.key for column in sweep_table(sweep).columns]


def test_a_deciding_entry_brings_its_mapping(folder):
    def by_times(results):
        lengths = results["measures"]["long_context"]["ko"]
        results["measures"]["long_context"]["ko"] = {
            "x10": lengths["1024"],
            "x1": lengths["256"],
            "x2": lengths["512"],
            "texts": 3,
        }

    for path in folder.glob("*/results.json"):
        change_json(path, by_times)
    key = "measures.long_context.ko"
    change_json(folder / "sweep.json", lambda it: it.update(metric=f"{key}.x10", also=[f"{key}.x2"]))
    sweep = read_sweep(folder)
    assert sweep.mappings == [key]
    assert sweep.entries(key) == ["x1", "x2", "x10"]
    assert [column.key for column in sweep_table(sweep).columns if key in column.key] == [
        f"{key}.x10",
        f"{key}.x10_difference",
        f"{key}.x10_p",
    ], "what the mapping's table has is not shown twice"


def test_a_further_metric_is_marked_where_its_own_test_shows_a_difference(folder):
    sweep = read_sweep(folder)
    for seed, value in sweep.by_seed("rope", "bits_per_byte.en").items():
        change_json(
            folder / f"hybrid-middle-s{seed}" / "results.json",
            lambda results, value=value, seed=seed: results["bits_per_byte"].update(
                en=value + 0.1 + 0.001 * seed
            ),
        )
    _, hybrid, nope = sweep_table(read_sweep(folder)).rows
    assert hybrid["bits_per_byte.en_difference"].note.endswith(")*")
    assert nope["bits_per_byte.en_difference"].note.endswith(")")
    assert hybrid["bits_per_byte.ko_difference"].note.endswith(")"), "the deciding one has its p"


def test_verdicts_of_one_sweep(folder):
    """Differences worked out by scipy; rope has 1.70, 1.72, 1.74, 1.76, 1.78."""
    rope = {seed: 1.70 + 0.02 * seed for seed in range(5)}
    lower, unclear = [-0.011, -0.012, -0.013, -0.012, -0.012], [0.001, -0.002, 0.003, -0.001, 0.002]
    set_bits(folder, "rope", rope)
    set_bits(folder, "hybrid", {seed: rope[seed] + lower[seed] for seed in rope})
    set_bits(folder, "nope", {seed: rope[seed] + unclear[seed] for seed in rope})
    better, none = verdicts(read_sweep(folder))
    assert better == (
        "hybrid: Korean bits/byte lower by 0.01200 than rope (95% 0.01112 to 0.01288), p < 0.0001 after Holm, 5 seeds: "
        "better."
    )
    expected = stats.ttest_1samp(unclear, 0)
    interval = expected.confidence_interval()
    assert none == (
        "nope: no difference to rope shown in Korean bits/byte: the 95% interval of the difference is "
        f"−{-interval.low:.4f} to +{interval.high:.4f}, p = {expected.pvalue:.3g} after Holm, 5 seeds."
    )
    change_json(folder / "sweep.json", lambda it: it.update(better="higher"))
    assert verdicts(read_sweep(folder))[0].endswith(": worse.")


def test_what_correction_undoes_is_no_difference(folder):
    """p is 0.0325 alone, so 0.065 for the smaller of two."""
    rope = dict.fromkeys(range(5), 1.7)
    set_bits(folder, "rope", rope)
    set_bits(folder, "hybrid", {0: 1.69, 1: 1.70, 2: 1.688, 3: 1.694, 4: 1.681})
    set_bits(folder, "nope", {0: 1.71, 1: 1.69, 2: 1.72, 3: 1.68, 4: 1.70})
    sweep = read_sweep(folder)
    one = comparisons(sweep, sweep.metric)["hybrid"]
    assert one.high < 0
    assert 0.025 < one.p < 0.05
    assert judge(sweep)[0].outcome == "no difference shown"
    assert f"(p = {one.p:.3g} alone, which correction for 2 comparisons undoes)" in verdicts(sweep)[0]


def test_copies_are_not_tested(folder):
    rope = dict(enumerate(read_bits(folder, "rope")))
    set_bits(folder, "hybrid", rope)
    set_bits(folder, "nope", {seed: value + 0.1 for seed, value in rope.items()})
    same, shifted = verdicts(read_sweep(folder))
    assert "equal to rope's to the last digit, 5 seeds: nothing changed, or both are at their limit" in same
    assert (
        "higher by 0.100 than rope by exactly the same in 5 seeds, which suggests copies: no test" in shifted
    )


def test_one_seed_gives_no_interval(tmp_path):
    sweep = read_sweep(fabricate_sweep(tmp_path / "one", seeds=[0], search=False))
    assert all(
        "in the one seed that both have: no interval, no verdict." in verdict for verdict in verdicts(sweep)
    )
    row = sweep_table(sweep).rows[1]
    assert row["bits_per_byte.ko"].note == row["bits_per_byte.ko_difference"].note == ""
    assert row["bits_per_byte.ko_p"].value is None
    assert "chosen" not in [column.key for column in sweep_table(sweep).columns]


def test_failed_seeds_are_told_and_pairs_are_what_is_left(folder):
    change_json(
        folder / "nope-middle-s3" / "status.json", lambda status: status.update(state="failed", error="NaN.")
    )
    change_json(folder / "rope-middle-s1" / "status.json", lambda status: status.update(state="running"))
    sweep = read_sweep(folder)
    assert comparisons(sweep, sweep.metric)["nope"].seeds == (0, 2, 4)
    assert "only 3 of 5 seeds" in verdicts(sweep)[1]
    assert sweep_table(sweep).rows[2]["seeds"].text == "4 of 5"
    assert "- nope-middle-s3 failed: NaN." in sweep_markdown(sweep)


def test_without_a_finished_baseline_there_is_no_verdict(folder):
    for seed in range(5):
        change_json(
            folder / f"rope-middle-s{seed}" / "status.json", lambda status: status.update(state="running")
        )
    sweep = read_sweep(folder)
    assert verdicts(sweep)[0] == "hybrid: no comparison, as the baseline rope has no finished run."
    assert sweep_table(sweep).rows[0]["bits_per_byte.ko"].value is None


def test_a_diverged_figure_is_missing_not_a_number(folder):
    change_json(
        folder / "nope-middle-s3" / "results.json", lambda results: results["bits_per_byte"].update(ko=None)
    )
    sweep = read_sweep(folder)
    assert sweep.by_seed("nope", sweep.metric).keys() == {0, 1, 2, 4}
    assert "nope-middle-s3 has no number for bits_per_byte.ko." in sweep.problems


def test_the_command_writes_and_prints(folder, capsys):
    show_table(compose_container([f"sweep={folder}"], "table"), [])
    printed = capsys.readouterr().out
    assert "Does a model without positions" in printed
    assert "hybrid: Korean bits/byte lower by" in printed.replace("\n", " ")
    assert (folder / "table.md").read_text() == sweep_markdown(read_sweep(folder))
    assert (folder / "table.csv").read_text() == to_csv(sweep_table(read_sweep(folder)))
    assert (folder / "figure.svg").is_file()
