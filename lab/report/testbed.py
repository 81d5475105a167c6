"""What the testbed says of the audit: detection by kind, false positives, and the curve of partial reuse."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from scipy.stats import beta

from lab.files import write_text
from lab.independence.testbed.bench import FEW, ROWS, SAME_RATE, TEN_TIMES_THE_RATE, Outcome
from lab.report.formats import count, percent
from lab.report.tables import Cell, Column, Row, Table, to_markdown

ALL_INDEPENDENT = "all independent"
SINCE = {SAME_RATE: "tokens since", TEN_TIMES_THE_RATE: "tokens at ten times the rate"}
TRUTHS = ("derived", "common draw", "independent")
COLUMNS = (
    Column("kind", "relation"),
    Column("truth", "truth"),
    Column("pairs", "pairs"),
    Column("found", "found"),
    Column("interval", "95 % interval"),
    Column("rows", "by rows"),
    Column("units", "by units"),
    Column("cosine", "cosine of norms"),
)


def by_kind(outcomes: Sequence[Outcome]) -> dict[tuple[str, str], list[Outcome]]:
    """Pairs outside the curve by truth and kind; independent pairs last, and once more all together."""
    groups: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for truth in TRUTHS:
        for outcome in outcomes:
            if outcome.relation == truth:
                groups[truth, outcome.kind].append(outcome)
    independent = [outcome for outcome in outcomes if outcome.relation == "independent"]
    return groups | ({("independent", ALL_INDEPENDENT): independent} if independent else {})


def curve(outcomes: Sequence[Outcome], kind: str, level: float) -> dict[tuple[float, int], list[bool]]:
    """Whether each pair of the curve was found, by the fraction copied and the tokens trained since."""
    cells: dict[tuple[float, int], list[bool]] = defaultdict(list)
    for outcome in outcomes:
        if (outcome.relation, outcome.kind) == ("reuse", kind):
            cells[outcome.fraction, outcome.tokens].append(outcome.p <= level)
    return cells


def detection_table(outcomes: Sequence[Outcome], level: float = 0.01) -> Table:
    """A row for each kind of pair outside the curve; independent pairs last, by kind and together."""
    rows = [_detection_row(truth, kind, group, level) for (truth, kind), group in by_kind(outcomes).items()]
    return Table(COLUMNS, rows)


def _detection_row(truth: str, kind: str, group: Sequence[Outcome], level: float) -> Row:
    found = sum(outcome.p <= level for outcome in group)
    low, high = exact_interval(found, len(group))
    return Row(
        kind,
        {
            "kind": Cell(kind),
            "truth": Cell(truth),
            "pairs": Cell(count(len(group)), len(group)),
            "found": Cell(percent(found / len(group)), found / len(group)),
            "interval": Cell(f"{percent(low)} to {percent(high)}"),
            "rows": Cell(percent(sum(o.p_rows <= level for o in group) / len(group))),
            "units": Cell(percent(sum(o.p_units <= level for o in group) / len(group))),
            "cosine": Cell(_mean_cosine(group)),
        },
    )


def _mean_cosine(group: Sequence[Outcome]) -> str:
    cosines = [o.norm_cosine for o in group if o.norm_cosine == o.norm_cosine]
    return f"{sum(cosines) / len(cosines):.4f}" if cosines else "shapes differ"


def reuse_table(outcomes: Sequence[Outcome], level: float = 0.01) -> Table:
    """Detection of copied rows: a row for each fraction, a column for each number of tokens trained since."""
    columns = [Column("fraction", "copied")]
    cells: dict[float, dict[str, Cell]] = defaultdict(dict)
    for kind, heading in SINCE.items():
        found = curve(outcomes, kind, level)
        tokens = sorted({key[1] for key in found})
        columns += [Column(f"{kind} {t}", count(t), group=heading) for t in tokens]
        for (fraction, t), seen in found.items():
            cells[fraction][f"{kind} {t}"] = _rate(seen)
    rows = [
        Row(str(fraction), {"fraction": Cell(_copied(fraction), fraction), **cells[fraction]})
        for fraction in sorted(cells)
    ]
    return Table(columns, rows)


def _copied(fraction: float) -> str:
    """The fraction, and where they are few the number of rows."""
    if fraction not in FEW:
        return percent(fraction)
    rows = round(fraction * ROWS)
    return f"{percent(fraction, 2)} ({rows} row{'s' if rows > 1 else ''})"


def _rate(seen: Sequence[bool]) -> Cell:
    low, high = exact_interval(sum(seen), len(seen))
    text = f"{sum(seen)} of {len(seen)} ({percent(low, 0)} to {percent(high, 0)})"
    return Cell(text, sum(seen) / len(seen))


def exact_interval(hits: int, trials: int) -> tuple[float, float]:
    """Clopper and Pearson's 95 % interval for a rate."""
    low = 0.0 if hits == 0 else float(beta.ppf(0.025, hits, trials - hits + 1))
    high = 1.0 if hits == trials else float(beta.ppf(0.975, hits + 1, trials - hits))
    return low, high


def area_under_curve(outcomes: Sequence[Outcome], key: str) -> float:
    """Probability that a derived pair scores above an independent one by ``key`` (p-values: below); ties half."""
    scores = scores_by_truth(outcomes, key)
    derived, others = scores["derived"], scores["independent"]
    wins = sum((d > o) + 0.5 * (d == o) for d in derived for o in others)
    return wins / (len(derived) * len(others))


def scores_by_truth(outcomes: Sequence[Outcome], key: str) -> Mapping[str, list[float]]:
    """Values of ``key`` by truth, large where a pair looks derived (p-values with their sign turned)."""
    sign = 1 if key == "norm_cosine" else -1
    scores: dict[str, list[float]] = {truth: [] for truth in TRUTHS}
    for outcome in outcomes:
        value = getattr(outcome, key)
        if outcome.relation in scores and value == value:
            scores[outcome.relation].append(sign * value)
    return scores


def write_report(outcomes: Sequence[Outcome], readme: Path) -> None:
    """Put tables between their marks in ``readme``, and the plots beside it."""
    from lab.report.testbed_plots import draw_report

    text = with_tables(readme.read_text(encoding="utf-8"), outcomes)
    draw_report(readme.with_name("testbed.svg"), outcomes)
    write_text(readme, text)


def with_tables(text: str, outcomes: Sequence[Outcome]) -> str:
    """A document with the content between its marks made anew."""
    for name, table in {"detection": detection_table(outcomes), "reuse": reuse_table(outcomes)}.items():
        mark = f"<!-- {name}: made by experiments.audit_testbed -->"
        before, _, rest = text.partition(mark)
        _, end, after = rest.partition("<!-- end -->")
        assert end, f"{name} has no marks"
        text = f"{before}{mark}\n\n{to_markdown(table)}\n{end}{after}"
    return text
