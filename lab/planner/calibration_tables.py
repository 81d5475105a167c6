"""The calibration as tables: what ``python -m experiments.calibrate`` prints and writes."""

import statistics

from lab.planner import facts
from lab.planner.calibration import Calibration, RunError, StepError, coverage, median_error, width
from lab.planner.config import LayoutConfig
from lab.report.tables import Cell, Column, Row, Table, to_markdown

BEGIN, END = "<!-- made by python -m experiments.calibrate write=true -->", "<!-- end of what is made -->"
LARGE = 0.15
"""Errors of a step rate beyond this share are called misses."""


def tables(found: Calibration) -> dict[str, Table]:
    """Title -> table: the three layers in order, blinder forms of two, and what was looked up after the fit."""
    worst = max(abs(golden.error) for golden in found.goldens)
    peak = statistics.median(abs(peak.error) for peak in found.peaks)
    return {
        f"(a) {len(found.goldens)} golden counts: largest error {worst:.2%}": _goldens(found),
        f"(b) {len(found.steps)} published step rates, each left out: {_rates_title(found.steps)}": _steps(
            found.steps
        ),
        "(b) again, with all rows of a model or of a device left out": _blinder(found),
        f"(c) {len(found.runs)} public runs, each left out: {_runs_title(found.runs)}": _runs(found.runs),
        f"(c) again, with all runs of a house left out: {_runs_title(found.runs_of_new_houses)}": _houses(
            found
        ),
        f"Looked up after the fit: {len(found.later_steps)} step rates, {_rates_title(found.later_steps)}": _steps(
            found.later_steps
        ),
        f"Looked up after the fit: {len(found.later_runs)} runs, {_runs_title(found.later_runs)}": _runs(
            found.later_runs
        ),
        f"Published peaks of memory: {len(found.peaks)} rows, median absolute error {peak:.0%}": _peaks(
            found
        ),
    }


def _rates_title(errors: list[StepError]) -> str:
    return f"median absolute error {median_error(errors):.1%}"


def _runs_title(errors: list[RunError]) -> str:
    missed = [error.run.name for error in errors if not error.covered]
    return (
        f"{coverage(errors):.0%} inside their 80 % interval, median width {width(errors):.2f}; outside: "
        f"{', '.join(missed) or 'none'}"
    )


def document(found: Calibration) -> str:
    """The three tables in Markdown, with the fit above them, between their marks."""
    slowdowns = ", ".join(f"{name} {value:.2f}" for name, value in found.slowdowns.items())
    efficiency = found.all_in_efficiency
    parts = [
        BEGIN,
        f"Fitted slowdowns: {slowdowns}. All-in efficiency: {efficiency.low:.2f} to {efficiency.high:.2f} (80 %).",
        _prose(found),
        *(f"### {title}\n\n{to_markdown(table).rstrip()}" for title, table in tables(found).items()),
        END,
    ]
    return "\n\n".join(parts) + "\n"


def _prose(found: Calibration) -> str:
    """What the tables below come to, in figures that change with them."""
    mixtures = [
        statistics.median(
            abs(error.error) for error in found.steps_of_new_models if error.step.row.model == model
        )
        for model in ("deepseek_v3", "qwen_3_235b", "qwen_3_30b", "gpt_oss_120b")
    ]
    versions = [
        error.published for error in found.steps if error.step.row.name.startswith("deepseek-v3 b200")
    ]
    a100 = [error.error for error in found.later_steps if error.step.row.device == "a100"]
    return (
        f"A model or a device that no row of the fit has is predicted with a median absolute error of "
        f"{median_error(found.steps_of_new_models):.0%} or {median_error(found.steps_of_new_devices):.0%} instead of "
        f"{median_error(found.steps):.0%}; mixtures with several rows with {min(mixtures):.0%} to {max(mixtures):.0%} "
        f"(DeepSeek-V3, Qwen3, gpt-oss). Software alone moves one layout of DeepSeek-V3 by a factor of "
        f"{max(versions) / min(versions):.2f}. A100s are predicted {-statistics.median(a100):.0%} too slow."
    )


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


def _steps(errors: list[StepError]) -> Table:
    def row(error: StepError) -> list[str]:
        published = error.step.row
        given = ", ".join(f"{key} {value}" for key, value in published.assumed.items())
        words = [published.status, published.note, f"assumed: {given}" if given else ""]
        if abs(error.error) > LARGE:
            words.append(f"**miss**: {facts.explanation('rates', published.name)}")
        return [
            published.name,
            str(published.devices),
            layout_text(error.step.layout),
            f"{error.published:,.0f}",
            f"{error.predicted:,.0f}",
            f"{error.error:+.0%}",
            "; ".join(word for word in words if word),
        ]

    titles = ["row", "devices", "layout", "published", "predicted", "error", "notes"]
    note = f"Rates in tokens per second and device; errors beyond {LARGE:.0%} are called misses."
    return _table(titles, [row(error) for error in errors], [note])


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


def _runs(errors: list[RunError]) -> Table:
    def row(error: RunError) -> list[str]:
        run = error.run
        words = [run.status, run.note, run.why]
        if not error.covered:
            words.append(f"**outside**: {facts.explanation('runs', run.name)}")
        return [
            run.name,
            f"{run.hours:,.0f}",
            f"{error.in_run:,.0f}",
            f"{error.efficiency:.2f}",
            f"{error.all_in.low:,.0f} to {error.all_in.high:,.0f}",
            "inside" if error.covered else "outside",
            "; ".join(word for word in words if word),
        ]

    titles = ["run", "published hours", "in-run hours", "all-in efficiency", "80 % interval", "", "notes"]
    return _table(titles, [row(error) for error in errors], ["Hours are device-hours."])


def _houses(found: Calibration) -> Table:
    def row(house: str) -> list[str]:
        errors = [error for error in found.runs_of_new_houses if error.run.house == house]
        inside = [error.run.name for error in errors if error.covered]
        outside = [error.run.name for error in errors if not error.covered]
        return [
            house,
            ", ".join(inside) or "none",
            ", ".join(outside) or "none",
            f"{errors[0].all_in.width:.2f}",
        ]

    houses = dict.fromkeys(error.run.house for error in found.runs_of_new_houses)
    return _table(["house", "inside", "outside", "width"], [row(house) for house in houses])


def _peaks(found: Calibration) -> Table:
    rows = [
        [
            peak.step.row.name,
            layout_text(peak.step.layout),
            str(peak.step.layout.micro_batch),
            f"{peak.published:.1f}",
            f"{peak.predicted:.1f}",
            f"{peak.error:+.0%}",
        ]
        for peak in found.peaks
    ]
    note = "GiB. What the allocator had reserved at most; micro-batches are assumed, except for one sequence a device."
    return _table(["row", "layout", "micro-batch", "published", "predicted", "error"], rows, [note])
