"""The audit: every test on every sub-module of two models, corrected, and what may be said."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from lab.independence.config import MOST_TESTS, AuditConfig
from lab.independence.identity import IdenticalTensors, identical_tensors
from lab.independence.norm_cosine import NormComparison, norm_comparison
from lab.independence.roles import MODULES
from lab.independence.row_reuse import row_reuse
from lab.independence.spectra import Fingerprints, fingerprints
from lab.independence.statistics import holm
from lab.independence.unit_agreement import unit_agreement
from lab.independence.unit_assignment import unit_assignment
from lab.independence.verdicts import NOT_TESTABLE, Finding, Verdict, module_verdicts, whole_verdict
from lab.independence.vocabulary import VocabularyOverlap, vocabulary_overlap
from lab.independence.weights import Weights


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
    verdicts = module_verdicts(findings, reasons, config.level)
    whole = whole_verdict(verdicts, {module: b.size(module) for module in MODULES}, config.level)
    overlap = vocabulary_overlap(a, b)
    verdicts.append(Verdict("tokenizer", NOT_TESTABLE, _tokenizer_words(overlap)))
    verdicts.append(whole)
    notes = [note for weights in (a, b) for note in _left_out(weights)]
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
            config.level / MOST_TESTS,
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
        config.level / MOST_TESTS,
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


def _left_out(weights: Weights) -> list[str]:
    """Tensors that could not be compared, together where the reason is one."""
    by_reason: dict[str, list[str]] = {}
    for name, why in weights.unusable.items():
        by_reason.setdefault(why, []).append(name)
    return [
        f"{weights.name}: {names[0]}{f' (and {len(names) - 1} more)' if len(names) > 1 else ''} {why}"
        for why, names in by_reason.items()
    ]


def _tokenizer_words(overlap: VocabularyOverlap | None) -> str:
    if overlap is None:
        return "no vocabulary in one of the folders"
    return (
        f"a vocabulary is no weight: {overlap.common:,} strings in common ({overlap.jaccard:.0%}), "
        f"{overlap.same_number:,} with the same number"
    )
