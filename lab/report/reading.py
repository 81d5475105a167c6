"""What the numbers of a race say, in sentences made from the numbers: no more than they allow."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lab.report import formats
from lab.report.contenders import BASELINE
from lab.report.race import Race, Spread, Standing

_YARDSTICK_NAMES = {"bigram": "the bigram", "five_gram": "the 5-gram", "xz": "xz"}
_LANGUAGE_NAMES = {"ko": "Korean", "en": "English", "code": "code"}
CONFIDENT = 0.05  # p-value below which a gap is called one that seeds would seldom make
TIE = 2.0  # gaps up to this many standard deviations over seeds are called a tie, unless p says otherwise


def read_aloud(race: Race) -> list[str]:
    """Sentences on who leads, whether seeds could explain it, yardsticks, baseline, and what is missing."""
    judged = [standing for standing in race.standings if standing.bits_per_byte("ko")]
    if not judged:
        sentences = ["No contender has been judged yet."]
    else:
        sentences = [*_lead(judged), *_yardsticks(race, judged), *_baseline(judged)]
    return sentences + _gaps_in_the_field(race)


def _lead(judged: Sequence[Standing]) -> list[str]:
    first = judged[0]
    leading = _korean(first)
    if len(judged) == 1:
        return [f"{first.identity.title} alone has been judged: {leading.mean:.3f} Korean bits per byte."]
    second = judged[1]
    trailing = _korean(second)
    gap = trailing.mean - leading.mean
    lead = (
        f"{first.identity.title} leads with {leading.mean:.3f} Korean bits per byte, {gap:.3f} "
        f"({formats.percent(gap / trailing.mean)}) below {second.identity.title}."
    )
    return [lead, _against_the_spread(gap, leading, trailing)]


def _against_the_spread(gap: float, leading: Spread, trailing: Spread) -> str:
    """Whether the gap between the first two exceeds what seeds do, by Welch's unequal-variances t-test."""
    if leading.sd is None or trailing.sd is None:
        return "One seed: no spread is known, so another seed could change this order."
    pooled = math.sqrt((leading.sd**2 + trailing.sd**2) / 2)
    if pooled == 0:
        return "The seeds agree to the last digit, which suggests copies of one run."
    from scipy import stats

    p = float(stats.ttest_ind(leading.values, trailing.values, equal_var=False).pvalue)
    measured = (
        f"{gap / pooled:.1f} times the spread over seeds (sd {pooled:.3f}; Welch's t-test p = {p:.2g}, "
        f"{_seeds(leading, trailing)})"
    )
    if p < CONFIDENT:
        return f"That gap is {measured}: more than seeds alone would often make."
    if gap <= TIE * pooled:
        return f"That gap is {measured}: seeds alone can make such a gap, so call it a tie."
    return f"That gap is {measured}: larger than the spread, but too few seeds to rule out chance."


def _yardsticks(race: Race, judged: Sequence[Standing]) -> list[str]:
    """The yardsticks that every model beats everywhere, then how many models beat each of the others."""
    beaten, sentences = [], []
    for key, figures in race.yardsticks.items():
        below = {
            language: sum(
                (spread := standing.bits_per_byte(language)) is not None and spread.mean < bits
                for standing in judged
            )
            for language, bits in figures.items()
        }
        name = _YARDSTICK_NAMES.get(key, key)
        if all(number == len(judged) for number in below.values()):
            beaten.append(name)
        else:
            counts = [
                f"{number} of {len(judged)} in {_LANGUAGE_NAMES.get(language, language)}"
                for language, number in below.items()
            ]
            sentences.append(f"Models below {name}: {_listed(counts)}.")
    if beaten:
        sentences.insert(0, f"Every model beats {_listed(beaten)} in every language.")
    return sentences


def _baseline(judged: Sequence[Standing]) -> list[str]:
    baseline = next((standing for standing in judged if standing.key == BASELINE), None)
    others = [standing for standing in judged if standing.key != BASELINE]
    if baseline is None or not others:
        return []
    better = sum(_korean(standing).mean < _korean(baseline).mean for standing in others)
    share = "All" if better == len(others) else "None of the" if better == 0 else f"{better} of the"
    return [f"{share} {len(others)} contenders are below the {baseline.identity.title} baseline in Korean."]


def _gaps_in_the_field(race: Race) -> list[str]:
    if not race.problems:
        return []
    total = len(race.standings) * len(race.seeds)
    return [f"{len(race.problems)} of {total} runs are not judged: {_listed(race.problems)}."]


def _korean(standing: Standing) -> Spread:
    spread = standing.bits_per_byte("ko")
    assert spread is not None
    return spread


def _seeds(leading: Spread, trailing: Spread) -> str:
    return f"{leading.n} seeds each" if leading.n == trailing.n else f"{leading.n} and {trailing.n} seeds"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
