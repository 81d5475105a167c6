"""The calibration as tables: what ``python -m experiments.calibrate`` prints and writes."""

import statistics

from lab.planner.calibration import Calibration, RunError, StepError, median_error
from lab.planner.config import LayoutConfig
from lab.report.tables import Cell, Column, Row, Table, to_markdown

BEGIN, END = "<!-- made by python -m experiments.calibrate write=true -->", "<!-- end of what is made -->"
LARGE = 0.2
"""Errors of a step rate beyond this share are called misses."""


def tables(found: Calibration) -> dict[str, Table]:
    """Title -> table, the three layers in order, the second with its blinder form."""
    worst = max(abs(golden.error) for golden in found.goldens)
    missed = [run.run.name for run in found.runs if not run.covered]
    return {
        f"(a) {len(found.goldens)} golden counts: largest error {worst:.2%}": _goldens(found),
        f"(b) {len(found.steps)} published step rates, each left out: median absolute error "
        f"{median_error(found.steps):.1%}": _steps(found),
        "(b) again, with all rows of a model or of a device left out": _blinder(found),
        f"(c) {len(found.runs)} public runs, each left out: {found.coverage:.0%} inside their 80 % interval, median "
        f"width {found.width:.2f}; outside: {', '.join(missed)}": _runs(found),
    }


def document(found: Calibration) -> str:
    """The three tables in Markdown, with the fit above them, between their marks."""
    slowdowns = ", ".join(f"{name} {value:.2f}" for name, value in found.slowdowns.items())
    efficiency = found.all_in_efficiency
    parts = [
        BEGIN,
        f"Fitted slowdowns: {slowdowns}. All-in efficiency: {efficiency.low:.2f} to {efficiency.high:.2f} (80 %).",
        *(f"### {title}\n\n{to_markdown(table).rstrip()}" for title, table in tables(found).items()),
        END,
    ]
    return "\n\n".join(parts) + "\n"


def placed(readme: str, made: str) -> str:
    """``readme`` with what stands between the marks replaced by ``made``."""
    before, rest = readme.split(BEGIN)
    _, after = rest.split(END)
    return before + made.rstrip() + after


def slowdowns_yaml(found: Calibration) -> str:
    """The committed fit."""
    lines = [f"  {name}: {value:.4f}" for name, value in found.slowdowns.items()]
    efficiency = found.all_in_efficiency
    return "\n".join(
        [
            "# Made by python -m experiments.calibrate write=true: the fit to everything.",
            "slowdowns:",
            *lines,
            f"all_in_efficiency: [{efficiency.low:.4f}, {efficiency.high:.4f}]",
            "",
        ]
    )


def layout_text(layout: LayoutConfig) -> str:
    """A layout in the field's shorthand."""
    sizes = {
        "DP": layout.data,
        "TP": layout.tensor,
        "PP": layout.pipeline,
        "VP": layout.virtual_stages,
        "CP": layout.context,
        "EP": layout.expert,
    }
    words = [f"{name}{number}" for name, number in sizes.items() if number > 1]
    return " ".join([*words, f"shards {layout.sharding}", f"recomputes {layout.recompute}"])


def _table(titles: list[str], rows: list[list[str]], notes: list[str] | None = None) -> Table:
    columns = [Column(title, title) for title in titles]
    made = [Row(row[0], {title: Cell(text) for title, text in zip(titles, row, strict=True)}) for row in rows]
    return Table(columns, made, notes=notes or [])


def _goldens(found: Calibration) -> Table:
    rows = [
        [golden.what, f"{golden.published:.5g}", f"{golden.ours:.5g}", golden.unit, f"{golden.error:+.2%}"]
        for golden in found.goldens
    ]
    return _table(["what", "published", "ours", "unit", "error"], rows)


def _steps(found: Calibration) -> Table:
    def row(error: StepError) -> list[str]:
        published = error.step.row
        given = ", ".join(f"{key} {value}" for key, value in published.assumed.items())
        note = f"assumed: {given}. {published.note}" if given else published.note
        miss = "miss" if abs(error.error) > LARGE else ""
        return [
            published.name,
            str(published.devices),
            layout_text(error.step.layout),
            f"{error.published:,.0f}",
            f"{error.predicted:,.0f}",
            f"{error.error:+.0%}",
            " ".join(word for word in (miss, published.status, note) if word),
        ]

    titles = ["row", "devices", "layout", "published", "predicted", "error", "notes"]
    return _table(titles, [row(error) for error in found.steps], ["Rates in tokens per second and device."])


def _blinder(found: Calibration) -> Table:
    """The whole first, then each model and each device that a fit has never seen."""

    def row(title: str, errors: list[StepError]) -> list[str]:
        worst = max(errors, key=lambda error: abs(error.error))
        return [
            title,
            str(len(errors)),
            f"{median_error(errors):.1%}",
            f"{statistics.median(error.error for error in errors):+.0%}",
            f"{sum(abs(error.error) > LARGE for error in errors)}",
            f"{worst.error:+.0%} ({worst.step.row.name})",
        ]

    new_models, new_devices = found.steps_of_new_models, found.steps_of_new_devices
    rows = [
        row("each row", found.steps),
        row("each model", new_models),
        row("each device", new_devices),
    ]
    for model in dict.fromkeys(error.step.row.model for error in new_models):
        rows.append(row(f"model {model}", [error for error in new_models if error.step.row.model == model]))
    for device in dict.fromkeys(error.step.row.device for error in new_devices):
        rows.append(
            row(f"device {device}", [error for error in new_devices if error.step.row.device == device])
        )
    titles = ["left out", "rows", "median absolute error", "median error", "misses", "largest error"]
    return _table(titles, rows)


def _runs(found: Calibration) -> Table:
    def row(error: RunError) -> list[str]:
        run = error.run
        note = "; ".join(word for word in (run.status, run.note, run.why) if word)
        return [
            run.name,
            f"{run.hours:,.0f}",
            f"{error.in_run:,.0f}",
            f"{error.efficiency:.2f}",
            f"{error.all_in.low:,.0f} to {error.all_in.high:,.0f}",
            "inside" if error.covered else "outside",
            note,
        ]

    titles = ["run", "published hours", "in-run hours", "all-in efficiency", "80 % interval", "", "notes"]
    return _table(titles, [row(error) for error in found.runs], ["Hours are device-hours."])
