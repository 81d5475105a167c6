"""What the testbed says of the audit: detection by kind, false positives, ROC and the curve of partial reuse."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scipy.stats import beta

from lab.files import write_text
from lab.independence.testbed.bench import Outcome
from lab.report.formats import count, percent
from lab.report.tables import Cell, Column, Row, Table, to_markdown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = (
    Column("kind", "relation"),
    Column("pairs", "pairs"),
    Column("found", "found"),
    Column("interval", "95 % interval"),
    Column("rows", "by rows"),
    Column("units", "by units"),
    Column("cosine", "cosine of norms"),
)


def detection_table(outcomes: Sequence[Outcome], level: float = 0.01) -> Table:
    """A row for each kind of pair outside the curve; independent pairs last, together and by kind."""
    groups: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.relation != "reuse":
            groups[outcome.relation, outcome.kind].append(outcome)
        if outcome.relation == "independent":
            groups["independent", "all independent"].append(outcome)
    order = {"derived": 0, "common draw": 1, "independent": 2}
    rows = [
        _detection_row(kind, groups[relation, kind], level)
        for relation, kind in sorted(
            groups, key=lambda key: (order[key[0]], key[1] == "all independent", key[1])
        )
    ]
    return Table(COLUMNS, rows)


def _detection_row(kind: str, group: Sequence[Outcome], level: float) -> Row:
    found = sum(outcome.p <= level for outcome in group)
    low, high = exact_interval(found, len(group))
    return Row(
        kind,
        {
            "kind": Cell(kind),
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
    cells: dict[tuple[float, int], list[bool]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.relation == "reuse":
            cells[outcome.fraction, outcome.tokens].append(outcome.p <= level)
    tokens = sorted({key[1] for key in cells})
    columns = [
        Column("fraction", "copied"),
        *(Column(str(t), count(t), group="tokens since") for t in tokens),
    ]
    rows = [
        Row(
            str(fraction),
            {
                "fraction": Cell(percent(fraction), fraction),
                **{str(t): _rate(cells[fraction, t]) for t in tokens if (fraction, t) in cells},
            },
        )
        for fraction in sorted({key[0] for key in cells})
    ]
    return Table(columns, rows)


def _rate(seen: Sequence[bool]) -> Cell:
    return Cell(f"{sum(seen)} of {len(seen)}", sum(seen) / len(seen))


def exact_interval(hits: int, trials: int) -> tuple[float, float]:
    """Clopper and Pearson's 95 % interval for a rate."""
    low = 0.0 if hits == 0 else float(beta.ppf(0.025, hits, trials - hits + 1))
    high = 1.0 if hits == trials else float(beta.ppf(0.975, hits + 1, trials - hits))
    return low, high


def area_under_curve(outcomes: Sequence[Outcome], key: str) -> float:
    """Probability that a derived pair scores above an independent one by ``key`` (p-values: below); ties half."""
    signs = 1 if key == "norm_cosine" else -1
    values = [(o.relation, signs * getattr(o, key)) for o in outcomes if getattr(o, key) == getattr(o, key)]
    derived = [value for relation, value in values if relation == "derived"]
    others = [value for relation, value in values if relation == "independent"]
    wins = sum((d > o) + 0.5 * (d == o) for d in derived for o in others)
    return wins / (len(derived) * len(others))


def draw_roc(axis: "Axes", outcomes: Sequence[Outcome]) -> None:
    """Derived against independent pairs: the audit's p-value, and the cosine of norms beside it."""
    for key, label in (("p", "the audit"), ("norm_cosine", "cosine of norms")):
        sign = 1 if key == "norm_cosine" else -1
        values = [o for o in outcomes if getattr(o, key) == getattr(o, key)]
        derived = [sign * getattr(o, key) for o in values if o.relation == "derived"]
        others = [sign * getattr(o, key) for o in values if o.relation == "independent"]
        steps = sorted({*derived, *others}, reverse=True)
        x = [0.0, *(sum(v >= s for v in others) / len(others) for s in steps)]
        y = [0.0, *(sum(v >= s for v in derived) / len(derived) for s in steps)]
        axis.plot(x, y, label=f"{label}, area {area_under_curve(outcomes, key):.3f}")
    axis.set(xlabel="false positives", ylabel="derivations found")
    axis.legend(frameon=False)


def draw_reuse(axis: "Axes", outcomes: Sequence[Outcome], level: float = 0.01) -> None:
    """Detection rate against the fraction copied, a line for each number of tokens trained since."""
    table = reuse_table(outcomes, level)
    for column in table.columns[1:]:
        points = [
            (float(row.key), row[column.key].value) for row in table.rows if row[column.key].value is not None
        ]
        axis.plot(*zip(*points, strict=True), marker="o", label=f"{column.title} tokens")
    axis.set(xscale="log", xlabel="share of rows copied", ylabel="detection rate at 1 % false positives")
    axis.legend(frameon=False, title="trained since")


def write_report(outcomes: Sequence[Outcome], readme: Path) -> None:
    """Put tables between their marks in ``readme``, and the plots beside it."""
    text = with_tables(readme.read_text(encoding="utf-8"), outcomes)
    _draw(readme.with_name("testbed.svg"), outcomes)
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


def _draw(path: Path, outcomes: Sequence[Outcome]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with matplotlib.rc_context(
        {"svg.hashsalt": "lab.report", "axes.spines.top": False, "axes.spines.right": False}
    ):
        figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
        draw_roc(axes[0], outcomes)
        draw_reuse(axes[1], outcomes)
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)
