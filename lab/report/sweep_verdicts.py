"""What a sweep allows to be said of each variant, in sentences made from its numbers: never more than they show."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from lab.report.comparison import Comparison, compare, corrected
from lab.report.race import LANGUAGES
from lab.report.sweep_jobs import Sweep

BITS = "bits_per_byte"  # the section of results.json whose unit is known
LEAST_PLACES, MOST_PLACES = 3, 6

BETTER, WORSE, UNCLEAR = "better", "worse", "no difference shown"
ALIKE, ONE_SEED, NO_PAIR = "no spread", "one seed", "no pair"


@dataclass(frozen=True)
class Verdict:
    """``outcome`` is one of the six above; ``comparison`` is None where no seed has both runs."""

    variant: str
    outcome: str
    comparison: Comparison | None


def comparisons(sweep: Sweep, key: str) -> dict[str, Comparison | None]:
    """Each variant but the baseline against it in the number ``key``, corrected for as many as there are."""
    return entry_comparisons(sweep, [key])[key]


def entry_comparisons(sweep: Sweep, keys: Iterable[str]) -> dict[str, dict[str, Comparison | None]]:
    """:func:`comparisons` for each of ``keys``, corrected together: for all variants and all keys at once."""
    found = {
        (key, variant): compare(sweep.by_seed(variant, key), sweep.by_seed(sweep.baseline, key))
        for key in keys
        for variant in sweep.variants
        if variant != sweep.baseline
    }
    by_key: dict[str, dict[str, Comparison | None]] = {key: {} for key in keys}
    for (key, variant), comparison in corrected(found).items():
        by_key[key][variant] = comparison
    return by_key


def judge(sweep: Sweep) -> list[Verdict]:
    """A verdict on each variant but the baseline by the deciding metric, in the order of the sweep's file."""
    return [
        Verdict(variant, _outcome(comparison, sweep.lower_is_better), comparison)
        for variant, comparison in comparisons(sweep, sweep.metric).items()
    ]


def verdicts(sweep: Sweep) -> list[str]:
    """The verdicts as sentences, each beginning with its variant's name."""
    return [f"{verdict.variant}: {sentence(sweep, verdict)}" for verdict in judge(sweep)]


def sentence(sweep: Sweep, verdict: Verdict) -> str:
    """What is said of one variant, with the numbers it rests on."""
    one, baseline, name = verdict.comparison, sweep.baseline, metric_title(sweep.metric)
    if one is None:
        return _without_pair(sweep, verdict.variant)
    n, planned = len(one.seeds), len(sweep.seeds)
    of_seeds = f"{n} seeds" if n == planned else f"only {n} of {planned} seeds"
    places = decimal_places(one)
    by = f"{'lower' if one.mean < 0 else 'higher'} by {abs(one.mean):.{places}f}"
    if verdict.outcome == ONE_SEED:
        return f"{name} {by} than {baseline} in the one seed that both have: no interval, no verdict."
    if verdict.outcome == ALIKE and one.mean == 0:
        alike = f"{name} equal to {baseline}'s to the last digit, {of_seeds}"
        return f"{alike}: nothing changed, or both are at their limit."
    if verdict.outcome == ALIKE:
        return (
            f"{name} {by} than {baseline} by exactly the same in {of_seeds}, which suggests copies: no test."
        )
    low, high, p_alone, p_holm = one.tested
    number = len(sweep.variants) - 1
    p = f"p {p_value(p_holm)}" + (" after Holm" if number > 1 else "")
    if verdict.outcome == UNCLEAR:
        undone = ""
        if not low <= 0 <= high:
            undone = f" (p {p_value(p_alone)} alone, which correction for {number} comparisons undoes)"
        return (
            f"no difference to {baseline} shown in {name}: the 95% interval of the difference is "
            f"{signed(low, places)} to {signed(high, places)}, {p}{undone}, {of_seeds}."
        )
    nearest, farthest = sorted((abs(low), abs(high)))
    return (
        f"{name} {by} than {baseline} (95% {nearest:.{places}f} to {farthest:.{places}f}), {p}, {of_seeds}: "
        f"{verdict.outcome}."
    )


def metric_title(key: str) -> str:
    """``Korean bits/byte`` for ``bits_per_byte.ko``; other keys much as they stand in results.json."""
    section, _, language = key.partition(".")
    return (
        f"{LANGUAGES[language]} bits/byte"
        if section == BITS and language in LANGUAGES
        else key.removeprefix("measures.")
    )


def decimal_places(*compared: Comparison | None) -> int:
    """Decimal places that give the narrowest interval about two digits, three at least."""
    reaches = [
        (one.high - one.low) / 2 for one in compared if one and one.low is not None and one.high is not None
    ]
    narrowest = min((reach for reach in reaches if reach > 0), default=1.0)
    return min(max(LEAST_PLACES, 1 - math.floor(math.log10(narrowest))), MOST_PLACES)


def signed(value: float, places: int) -> str:
    """``+0.012`` or ``−0.012``, with a real minus sign; ``0.000`` for what rounds to it."""
    rounded = round(value, places)
    return f"{rounded:+.{places}f}".replace("-", "−") if rounded else f"{0:.{places}f}"


def p_value(p: float) -> str:
    """``= 0.0312``, or ``< 0.0001`` beneath it."""
    return f"= {p:.3g}" if p >= 1e-4 else "< 0.0001"


def _outcome(comparison: Comparison | None, lower_is_better: bool) -> str:
    if comparison is None:
        return NO_PAIR
    if comparison.p is None:
        return ONE_SEED if len(comparison.seeds) == 1 else ALIKE
    if not comparison.shown:
        return UNCLEAR
    return BETTER if (comparison.mean < 0) == lower_is_better else WORSE


def _without_pair(sweep: Sweep, variant: str) -> str:
    ours, theirs = sweep.by_seed(variant, sweep.metric), sweep.by_seed(sweep.baseline, sweep.metric)
    if not theirs:
        return f"no comparison, as the baseline {sweep.baseline} has no finished run."
    if not ours:
        return "no finished run, so no comparison."
    return f"no comparison, as no seed is finished both here and for {sweep.baseline}."
