"""The paired comparison against scipy, numbers worked by hand, and what it promises over many imagined sweeps."""

import math

import numpy as np
import pytest
from scipy import stats

from lab.report.comparison import Comparison, compare, corrected


def by_seed(values):
    return dict(enumerate(values))


@pytest.mark.parametrize("n", [2, 3, 5, 12])
def test_the_test_and_its_interval_are_scipys_on_paired_samples(n):
    noise = np.random.default_rng(n)
    baseline, variant = noise.normal(1.75, 0.02, n), noise.normal(1.74, 0.02, n)
    expected = stats.ttest_rel(variant, baseline)
    interval = expected.confidence_interval(0.95)
    one = compare(by_seed(variant), by_seed(baseline))
    assert one.mean == pytest.approx(np.mean(variant - baseline))
    assert one.sd == pytest.approx(np.std(variant - baseline, ddof=1))
    assert one.p == pytest.approx(expected.pvalue)
    assert (one.low, one.high) == pytest.approx((interval.low, interval.high))
    exact = stats.permutation_test(
        (variant - baseline,), np.mean, permutation_type="samples", n_resamples=np.inf, vectorized=False
    )
    assert one.p_flips == pytest.approx(exact.pvalue)


def test_three_differences_by_hand():
    """1, 2, 3: mean 2, sd 1, t = 2 sqrt 3; with 2 degrees of freedom the tail is (1 - t / sqrt(2 + t^2)) / 2."""
    one = compare({0: 2.0, 1: 4.0, 2: 6.0}, {0: 1.0, 1: 2.0, 2: 3.0})
    t = 2 * math.sqrt(3)
    assert (one.mean, one.sd) == pytest.approx((2, 1))
    assert one.p == pytest.approx(1 - t / math.sqrt(2 + t * t))
    assert one.high - one.mean == pytest.approx(4.302652729911275 / math.sqrt(3))
    assert one.p_flips == 2 / 2**3, "all one sign: two of eight choices are as far out"


def test_five_seeds_of_one_sign_are_as_far_as_flips_can_go():
    one = compare(by_seed([1.0, 1.1, 1.2, 1.3, 1.4]), by_seed([0.5] * 5))
    assert one.p_flips == 0.0625
    assert one.p < 0.001


def test_only_seeds_that_both_have_are_compared():
    one = compare({0: 1.0, 1: 2.5, 7: 9.0}, {1: 2.0, 0: 0.8, 3: 5.0})
    assert one.seeds == (0, 1)
    assert one.differences == pytest.approx((0.2, 0.5))
    assert compare({0: 1.0}, {1: 1.0}) is None


def test_one_seed_has_a_difference_and_nothing_more():
    assert compare({3: 1.5}, {3: 1.0}) == Comparison((3,), (0.5,), 0.5)


@pytest.mark.parametrize("shift", [0.0, 0.1])
def test_differences_without_spread_are_not_tested(shift):
    """0.1 is no binary fraction: the differences then differ in their last bit, which is no spread."""
    baseline = [1.7, 1.8, 1.9, 2.3]
    one = compare(by_seed([value + shift for value in baseline]), by_seed(baseline))
    assert one.mean == pytest.approx(shift)
    assert (one.sd, one.low, one.high, one.p, one.p_flips) == (None,) * 5
    assert not one.shown


def test_holm_by_hand_and_untested_comparisons_count():
    """Smallest p times 3, next times 2, never falling: 0.01, 0.04, 0.03 become 0.03, 0.06, 0.06."""

    def with_p(p):
        return Comparison((0, 1), (0.0, 1.0), 0.5, 1.0, 0.0, 1.0, p)

    found = corrected({"a": with_p(0.01), "b": with_p(0.04), "c": with_p(0.03)})
    assert [found[key].p_corrected for key in "abc"] == pytest.approx([0.03, 0.06, 0.06])
    half = corrected({"a": with_p(0.01), "b": None, "c": Comparison((0,), (0.1,), 0.1)})
    assert half["a"].p_corrected == pytest.approx(0.03), "no kinder than the finished sweep"
    assert half["b"] is None
    assert half["c"].p_corrected is None


def test_intervals_hold_the_truth_19_times_in_20():
    """Seeds shift baseline and variant alike by ten times their own noise, which pairing takes out."""
    noise, sweeps, truth = np.random.default_rng(0), 1000, -0.01
    shared = noise.normal(0, 0.05, (sweeps, 5))
    baseline, variant = shared + noise.normal(0, 0.005, (2, sweeps, 5))
    held, widths = 0, []
    for ours, theirs in zip(variant + truth, baseline, strict=True):
        one = compare(by_seed(ours), by_seed(theirs))
        held += one.low <= truth <= one.high
        widths.append(one.high - one.low)
    error = math.sqrt(0.95 * 0.05 / sweeps)
    assert abs(held / sweeps - 0.95) < 3 * error
    assert np.median(widths) < 0.03, (
        "an unpaired interval would be as wide as the seeds' own spread, over 0.1"
    )


def test_three_variants_that_change_nothing_are_seldom_called_a_difference():
    """Three comparisons with one baseline: a sweep in twenty at most may show any, while uncorrected more would."""
    noise, sweeps = np.random.default_rng(1), 500
    shown = uncorrected = 0
    for _ in range(sweeps):
        baseline, *variants = noise.normal(1.75, 0.01, (4, 5))
        found = corrected(
            {key: compare(by_seed(values), by_seed(baseline)) for key, values in enumerate(variants)}
        )
        shown += any(one.shown for one in found.values())
        uncorrected += any(one.p < 0.05 for one in found.values())
    error = math.sqrt(0.95 * 0.05 / sweeps)
    assert shown / sweeps < 0.05 + 3 * error
    assert uncorrected / sweeps > 0.08
