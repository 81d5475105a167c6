"""What may be said of each sub-module, and of the whole, when all tests of an audit are in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.independence.roles import MODULES

SHARES = "shares weights"
NOT_TESTABLE = "not testable"


@dataclass(frozen=True)
class Finding:
    """One test on one part. ``floor`` is the smallest share of reused rows or units it could have seen."""

    module: str
    part: str
    method: str
    statistic: str
    value: float
    null: str
    p_value: float
    share: float | None = None
    floor: float | None = None
    corrected_p: float = 1.0


@dataclass(frozen=True)
class Verdict:
    """What may be said of one sub-module, or of the ``whole``."""

    module: str
    words: str
    reason: str
    findings: tuple[Finding, ...] = ()


def module_verdicts(findings: Sequence[Finding], reasons: Mapping[str, str], level: float) -> list[Verdict]:
    """A verdict for each of ``MODULES``; ``reasons`` say why one may lack findings.

    Where units agree and no row does, the basis is another, and what was only sought as rows stays open.
    """
    significant = {f.method for f in findings if f.corrected_p <= level}
    in_another_basis = "unit agreement" in significant and "row reuse" not in significant
    verdicts = []
    for module in MODULES:
        own = [f for f in findings if f.module == module]
        if in_another_basis and own and all(f.method == "row reuse" for f in own):
            reason = "units of other parts agree in another basis, in which this one cannot be compared"
            verdicts.append(Verdict(module, NOT_TESTABLE, reason, tuple(own)))
        else:
            verdicts.append(_module_verdict(module, own, reasons[module], level))
    return verdicts


def _module_verdict(module: str, findings: list[Finding], reason: str, level: float) -> Verdict:
    """Words that claim no more than the findings: a share is a lower bound, silence is no independence."""
    if not findings:
        return Verdict(module, NOT_TESTABLE, reason)
    if any(f.corrected_p <= level for f in findings):
        return _shares(module, findings, level)
    return _nothing(module, findings, floors(findings))


def whole_verdict(verdicts: Sequence[Verdict], sizes: Mapping[str, int], level: float) -> Verdict:
    """Reuse above the sub-modules' floors, weighted by their ``sizes``, exceeds the floor of one of them at least."""
    findings = [finding for verdict in verdicts for finding in verdict.findings]
    if not findings:
        return Verdict("whole", NOT_TESTABLE, "no sub-module could be compared")
    if any(f.corrected_p <= level for f in findings):
        return _shares("whole", findings, level)
    total = sum(sizes.values())
    seen = [(sizes[v.module] / total, floors(v.findings)) for v in verdicts]
    weighted = Floors(
        sum(share * floor.as_they_are for share, floor in seen),
        sum(share * floor.in_any_basis for share, floor in seen),
    )
    return _nothing("whole", findings, weighted)


@dataclass(frozen=True)
class Floors:
    """The smallest shares that would have been seen: of rows as they are, and of units in any basis; 1: none."""

    as_they_are: float
    in_any_basis: float


def floors(findings: Sequence[Finding]) -> Floors:
    """Each the floor of the weakest of the tests that have one."""
    rows = [f.floor for f in findings if f.method == "row reuse" and f.floor is not None]
    units = [f.floor for f in findings if f.method == "unit agreement" and f.floor is not None]
    return Floors(max(rows, default=1.0), max(units, default=1.0))


def _shares(module: str, findings: list[Finding], level: float) -> Verdict:
    significant = [f for f in findings if f.corrected_p <= level]
    best = min(significant, key=lambda f: f.corrected_p)
    share = max((f.share for f in significant if f.share is not None), default=0.0)
    amount = f", in {share:.1%} of what was sampled" if share else ""
    reason = f"{best.method}, corrected p = {best.corrected_p:.2g}{amount}"
    return Verdict(module, SHARES, reason, tuple(findings))


def _nothing(module: str, findings: list[Finding], floor: Floors) -> Verdict:
    """Reuse in any basis is reuse, so the test of units bounds that of rows as they are as well."""
    least = min(floor.as_they_are, floor.in_any_basis)
    if least >= 1:
        return Verdict(module, NOT_TESTABLE, "even a whole copy might have gone unseen", tuple(findings))
    words = f"no shared weights detected above {least:.1%}"
    if floor.in_any_basis >= 1:
        words += ", in another basis not testable"
    elif floor.in_any_basis > least:
        words += f", in another basis above {floor.in_any_basis:.1%}"
    p = min(f.corrected_p for f in findings)
    return Verdict(module, words, f"smallest corrected p = {p:.2g}", tuple(findings))
