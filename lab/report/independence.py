"""Tables of an audit of independence."""

from lab.independence.audit import Audit
from lab.independence.verdicts import SHARES, Finding
from lab.report.formats import percent
from lab.report.tables import Cell, Column, Row, Table


def verdicts_table(audit: Audit) -> Table:
    """A row for each sub-module, the whole last."""
    columns = (
        Column("module", "sub-module"),
        Column("verdict", "verdict"),
        Column("why", "why", under="verdict"),
    )
    rows = [
        Row(v.module, {"module": Cell(v.module), "verdict": Cell(v.words), "why": Cell(v.reason)})
        for v in audit.verdicts
    ]
    return Table(columns, rows)


def findings_table(audit: Audit) -> Table:
    """A row for each test: statistic, null, p-values and the smallest reuse it could have seen."""
    columns = (
        Column("test", "test"),
        Column("value", "statistic"),
        Column("p", "p"),
        Column("corrected", "Holm p"),
        Column("floor", "sees from"),
        Column("null", "null", rank=2),
    )
    findings = audit.verdict("whole").findings
    return Table(columns, [_finding_row(finding) for finding in findings])


def _finding_row(f: Finding) -> Row:
    return Row(
        f"{f.module} {f.part} {f.method}",
        {
            "test": Cell(f"{f.module}: {f.method}, {f.part}"),
            "value": Cell(f"{f.value:.3g}", f.value),
            "p": Cell(f"{f.p_value:.2g}", f.p_value),
            "corrected": Cell(f"{f.corrected_p:.2g}", f.corrected_p),
            "floor": Cell(percent(f.floor), f.floor),
            "null": Cell(f.null),
        },
    )


def remarks(audit: Audit) -> list[str]:
    """Sentences beneath the tables: the norms' two readings, what could not be read, what a finding means."""
    lines = []
    if audit.identical.equal:
        same = audit.identical
        lines.append(
            f"{same.equal} of {same.common} tensors of one name and shape are equal number by number: "
            f"{', '.join(same.names)}{' ...' if same.equal > len(same.names) else ''}."
        )
    if audit.norms is not None:
        n = audit.norms
        lines.append(
            f"Norm weights ({n.norms}): cosine {n.cosine:.3f}, with shuffled coordinates {n.shuffled_cosine:.3f}, "
            f"predicted from their spread alone {n.predicted_cosine:.3f}; Pearson {n.pearson:.3f}. Only Pearson's says "
            "anything of origin."
        )
    if audit.fingerprints is not None and audit.fingerprints.spectral_distance is not None:
        f = audit.fingerprints
        lines.append(
            f"Singular values of {f.matrices} matrices differ by {f.spectral_distance:.1%} on average "
            "(0 for a rotated copy); unrelated models have like spectra too, so this decides nothing."
        )
        if f.spread_correlation is not None and f.spread_correlation_raw is not None:
            lines.append(
                f"Spread of the attention matrices: correlation {f.spread_correlation_raw:.2f}, of its differences "
                f"{f.spread_correlation:.2f}; it has no null and decides nothing."
            )
    if audit.verdict("whole").words == SHARES:
        lines.append(
            "Two runs that begin at the same random draw share weights too: look at seeds and first checkpoints "
            "before speaking of a derivation."
        )
    else:
        lines.append("Nothing here shows independence: training logs and first checkpoints can.")
    return [*lines, *(f"Left out: {note}." for note in audit.notes)]
