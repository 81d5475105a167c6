"""The audit: every test on every sub-module of two models, corrected, and what may be said."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from lab.independence.config import AuditConfig
from lab.independence.identity import IdenticalTensors, identical_tensors
from lab.independence.norm_cosine import NormComparison, norm_comparison
from lab.independence.roles import MODULES
from lab.independence.row_reuse import row_reuse
from lab.independence.spectra import Fingerprints, fingerprints
from lab.independence.statistics import holm
from lab.independence.unit_agreement import unit_agreement
from lab.independence.unit_assignment import unit_assignment
from lab.independence.vocabulary import VocabularyOverlap, vocabulary_overlap
from lab.independence.weights import Weights

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


@dataclass(frozen=True)
class Audit:
    """Everything one comparison yields; ``notes`` are what could not be compared and why."""

    a: str
    b: str
    level: float
    verdicts: tuple[Verdict, ...]
    tokenizers: VocabularyOverlap | None
    norms: NormComparison | None
    fingerprints: Fingerprints | None
    identical: IdenticalTensors
    notes: tuple[str, ...] = field(default=())

    def verdict(self, module: str) -> Verdict:
        return next(verdict for verdict in self.verdicts if verdict.module == module)


def audit(
    a: Weights,
    b: Weights,
    config: AuditConfig,
    references: Sequence[Weights] = (),
    progress: Callable[[str], object] = str,
) -> Audit:
    """Test whether weights of ``b`` come from ``a`` (or of ``a`` from ``b``: copies look alike either way).

    ``references`` are models without a common origin with each other and the two.
    """
    findings: list[Finding] = []
    reasons: dict[str, str] = {}
    for module in MODULES:
        progress(module)
        found, reason = _rows(a, b, module, config)
        findings += found
        reasons[module] = reason
    for module in ("attention", "experts"):
        progress(f"units of {module}")
        findings += _units(a, b, module, config, references)
    corrected = holm({(f.module, f.part, f.method): f.p_value for f in findings})
    findings = [replace(f, corrected_p=corrected[f.module, f.part, f.method]) for f in findings]
    verdicts = _verdicts(findings, reasons, config.level)
    whole = _whole_verdict(verdicts, b, findings, config.level)
    overlap = vocabulary_overlap(a, b)
    verdicts.append(Verdict("tokenizer", NOT_TESTABLE, _tokenizer_words(overlap)))
    verdicts.append(whole)
    notes = [f"{w.name}: {name} {why}" for w in (a, b) for name, why in w.unusable.items()]
    return Audit(
        a.name,
        b.name,
        config.level,
        tuple(verdicts),
        overlap,
        norm_comparison(a, b, config.seed),
        fingerprints(a, b) if config.describe else None,
        identical_tensors(a, b),
        tuple(notes),
    )


def _rows(a: Weights, b: Weights, module: str, config: AuditConfig) -> tuple[list[Finding], str]:
    present = {w.name: any(role.module == module for role in w.roles.values()) for w in (a, b)}
    if not all(present.values()):
        missing = " and ".join(name for name, there in present.items() if not there)
        return [], f"none in {missing}"
    widths = a.width(module), b.width(module)
    if widths[0] != widths[1]:
        return [], f"widths {widths[0]} and {widths[1]} have no coordinates in common"
    findings = []
    for writes, part in ((False, "read"), (True, "write")):
        result = row_reuse(
            a.vectors(module, writes),
            b.vectors(module, writes),
            config.rows,
            config.draws,
            config.level / 10,
            config.seed,
        )
        if result is not None:
            findings.append(
                Finding(
                    module,
                    part,
                    "row reuse",
                    "mean correlation of matched rows",
                    result.correlation,
                    f"exact, {config.draws} permutations, {result.rows} rows",
                    result.p_value,
                    result.share,
                    result.floor,
                )
            )
    return findings, "no tensor of both has numbers that vary in a common width"


def _units(
    a: Weights, b: Weights, module: str, config: AuditConfig, references: Sequence[Weights]
) -> list[Finding]:
    findings = []
    assignment = unit_assignment(a, b, config.draws, config.seed) if module == "experts" else None
    if assignment is not None:
        findings.append(
            Finding(
                module,
                "units in place",
                "unit assignment",
                "mean rank correlation of places",
                assignment.correlation,
                f"exact, {config.draws} permutations, {assignment.layers} feed-forwards",
                assignment.p_value,
            )
        )
    agreement = unit_agreement(
        a,
        b,
        module,
        config.units,
        config.tokens,
        config.draws,
        config.level / 10,
        config.seed,
        references,
    )
    if agreement is not None:
        known = agreement.references
        findings.append(
            Finding(
                module,
                "units in any basis",
                "unit agreement",
                "share of profiles that agree",
                agreement.share,
                f"approximate, {config.draws} shuffles of {agreement.units} units, and {known.words} "
                f"({known.mean:.1%} beyond chance, standard deviation {known.spread:.1%})",
                agreement.p_value,
                max(0.0, agreement.excess),
                agreement.floor,
            )
        )
    return findings


def _verdicts(findings: list[Finding], reasons: dict[str, str], level: float) -> list[Verdict]:
    """Where units agree and no row does, the basis is another, and what was only sought as rows stays open."""
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
    floor = floor_of(findings)
    if floor >= 1:
        return Verdict(module, NOT_TESTABLE, "even a whole copy might have gone unseen", tuple(findings))
    return _nothing(module, findings, floor)


def _whole_verdict(verdicts: list[Verdict], b: Weights, findings: list[Finding], level: float) -> Verdict:
    """Reuse above the sub-modules' floors, weighted by their sizes, exceeds the floor of one of them at least."""
    if not findings:
        return Verdict("whole", NOT_TESTABLE, "no sub-module could be compared")
    if any(f.corrected_p <= level for f in findings):
        return _shares("whole", findings, level)
    sizes = {v.module: b.size(v.module) for v in verdicts}
    floor = sum(sizes[v.module] * floor_of(v.findings) for v in verdicts) / sum(sizes.values())
    if floor >= 1:
        return Verdict("whole", NOT_TESTABLE, "even a whole copy might have gone unseen", tuple(findings))
    return _nothing("whole", findings, floor)


def floor_of(findings: Sequence[Finding]) -> float:
    """The smallest share that the weakest of the tests could have seen; 1 where there is none."""
    return max((f.floor for f in findings if f.floor is not None), default=1.0)


def _shares(module: str, findings: list[Finding], level: float) -> Verdict:
    significant = [f for f in findings if f.corrected_p <= level]
    best = min(significant, key=lambda f: f.corrected_p)
    share = max((f.share for f in significant if f.share is not None), default=0.0)
    amount = f", in {share:.1%} of what was sampled" if share else ""
    reason = f"{best.method}, corrected p = {best.corrected_p:.2g}{amount}"
    return Verdict(module, SHARES, reason, tuple(findings))


def _nothing(module: str, findings: list[Finding], floor: float) -> Verdict:
    p = min(f.corrected_p for f in findings)
    words = f"no shared weights detected above {floor:.1%}"
    return Verdict(module, words, f"smallest corrected p = {p:.2g}", tuple(findings))


def _tokenizer_words(overlap: VocabularyOverlap | None) -> str:
    if overlap is None:
        return "no vocabulary in one of the folders"
    return (
        f"a vocabulary is no weight: {overlap.common:,} strings in common ({overlap.jaccard:.0%}), "
        f"{overlap.same_number:,} with the same number"
    )
